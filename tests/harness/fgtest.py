# SPDX-License-Identifier: BSD-3-Clause
"""Harness of the black-box tests and of the demo: namespaces, Redis, the daemon and its tools, and
a TAP runner.

A test file is an executable with functions test_*; each takes a fresh Lab and may raise Skip:

    import sys
    sys.path.insert(0, f'{sys.path[0]}/../harness')
    import fgtest

    def test_something(lab):
        '''One line that becomes the name in the report.'''
        link = lab.pair()
        gate = lab.daemon(link.a, interface=link.a_if)
        gate.start()
        ...

    if __name__ == '__main__':
        fgtest.main()

Whatever a Lab makes (processes, namespaces, pinned BPF objects, hugepage files, its folder) is gone
after close(), also after a failure, a timeout, SIGTERM or SIGINT. Everything has a name that begins
with the Lab's tag, fgPID-N, so that what a SIGKILL leaves behind can be told from what is in use,
and swept by sweep_stale().
"""

import atexit
import inspect
import os
import signal
import subprocess
import sys
import tempfile
import time
import traceback

# The parts of the harness; tests use all of them as fgtest.NAME.
from fgclient import NoReply
from fgdaemon import Blast, Daemon, Keys, audit
from fgnet import Link, Namespace
from fgpostgres import Postgres, SqlError
from fgprocess import (BPFFS, BUILD, ROOT, Background, Process, Skip, Timeout, catches, command, free_port, held, leftovers,
                       lives, marks, of_threads, pause, program, remove_folder, remove_marks, soon, sweep_stale, threads, wait_until)
from fgredis import Redis, RedisError

__all__ = ['BPFFS', 'BUILD', 'ROOT', 'Background', 'Blast', 'Daemon', 'Keys', 'Lab', 'Link', 'Namespace', 'Postgres', 'Process',
           'Redis', 'RedisError', 'Skip', 'SqlError', 'Timeout', 'audit', 'catches', 'command', 'free_port', 'handle_signals',
           'held', 'leftovers', 'main', 'malformed', 'marks', 'of_threads', 'pause', 'program', 'soon', 'sweep_stale', 'threads',
           'timeout', 'wait_until']

_labs = []
_count = 0


class Lab:
    """What one test (or the demo) makes, and the removal of it. Also a context manager."""

    def __init__(self, keep=False):
        global _count
        if os.geteuid() != 0:
            raise Skip('needs root')
        _count += 1
        self.tag = f'fg{os.getpid()}-{_count}'
        self.dir = tempfile.mkdtemp(prefix=self.tag + '-')
        self.keep, self.detached = keep, False
        self.processes, self.namespaces, self.daemons, self.servers = [], [], [], []
        _labs.append(self)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def unique(self, name):
        """A path in the Lab's folder that is not taken: NAME, else NAME.1, NAME.2 ..."""
        path, n = os.path.join(self.dir, name), 0
        while os.path.exists(path):
            n += 1
            path = os.path.join(self.dir, f'{name}.{n}')
        return path

    def namespace(self, label):
        return Namespace(self, label)

    def pair(self, **options):
        """Two namespaces, gate and shop, and a veth between them: link.a is gate, link.b is shop.
        """
        return Link(self.namespace('gate'), self.namespace('shop'), **options)

    def redis(self, **options):
        return Redis(self, **options).start()

    def postgres(self, **options):
        server = Postgres(self, **options)
        self.servers.append(server)
        return server.start()

    def daemon(self, ns=None, **options):
        return Daemon(self, ns, **options)

    def blast(self, ns, keys, **options):
        return Blast(self, ns, keys, **options)

    def audit(self, *words, **options):
        return audit(self, *words, **options)

    def start(self, *argv, **options):
        return Process(self, argv, **options)

    def logs(self, lines=40):
        """The last lines of each process's output."""
        parts = []
        for p in self.processes:
            tail = p.output().splitlines()[-lines:]
            state = 'running' if p.running() else f'exit {p.popen.returncode}'
            parts.append('\n'.join([f'--- {p.name} (pid {p.pid}, {state})', *tail]))
        return '\n'.join(parts)

    def close(self):
        if self not in _labs:
            return
        _labs.remove(self)
        for server in self.servers:
            server.close()
        for p in reversed(self.processes):
            if p.running():
                p.kill()
            remove_marks(f'{p.name}{p.pid}')  # DPDK never removes the runtime folder of fgblast
        for p in self.processes:
            p.wait_for_orphans()
        for d in self.daemons:
            d.clean()
        for ns in self.namespaces:
            ns.remove()
        remove_marks(self.tag)
        if not self.keep and not remove_folder(self.dir):
            raise RuntimeError(f'{self.dir} cannot be removed: what in it is in use?')


def malformed(stats):
    """Packets that the filter dropped for their shape."""
    return sum(n for verdict, n in stats['filter'].items() if verdict.startswith(('bad-', 'order-')))


def _close_all():
    """What could not be removed, a line each."""
    errors = []
    for lab in reversed(_labs[:]):
        try:
            lab.close()
        except RuntimeError as error:
            errors.append(str(error))
    return errors


def _on_signal(number, _frame):
    _close_all()
    os._exit(128 + number)


_owner = os.getpid()


@atexit.register
def _at_exit():
    if os.getpid() == _owner:
        _close_all()


def handle_signals():
    """SIGTERM, SIGINT and SIGHUP clean up and end the program. main() does it; the demo calls it
    itself."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)


def _on_alarm(_number, _frame):
    raise Timeout('the test took too long')


def timeout(seconds):
    """Decorator: the longest time that a test may take, instead of 60 s."""
    def mark(function):
        function.seconds = seconds
        return function
    return mark


LATE = (Timeout, subprocess.TimeoutExpired, TimeoutError, NoReply)  # something did not happen in time
LONG = bool(os.environ.get('FG_LONG'))  # tools/test --long


def only_if_long():
    if not LONG:
        raise Skip('takes many minutes: tools/test --long')


def _comment(text):
    for line in text.splitlines():
        print(f'# {line}')


def _outcome(function, keep):
    """('ok' | 'not ok' | 'late', skip reason or ''). late: something did not happen in time."""
    lab = None
    try:
        signal.alarm(getattr(function, 'seconds', 60))
        if inspect.signature(function).parameters:
            lab = Lab(keep)
            function(lab)
        else:
            function()
        return 'ok', ''
    except Skip as reason:
        return 'ok', f' # SKIP {reason}'
    except BaseException as error:  # pylint: disable=broad-except
        signal.alarm(0)
        what = traceback.format_exc()
        if lab:
            _comment(lab.logs())
        _comment(what)  # last: a report that is cut keeps its end
        return 'late' if isinstance(error, LATE) else 'not ok', ''
    finally:
        signal.alarm(0)


def _attempt(function, keep):
    """_outcome(), and the removal of what it made; what cannot be removed is a failure."""
    result, said = _outcome(function, keep)
    for error in _close_all():
        _comment(error)
        result = 'not ok'
    return result, said


def _run_one(function, keep):
    """('ok' | 'not ok', what else is to be said).

    What was late gets a second attempt, and the report says so: a virtual machine may stand still
    for many seconds, and no wait is long enough for that. What was wrong is never tried again.
    """
    result, said = _attempt(function, keep)
    if result == 'late':
        _comment(f'late, with a load of {os.getloadavg()[0]:.1f}: a second attempt')
        result, said = _attempt(function, keep)
        said += ' (second attempt)'
    return 'ok' if result == 'ok' else 'not ok', said


def main(tests=None):
    """Runs the test_* functions of the calling file, or those named on its command line; prints TAP
    and exits."""
    handle_signals()
    signal.signal(signal.SIGALRM, _on_alarm)
    sys.stdout.reconfigure(line_buffering=True)
    module = sys.modules['__main__']
    if tests is None:
        tests = [f for n, f in vars(module).items() if n.startswith('test_') and callable(f)]
    words = [w for w in sys.argv[1:] if not w.startswith('-')]
    keep = '--keep' in sys.argv
    if '--list' in sys.argv:
        print('\n'.join(f.__name__ for f in tests))
        sys.exit(0)
    unknown = set(words) - {f.__name__ for f in tests}
    if unknown:
        sys.exit(f'no such test: {", ".join(sorted(unknown))} (--list shows them)')
    if words:
        tests = [f for f in tests if f.__name__ in words]
    print(f'1..{len(tests)}')
    failed = 0
    for number, function in enumerate(tests, 1):
        name = (function.__doc__ or function.__name__.replace('_', ' ')).strip().splitlines()[0]
        began = time.monotonic()
        result, skip = _run_one(function, keep)
        failed += result != 'ok'
        print(f'{result} {number} - {name.replace("#", "")}{skip}')
        print(f'# {function.__name__}: {time.monotonic() - began:.1f} s')
    sys.exit(1 if failed or not tests else 0)
