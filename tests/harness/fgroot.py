# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a long test in a fresh root of a Debian release, step by step.

The root lies in a mount namespace of its own, and its processes in a PID namespace: when the first
process of that ends, for whatever reason, all of it is gone.
"""

import ctypes
import glob
import os
import shutil
import signal
import subprocess
import sys
import time

import fgprocess
import fgrelease

PR_SET_PDEATHSIG = 1
MEMORY_KB = 6 << 20  # free, for a root on a tmpfs
PROGRESS_SECONDS = 10
PATIENCE_MAX = 6  # a busy machine gets that many times the time of an idle one


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


def free_kb():
    with open('/proc/meminfo', encoding='ascii') as f:
        return next(int(line.split()[1]) for line in f if line.startswith('MemAvailable'))


def mount(*words):
    fgprocess.command('mount', *words)


def mount_root(root):
    """On a tmpfs where there is room: `ip netns` needs a root that is a mount in any case."""
    if free_kb() >= MEMORY_KB:
        mount('-t', 'tmpfs', '-o', 'mode=755', 'tmpfs', root)
    else:
        mount('--bind', root, root)


def make_root(steps, root, release, *options):
    """A minimal root of the release; /proc, /dev and the archives of packages are mounted into it."""
    sources = os.path.join(fgrelease.folder(release), 'sources.list')
    with open(sources, 'w', encoding='ascii') as f:
        f.write('\n'.join(fgrelease.sources(release)) + '\n')
    # the root is thrown away: no fsync, no manuals; its package lists are kept
    steps.run(f'a fresh root of {release}',
              ['mmdebstrap', '--variant=minbase', *(f'--aptopt={setting}' for setting in fgrelease.apt_settings()),
               '--dpkgopt=force-unsafe-io', '--dpkgopt=path-exclude=/usr/share/man/*', '--dpkgopt=path-exclude=/usr/share/doc/*',
               '--skip=cleanup/apt/lists', *options, release, root, sources], 240)
    archives = os.path.join(fgrelease.folder(release), 'archives')
    os.makedirs(os.path.join(archives, 'partial'), exist_ok=True)
    mount('--bind', archives, f'{root}/var/cache/apt/archives')
    mount('-t', 'proc', 'proc', f'{root}/proc')
    mount('--rbind', '/dev', f'{root}/dev')
    mount('-t', 'hugetlbfs', 'nodev', f'{root}/dev/hugepages')


def outside(program, release, after):
    """Runs `program --inside ROOT RELEASE` in namespaces of its own, and never returns. The folder around ROOT is the
    program's, too: it lies on the disk. after: is called at the end, however it came."""
    if os.geteuid() != 0:
        raise fgprocess.Skip('needs root')
    for tool in ('mmdebstrap', 'unshare'):
        if not shutil.which(tool):
            raise fgprocess.Skip(f'{tool} is not installed (tools/setup --for test does)')
    kind = os.path.basename(program).removesuffix('.py')
    folder = os.path.join(fgrelease.folder(release), f'root-{kind}-{os.getpid()}')
    for left in glob.glob(os.path.join(fgrelease.folder(release), 'root-*')):  # of a run that was killed
        if not os.path.exists(f'/proc/{left.rsplit("-", 1)[1]}'):
            shutil.rmtree(left)
    root = os.path.join(folder, 'root')
    os.makedirs(root)
    libc = ctypes.CDLL(None)
    child = subprocess.Popen(['unshare', '--mount', '--propagation', 'private', '--pid', '--fork', '--kill-child', '--mount-proc',
                              sys.executable, '-B', os.path.abspath(program), '--inside', root, release],
                             preexec_fn=lambda: libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0))

    def end(number, _frame):
        try:
            os.kill(child.pid, signal.SIGKILL)  # and with it all that runs in its PID namespace
            os.waitpid(child.pid, 0)            # not child.wait(): that is what was interrupted, and holds its lock
        except (ProcessLookupError, ChildProcessError):
            pass
        shutil.rmtree(folder, ignore_errors=True)
        after()
        os._exit(128 + number)

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, end)
    code = child.wait()
    shutil.rmtree(folder)
    after()
    sys.exit(code)


def main(program, inside, release, after=lambda: None):
    """release: a function, which may skip; after: see outside()."""
    if sys.argv[1:2] == ['--inside']:
        inside(*sys.argv[2:])
    else:
        try:
            outside(program, release(), after)
        except fgprocess.Skip as reason:
            print(f'1..0 # SKIP {reason}')
            sys.exit(77)
