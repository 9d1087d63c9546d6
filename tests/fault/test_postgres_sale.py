#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The whole appliance in a flood while its PostgreSQL is killed, frozen, emptied, restarted: the sale goes on, the lag shows,
the tables catch up by themselves, and at the end log, Redis, PostgreSQL and shoppers tell the same."""

import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
from fgsale import HOT, Sale, fgtest  # noqa: E402
from fgtest import wait_until  # noqa: E402
from test_postgres import backend  # noqa: E402

WAVE = {'seconds': 10, 'rate': 2500}


def begin(lab, seconds=10, init=True, **options):
    """Buyers come all the time, so that there is always something to write."""
    pg = lab.postgres(**options)
    if init:
        backend(pg)
    sale = Sale(lab, total=6000, lesser=10, redis=lab.redis(), postgres=pg)
    sale.shop(**{**WAVE, 'seconds': seconds})
    if init:
        wait_until(lambda: sink(sale)['state'] == 'live' and sink(sale)['cursor'] > 500, 20, 'PostgreSQL is followed')
    return sale


def sink(sale):
    return sale.gate.sink('postgres')


def sells_without(sale, state='away', text='', seconds=1.5):
    """The sale neither stops nor slows down to nothing; status and health say what is the matter, Redis goes on."""
    wait_until(lambda: sink(sale)['state'] == state and text in sink(sale)['error'], 10, f'PostgreSQL is {state}')
    status = sale.gate.get('/v1/status')
    assert status['state'] == 'degraded' and sink(sale)['error'], status
    assert sale.gate.healthy(), 'a PostgreSQL that is away is no reason to replace the appliance'
    sale.goes_on(seconds)
    assert sale.gate.sink('redis')['state'] == 'live', 'one sink does not hold up another'
    lag = sink(sale)['lag']
    assert lag > 100, f'the lag shows: {lag}'
    return lag


def catches_up(sale, seconds=30):
    """The sink reaches the end that the log had when this was called."""
    goal, began = sale.gate.get('/v1/status')['log']['durable_seq'], time.monotonic()
    wait_until(lambda: sink(sale)['state'] == 'live' and sink(sale)['cursor'] >= goal, seconds,
               f'PostgreSQL reaches record {goal}')
    return time.monotonic() - began


def report(what, lag, took):
    print(f'# {what}: lag {lag} records, caught up in {took:.2f} s')


@fgtest.timeout(120)
def test_postgres_is_killed_and_restarted(lab):
    """PostgreSQL gets kill -9, later a clean stop, and is started again"""
    sale = begin(lab, seconds=12)
    for what, end in (('kill -9', sale.postgres.kill), ('stop', sale.postgres.stop)):
        sale.keep_shopping(4, **WAVE)
        end()
        lag = sells_without(sale)
        sale.postgres.start()
        report(what, lag, catches_up(sale))
        sale.add_stock(HOT, 500)
    sale.finish()


@fgtest.timeout(120)
def test_postgres_stands_still(lab):
    """SIGSTOP for 3 s: a server that takes connections and answers nothing does not hold up the sale"""
    sale = begin(lab)
    sale.postgres.pause()
    lag = sells_without(sale, seconds=2)
    time.sleep(0.5)
    sale.postgres.resume()
    report('SIGSTOP', lag, catches_up(sale))
    sale.finish()


@fgtest.timeout(120)
def test_postgres_is_emptied(lab):
    """the schema is dropped, later the whole disk is new: refused until `fgctl backend init`, then written again"""
    sale = begin(lab, seconds=12)
    sale.postgres.sql('DROP SCHEMA floodgate CASCADE')
    lag = sells_without(sale, 'refused', 'fgctl backend init')
    backend(sale.postgres)
    report('schema dropped', lag, catches_up(sale))
    sale.keep_shopping(4, **WAVE)
    sale.add_stock(HOT, 500)
    sale.postgres.kill()
    sale.postgres.wipe()
    sale.postgres.start()
    lag = sells_without(sale, 'refused', 'fgctl backend init')
    backend(sale.postgres)
    report('new disk', lag, catches_up(sale))
    sale.finish()


@fgtest.timeout(120)
def test_postgres_comes_and_goes(lab):
    """PostgreSQL is killed 6 times, at any moment of the catching up, and the daemon once"""
    sale = begin(lab, seconds=8)
    for i in range(6):
        sale.postgres.kill()
        time.sleep(0.1 * (i % 3))
        sale.postgres.start()
        time.sleep(0.05 * i)
    sale.gate.kill()
    sale.gate.start()
    took = catches_up(sale)
    print(f'# caught up {took:.2f} s after the last start')
    sale.finish()


@fgtest.timeout(120)
def test_stop_while_postgres_stands_still(lab):
    """SIGTERM in mid-sale with a frozen PostgreSQL: exit 0 in some seconds; the rest is written after the next start"""
    sale = begin(lab, seconds=6)
    sale.postgres.pause()
    wait_until(lambda: sink(sale)['lag'] > 100, 10, 'the lag shows')
    began = time.monotonic()
    sale.gate.stop(seconds=20)
    took = time.monotonic() - began
    assert took < 12, f'{took:.1f} s'
    thaw = threading.Timer(1, sale.postgres.resume)
    thaw.start()
    sale.gate.start()
    thaw.join()
    catches_up(sale)
    sale.finish()


@fgtest.timeout(120)
def test_tables_are_made_in_mid_sale(lab):
    """no tables and a wrong password at first: the daemon starts and sells; status by fgctl, lag and alarm show"""
    sale = begin(lab, init=False, password='right')
    lag = sells_without(sale, 'refused', 'fgctl backend init')
    sale.gate.stop()
    sale.gate.settings['postgres.conninfo'] = sale.postgres.address + ' password=wrong'
    sale.gate.write_config()
    sale.gate.start()
    sale.keep_shopping(4, **WAVE)
    sells_without(sale, 'away', 'password authentication failed', seconds=2)
    assert 'wrong' not in str(sale.gate.get('/v1/status')), 'the password is not shown'
    sale.gate.stop()
    sale.gate.settings['postgres.conninfo'] = sale.postgres.conninfo
    sale.gate.write_config()
    made = sale.gate.fgctl('backend', 'init', '--config', sale.gate.config)
    assert made['version_before'] == 0 and made['version'] == 1, made
    sale.gate.start()
    report('tables made later', lag, catches_up(sale))
    sale.wave_done()
    catches_up(sale)

    def look():
        return sale.gate.fgctl('backend', 'status', '--config', sale.gate.config)
    wait_until(lambda: look()['lag'] == 0, 10, 'the lag goes to 0 when the last hold has ended')
    status = look()
    assert status['orders'] > 100 and status['items'] == 11, status
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
