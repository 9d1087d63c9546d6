#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Redis is filled from a snapshot because the log does not go back to its cursor, while others read it."""

import os
import random
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import test_redis as base  # noqa: E402
from fgsale import Sale  # noqa: E402
from test_redis import fgtest  # noqa: E402
from fgtest import wait_until  # noqa: E402

UNITS = ('total', 'available', 'reserved', 'sold')
ENOUGH = 25000  # records: more than one segment, so that the first can go


def long_log(driver):
    while driver.do('load 60 200')['seq'] < ENOUGH:
        pass


def short_log(driver):
    """A log that has lost its beginning; the first record that it holds."""
    long_log(driver)
    driver.do('snapshot')
    first = min(int(f.split('.')[0]) for f in os.listdir(driver.log_dir) if f.endswith('.fgj'))
    assert first > 1
    return first


def compare(driver, redis):
    ledger = base.compare(driver, redis, filled=True)
    assert not redis.command('EXISTS', '{t}:fill')
    return ledger


class Reader:
    """Reads cursor and items in one transaction, again and again: no state may be between two."""

    def __init__(self, lab, redis):
        self.redis = fgtest.Redis(lab)
        self.redis.socket = redis.socket
        self.cursors, self.error, self.quit = [], None, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _look(self):
        self.redis.command('MULTI')
        self.redis.command('HGET', '{t}:cursor', 'seq')
        self.redis.command('SMEMBERS', '{t}:items')
        for item in range(1, 6):
            self.redis.command('HGETALL', f'{{t}}:item:{item}')
        seq, items, *hashes = self.redis.command('EXEC')
        seq = int(seq or 0)
        there = [dict(zip(flat[::2], flat[1::2])) for flat in hashes if flat]
        assert len(there) == len(items) == (5 if seq else 0), (seq, items, there)
        for found in there:
            units = [int(found[u]) for u in UNITS]
            assert units[0] == sum(units[1:]) and min(units) >= 0, found
        if not self.cursors or self.cursors[-1][0] != seq:
            self.cursors.append((seq, there))
        assert self.cursors[-1][1] == there, f'the items changed, the cursor stayed at {seq}'

    def _run(self):
        try:
            while not self.quit:
                self._look()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def end(self):
        self.quit = True
        self.thread.join(20)
        assert not self.error, repr(self.error)
        seen = [seq for seq, _ in self.cursors]
        assert seen == sorted(seen), seen
        return seen


@fgtest.timeout(120)
def test_empty(lab):
    """a Redis that holds nothing gets the snapshot and the log behind it; FLUSHALL, and again"""
    redis, driver = lab.redis(), base.Driver(lab)
    short_log(driver)
    driver.load(20)
    redis.command('XGROUP', 'CREATE', '{t}:events', 'mail', '$', 'MKSTREAM')
    driver.start(redis.address)
    driver.caught_up()
    ledger = compare(driver, redis)
    assert len(ledger['orders']) > 5000
    driver.load(20)
    redis.command('FLUSHALL')
    driver.load(20)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


@fgtest.timeout(120)
def test_over_an_older_state(lab):
    """a Redis that was away too long: readers see the old state, then the new one, and nothing in between"""
    redis, driver = lab.redis(), base.Driver(lab)
    driver.start(redis.address)
    driver.load()
    driver.caught_up()
    driver.stop()
    old = int(redis.hash('{t}:cursor')['seq'])
    assert short_log(driver) > old + 1
    snapshot = driver.load(1)
    reader = Reader(lab, redis)
    wait_until(lambda: reader.cursors or reader.error, 10, 'the reader reads')
    driver.start(redis.address)
    for _ in range(20):
        driver.load(2)
    driver.caught_up()
    driver.stop()
    seen = reader.end()
    assert seen[0] == old and all(seq > ENOUGH for seq in seen[1:]) and len(seen) > 1, (seen[:5], snapshot)
    events = redis.command('XRANGE', '{t}:events', f'{old + 1}-0', '+', 'COUNT', 1)
    assert dict(zip(events[0][1][::2], events[0][1][1::2]))['type'] == 'resync', events
    compare(driver, redis)


@fgtest.timeout(150)
def test_interrupted(lab):
    """connections cut and sinks stopped in the midst of filling: begun again, never taken for a stranger's keys"""
    redis, driver = lab.redis(), base.Driver(lab)
    short_log(driver)
    proxy = base.Proxy(lab, redis.socket)
    chance, begun = random.Random(driver.seed), 0
    for _ in range(10):
        proxy.cut_after = lambda: chance.randrange(100, 60000)
        driver.start(f'unix:{proxy.path}', retry=5)
        time.sleep(chance.uniform(0.9, 1.4))  # what another sink left is let alone for a second
        driver.stop(drain=0)
        begun += redis.command('EXISTS', '{t}:fill')
    assert begun > 3, begun
    proxy.cut_after = None
    driver.start(f'unix:{proxy.path}')
    driver.caught_up()
    driver.stop()
    compare(driver, redis)
    print(f'# {proxy.cuts} connections cut, {begun} fills left behind')


@fgtest.timeout(150)
def test_killed(lab):
    """kill -9 of a persistent Redis in the midst of filling"""
    redis, driver = lab.redis(persist=True), base.Driver(lab)
    short_log(driver)
    chance = random.Random(driver.seed)
    driver.start(redis.address, retry=20)
    for _ in range(6):
        time.sleep(chance.uniform(0, 0.2))
        redis.kill()
        redis.start()
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


@fgtest.timeout(120)
def test_two_writers(lab):
    """two sinks that fill the same keys at once: one of them does, the other follows"""
    redis, driver = lab.redis(), base.Driver(lab)
    short_log(driver)
    driver.start(redis.address, slot=0)
    driver.start(redis.address, slot=1)
    for _ in range(10):
        driver.load(5)
    driver.caught_up(0, 40)
    driver.caught_up(1, 40)
    driver.stop(0)
    driver.stop(1)
    compare(driver, redis)


@fgtest.timeout(120)
def test_keys_in_the_way(lab):
    """the mark of another appliance, a key of a wrong type: refused with words; removed: filled"""
    redis, driver = lab.redis(), base.Driver(lab)
    driver.start(redis.address)
    driver.load()
    driver.caught_up()
    driver.stop()
    short_log(driver)
    order = driver.ledger()['orders'][-1]
    key = f'{{t}}:order:{order["user"]}:{order["order"]}'
    redis.command('SET', key, 'not a hash')
    driver.start(redis.address)
    driver.in_state('refused', text='of another type')
    redis.command('DEL', key)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)
    redis.command('FLUSHALL')
    redis.command('HSET', '{t}:fill', 'id', 'x', 'appliance', '00000000000000ff')
    driver.start(redis.address)
    driver.in_state('refused', text='there is no cursor, but there is {t}:fill')
    redis.command('DEL', '{t}:fill')
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


@fgtest.timeout(120)
def test_in_a_sale(lab):
    """FLUSHALL, then kill -9 of a Redis that keeps nothing, in the flood, when old segments have gone: filled"""
    sale = Sale(lab, total=3000, lesser=4, redis=lab.redis(), settings={
        'log.snapshot_records': 500, 'log.segment_bytes': '64k', 'log.keep_bytes': 0})
    sale.shop(seconds=10)

    def follows():
        sink = sale.gate.sink('redis')
        return sink['state'] == 'live' and sink['lag'] < 2000

    def filled():
        return int(sale.redis.hash('{floodgate}:cursor').get('filled', 0)) > 0 and follows()

    wait_until(lambda: sale.gate.get('/v1/status')['log']['first_seq'] > 1, 60, 'old segments are removed')
    sale.redis.command('FLUSHALL')
    wait_until(filled, 30, 'Redis is filled')
    first = int(sale.redis.hash('{floodgate}:cursor')['filled'])
    sale.redis.kill()
    sale.keep_shopping(3, seconds=6)
    sale.redis.start()
    wait_until(filled, 30, 'Redis is filled again')
    print(f'# filled from records {first} and {sale.redis.hash("{floodgate}:cursor")["filled"]}, sold on meanwhile: '
          f'{sale.gate.get("/v1/stats")["stock"]["reserved"]} reserved')
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
