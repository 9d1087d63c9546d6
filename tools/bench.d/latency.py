# SPDX-License-Identifier: BSD-3-Clause
"""How long an order takes over AF_XDP on a veth at half load, beside testpmd's 5tswap echo in the same set-up.

Two namespaces and a veth: the generator has one CPU; the other one is a whole appliance, worker, journal, ledger and the
kernel's threads of the disk included, or testpmd. Packets leave at a fixed rate, half of what testpmd can echo, whatever
was answered, and latency counts from the moment when a packet was due. Rejections beside the echo. Then one order in so
many is accepted, made durable on disk, beside single writes with fdatasync on the same disk, as often as orders are
accepted, by a thread of the same kind while the same worker rejects at the same rate.
"""

import contextlib
import json
import os
import subprocess
import sys

import fgbench
import fgtest
from fgbench import Row

RUNS = 3
GONE, PLENTY, UNITS = 7, 8, 4000000  # items: sold out, and with enough for all
REQUESTS, WINDOW = 65536, 256
ACCEPTED = 1000   # a second
RECORD = 128      # bytes of a commit of one order: its record and the one that begins a commit
ATTEMPTS, LATE_MAX = 3, 0.02  # a generator that stood still for more of the packets measured itself

GATE, PMD, SYNC = 'floodgate', 'testpmd', 'write and fdatasync'
THREE = (('p50', 'p50'), ('p99', 'p99'), ('p99.9', 'p999'))
TWO = THREE[:2]
SYNC_PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'sync', 'bench_sync')


def ratio(what):
    return Row(f'rejected, {what}: floodgate : testpmd', 'ratio', 'lower', 1.3,
               derive=lambda v: v[f'{GATE}: rejected, {what}'] / v[f'{PMD}: echo, {what}'])


def beyond(v, what):
    return v[f'{GATE}: accepted, {what}'] - v[f'{GATE}: rejected, {what}']


def syncs(what):
    return Row(f'accepted - rejected, {what} : one {SYNC}', 'ratio', 'lower', 1.3,
               derive=lambda v: beyond(v, what) / v[f'{SYNC}, beside rejections, {what}'])


ROWS = [Row(f'{PMD}: capacity', 'frames/s', 'higher'), Row('offered', 'packets/s', 'higher'),
        *(Row(f'{PMD}: echo, {what}', 'us', 'lower') for what, _ in THREE),
        *(Row(f'{GATE}: rejected, {what}', 'us', 'lower') for what, _ in THREE),
        ratio('p50'), ratio('p99'),
        Row(f'{GATE}: accepted', 'orders/s', 'higher'),
        *(Row(f'{GATE}: accepted, {what}', 'us', 'lower') for what, _ in THREE),
        *(Row(f'accepted - rejected, {what}', 'us', 'lower', derive=lambda v, what=what: beyond(v, what)) for what, _ in TWO),
        *(Row(f'{SYNC}, {where}, {what}', 'us', 'lower') for where in ('beside rejections', 'nothing else')
          for what, _ in TWO),
        syncs('p50'), syncs('p99'),
        *(Row(f'{who}: {what}', 'share', 'lower') for who in (PMD, GATE, f'{GATE}, with acceptances')
          for what in ('unanswered', 'not sent in time'))]


class Setup(fgbench.Veth):
    def gate(self):
        """All of its threads on one CPU, as a machine of its own would have them."""
        gate = self.daemon()
        with self.bench.one_cpu():
            gate.start()
        gate.fgctl('item', 'add', GONE, '--total', 0)
        gate.fgctl('item', 'add', PLENTY, '--total', UNITS, '--hold', '24h')
        return gate

    def requests(self, keys, **options):
        return self.generator(keys, flat=REQUESTS, shoppers=REQUESTS, items=GONE, **options)

    def flood(self, keys, rate, meanwhile=None, **options):
        """At a fixed rate; again if the generator stood still. meanwhile() runs beside it."""
        for attempt in range(ATTEMPTS):
            self.bench.wait_for_quiet()
            blast = self.requests(keys, open=True, rate=int(rate), user_base=(attempt + 1) << 40, **options).start()
            beside = meanwhile() if meanwhile else None
            found = blast.finish(self.bench.seconds + fgbench.SLACK)
            late = found['late'] / (found['packets'] + found['late'])
            if late < LATE_MAX:
                break
            print(f'latency: the generator was late for {100 * late:.1f} % of its packets: '
                  f'{"again" if attempt + 1 < ATTEMPTS else "taken as it is"}', file=sys.stderr)
        if found['wrong_tags'] or found['answers'] < 0.5 * found['packets']:
            raise RuntimeError(f'{found["packets"]} packets, {found["answers"]} answers: is the machine busy?')
        return found, beside


@contextlib.contextmanager
def fresh(bench):
    """A veth of its own, so that nobody finds the other's XDP program."""
    with fgtest.Lab() as lab:
        try:
            yield Setup(fgbench.Bench(lab, bench.seconds))
        except Exception:
            print(lab.logs(), file=sys.stderr)
            raise


def times(who, found, names):
    return {f'{who}, {name}': found[field] for name, field in names}


def shares(who, found):
    sent = found['packets']
    return {f'{who}: unanswered': 1 - found['answers'] / sent,
            f'{who}: not sent in time': (found['late'] + found['dropped']) / (sent + found['late'])}


def sync(bench, where):
    done = subprocess.run(['taskset', '-c', str(bench.cpu), SYNC_PROGRAM, os.path.join(bench.lab.dir, 'sync'), str(RECORD),
                           str(ACCEPTED), str(bench.seconds)], stdout=subprocess.PIPE, text=True, check=True)
    return times(f'{SYNC}, {where}', json.loads(done.stdout), TWO)


def testpmd(bench, values):
    """Its capacity, and its times at half of it."""
    with fresh(bench) as setup:
        setup.testpmd()
        keys = bench.keys()
        full = setup.requests(keys, window=WINDOW, echo=True).run(bench.seconds + fgbench.SLACK)
        values[f'{PMD}: capacity'] = full['answers_per_s']
        rate = values['offered'] = full['answers_per_s'] / 2
        found, _ = setup.flood(keys, rate, echo=True)
        values.update(times(f'{PMD}: echo', found['latency_us']['sampled'], THREE), **shares(PMD, found))
    return rate


def floodgate(bench, rate, values):
    with fresh(bench) as setup:
        gate = setup.gate()
        found, _ = setup.flood(gate.keys, rate)
        values.update(times(f'{GATE}: rejected', found['latency_us']['sampled'], THREE), **shares(GATE, found))
        every = max(1, round(rate / ACCEPTED))
        found, _ = setup.flood(gate.keys, rate, fresh_every=every, fresh_item=PLENTY)
        values.update(times(f'{GATE}: accepted', found['latency_us']['fresh'], THREE),
                      **shares(f'{GATE}, with acceptances', found))
        values[f'{GATE}: accepted'] = found['fresh_accepted'] / found['seconds']
        _, beside = setup.flood(gate.keys, rate, meanwhile=lambda: sync(setup.bench, 'beside rejections'))
        values.update(beside)
        gate.stop()


def both(bench):
    values = {}
    rate = testpmd(bench, values)
    floodgate(bench, rate, values)
    values.update(sync(bench, 'nothing else'))
    return values


CONTENDERS = [('both', both)]
