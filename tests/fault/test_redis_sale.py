#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The whole appliance in a flood while its Redis is stopped, killed, emptied, frozen: the sale goes on, the lag shows,
replication catches up by itself, and at the end Redis holds what the log holds."""

import signal
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
from fgsale import HOT, Sale, fgtest  # noqa: E402
from fgtest import wait_until  # noqa: E402


WAVE = {'seconds': 10, 'rate': 2500}


def begin(lab, persist=True, seconds=10):
    """Buyers come all the time, so that there is always something to replicate."""
    sale = Sale(lab, total=6000, lesser=10, redis=lab.redis(persist=persist))
    sale.shop(**{**WAVE, 'seconds': seconds})
    wait_until(lambda: redis_status(sale)['state'] == 'live' and redis_status(sale)['cursor'] > 500, 20, 'Redis follows')
    return sale


def redis_status(sale):
    return sale.gate.sink('redis')


def sells_without_redis(sale, seconds=1.5):
    """The sale neither stops nor slows down to nothing; status and health say what is the matter."""
    wait_until(lambda: redis_status(sale)['state'] == 'away', 10, 'Redis is away')
    status = sale.gate.get('/v1/status')
    assert status['state'] == 'degraded' and sale.gate.sink('redis')['error'], status
    assert sale.gate.healthy(), 'a Redis that is away is no reason to replace the appliance'
    sale.goes_on(seconds)
    lag = redis_status(sale)['lag']
    assert lag > 100, f'the lag shows: {lag}'
    return lag


def catches_up(sale, seconds=20):
    """The sink reaches the end that the log had when this was called."""
    goal, began = sale.gate.get('/v1/status')['log']['durable_seq'], time.monotonic()
    wait_until(lambda: redis_status(sale)['state'] == 'live' and redis_status(sale)['cursor'] >= goal, seconds,
               f'Redis reaches record {goal}')
    return time.monotonic() - began


def report(what, lag, took):
    print(f'# {what}: lag {lag} records, caught up in {took:.2f} s')


@fgtest.timeout(90)
def test_redis_ends_and_is_started_again(lab):
    """Redis gets SIGTERM, later kill -9, and is started again with its data"""
    sale = begin(lab, seconds=12)
    for what, end in (('SIGTERM', sale.redis.stop), ('kill -9', sale.redis.kill)):
        sale.keep_shopping(4, **WAVE)
        end()
        lag = sells_without_redis(sale)
        sale.redis.start()
        report(what, lag, catches_up(sale))
        sale.add_stock(HOT, 500)
    sale.finish()


@fgtest.timeout(90)
def test_redis_loses_everything(lab):
    """kill -9 of a Redis that keeps nothing, later FLUSHALL: all of it is written again"""
    sale = begin(lab, persist=False, seconds=12)
    sale.redis.kill()
    lag = sells_without_redis(sale)
    sale.redis.start()
    report('kill -9 without data', lag, catches_up(sale))
    sale.add_stock(HOT, 500)
    sale.keep_shopping(2, **WAVE)
    before = int(sale.redis.command('DBSIZE'))
    sale.redis.command('FLUSHALL')
    report('FLUSHALL', redis_status(sale)['lag'], catches_up(sale))
    wait_until(lambda: int(sale.redis.command('DBSIZE')) >= before, 20, 'all keys are there again')
    sale.finish()


@fgtest.timeout(90)
def test_redis_stands_still(lab):
    """SIGSTOP for 3 s: a peer that takes connections and answers nothing does not hold up the sale"""
    sale = begin(lab)
    sale.redis.process.signal(signal.SIGSTOP)
    lag = sells_without_redis(sale, 2)
    time.sleep(0.5)
    sale.redis.process.signal(signal.SIGCONT)
    report('SIGSTOP', lag, catches_up(sale))
    sale.finish()


@fgtest.timeout(90)
def test_daemon_killed_while_redis_is_away(lab):
    """kill -9 of both, the daemon first back: it starts and sells without Redis, which then gets what it missed"""
    sale = begin(lab)
    sale.redis.kill()
    wait_until(lambda: redis_status(sale)['lag'] > 100, 10, 'the lag shows')
    sale.gate.kill()
    sale.gate.start()
    sale.keep_shopping(3, **WAVE)
    lag = sells_without_redis(sale, 1)
    sale.redis.start()
    report('kill -9 of both', lag, catches_up(sale))
    sale.finish()


@fgtest.timeout(90)
def test_redis_comes_and_goes(lab):
    """Redis is killed 10 times, at any moment of the catching up"""
    sale = begin(lab, seconds=8)
    for i in range(10):
        sale.redis.kill()
        time.sleep(0.05 * (i % 4))
        sale.redis.start()
        time.sleep(0.03 * i)
    took = catches_up(sale)
    print(f'# caught up {took:.2f} s after the last start, {redis_status(sale)["reconnects"]} reconnects')
    sale.finish()


@fgtest.timeout(90)
def test_stop_while_redis_stands_still(lab):
    """SIGTERM in mid-sale with a frozen Redis: exit 0 in some seconds; the rest is written after the next start"""
    sale = begin(lab, seconds=6)
    sale.redis.process.signal(signal.SIGSTOP)
    wait_until(lambda: redis_status(sale)['lag'] > 100, 10, 'the lag shows')
    began = time.monotonic()
    sale.gate.stop(seconds=15)
    took = time.monotonic() - began
    assert took < 10, f'{took:.1f} s'
    thaw = threading.Timer(1, sale.redis.process.signal, (signal.SIGCONT,))
    thaw.start()
    sale.gate.start()
    thaw.join()
    catches_up(sale)
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
