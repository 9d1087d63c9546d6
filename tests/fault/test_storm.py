#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of the daemon at more than 200 random moments, several dozen of them in one sale, in each
phase of its life.

A kill counts for a phase only when the method `at_PHASE` saw evidence that it met the phase. At the
end half of the kills of each phase must have, and the kernel must have reported every death. Each
sale has an old log of many orders, so that its recovery, its snapshots and the catching up of Redis
take long enough to be met. Shoppers carry on over all outages by their own repeats; each sale ends
in the audit. FG_SEED=N repeats the choice of moments (not the timing of threads).
"""

import glob
import http.client
import os
import random
import signal
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
from fgsale import HOT, Sale, fgtest  # noqa: E402
from fgtest import command, wait_until  # noqa: E402

OLD_ITEM, OLD_ORDERS = 999, 60000
WORKERS = (2, 1, 3, 2)
QUIET = 0.02  # s between polls


class Storm:
    """One sale, and one who kills its daemon."""

    def __init__(self, lab, seed, settings=None, redis=True):
        self.random = random.Random(seed)
        self.redis = lab.redis(persist=True) if redis else None
        self.sale = Sale(lab, start=False, redis=self.redis,
                         settings={'limits.items_max': 1100, 'log.segment_bytes': '1m', **(settings or {})})
        self.sale.complete = False  # nobody has a file of the old orders
        self.gate = self.sale.gate
        self.met, self.missed, self.recovery_s = {}, {}, 0.05
        maker = os.path.join(fgtest.BUILD, 'tests', 'fault', 'log_maker')
        command(maker, self.gate.log_dir, 1 << 20,
                stdin=f'item {OLD_ITEM} 0 1 1000\nstock {OLD_ITEM} {OLD_ORDERS}\nmany {OLD_ORDERS} {OLD_ITEM} 1\n')
        self.sale.totals[OLD_ITEM] = OLD_ORDERS
        self.start()
        for number in range(HOT, HOT + 6):
            self.sale.add_item(number, 400)

    def start(self):
        self.gate.settings['workers.count'] = self.random.choice(WORKERS)
        self.gate.write_config()
        self.gate.start(seconds=60)

    def shoppers(self):
        """There are some, now and for a while."""
        self.sale.keep_shopping(3, seconds=30, rate=1500, shoppers=6000, items=f'{HOT}-{HOT + 5}')

    def kill(self, phase):
        """One kill in this phase; the next start may be a kill in its recovery."""
        hit = getattr(self, 'at_' + phase)()
        self.count(phase, hit)

    def count(self, phase, hit):
        where = self.met if hit else self.missed
        where[phase] = where.get(phase, 0) + 1

    def die(self):
        code = self.gate.kill()
        assert code == -signal.SIGKILL, f'it had ended by itself with {code}: {self.gate.output()[-2000:]}'

    def pause(self, most):
        fgtest.pause(self.random.uniform(0, most), 'the random moment of the kill')

    def up(self):
        """A daemon that runs, by the way with checks of what it recovered."""
        if not self.gate.running():
            self.start()

    # ---- moments: each True when the phase was met --------------------------------------------------------

    def at_idle(self):
        """Nobody asks for anything: no record was made between two polls right before the kill."""
        self.sale.enough()
        self.sale.wave_done()
        self.up()
        durable = self.durable()
        self.pause(0.1)
        quiet = self.durable() == durable
        self.die()
        return quiet

    def at_flood(self):
        """Orders were accepted since units were added, and there are units left."""
        self.up()
        durable = self.durable()  # first: who waited in an outage may take all of the new units at once
        self.sale.add_stock(HOT, 300)
        wait_until(lambda: self.shoppers() or self.durable() > durable + 20, 60, 'orders are accepted', QUIET)
        self.pause(0.15)
        left, accepted = self.sale.item()['available'], self.durable() > durable
        self.die()
        return left > 0 and accepted

    def at_edge(self):
        """Few units of the hot item are left right before the kill, and orders were answered since
        there were more."""
        self.up()
        self.shoppers()
        answered = self.sale.answered()
        self.sale.add_stock(HOT, self.random.randrange(20, 80))
        few = self.random.randrange(0, 10)
        wait_until(lambda: self.shoppers() or self.sale.item()['available'] <= few, 60, 'the last units go', 0)
        asked, left = self.sale.answered() > answered, self.sale.item()['available']
        self.die()
        return asked and left <= few

    def at_snapshot(self):
        """Its temporary file is there when the daemon is dead, or what comes after it was cut: a
        third snapshot."""
        self.up()
        self.shoppers()
        self.sale.add_stock(HOT, 5)  # else there may be nothing new
        temporary = os.path.join(self.gate.log_dir, 'snapshot.tmp')
        asker = threading.Thread(target=self.ask, daemon=True)
        asker.start()
        end = time.monotonic() + 5
        while not os.path.exists(temporary) and asker.is_alive() and time.monotonic() < end:
            pass
        self.pause(0.004)
        self.die()
        asker.join()
        return os.path.exists(temporary) or len(glob.glob(os.path.join(self.gate.log_dir, '*.fgs'))) > 2

    def ask(self):
        try:
            self.gate.api('POST', '/v1/log/snapshot')
        except (OSError, http.client.HTTPException):
            pass  # the daemon was killed, as planned

    def at_recovery(self):
        """It had begun to read its log, and had not said that it recovered it. Several in a row are
        cheap."""
        if self.gate.running():
            self.die()
        self.gate.start(ready=False)
        wait_until(lambda: 'keys:' in self.gate.output() or not self.gate.running(), 20, 'it starts', 0)
        self.pause(self.recovery_s)
        self.die()
        if 'recovered in' in self.gate.output():
            self.recovery_s = max(0.003, self.recovery_s * 0.6)
            return False
        self.recovery_s = min(1, self.recovery_s * 1.05)
        return True

    def at_catching_up(self):
        """Redis, which was away or emptied, is behind the log right before the kill."""
        self.up()
        self.shoppers()
        if self.gate.sink('redis')['lag'] < 5000:
            self.redis.command('FLUSHALL')
            wait_until(lambda: self.gate.sink('redis')['lag'] > 5000, 20, 'Redis is behind', 0)
        self.pause(0.1)
        sink = self.gate.sink('redis')
        self.die()
        return sink['lag'] > 0 and sink['state'] in ('catching-up', 'connecting')

    def durable(self):
        return self.gate.get('/v1/status')['log']['durable_seq']

    # ---- the end -------------------------------------------------------------------------------------------

    def end(self, plan, seed):
        self.up()
        if self.redis:
            wait_until(lambda: self.gate.sink('redis')['lag'] == 0, 60, 'Redis has caught up')
        self.sale.enough()
        audit = self.sale.finish()
        kills = sum(self.met.values()) + sum(self.missed.values())
        print(f'# seed {seed}: {kills} kills; met: {", ".join(f"{k} {v}" for k, v in sorted(self.met.items()))}'
              f'{"; missed: " + str(self.missed) if self.missed else ""}')
        assert self.gate.killed() >= len(plan), f'the kernel tells of {self.gate.killed()} deaths, {len(plan)} were planned'
        for phase in set(plan):
            assert self.met.get(phase, 0) >= plan.count(phase) // 2, (phase, self.met, self.missed)
        assert audit['log']['sold'] > OLD_ORDERS + 200, 'there was a sale'
        return kills


def storm(lab, plan, **options):
    seed = int(os.environ.get('FG_SEED') or random.randrange(1 << 32))
    print(f'# seed {seed} (FG_SEED={seed} repeats it)', flush=True)
    storm_ = Storm(lab, seed, **options)
    plan = plan[:]
    random.Random(seed).shuffle(plan)
    plan.sort(key=lambda phase: phase == 'idle')  # shoppers come first, the quiet afterwards
    for phase in plan:
        storm_.kill(phase)
    for phase in sorted(set(plan)):  # what was missed too often is tried again, as often as it was planned
        for _ in range(plan.count(phase)):
            if storm_.met.get(phase, 0) < plan.count(phase) // 2:
                storm_.kill(phase)
    return storm_.end(plan, seed)


@fgtest.timeout(360)
def test_storm_in_the_flood(lab):
    """80 kills: flood, last units, recovery, idle; Redis follows"""
    storm(lab, ['flood'] * 22 + ['edge'] * 16 + ['recovery'] * 36 + ['idle'] * 6)


@fgtest.timeout(360)
def test_storm_on_snapshots(lab):
    """76 kills: while snapshots are made and segments go, and while a log with snapshots is recovered"""
    storm(lab, ['snapshot'] * 28 + ['recovery'] * 40 + ['flood'] * 8,
          settings={'log.keep_bytes': 0, 'log.segment_bytes': '64k'}, redis=False)


@fgtest.timeout(360)
def test_storm_on_a_sink(lab):
    """52 kills: while an emptied Redis catches up, in the flood, and in the recovery"""
    storm(lab, ['catching_up'] * 24 + ['recovery'] * 22 + ['edge'] * 6)


if __name__ == '__main__':
    fgtest.main()
