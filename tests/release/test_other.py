#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The other Debian release: a fresh root of it, in which Floodgate is set up, built, tested and shown.

tests/harness/fgroot.py makes the root. Needs root and mmdebstrap.
"""

import json
import os
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'harness'))
import fgprocess  # noqa: E402
import fgrelease  # noqa: E402
import fgroot  # noqa: E402

SOURCE = '/usr/src/floodgate'
NET = (['tests/net/test_daemon.py', 'test_an_order_over_ipv4', 'test_two_workers_one_queue', 'test_a_worker_that_stands_still'],
       ['tests/fault/test_redis_tls.py', 'test_right_certificates'])
ENVIRONMENT = {'CI': '1', 'DEBIAN_FRONTEND': 'noninteractive', 'FG_BUILD': f'{SOURCE}/build', 'FG_SOURCE': SOURCE, 'HOME': '/tmp',
               'LANG': 'C.UTF-8', 'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
               'PYTHONDONTWRITEBYTECODE': '1',
               'MALLOC_PERTURB_': '0'}  # as tools/test runs them: with it meson makes unit-snapshot_faults take minutes


# ---- inside the namespaces ---------------------------------------------------------------------------------


def copy_source(root):
    """What git knows of the working tree, also when it is changed; all of it where there is no git."""
    listed = subprocess.run(['git', '-C', fgprocess.ROOT, 'ls-files', '-z', '--cached', '--others', '--exclude-standard'],
                            capture_output=True, check=False)
    names = listed.stdout.decode().split('\0') if listed.returncode == 0 else [
        os.path.relpath(os.path.join(at, f), fgprocess.ROOT) for at, _, files in os.walk(fgprocess.ROOT) for f in files
        if not os.path.relpath(at, fgprocess.ROOT).startswith('build')]
    for name in filter(None, names):
        path, to = os.path.join(fgprocess.ROOT, name), f'{root}{SOURCE}/{name}'
        if os.path.isfile(path):
            os.makedirs(os.path.dirname(to), exist_ok=True)
            shutil.copy2(path, to)


def tests_of(root, suite):
    """(targets that ninja has to build, number of tests) of a suite, as meson knows them."""
    listed = subprocess.run(['chroot', root, 'meson', 'introspect', '--tests', f'{SOURCE}/build'], check=True,
                            capture_output=True, text=True)
    tests = [t for t in json.loads(listed.stdout) if suite in (s.split(':')[-1] for s in t['suite'])]
    targets = {os.path.relpath(word, f'{SOURCE}/build') for t in tests for word in t['cmd'] if word.startswith(f'{SOURCE}/build/')}
    return sorted(targets), len(tests)


def inside(root, release):
    def chroot(name, seconds, *argv):
        steps.run(name, ['chroot', root, 'env', '-C', SOURCE, *argv], seconds, ENVIRONMENT)

    steps = fgroot.Steps(os.path.join(fgrelease.FOLDER, 'log'), 7 + len(NET))
    fgroot.mount_root(root)
    # package lists: tools/setup needs them
    fgroot.make_root(steps, root, release, '--include=ca-certificates,openssl')
    fgroot.mount('-t', 'sysfs', 'sys', f'{root}/sys')
    fgroot.mount('-t', 'bpf', 'bpf', f'{root}/sys/fs/bpf')
    copy_source(root)
    chroot(f'tools/setup --for demo, on {release}', 420, 'tools/setup', '--for', 'demo')
    targets = sorted({t for suite in ('unit', 'bpf') for t in tests_of(root, suite)[0]})
    chroot('the tests of the tiers unit and bpf build', 300, 'ninja', '-C', 'build', *targets, 'tests/bpf/clocked.bpf.o')
    chroot('tools/setup --for unit installs the rest', 200, 'tools/setup', '--for', 'unit', '--packages')
    for suite in ('unit', 'bpf'):
        chroot(f'tier {suite}: {tests_of(root, suite)[1]} programs', 300, 'meson', 'test', '-C', 'build', '--no-rebuild',
               '--print-errorlogs', '--timeout-multiplier', f'{fgroot.patience():.1f}', '--suite', suite)
    for argv in NET:
        chroot(f'{argv[0]}: {" ".join(argv[1:])}', 180, *argv)
    chroot('tools/demo: a whole sale', 200, 'tools/demo', '--no-setup')


if __name__ == '__main__':
    fgroot.main(__file__, inside, fgrelease.other)
