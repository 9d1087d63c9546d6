#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The other Debian release: a fresh root of it, in which Floodgate is set up, built, tested and shown.

The root lies on a tmpfs in a mount namespace of its own, and its processes in a PID namespace: when the
first process of that ends, for whatever reason, all of it is gone. Needs root and mmdebstrap.
"""

import ctypes
import glob
import json
import os
import shutil
import signal
import subprocess
import sys
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'harness'))
import fgprocess  # noqa: E402
import fgrelease  # noqa: E402

PR_SET_PDEATHSIG = 1
MEMORY_KB = 6 << 20  # free, for a root on a tmpfs
PROGRESS_SECONDS = 10
PATIENCE_MAX = 6  # a busy machine gets that many times the time of an idle one
SOURCE = '/usr/src/floodgate'
NET = (['tests/net/test_daemon.py', 'test_an_order_over_ipv4', 'test_two_workers_one_queue', 'test_a_worker_that_stands_still'],
       ['tests/fault/test_redis_tls.py', 'test_right_certificates'])
ENVIRONMENT = {'CI': '1', 'DEBIAN_FRONTEND': 'noninteractive', 'FG_BUILD': f'{SOURCE}/build', 'FG_SOURCE': SOURCE, 'HOME': '/tmp',
               'LANG': 'C.UTF-8', 'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin',
               'PYTHONDONTWRITEBYTECODE': '1',
               'MALLOC_PERTURB_': '0'}  # as tools/test runs them: with it meson makes unit-snapshot_faults take minutes


def say(text):
    """To whoever waits; the report on standard output is TAP."""
    print(f'release: {text}', file=sys.stderr, flush=True)


def patience():
    return min(max(1, os.getloadavg()[0] / os.cpu_count()), PATIENCE_MAX)


class Steps:
    """Runs commands one after the other and reports each as a case; the first that fails is the last."""

    def __init__(self, log, planned):
        self.log, self.number = log, 0
        print(f'1..{planned}', flush=True)

    def run(self, name, argv, seconds, env=None):
        self.number += 1
        began = time.monotonic()
        seconds *= patience()
        with open(self.log, 'w', encoding='utf-8') as out:
            child = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT, env=env)
        code = None
        while code is None and time.monotonic() - began < seconds:
            try:
                code = child.wait(PROGRESS_SECONDS)
            except subprocess.TimeoutExpired:
                say(f'{name}, {time.monotonic() - began:.0f} s: {self.tail(1)[:100]}')
        took = time.monotonic() - began
        if code is None:
            child.kill()
        if code != 0:
            for line in self.tail(60).splitlines():
                print(f'# {line}')
            print(f'not ok {self.number} - {name}: {f"not within {seconds:.0f} s" if code is None else f"exit code {code}"}')
            sys.exit(1)
        say(f'{name}: {took:.0f} s')
        print(f'ok {self.number} - {name}\n# {took:.0f} s', flush=True)

    def tail(self, lines):
        with open(self.log, encoding='utf-8', errors='replace') as f:
            return '\n'.join(f.read().replace('\r', '\n').splitlines()[-lines:])


# ---- inside the namespaces ---------------------------------------------------------------------------------


def mount(*words):
    fgprocess.command('mount', *words)


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


def make_root(steps, root, release):
    sources = os.path.join(fgrelease.folder(release), 'sources.list')
    with open(sources, 'w', encoding='ascii') as f:
        f.write('\n'.join(fgrelease.sources(release)) + '\n')
    options = [f'--aptopt={setting}' for setting in fgrelease.apt_settings()]
    # the root is thrown away: no fsync, no manuals; its package lists are those that tools/setup needs
    options += ['--dpkgopt=force-unsafe-io', '--dpkgopt=path-exclude=/usr/share/man/*', '--dpkgopt=path-exclude=/usr/share/doc/*',
                '--skip=cleanup/apt/lists', '--include=ca-certificates,openssl']
    steps.run(f'a fresh root of {release}', ['mmdebstrap', '--variant=minbase', *options, release, root, sources], 240)


def enter_root(root, release):
    archives = os.path.join(fgrelease.folder(release), 'archives')
    os.makedirs(os.path.join(archives, 'partial'), exist_ok=True)
    mount('--bind', archives, f'{root}/var/cache/apt/archives')
    mount('-t', 'proc', 'proc', f'{root}/proc')
    mount('-t', 'sysfs', 'sys', f'{root}/sys')
    mount('-t', 'bpf', 'bpf', f'{root}/sys/fs/bpf')
    mount('--rbind', '/dev', f'{root}/dev')
    mount('-t', 'hugetlbfs', 'nodev', f'{root}/dev/hugepages')
    copy_source(root)


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

    steps = Steps(os.path.join(fgrelease.FOLDER, 'log'), 7 + len(NET))
    if free_kb() >= MEMORY_KB:
        mount('-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', root)
    else:
        mount('--bind', root, root)  # `ip netns` needs a root that is a mount
    make_root(steps, root, release)
    enter_root(root, release)
    chroot(f'tools/setup --for demo, on {release}', 420, 'tools/setup', '--for', 'demo')
    targets = sorted({t for suite in ('unit', 'bpf') for t in tests_of(root, suite)[0]})
    chroot('the tests of the tiers unit and bpf build', 300, 'ninja', '-C', 'build', *targets, 'tests/bpf/clocked.bpf.o')
    chroot('tools/setup --for unit installs the rest', 200, 'tools/setup', '--for', 'unit', '--packages')
    for suite in ('unit', 'bpf'):
        chroot(f'tier {suite}: {tests_of(root, suite)[1]} programs', 300, 'meson', 'test', '-C', 'build', '--no-rebuild',
               '--print-errorlogs', '--timeout-multiplier', f'{patience():.1f}', '--suite', suite)
    for argv in NET:
        chroot(f'{argv[0]}: {" ".join(argv[1:])}', 180, *argv)
    chroot('tools/demo: a whole sale', 200, 'tools/demo', '--no-setup')


def free_kb():
    with open('/proc/meminfo', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('MemAvailable'))


# ---- outside -----------------------------------------------------------------------------------------------


def outside():
    if os.geteuid() != 0:
        raise fgprocess.Skip('needs root')
    release = fgrelease.other()
    for tool in ('mmdebstrap', 'unshare'):
        if not shutil.which(tool):
            raise fgprocess.Skip(f'{tool} is not installed (tools/setup --for test does)')
    root = os.path.join(fgrelease.folder(release), f'root-{os.getpid()}')
    for left in glob.glob(os.path.join(fgrelease.folder(release), 'root-*')):  # of a run that was killed
        if not os.path.exists(f'/proc/{left.rsplit("-", 1)[1]}'):
            shutil.rmtree(left)
    os.mkdir(root)
    libc = ctypes.CDLL(None)
    child = subprocess.Popen(['unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc',
                              sys.executable, '-B', os.path.abspath(__file__), '--inside', root, release],
                             preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))

    def end(number, _frame):
        try:
            os.kill(child.pid, signal.SIGKILL)  # and with it all that runs in its PID namespace
            os.waitpid(child.pid, 0)            # not child.wait(): that is what was interrupted, and holds its lock
        except (ProcessLookupError, ChildProcessError):
            pass
        shutil.rmtree(root, ignore_errors=True)
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    code = child.wait()
    shutil.rmtree(root)
    sys.exit(code)


if __name__ == '__main__':
    if sys.argv[1:2] == ['--inside']:
        inside(*sys.argv[2:])
    else:
        try:
            outside()
        except fgprocess.Skip as reason:
            print(f'1..0 # SKIP {reason}')
            sys.exit(77)
