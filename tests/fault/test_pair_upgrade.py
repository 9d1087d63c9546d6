#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A rolling upgrade of a pair in mid-sale, as docs/pair.md describes it: from the newest release that this repository has a
tag of; without one, from a second build of this tree with another version."""

import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgpair import PairSale  # noqa: E402

OLD = '0.0.1'


def run(*argv, **options):
    return subprocess.run(argv, capture_output=True, text=True, timeout=1200, **options)


def old_source(folder):
    tag = run('git', '-C', fgtest.ROOT, 'describe', '--tags', '--abbrev=0')
    if tag.returncode == 0:
        os.mkdir(folder)
        archive = subprocess.run(['git', '-C', fgtest.ROOT, 'archive', tag.stdout.strip()], capture_output=True, check=True)
        subprocess.run(['tar', '-x', '-C', folder], input=archive.stdout, check=True)
    else:
        shutil.copytree(fgtest.ROOT, folder, symlinks=True, ignore=lambda path, names: [
            name for name in names if path == fgtest.ROOT and (name.startswith('build') or name == '.git')])
    with open(f'{folder}/meson.build', encoding='utf-8') as f:
        text = f.read()
    with open(f'{folder}/meson.build', 'w', encoding='utf-8') as f:
        f.write(re.sub(r"version: '[^']*'", f"version: '{OLD}'", text, count=1))
    return tag.stdout.strip() or 'this tree'


def old_program(lab):
    folder = lab.unique('old')
    source = old_source(folder)
    environment = {**os.environ, 'CC': os.environ.get('CC', 'cc')}  # a cache of the compiler would be left behind
    for argv in (['meson', 'setup', f'{folder}/build', folder],
                 ['nice', 'ninja', '-C', f'{folder}/build', 'app/floodgate/floodgate']):
        done = run(*argv, env=environment)
        assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]
    print(f'# the old program is built from {source}')
    return f'{folder}/build/app/floodgate/floodgate'


def version(box):
    return box.gate.get('/v1/status')['version']


@fgtest.timeout(1500)
def test_rolling_upgrade(lab):
    """the standby is upgraded, then the leader, which hands over first; then the lead goes back. All that was acknowledged
    is there"""
    fgtest.only_if_long()
    new_program = fgtest.program('floodgate')
    old_one = old_program(lab)
    sale = PairSale(lab, start=False)
    first, second = sale.pair.boxes
    for box in (first, second):
        box.gate.program = old_one
    sale.begin()
    assert version(first) == version(second) == OLD
    sale.shop(seconds=8)
    sale.sells(300)
    second.gate.stop()
    second.gate.program = new_program
    sale.pair.join(second)
    assert sale.pair.leader() is first and version(second) != OLD
    sale.sells()
    first.gate.stop()
    assert second.leads(), 'a stop hands over before it ends'
    sale.sells()
    sale.pair.join(first)  # still the old one: what the new one wrote is understood
    assert version(first) == OLD
    second.gate.fgctl('pair', 'switch')
    fgtest.wait_until(lambda: first.leads() and not second.gate.running(), 20, 'the old one leads again')
    sale.pair.join(second)
    first.gate.stop()
    first.gate.program = new_program
    sale.pair.join(first)
    assert sale.pair.leader() is second and version(first) == version(second) != OLD
    sale.sells()
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
