#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The whole appliance in a flood while its Redis is stopped, killed, emptied, frozen: the sale
carries on, the lag shows, replication catches up by itself, and at the end Redis holds what the log
holds."""

import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgsinksales  # noqa: E402
import fgtest  # noqa: E402

fgsinksales.use(globals(), fgsinksales.RedisSale, 'goes_and_comes_back', 'loses_everything', 'hangs',
                'daemon_killed_while_it_is_away', 'comes_and_goes', 'daemon_stops_while_it_hangs')


if __name__ == '__main__':
    fgtest.main()
