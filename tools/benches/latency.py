# SPDX-License-Identifier: BSD-3-Clause
"""How long an order takes over AF_XDP on a veth at half load, beside testpmd's 5tswap echo in the same set-up.

Two namespaces and a veth: generator on one CPU, worker or testpmd, which never rest, on the other. The capacity of both
is measured first; then each gets half of the smaller one at a fixed rate. Rejections alone first; then one order in 1,000 is
accepted, made durable on disk, beside a 4 KiB write and fdatasync while testpmd is under the same load.
"""

import contextlib
import os
import statistics
import sys
import threading
import time

import fgbench
import fgtest
from fgbench import Row

RUNS = 3
GONE, PLENTY, UNITS = 7, 8, 1000000  # items: sold out, and with enough for all
REQUESTS, WINDOW, EVERY = 65536, 256, 1000
SOURCES = 2000

GATE, PMD = 'floodgate', 'testpmd'


def ratio(what):
    return Row(f'rejected, {what}: floodgate : testpmd', 'ratio', 'lower', 1.3,
               derive=lambda v: v[f'{GATE}: rejected, {what}'] / v[f'{PMD}: echo, {what}'])


ROWS = [Row(f'{GATE}: capacity', 'orders/s', 'higher'), Row(f'{PMD}: capacity', 'frames/s', 'higher'),
        Row('offered', 'packets/s', 'higher'),
        *(Row(f'{PMD}: echo, {what}', 'us', 'lower') for what in ('p50', 'p99', 'p99.9')),
        *(Row(f'{GATE}: rejected, {what}', 'us', 'lower') for what in ('p50', 'p99', 'p99.9')),
        *(Row(f'{GATE}: accepted, {what}', 'us', 'lower') for what in ('p50', 'p99')),
        *(Row(f'4 KiB write and fdatasync, {what}', 'us', 'lower') for what in ('p50', 'p99')),
        ratio('p50'), ratio('p99'),
        Row('accepted, p50, beyond one disk sync', 'us', 'lower',
            derive=lambda v: v[f'{GATE}: accepted, p50'] - v['4 KiB write and fdatasync, p50'])]


class Setup:
    """One veth, and what is measured at its end a."""

    def __init__(self, bench):
        self.bench, self.link = bench, bench.lab.pair()
        self.link.route_to_b('198.19.0.0/16')

    def gate(self):
        bench = self.bench
        gate = bench.lab.daemon(self.link.a, interface=self.link.a_if, settings={
            'workers.cpus': bench.cpu, 'workers.idle': 'spin', 'filter.order_rate': 0,
            'eal.huge': 'yes' if bench.huge else 'no'}).start()
        gate.fgctl('item', 'add', GONE, '--total', 0)
        gate.fgctl('item', 'add', PLENTY, '--total', UNITS, '--hold', '24h')
        return gate

    def testpmd(self):
        return self.bench.testpmd('5tswap', device=f'net_af_xdp0,iface={self.link.a_if}', ns=self.link.a)

    def blast(self, keys, rate=None, **options):
        pace = {'open': True, 'rate': int(rate)} if rate else {'window': WINDOW}
        found = self.bench.blast(keys, ns=self.link.b, device=None, interface=self.link.b_if, server=self.link.a_ip,
                                 server_mac=self.link.a_mac, client_mac=None, source_base='198.19.0.1', sources=SOURCES,
                                 flat=REQUESTS, shoppers=REQUESTS, items=GONE, **pace, **options)
        if found['wrong_tags'] or found['answers'] < 0.5 * found['packets']:
            raise RuntimeError(f'{found["packets"]} packets, {found["answers"]} answers: is the machine busy?')
        return found


@contextlib.contextmanager
def fresh(bench):
    """A veth of its own, so that nobody finds the other's XDP program."""
    with fgtest.Lab() as lab:
        try:
            yield Setup(fgbench.Bench(lab, bench.seconds))
        except Exception:
            print(lab.logs(), file=sys.stderr)
            raise


class Syncs(threading.Thread):
    """Times of single writes with fdatasync, one after the other, in the folder of the Lab."""

    def __init__(self, folder):
        super().__init__(daemon=True)
        self.path, self.us, self.over = os.path.join(folder, 'sync'), [], False

    def run(self):
        fd = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        os.posix_fallocate(fd, 0, 1 << 24)
        os.fsync(fd)
        while not self.over:
            began = time.perf_counter()
            os.pwrite(fd, bytes(4096), len(self.us) % 4096 * 4096)
            os.fdatasync(fd)
            self.us.append((time.perf_counter() - began) * 1e6)
            time.sleep(0.002)
        os.close(fd)

    def stop(self):
        self.over = True
        self.join()
        return sorted(self.us)


def latencies(who, found, key='sampled', names=(('p50', 'p50'), ('p99', 'p99'), ('p99.9', 'p999'))):
    return {f'{who}, {name}': found['latency_us'][key][field] for name, field in names}


def half_load(bench, values):
    """Of who can do less."""
    with fresh(bench) as setup:
        setup.testpmd()
        values[f'{PMD}: capacity'] = setup.blast(bench.keys(), echo=True)['answers_per_s']
    with fresh(bench) as setup:
        gate = setup.gate()
        values[f'{GATE}: capacity'] = setup.blast(gate.keys)['answers_per_s']
        gate.stop()
    return min(values[f'{PMD}: capacity'], values[f'{GATE}: capacity']) / 2


def floodgate(bench, rate, values):
    with fresh(bench) as setup:
        gate = setup.gate()
        values.update(latencies(f'{GATE}: rejected', setup.blast(gate.keys, rate)))
        found = setup.blast(gate.keys, rate, fresh_every=EVERY, fresh_item=PLENTY, user_base=1 << 40)
        values.update(latencies(f'{GATE}: accepted', found, 'fresh', (('p50', 'p50'), ('p99', 'p99'))))
        gate.stop()


def testpmd(bench, rate, values):
    with fresh(bench) as setup:
        setup.testpmd()
        values.update(latencies(f'{PMD}: echo', setup.blast(bench.keys(), rate, echo=True)))
        syncs = Syncs(setup.bench.lab.dir)
        syncs.start()
        setup.blast(bench.keys(), rate, echo=True)
        us = syncs.stop()
    values['4 KiB write and fdatasync, p50'] = statistics.median(us)
    values['4 KiB write and fdatasync, p99'] = us[int(0.99 * (len(us) - 1))]


def both(bench):
    values = {}
    rate = values['offered'] = half_load(bench, values)
    floodgate(bench, rate, values)
    testpmd(bench, rate, values)
    return values


CONTENDERS = [('both', both)]
