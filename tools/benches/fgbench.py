# SPDX-License-Identifier: BSD-3-Clause
"""What the benchmarks share. A benchmark is a module beside this one; docs/bench.md says what it must hold."""

import os
import statistics
import subprocess

import fgtest

HUGE_NEEDED_MB = 400  # appliance or testpmd, and generator
SERVER, SHOPPERS = '198.18.0.1', '198.18.1.0'
MAC_SERVER, MAC_CLIENT = '02:00:00:00:00:01', '02:00:00:00:00:02'
SLACK = 30  # seconds that a measurement may take beyond its own


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

    def __init__(self, lab, seconds, scale=1.0):
        self.lab, self.seconds, self.scale = lab, seconds, scale
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


def free_huge_mb():
    try:
        with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages') as f:
            return int(f.read()) * 2
    except OSError:
        return 0
