#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A real sale through the daemon into Kafka (the mock cluster), while brokers go away, hang, and
the daemon gets kill -9: the sale carries on, and at the end the topic holds each decision of the
log once, in order."""

import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgsinksales  # noqa: E402
import fgtest  # noqa: E402
from fgsinksales import KafkaSale  # noqa: E402
from fgsinkkafka import in_order  # noqa: E402

fgsinksales.use(globals(), KafkaSale, 'goes_and_comes_back')


@fgtest.timeout(120)
def test_daemon_is_killed(lab):
    """kill -9 of the daemon in the flood, three times: each decision is in the topic once, in order"""
    s, cut = KafkaSale(lab), 0
    for pause in (0.4, 0.9, 0.2):
        s.shoppers(3)
        fgtest.pause(pause, 'the moment of the kill')
        s.gate.kill()
        cut += s.committed.dead()[1] > 0
        in_order(s.committed.read())
        s.gate.start()
        s.catches_up()
    print(f'# 3 kills, {cut} in the middle of a transaction')
    s.finish()


if __name__ == '__main__':
    fgtest.main()
