# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks share. A benchmark is a module beside this one; docs/bench.md says what it must hold."""

import contextlib
import json
import os
import statistics
import subprocess
import time

import fgtest

HUGE_NEEDED_MB = 400  # appliance or testpmd, and generator
SERVER, SHOPPERS = '198.18.0.1', '198.18.1.0'
MAC_SERVER, MAC_CLIENT = '02:00:00:00:00:01', '02:00:00:00:00:02'
SLACK = 30  # seconds that a measurement may take beyond its own
PORTS = ('memif', 'af_xdp')
ADDITION, LINE = 'one of many additions that wait for each other', 'one of a burst of random lines of memory'  # yardsticks
QUIET, QUIET_S, LOOK_S = 0.9, 3, 0.2  # wait_for_quiet: idle share of the generator's CPU, at most, each look


T_95 = (12.71, 4.30, 3.18, 2.78, 2.57, 2.45, 2.36, 2.31, 2.26, 2.23, 2.20, 2.18, 2.16, 2.14, 2.13, 2.12, 2.11, 2.10, 2.09)


def upper_bound(samples):
    """Upper end of the 95 % interval of their mean (Student's t); of one sample, itself."""
    n = len(samples)
    if n < 2:
        return samples[0]
    return statistics.mean(samples) + T_95[min(n - 2, len(T_95) - 1)] * statistics.stdev(samples) / n**0.5


class Row:
    """One figure. derive: computes it from the other figures of the same round."""

    def __init__(self, case, unit, better, target=None, derive=None):
        if better not in ('higher', 'lower'):
            raise ValueError(f'{case}: better is {better!r}, not higher or lower')
        self.case, self.unit, self.better, self.target, self.derive = case, unit, better, target, derive

    def result(self, bench, samples):
        value = statistics.median(samples)
        met = None
        if self.target is not None:
            met = value >= self.target if self.better == 'higher' else value <= self.target
        return {'bench': bench, 'case': self.case, 'value': value, 'min': min(samples), 'max': max(samples),
                'unit': self.unit, 'runs': len(samples), 'target': self.target, 'better': self.better, 'met': met}


class Bench:
    """What one measurement works with: a Lab, CPUs, memory, and the programs of this project and of others."""

    def __init__(self, lab, seconds, scale=1.0, port=PORTS[0]):
        self.lab, self.seconds, self.scale, self.port = lab, seconds, scale, port
        cpus = sorted(os.sched_getaffinity(0))
        if len(cpus) < 2:
            raise fgtest.Skip('needs two CPUs: one for the generator, one for what it measures')
        self.cpu, self.generator_cpu = cpus[0], cpus[1]
        self.huge = free_huge_mb() >= HUGE_NEEDED_MB

    def memif(self, role, rsize=10):
        """A shared-memory port; the server is what is measured. The client says how long the rings are: 2^rsize."""
        return f'net_memif0,role={role},id=0,rsize={rsize},socket={self.lab.dir}/memif.sock,socket-abstract=no'

    def daemon(self, **settings):
        """An appliance with one worker on the measured CPU, at the memif port."""
        return self.lab.daemon(device=self.memif('server'), settings={
            'workers.cpus': self.cpu, 'workers.idle': 'spin', 'filter.enabled': 'no',
            'eal.huge': 'yes' if self.huge else 'no',
            **{name.replace('__', '.'): value for name, value in settings.items()}})

    def testpmd(self, mode, device=None, ns=None):
        """DPDK's own forwarder on the measured CPU, at the memif port or another device. Killed with the Lab."""
        memory = [] if self.huge else ['--no-huge', '-m', '256']
        argv = ['stdbuf', '-oL', 'dpdk-testpmd', '--lcores', f'0@{self.cpu},1@{self.cpu}', '--no-pci', '--file-prefix', self.lab.tag,
                '--vdev', device or self.memif('server'), *memory, '--', f'--forward-mode={mode}', '--rxd=1024', '--txd=1024',
                '--burst=64', '--total-num-mbufs=16384', '--disable-link-check']
        # it forwards until its standard input ends; it waits for no link, which comes with the generator
        process = self.lab.start(*argv, ns=ns, stdin=subprocess.PIPE, name='testpmd')
        fgtest.wait_until(lambda: 'Press enter to exit' in process.output() or not process.running(), 30,
                          'testpmd forwards')
        if not process.running():
            raise RuntimeError(f'testpmd ended with {process.popen.returncode}:\n{process.output()}')
        return process

    @contextlib.contextmanager
    def one_cpu(self):
        """What is started inside has the measured CPU and no other, with all of its threads."""
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.cpu})
        try:
            yield
        finally:
            os.sched_setaffinity(0, before)

    def wait_for_quiet(self):
        """Until nobody else uses the generator's CPU, or for some seconds."""
        end = time.monotonic() + QUIET_S
        while time.monotonic() < end:
            before = idle_ticks(self.generator_cpu)
            time.sleep(LOOK_S)
            if (idle_ticks(self.generator_cpu) - before) / os.sysconf('SC_CLK_TCK') >= QUIET * LOOK_S:
                return

    def keys(self):
        return fgtest.Keys(self.lab.unique('keys'))

    def generator(self, keys, ns=None, **options):
        """fgblast on the generator's CPU, at the memif port if no other is named; not started."""
        options = {'device': self.memif('client'), 'cpu': self.generator_cpu, 'no_huge': not self.huge,
                   'server': SERVER, 'source_base': SHOPPERS, 'server_mac': MAC_SERVER, 'client_mac': MAC_CLIENT, **options}
        return self.lab.blast(ns, keys, **options)

    def blast(self, keys, **options):
        """fgblast to its end, on the generator's CPU, at the memif port; its summary."""
        options = {'audit': None, 'seconds': self.seconds, **options}
        return self.generator(keys, **options).run(options['seconds'] + SLACK)


def instructions(what):
    """Of an order in the worker's loop, by case; what: fleet or pair. {} where nothing can count them."""
    program = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'budget', 'bench_budget')
    if not os.path.exists(program):
        return {}  # it counts on x86-64 only
    done = subprocess.run([program, f'--{what}', '--cpu', str(min(os.sched_getaffinity(0))),
                           *([] if free_huge_mb() >= HUGE_NEEDED_MB else ['--no-huge'])], stdout=subprocess.PIPE, text=True, check=True)
    return {row['case']: row['value'] for row in json.loads(done.stdout)['rows']}


def free_huge_mb():
    try:
        with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages') as f:
            return int(f.read()) * 2
    except OSError:
        return 0


def idle_ticks(cpu):
    with open('/proc/stat') as f:
        fields = next(line for line in f if line.startswith(f'cpu{cpu} ')).split()
    return int(fields[4]) + int(fields[5])


def all_idle_ticks():
    with open('/proc/stat') as f:
        fields = f.readline().split()
    return int(fields[4]) + int(fields[5])


class Veth:
    """Two namespaces and a veth: what is measured at its end a, the generator at its end b, both over AF_XDP."""

    def __init__(self, bench, sources=2000):
        self.bench, self.link, self.sources = bench, bench.lab.pair(), sources
        self.link.route_to_b('198.19.0.0/16')

    def daemon(self, **settings):
        """An appliance with one worker on the measured CPU, without limits of rates."""
        return self.bench.lab.daemon(self.link.a, interface=self.link.a_if, settings={
            'workers.cpus': self.bench.cpu, 'filter.order_rate': 0, 'eal.huge': 'yes' if self.bench.huge else 'no',
            **{name.replace('__', '.'): value for name, value in settings.items()}})

    def testpmd(self):
        return self.bench.testpmd('5tswap', device=f'net_af_xdp0,iface={self.link.a_if}', ns=self.link.a)

    def generator(self, keys, **options):
        """fgblast on the generator's CPU; not started."""
        return self.bench.generator(keys, ns=self.link.b, **{
            'device': None, 'interface': self.link.b_if, 'server': self.link.a_ip, 'server_mac': self.link.a_mac,
            'client_mac': None, 'source_base': '198.19.0.1', 'sources': self.sources, 'audit': None,
            'seconds': self.bench.seconds, **options})

    def blast(self, keys, **options):
        return self.generator(keys, **options).run(options.get('seconds', self.bench.seconds) + SLACK)
