#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Alarms that no other test makes: they fire while their cause lasts, and clear after it. tools/lint (alarms) counts those of
all tests."""

import contextlib
import itertools
import os
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgdisk import preloaded  # noqa: E402
from fgpair import Pair  # noqa: E402
from fgshop import ITEM, NsClient, Shop, add_item  # noqa: E402
from fgstory import make_log  # noqa: E402

DENIED_MAX = 16384  # of a worker: lib/stock/stock.h
ADDRESS = '198.18.0.100'
QUIET = {'filter.order_rate': 0, 'workers.idle': 'sleep'}
SLEEPS = ('35', '230', '101', '115')  # nanosleep and clock_nanosleep, of x86-64 and of aarch64


def send_until(shop, alarm, level, items=(ITEM,)):
    """Orders of ever new users, until the alarm is raised."""
    users = itertools.count(1)

    def sent():
        for user in itertools.islice(users, 200):
            shop.shop.send('RESERVE', os.urandom(16), user=user, item=items[user % len(items)], quantity=1)
        return shop.gate.alarm(alarm) == level
    fgtest.wait_until(sent, 20, f'alarm {alarm}: {level}', 0.1)


@contextlib.contextmanager
def slow_disk(folder):
    """Syncs of the daemon that faulty.c was loaded into wait for the end of the with block."""
    path = os.path.join(folder, 'slow')
    with open(path, 'w', encoding='ascii'):
        pass
    try:
        yield
    finally:
        os.unlink(path)


@fgtest.timeout(120)
def test_ledger(lab):
    """the ledger stands still: reservations are BUSY, and a warning; it catches up, and they are accepted again"""
    s = Shop(lab, {'total': 10000}, **{'log.ledger_lag_max': 1000, **QUIET})
    with fgtest.held(s.gate.thread('^fg-ledger$'), SLEEPS):
        send_until(s, 'ledger', 'warning')
        s.gate.alarm_fires('ledger', 'warning')
        fgtest.wait_until(lambda: s.shop.once('RESERVE', os.urandom(16), user=30000, item=ITEM, quantity=1)[0] == 'BUSY', 10,
                          'a reservation is BUSY')
    s.gate.alarm_clears('ledger')
    assert s.reserve(30001)[0] == 'RESERVED'
    s.audit(lab)


@fgtest.timeout(120)
def test_parked(lab):
    """a worker stands still that has the units of items: requests of the other one wait for them, and an alarm; then they go on"""
    s = Shop(lab, workers=2, **{'limits.parked_max': 64, **QUIET})
    items = range(ITEM + 1, ITEM + 17)
    for item in items:
        s.create(item, total=20000, hold_ms=60000)
    with fgtest.held(s.gate.worker_thread(1)):
        send_until(s, 'parked', 'alarm', items)
        s.gate.alarm_fires('parked', 'alarm')
        s.gate.alarm_fires('workers', 'alarm')
    s.gate.alarm_clears('parked')
    s.gate.alarm_clears('workers')
    assert s.reserve(30001)[0] == 'RESERVED'
    s.audit(lab)


@fgtest.timeout(120)
def test_deferred(lab):
    """more answers than may wait for the disk: requests are BUSY, and an alarm; it ends when the disk has written"""
    s = Shop(lab, **{'limits.deferred_max': 64, **QUIET, 'log.commit': 'plain'})
    folder, library = preloaded(lab, 'faulty.c', 'disk')
    s.gate.stop()
    s.gate.start(wrapper=['env', f'LD_PRELOAD={library}', f'FG_FAULTS={folder}'])
    with slow_disk(folder):
        send_until(s, 'deferred', 'alarm')
        s.gate.alarm_fires('deferred', 'alarm')
        fgtest.wait_until(lambda: s.gate.get('/v1/stats')['answers']['BUSY'] > 0, 10, 'a request is BUSY')
    s.gate.alarm_clears('deferred')
    s.change(total=20000)
    assert s.reserve(30001)[0] == 'RESERVED'
    s.audit(lab)


@fgtest.timeout(120)
def test_denied(lab):
    """nearly as many users were denied as a worker remembers: a warning; a restart forgets those who are allowed again"""
    users = range(1, DENIED_MAX * 9 // 10 + 11)
    folder = make_log(lab, [line for n in users for line in (f'user {n} 1 1000', *(['commit'] if n % 1000 == 0 else []))])
    s = Shop(lab, **{'log.dir': folder, **QUIET})
    s.gate.alarm_fires('denied', 'warning')
    s.gate.fgctl('user', 'allow', *users[:20])
    assert [s.reserve(user)[0] for user in (users[0], users[-1])] == ['RESERVED', 'USER_DENIED']
    s.gate.restart()
    s.gate.alarm_clears('denied')
    assert [s.reserve(user)[0] for user in (users[1], users[-1])] == ['RESERVED', 'USER_DENIED']


def add_interface(box):
    box.ns.ip('link', 'add', 'fgx0', 'type', 'veth', 'peer', 'name', 'fgy0')
    for interface in ('fgx0', 'fgy0'):
        box.ns.ip('link', 'set', interface, 'up')


@fgtest.timeout(120)
def test_pair(lab):
    """of a pair: the clocks differ, its address has no interface, its keys differ, and the standby's disk waits"""
    pair = Pair(lab, settings={'pair.address': f'{ADDRESS}/24 at fgx0', 'pair.drop_ms': '30s', 'pair.suspect_ms': '3s',
                               'log.commit': 'plain'})
    folder, disk = preloaded(lab, 'faulty.c', 'disk')
    clocks, clock = preloaded(lab, 'clockshift.c', 'clock')
    offset = os.path.join(clocks, 'offset')
    first, second = pair.boxes
    second.wrapper = ['env', f'LD_PRELOAD={disk} {clock}', f'FG_FAULTS={folder}', f'FG_CLOCK={offset}']
    for box in pair.boxes:
        add_interface(box)
    with open(offset, 'w', encoding='ascii') as f:
        f.write('5')
    pair.start()
    for box in pair.boxes:
        box.gate.alarm_fires('skew', 'warning')
    first.ns.ip('link', 'del', 'fgx0')
    first.gate.alarm_fires('address', 'alarm')
    add_interface(first)
    second.gate.stop()
    os.unlink(offset)
    pair.join(second)
    first.gate.alarm_clears('address')
    assert f'inet {ADDRESS}/24' in first.ns.ip('addr', 'show', 'dev', 'fgx0')
    for box in pair.boxes:
        box.gate.alarm_clears('skew')
    first.gate.keys.secrets[1] = os.urandom(16)
    first.gate.keys.write()
    second.gate.fgctl('keys', 'reload')
    for box in pair.boxes:
        box.gate.alarm_fires('unlike', 'warning')
    first.gate.fgctl('keys', 'reload')
    for box in pair.boxes:
        box.gate.alarm_clears('unlike')
    add_item(first.gate, 10)
    shop = NsClient(pair.shop, first.ip, first.gate.keys, 'shop')
    order = os.urandom(16)
    with slow_disk(folder):
        shop.send('RESERVE', order, user=1, item=ITEM, quantity=1)
        first.gate.alarm_fires('lag', 'warning')
    assert shop.reserve(1, ITEM, 1, order).status == 'RESERVED'
    first.gate.alarm_clears('lag')
    pair.stop()


if __name__ == '__main__':
    fgtest.main()
