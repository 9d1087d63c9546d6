# SPDX-License-Identifier: BSD-3-Clause
"""A waiting list of a million users in the stock engine: entering it against an acceptance, a repeat, an offer, absent users, a draw.

One worker, and two on CPUs of their own for the absent users; no packet. Offers and the draw are measured with a log on the disk
under /tmp (TMPDIR), too, and the auditor holds the draw again from that log. The program tools/bench.d/engine does the rounds itself.
"""

import os
import subprocess
import tempfile
import time

import engine
import fgbench
import fgtest

AUDIT = os.path.join(fgtest.BUILD, 'app', 'fgaudit', 'fgaudit')
OFFERS, ITEM = 1001, 7  # of the program
ROW = fgbench.Row('fgaudit: the draw again, from the log alone', 's', 'lower')


def audited(folder):
    """Seconds that the auditor takes for the log of the last round; every offer must be by the order that it finds."""
    began = time.monotonic()
    done = subprocess.run([AUDIT, '--log', os.path.join(folder, 'log'), f'--lottery={ITEM}'], stdout=subprocess.PIPE, text=True)
    took = time.monotonic() - began
    states = [line.split()[-1] for line in done.stdout.splitlines() if line.startswith('  ticket ')]
    if done.returncode or {*states[:OFFERS]} != {'cancelled', 'reserved'} or {*states[OFFERS:]} != {'waiting'}:
        raise RuntimeError(f'the auditor finds another draw: {done.stdout[:2000]}')
    return took


def measure(runs):
    with tempfile.TemporaryDirectory(prefix='fg-bench-waiting-') as folder:
        rows = engine.measure(runs, ['--log', folder, 'waiting', 'absent', 'draw'])
        rows.append(ROW.result('waiting', [audited(folder)]))
    return [{**row, 'bench': 'waiting'} for row in rows]
