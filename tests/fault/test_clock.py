#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Somebody sets the wall clock by an hour, forwards and backwards, while orders are held: the real daemon over a shim.

While it runs, holds count on the monotonic clock: no step moves a deadline. Across a restart the stored deadline counts.
"""

import os
import shutil
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
from fgsale import HOT, Sale, fgtest  # noqa: E402
from fgtest import wait_until  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
HOUR, HOLD_MS = 3600, 4000


class Clocked(Sale):
    """A sale whose daemon believes a wall clock that set() moves."""

    def __init__(self, lab, **options):
        compiler = shutil.which('cc') or shutil.which('gcc')
        if not compiler:
            raise fgtest.Skip('no C compiler')
        super().__init__(lab, start=False, hold_ms=HOLD_MS, desk=True, **options)
        self.offset = os.path.join(self.gate.dir, 'offset')
        library = os.path.join(self.gate.dir, 'clockshift.so')
        subprocess.run([compiler, '-shared', '-fPIC', '-O1', '-o', library, os.path.join(HERE, 'clockshift.c'), '-ldl'],
                       check=True, capture_output=True)
        self.wrapper = ['env', f'LD_PRELOAD={library}', f'FG_CLOCK={self.offset}']
        self.set(0)
        self.up()
        self.open_items(200, 0)
        self.shopper = self.client()

    def set(self, seconds):
        with open(self.offset + '.new', 'w', encoding='utf-8') as f:
            f.write(str(seconds))
        os.rename(self.offset + '.new', self.offset)

    def up(self):
        self.gate.start(wrapper=self.wrapper)

    def hold(self, user):
        reply = self.shopper.reserve(user, HOT, 1)
        assert reply.status == 'RESERVED', reply
        return reply

    def state(self, user, reply):
        return self.shopper.query(user, reply.order_id).status


def told_and_judged_alike(sale, seconds):
    """The step is an alarm, and what API and CLI say of times is what the engine does."""
    gate, shop, real = sale.gate, sale.shopper, time.time
    gate.alarm_fires('clock', 'alarm')
    alarm = next(a for a in gate.get('/v1/status')['alarms'] if a['name'] == 'clock')
    assert ('ahead of' if seconds > 0 else 'behind') in alarm['text'], alarm
    assert abs(gate.get('/v1/status')['time_ms'] / 1000 - real()) < 60, 'our clock did not step'

    def ctl(*words):  # the operator's fgctl has the clock that was set
        return fgtest.command(*sale.wrapper, fgtest.program('fgctl'), '--socket', gate.socket, *words)

    def answer(item, user):
        """Of the first reply, also of one that says: ask again."""
        patience, shop.patience = shop.patience, 0.5
        try:
            return shop.reserve(user, item, 1).status
        except fgclient.NoReply:
            return shop.last.status
        finally:
            shop.patience = patience

    for item in (101, 102, 103):
        ctl('item', 'add', item, '--total', 10, '--opens', '+2h')
        sale.totals[item] = 10
        assert gate.get(f'/v1/items/{item}')['state'] == 'scheduled'
        assert answer(item, 50) == 'NOT_OPEN'
    ctl('open', 101)
    assert gate.get('/v1/items/101')['state'] == 'open' and answer(101, 51) == 'RESERVED'
    ctl('close', 101)
    assert gate.get('/v1/items/101')['state'] == 'closed' and answer(101, 52) == 'CLOSED'
    ctl('item', 'set', 102, '--opens', '+4s')
    assert (gate.get('/v1/items/102')['state'], answer(102, 53)) == ('scheduled', 'NOT_OPEN')
    wait_until(lambda: gate.get('/v1/items/102')['state'] == 'open', 10, 'it opens in time')
    assert answer(102, 54) == 'RESERVED'
    ctl('item', 'set', 103, '--opens', 'now')
    reply = shop.reserve(55, 103, 1)
    assert reply.status == 'RESERVED'
    path = f'/v1/orders/55/{reply.order_id.hex()}'
    wait_until(lambda: gate.api('GET', path)[0] == 200, 10, 'the ledger has the order')
    order = gate.get(path)
    assert 0 < order['left_ms'] <= 120000, order
    ctl('block', 'add', '198.18.99.9', '--for', '60s')
    entry = gate.get('/v1/filter/block')['prefixes'][0]
    assert abs(entry['expires_ms'] / 1000 - real() - 60) < 30, entry


def step_while_running(lab, seconds):
    sale = Clocked(lab)
    began = time.monotonic()
    held = sale.hold(1)
    sale.set(seconds)
    while time.monotonic() < began + HOLD_MS / 1000 - 1.5:
        assert sale.state(1, held) == 'RESERVED', 'the step does not end the hold'
        fgtest.pause(0.1, 'between two queries')
    new = sale.hold(3)
    assert abs(new.deadline_ms - held.deadline_ms) < 60000, 'deadlines go on as before'
    wait_until(lambda: sale.state(1, held) == 'EXPIRED', 20, 'the hold ends')
    took = time.monotonic() - began
    assert HOLD_MS / 1000 - 0.1 <= took, took
    wait_until(lambda: sale.state(3, new) == 'EXPIRED', 20, 'the later hold ends too')
    told_and_judged_alike(sale, seconds)
    print(f'# clock {seconds:+} s in a hold of {HOLD_MS} ms: it ended after {took * 1000:.0f} ms')
    return sale


@fgtest.timeout(90)
def test_an_hour_forwards(lab):
    """the clock goes an hour forwards: holds keep their length; after a restart the stored deadlines are past"""
    sale = step_while_running(lab, HOUR)
    held = sale.hold(10)
    sale.gate.kill()
    sale.up()
    sale.gate.alarm_clears('clock')
    wait_until(lambda: sale.state(10, held) == 'EXPIRED', 10, 'its deadline was an hour ago')
    new = sale.hold(11)
    assert new.deadline_ms - held.deadline_ms > (HOUR - 60) * 1000, 'the new clock holds from now on'
    assert sale.state(11, new) == 'RESERVED'
    sale.finish()


@fgtest.timeout(90)
def test_an_hour_backwards(lab):
    """the clock goes an hour backwards: holds keep their length; after a restart they last to the stored deadline"""
    sale = step_while_running(lab, -HOUR)
    held = sale.hold(10)
    sale.gate.kill()
    sale.up()
    sale.gate.alarm_clears('clock')
    new = sale.hold(11)
    assert held.deadline_ms - new.deadline_ms > (HOUR - 60) * 1000, 'the new clock holds from now on'
    wait_until(lambda: sale.state(11, new) == 'EXPIRED', 20, 'new holds have their length')
    assert sale.state(10, held) == 'RESERVED', 'the stored deadline is in an hour by this clock'
    assert sale.shopper.cancel(10, held.order_id).status == 'CANCELLED'
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
