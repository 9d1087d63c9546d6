# SPDX-License-Identifier: BSD-3-Clause
"""Where a rejected order's cycles go: a worker's loop, stage by stage, and what handing a packet off costs.

The program tools/bench.d/budget is the daemon's own loop with a look at the TSC after each stage. It runs between two rings in
one thread (nothing but the worker's own work, and instructions by single-stepping); without these looks, one worker on
each of two cores, of which one receives what the other decides (bench_handoff); and at a memif with the generator of the
echo benchmark behind it, next to an echo of the same frames at the same port.
"""

import json
import os
import subprocess

import fgbench
import fgtest
from fgbench import Row

PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'budget', 'bench_budget')
TWO_CORES = os.path.join(os.path.dirname(PROGRAM), 'bench_handoff')
ITEM, REQUESTS, WINDOW, SECONDS = 7, 16384, 512, 2

IN_YARDSTICKS = [('ring: all of it', 'TSC cycles', fgbench.ADDITION, 136)]
ADDED = Row('memif: cycles added to the echo', 'TSC cycles', 'lower', 110)


def rings(runs, cpu, huge):
    done = subprocess.run([PROGRAM, '--runs', str(runs), '--cpu', str(cpu), *([] if huge else ['--no-huge'])],
                          stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)['rows']


def two_cores(runs, bench):
    done = subprocess.run([TWO_CORES, str(bench.cpu), str(bench.generator_cpu), str(runs), 'huge' if bench.huge else 'no-huge'],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=60 + 30 * runs)
    return json.loads(done.stdout)['rows']


def at_memif(echo):
    """One measurement of the loop, or of the echo, with the generator on another CPU; its rows."""
    with fgtest.Lab() as lab:
        bench = fgbench.Bench(lab, SECONDS)
        keys = bench.keys()
        process = lab.start(PROGRAM, '--device', bench.memif('server'), '--keys', keys.path, '--cpu', bench.cpu, '--seconds', SECONDS,
                            '--prefix', lab.tag, *(['--echo'] if echo else []), *([] if bench.huge else ['--no-huge']))
        fgtest.wait_until(lambda: 'ready' in process.output() or not process.running(), 30, 'bench_budget is ready')
        bench.seconds += 1  # beyond the end of the measurement
        try:
            bench.blast(keys, flat=REQUESTS, shoppers=REQUESTS, window=WINDOW, items=ITEM, echo=echo)
        finally:
            code = process.terminate(10)
        output = process.output()
        if code != 0 or '{' not in output:
            raise RuntimeError(f'bench_budget ended with {code}:\n{output}')
        return json.loads(output[output.index('{'):])['rows']


def measure(runs):
    with fgtest.Lab() as lab:
        bench = fgbench.Bench(lab, SECONDS)  # skips when there is but one CPU
    rows = rings(runs, bench.cpu, bench.huge) + two_cores(runs, bench)
    samples, added = {}, []
    for _ in range(runs):
        found = {r['case']: r for echo in (False, True) for r in at_memif(echo)}
        added.append(found['memif: all of it']['value'] - found['memif echo: all of it']['value'])
        for case, row in found.items():
            samples.setdefault((case, row['unit']), []).append(row['value'])
    rows += [Row(case, unit, 'lower').result('budget', values) for (case, unit), values in samples.items()]
    return rows + [ADDED.result('budget', added)]
