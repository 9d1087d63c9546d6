#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The XDP program as every clang on this machine builds it: each build must load and give the right verdicts.

    clangs.py PROGRAM... -- BPF_FLAG...

PROGRAMs are tests of the bpf tier; FG_OBJECT names the object that they load. A kernel's verifier refuses
a program for the code that a compiler made of it, so that one compiler proves nothing for the next.
"""

import os
import re
import shutil
import subprocess
import sys
import tempfile

SKIP_CODE = 77
SOURCE = os.path.join(os.environ['FG_SOURCE'], 'xdp', 'floodgate.bpf.c')
OLDEST, NEWEST = 14, 30


def compilers():
    """{version: command} of clang-N in PATH; `clang` alone may be one that has no other name."""
    found = {}
    for name in ['clang', *(f'clang-{n}' for n in range(OLDEST, NEWEST + 1))]:
        if shutil.which(name):
            said = subprocess.run([name, '--version'], capture_output=True, text=True, check=True).stdout
            found[int(re.search(r'version (\d+)', said)[1])] = name
    return found


def comment(text):
    for line in text.splitlines():
        print(f'# {line}')


def succeeds(argv, **env):
    """Whether the command ends well; None when it was skipped. Prints what it said if it failed."""
    done = subprocess.run(argv, capture_output=True, text=True, env={**os.environ, **env}, timeout=100)
    if done.returncode == SKIP_CODE:
        return None
    if done.returncode:
        comment('\n'.join((done.stdout + done.stderr).splitlines()[-40:]))
    return done.returncode == 0


def main():
    at = sys.argv.index('--')
    programs, flags = sys.argv[1:at], sys.argv[at + 1:]
    found = compilers()
    print(f'1..{len(found) * (1 + len(programs))}')
    number = failed = 0
    with tempfile.TemporaryDirectory(prefix=f'fg{os.getpid()}-0-') as folder:
        for version, compiler in sorted(found.items()):
            objects = os.path.join(folder, f'{version}.bpf.o')
            cases = [(f'clang {version} builds the XDP program', [compiler, *flags, '-c', SOURCE, '-o', objects])]
            cases += [(f'{os.path.basename(p)} with the program of clang {version}', [p]) for p in programs]
            for name, argv in cases:
                number += 1
                good = succeeds(argv, FG_OBJECT=objects)
                failed += good is False
                print(f'{"not ok" if good is False else "ok"} {number} - {name}'
                      f'{" # SKIP needs root and BPF" if good is None else ""}', flush=True)
    sys.exit(1 if failed else 0)


if __name__ == '__main__':
    main()
