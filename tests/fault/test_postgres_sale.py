#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The whole appliance in a flood while its PostgreSQL is killed, frozen, emptied, restarted: the
sale carries on, the lag shows, the tables catch up by themselves, and at the end log, Redis,
PostgreSQL and shoppers tell the same."""

import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgsinksales  # noqa: E402
import fgtest  # noqa: E402
from fgsinksales import PostgresSale  # noqa: E402
from fgtest import wait_until  # noqa: E402

fgsinksales.use(globals(), PostgresSale, 'goes_and_comes_back', 'loses_everything', 'hangs', 'daemon_killed_while_it_is_away',
                'comes_and_goes', 'daemon_stops_while_it_hangs')


@fgtest.timeout(120)
def test_tables_are_made_in_mid_sale(lab):
    """no tables and a wrong password at first: the daemon starts and sells; status by fgctl, lag and alarm show"""
    s = PostgresSale(lab, follows=False, init=False, password='right')
    sale, pg = s.sale, s.server.pg
    s.shoppers(4)
    lag = s.sells_without('refused', 'fgctl backend init')
    sale.gate.stop()
    sale.gate.settings['postgres.conninfo'] = pg.address + ' password=wrong'
    sale.gate.write_config()
    sale.gate.start()
    s.shoppers(4)
    s.sells_without('away', 'password authentication failed', seconds=2)
    assert 'wrong' not in str(sale.gate.get('/v1/status')), 'the password is not shown'
    sale.gate.stop()
    sale.gate.settings['postgres.conninfo'] = pg.conninfo
    sale.gate.write_config()
    made = sale.gate.fgctl('backend', 'init', '--config', sale.gate.config)
    assert made['version_before'] == 0 and made['version'] == 3, made
    sale.gate.start()
    s.report('tables made later', lag)
    sale.enough()
    sale.wave_done()
    s.catches_up()

    def look():
        return sale.gate.fgctl('backend', 'status', '--config', sale.gate.config)
    wait_until(lambda: look()['lag'] == 0, 10, 'the lag goes to 0 when the last hold has ended')
    status = look()
    assert status['orders'] > 100 and status['items'] == 11, status
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
