# SPDX-License-Identifier: BSD-3-Clause
"""Acceptances made durable by the group commit, and how long they take, beside plain write and fdatasync.

1, 100 and 10,000 acceptances in flight, from a worker's ring to its watermark, on the disk under /tmp (TMPDIR). The program
tools/bench.d/journal does the rounds itself: journal and plain writes in turn, in pieces of the same size.
"""

import json
import os
import subprocess
import tempfile

import fgtest

PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'journal', 'bench_journal')


def measure(runs, seconds=3):
    with tempfile.TemporaryDirectory(prefix='fg-bench-journal-') as folder:
        done = subprocess.run([PROGRAM, folder, str(runs), str(seconds)], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)['rows']
