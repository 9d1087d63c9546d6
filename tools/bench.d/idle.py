# SPDX-License-Identifier: BSD-3-Clause
"""What an idle worker costs under each policy, others' syncs too, and the first 100 ms of the flood that ends it.

One worker at a memif, seconds without a packet, then a million orders a second from the first packet on, from another CPU. What a worker that
yields or sleeps needs to come back shows in the latency of these orders; what spinning costs, in the CPU time before, and in the time that a sync
takes meanwhile which somebody else asks for on the same CPU.
"""

import json
import os
import subprocess
import time

import fgtest
from fgbench import Row

ITEM, UNITS, REQUESTS, RATE, FIRST_MS, IDLE_MORE = 7, 100, 16384, 1000000, 100, 2
POLICIES = ('spin', 'yield', 'sleep')

ROWS = [Row(f'{policy}: {what}', unit, 'lower') for policy in POLICIES
        for what, unit in (('CPU while idle', '%'), ("others' write and fdatasync, p50", 'us'), ("others' write and fdatasync, p99", 'us'),
                           ('p50', 'us'), ('p99', 'us'), ('p99.9', 'us'))]
ROWS += [Row(f'p99, {policy} : spin', 'ratio', 'lower', 1.3, derive=lambda v, policy=policy: v[f'{policy}: p99'] / v['spin: p99'])
         for policy in POLICIES[1:]]
SYNC_PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'sync', 'bench_sync')
SYNCS, BYTES = 200, 128  # a second; each


def worker_ticks(pid):
    """CPU time of the worker's thread; the others of the daemon have no policy."""
    for task in fgtest.threads(pid, 'worker'):
        with open(f'/proc/{pid}/task/{task}/stat') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return int(fields[11]) + int(fields[12])
    raise RuntimeError('the daemon has no thread of a worker')


def syncs(bench, seconds):
    done = subprocess.run(['taskset', '-c', str(bench.cpu), SYNC_PROGRAM, os.path.join(bench.lab.dir, 'sync'), str(BYTES), str(SYNCS),
                           str(seconds), 'usual'], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)


def flood(policy):
    def measure(bench):
        gate = bench.daemon(workers__idle=policy).start()
        gate.fgctl('item', 'add', ITEM, '--total', UNITS, '--hold', '1h')
        sync = syncs(bench, bench.seconds)
        bench.wait_for_quiet()
        begun, before = time.monotonic(), worker_ticks(gate.process.pid)
        time.sleep(IDLE_MORE)
        idle = (worker_ticks(gate.process.pid) - before) / os.sysconf('SC_CLK_TCK') / (time.monotonic() - begun)
        found = bench.blast(gate.keys, flat=REQUESTS, shoppers=REQUESTS, window=REQUESTS, items=ITEM, rate=RATE,
                            packets=RATE * FIRST_MS // 1000)
        gate.stop()
        if found['wrong_tags'] or found['answers'] < 0.99 * found['packets']:
            raise RuntimeError(f'{found["answers"]} of {found["packets"]} were answered, {found["wrong_tags"]} tags were wrong')
        latency = found['latency_us']['sampled']
        return {f'{policy}: CPU while idle': 100 * idle, f"{policy}: others' write and fdatasync, p50": sync['p50'],
                f"{policy}: others' write and fdatasync, p99": sync['p99'], f'{policy}: p50': latency['p50'], f'{policy}: p99': latency['p99'],
                f'{policy}: p99.9': latency['p999']}
    return measure


CONTENDERS = [(policy, flood(policy)) for policy in POLICIES]
