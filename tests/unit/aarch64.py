#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Packet library and engine for another CPU: they compile without a warning, and tags by NEON are right, emulated.

Skipped (77) where Debian's packages gcc-aarch64-linux-gnu and qemu-user-static are not installed: nothing else needs them.
"""

import glob
import os
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
CC, EMULATOR = 'aarch64-linux-gnu-gcc', 'qemu-aarch64-static'
FLAGS = ['-std=gnu11', '-O3', '-D_GNU_SOURCE', '-Wall', '-Wextra', '-Wno-unused-parameter', '-Werror', '-I', os.path.join(ROOT, 'lib')]


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
    if done.stdout:
        print(done.stdout, end='')
    return done


def main():
    missing = [tool for tool in (CC, EMULATOR) if not shutil.which(tool)]
    if missing:
        print(f'skipped: {" and ".join(missing)} not installed')
        return 77
    sources = [f for folder in ('packet', 'stock') for f in sorted(glob.glob(os.path.join(ROOT, 'lib', folder, '*.c')))]
    with tempfile.TemporaryDirectory(prefix='fg-aarch64-') as folder:
        for source in sources:
            if run(CC, *FLAGS, '-c', source, '-o', os.path.join(folder, 'object.o')).returncode:
                return 1
        print(f'# {len(sources)} files compile')
        program = os.path.join(folder, 'siphash_kinds')
        if run(CC, *FLAGS, '-static', os.path.join(ROOT, 'tests', 'unit', 'siphash_kinds.c'),
               os.path.join(ROOT, 'lib', 'packet', 'siphash.c'), '-o', program).returncode:
            return 1
        done = run(EMULATOR, program)
    return 0 if done.returncode == 0 and 'neon: 0 of' in done.stdout else 1


if __name__ == '__main__':
    sys.exit(main())
