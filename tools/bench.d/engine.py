# SPDX-License-Identifier: BSD-3-Clause
"""The stock engine alone: ns and TSC cycles of each operation, and memory of an order.

One worker with ten thousand and with ten million orders, and one hot item over 1, 2, 4 and 8 workers in one thread; no packet, no
disk. The program tools/bench.d/engine does the rounds itself, since filling ten million orders takes longer than measuring.
"""

import json
import os
import subprocess

import fgbench
import fgtest

CASES = ('yardstick', 'small', 'large', 'hot')  # the others are of the bench waiting
PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'engine', 'bench_engine')


def in_cycles(row):
    """The same time, in cycles of the TSC."""
    scale = row['cycles'] / row['value']
    return {**row, 'value': row['cycles'], 'min': row['min'] * scale, 'max': row['max'] * scale,
            'unit': 'TSC cycles', 'target': None, 'met': None}


# Targets that hold on any host: figures as multiples of what the machine itself does (tools/bench).
IN_YARDSTICKS = [('rejection, sold out, 10 k orders', 'ns', fgbench.ADDITION, 36), ('acceptance, 10 M orders', 'ns', fgbench.LINE, 11),
                 ('expiry, 10 M orders', 'ns', fgbench.LINE, 5.5)]


def measure(runs, arguments=CASES):
    done = subprocess.run([PROGRAM, '--runs', str(runs), *arguments], stdout=subprocess.PIPE, text=True, check=True)
    rows = []
    for row in json.loads(done.stdout)['rows']:
        rows.append(row)
        if 'cycles' in row:
            rows.append(in_cycles(row))
    return rows
