# SPDX-License-Identifier: BSD-3-Clause
"""What it costs to trace 1 % of the orders (`[orders] trace`): cycles of a rejection with and without, in turn.

The program bench_sampling is the daemon's own loop between two rings in one thread: nothing but the worker's own work, so
the cost is not hidden behind a port. With and without take turns; the figure is the upper end of the 95 % interval of the
mean over the rounds.
"""

import json
import os
import subprocess

import fgbench
import fgtest
from fgbench import Row

PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'budget', 'bench_sampling')
RUNS, CHUNKS = 20, 1984
WITHOUT = Row('a rejection, none traced', 'TSC cycles', 'lower')
ADDED = Row('1 % of the orders traced: added', '%', 'lower')
BOUND = Row('1 % of the orders traced: added, upper 95 % bound', '%', 'lower', 1.0)


def measure(runs):
    with fgtest.Lab() as lab:
        bench = fgbench.Bench(lab, 1)  # skips when there is but one CPU
    done = subprocess.run([PROGRAM, str(bench.cpu), str(runs), str(CHUNKS), '10000', 'huge' if bench.huge else 'no-huge'],
                          stdout=subprocess.PIPE, text=True, check=True, timeout=60 + 30 * runs)
    found = json.loads(done.stdout)
    share = found['traced'] / (runs * CHUNKS * 512)
    if found['traced_without'] or not 0.005 < share < 0.02:
        raise RuntimeError(f'not about 1 % of the orders were traced: {share:.3%}')
    added = [100 * (traced / without - 1) for without, traced in found['rounds']]
    return [WITHOUT.result('sampling', [without for without, _ in found['rounds']]), ADDED.result('sampling', added),
            BOUND.result('sampling', [fgbench.upper_bound(added)])]
