#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""kill -9 of the daemon in mid-sale at 20 random moments, and restart without any cleaning.

One log and one Redis see all of them; shoppers keep coming and carry on over the outages by their
own repeats. The moments are random within their kind: in the flood, when the last units go, while
buyers pay, during a start, during a stop. Each `at_*` tells whether its kill met the moment; at the
end half of each kind must have, and the kernel must have reported as many deaths as were planned.
FG_SEED=N repeats a choice of moments (not of thread timing).
"""

import os
import random
import signal
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgxsk  # noqa: E402
from fgsale import HOT, Sale, fgtest  # noqa: E402

KINDS = ('flood', 'edge', 'paying', 'start', 'stop')
KILLS = 4 * KINDS
WORKERS = (2, 1, 3, 2)  # one of them at each restart


class Killer:
    """Kills the daemon of a sale at moments of each kind, and starts it again."""

    def __init__(self, sale, seed, wave_seconds):
        self.sale, self.gate, self.random, self.wave_seconds = sale, sale.gate, random.Random(seed), wave_seconds
        self.count, self.restarts, self.before = 0, [], None
        self.met = dict.fromkeys(KINDS, 0)

    def kill(self, kind):
        """One kill of this kind, and a daemon that answers again."""
        self.shoppers_are_there()
        self.before = self.sale.item()
        met, told = getattr(self, 'at_' + kind)()
        self.met[kind] += met
        self.count += 1
        took = self.start_again()
        after = self.sale.item()
        print(f'# kill {self.count:2} {kind:6} {told}; up again in {took:.2f} s with '
              f'{self.gate.settings["workers.count"]} workers: available {after["available"]}, '
              f'reserved {after["reserved"]}, sold {after["sold"]}')
        assert after['total'] == self.sale.totals[HOT], 'stock that was added is there'
        assert after['sold'] >= self.before['sold'], 'what was sold stays sold'

    def shoppers_are_there(self):
        """A wave ends by itself; the sale must not be asleep when the daemon dies."""
        self.sale.keep_shopping(2, seconds=self.wave_seconds)
        answered = self.sale.answered()
        fgtest.wait_until(lambda: self.sale.answered() > answered + 500, 30, 'orders are answered')

    def start_again(self):
        """No cleaning of any kind. Seconds until /healthz says that it is ready."""
        self.gate.settings['workers.count'] = self.random.choice(WORKERS)
        self.gate.write_config()
        began = time.monotonic()
        self.gate.start(seconds=30)
        self.restarts.append(time.monotonic() - began)
        return self.restarts[-1]

    def die(self):
        code = self.gate.kill()
        assert code == -signal.SIGKILL, f'it had ended by itself with {code}: {self.gate.output()[-2000:]}'

    # ---- moments -------------------------------------------------------------------------------------------

    def at_flood(self):
        """While units are left, and orders are answered."""
        answered, wait = self.sale.answered(), self.random.uniform(0, 0.2)
        self.sale.add_stock(HOT, 600)
        fgtest.wait_until(lambda: self.sale.answered() > answered, 20, 'orders are answered', 0.001)
        fgtest.pause(wait, 'the random moment of the kill')
        met = self.sale.item()['available'] > 0
        self.die()
        return met, f'{wait * 1000:.0f} ms after 600 units were added, and orders answered'

    def at_edge(self):
        """When the last units go, or have just gone, while orders are answered."""
        units, left = self.random.randrange(100, 300), self.random.randrange(0, 40)
        answered = self.sale.answered()
        self.sale.add_stock(HOT, units)
        fgtest.wait_until(lambda: self.sale.item()['available'] <= left, 40, f'at most {left} units are left', 0)
        met = self.sale.answered() > answered and self.sale.item()['available'] <= left
        self.die()
        return met, f'{units} units were added, at most {left} were left'

    def at_paying(self):
        """When orders of this moment become sold or come back."""
        self.sale.add_stock(HOT, 200)
        sold = self.sale.item()['sold']
        more = self.random.randrange(1, 120)
        fgtest.wait_until(lambda: self.sale.item()['sold'] >= sold + more, 40, f'{more} more are sold', 0)
        met = self.sale.item()['reserved'] > 0  # others have not paid yet
        self.die()
        return met, f'{more} units were paid since'

    def at_start(self):
        """While it starts and recovers its log, before it is ready; twice in a row."""
        self.die()
        took, met = self.restarts[-1] if self.restarts else 0.8, 0
        for _ in range(2):
            wait = self.random.choice((self.random.uniform(0, 0.05), self.random.uniform(0, took)))
            self.gate.start(ready=False)
            fgtest.pause(wait, 'the random moment of the kill')
            self.die()
            met += ' ready: ' not in self.gate.output()
        return met > 0, f'the second time {wait * 1000:.0f} ms after its start'

    def at_stop(self):
        """Between SIGTERM and the end. It may be quicker than we: then it must have ended well, and
        we try again."""
        self.sale.add_stock(HOT, 200)
        for misses in range(20):
            wait = self.random.uniform(0, 0.05 / (1 + misses))
            self.gate.process.signal(signal.SIGTERM)
            fgtest.pause(wait, 'the random moment of the kill')
            code = self.gate.kill()
            if code == -signal.SIGKILL:
                return True, f'{wait * 1000:.1f} ms after SIGTERM' + (f' ({misses} times it was quicker)' if misses else '')
            assert code == 0, (code, self.gate.output()[-2000:])
            self.start_again()
        raise AssertionError('not one kill met a daemon that was stopping')


def kills(lab, kinds, seed, wave_seconds=15, **options):
    redis = lab.redis(persist=True)
    sale = Sale(lab, total=800, lesser=10, redis=redis, **options)
    killer = Killer(sale, seed, wave_seconds)
    for kind in kinds:
        killer.kill(kind)
    sale.enough()
    audit = sale.finish()
    times = sorted(killer.restarts)
    print(f'# {killer.count} kills, restart: median {times[len(times) // 2]:.2f} s, longest {times[-1]:.2f} s')
    planned = len(kinds) + 2 * kinds.count('start')  # a kill of the kind `start` is three
    assert sale.gate.killed() == planned, (sale.gate.killed(), planned)
    for kind in set(kinds):
        assert killer.met[kind] >= kinds.count(kind) / 2, (kind, killer.met)
    assert sale.counts['orders_sold'] > 500 and audit['client']['acknowledged'] > 1000, 'there was a sale'
    assert audit['log']['reserved'] <= sale.counts['orders_reserved']


@fgtest.timeout(300)
def test_twenty_kills_in_one_sale(lab):
    """kill -9 at 20 random moments of one sale: flood, last units, paying, start, stop"""
    seed = int(os.environ.get('FG_SEED') or random.randrange(1 << 32))
    print(f'# seed {seed} (FG_SEED={seed} repeats it)')
    kinds = list(KILLS)
    random.Random(seed).shuffle(kinds)
    kills(lab, kinds, seed)


@fgtest.timeout(120)
def test_kills_with_two_queues_and_small_segments(lab):
    """kill -9 with two receive queues, and a log whose segments end every few hundred records"""
    seed = int(os.environ.get('FG_SEED') or random.randrange(1 << 32))
    print(f'# seed {seed} (FG_SEED={seed} repeats it)')
    kills(lab, ['flood', 'edge', 'stop', 'start', 'stop'], seed, 10, queues=2,
          settings={'log.segment_bytes': '64k'})


@fgtest.timeout(120)
def test_lost_records_are_noticed(lab):
    """these tests can fail: when records that were acknowledged are taken out of the log, shoppers and audit say so"""
    sale = Sale(lab, total=3000, lesser=3)
    sale.shop(seconds=5, drain_seconds=20)
    fgtest.wait_until(lambda: sale.answered() > 2000, 20, 'orders are answered')
    sale.gate.kill()
    path = os.path.join(sale.gate.log_dir, f'{1:020}.fgj')
    with open(path, 'r+b') as f:
        data = f.read()
        end = len(data.rstrip(b'\0')) // 64 * 64
        f.seek(end - 64 * 300)
        f.write(bytes(64 * 301))
    sale.gate.start()
    summary = sale.waves[0].finish(60, check=False)
    sale.gate.stop()
    code, text = lab.audit(log=sale.gate.log_dir, client=sale.waves[0].audit)
    print(f'# {summary["contradictions"]} contradictions; {text.strip().splitlines()[-1]}')
    assert summary['contradictions'] > 0 and code == 1, (summary['contradictions'], code, text)


@fgtest.timeout(60)
def test_a_socket_that_is_freed_late(lab):
    """the queue of a process that was just killed may still be taken: the start waits for it, but not for ever"""
    sale = Sale(lab, start=False)
    holder = fgxsk.__file__

    def take():
        taken = lab.start('/usr/bin/python3', holder, sale.link.a_if, '0', '60', ns=sale.link.a)
        fgtest.wait_until(lambda: 'bound' in taken.output(), 10, 'the queue is taken')
        return taken

    other = take()
    sale.gate.start(ready=False)
    fgtest.wait_until(lambda: 'does not start yet' in sale.gate.output(), 20, 'the daemon waits for the queue')
    other.kill()
    fgtest.wait_until(sale.gate.healthy, 20, 'the daemon has the queue')
    sale.open_items(200, 0)
    sale.shop(seconds=1)
    sale.finish()
    other = take()
    sale.gate.start(ready=False)
    assert sale.gate.process.wait(20) == 1
    assert f'port shop ({sale.link.a_if}): queue 0 does not start' in sale.gate.output(), sale.gate.output()
    other.kill()
    sale.gate.start()
    assert sale.item()['total'] == 200


if __name__ == '__main__':
    fgtest.main()
