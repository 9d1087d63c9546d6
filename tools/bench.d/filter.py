# SPDX-License-Identifier: BSD-3-Clause
"""The XDP filter by BPF_PROG_TEST_RUN, beside xdp-filter (package xdp-tools) on the same frames: ns a packet, bulk load, memory.

xdp-filter's loader needs libxdp's dispatcher, which not every kernel loads, so its BPF objects are loaded directly.
"""

import json
import os
import subprocess

import fgbench
import fgtest

PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'filter', 'bench_filter')
TARGETS = {'blocked source, 1 prefix': 45, 'blocked source, 1,000 prefixes of 8 lengths': 45,
           'blocked source, 1,000,000 prefixes of 8 lengths': 45, 'blocked, 1,000,000 prefixes / 1 prefix': 1.3,
           'known source, order packet, all buckets, redirect': 100,
           'known source, rates in a map / as constants': 1.02, 'new source, table full': 150,
           'blocked / xdp-filter': 1.0, 'known source / xdp-filter': 1.0, 'bulk load of 1,000,000 prefixes': 5}


def measure(runs):
    if os.geteuid() != 0:
        raise fgtest.Skip('needs root: BPF')
    done = subprocess.run([PROGRAM, str(runs)], stdout=subprocess.PIPE, text=True, check=True)
    return [fgbench.Row(row['case'], row['unit'], 'lower', TARGETS.get(row['case'])).result('filter', row['samples'])
            for row in json.loads(done.stdout)]
