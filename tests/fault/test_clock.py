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
    print(f'# clock {seconds:+} s in a hold of {HOLD_MS} ms: it ended after {took * 1000:.0f} ms')
    return sale


@fgtest.timeout(90)
def test_an_hour_forwards(lab):
    """the clock goes an hour forwards: holds keep their length; after a restart the stored deadlines are past"""
    sale = step_while_running(lab, HOUR)
    held = sale.hold(10)
    sale.gate.kill()
    sale.up()
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
    new = sale.hold(11)
    assert held.deadline_ms - new.deadline_ms > (HOUR - 60) * 1000, 'the new clock holds from now on'
    wait_until(lambda: sale.state(11, new) == 'EXPIRED', 20, 'new holds have their length')
    assert sale.state(10, held) == 'RESERVED', 'the stored deadline is in an hour by this clock'
    assert sale.shopper.cancel(10, held.order_id).status == 'CANCELLED'
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
