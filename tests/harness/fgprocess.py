# SPDX-License-Identifier: BSD-3-Clause
"""Harness, lowest part: programs, processes, and what they may leave behind. See fgtest.py."""

import contextlib
import ctypes
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('FG_BUILD', os.path.join(ROOT, 'build'))
BPFFS = '/sys/fs/bpf'
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


class Skip(Exception):
    """The test cannot be run here; the text says why."""


class Timeout(Exception):
    """Something did not happen in time; the text says what."""


def lives(pid):
    """One that has ended may stay for a while, until its parent has asked for its exit code."""
    try:
        with open(f'/proc/{pid}/stat', encoding='ascii') as f:
            return f.read().rsplit(')', 1)[1].split()[0] != 'Z'
    except OSError:
        return False


def catches(pid, number):
    """The process has installed a handler of the signal."""
    try:
        with open(f'/proc/{pid}/status', encoding='ascii') as f:
            caught = next(line for line in f if line.startswith('SigCgt:'))
    except (FileNotFoundError, ProcessLookupError):  # it has ended
        return False
    return int(caught.split()[1], 16) >> (number - 1) & 1


def descendants(pid):
    """Pids of its children, of theirs, and so on."""
    def children(thread):
        with open(f'/proc/{pid}/task/{thread}/children', encoding='ascii') as f:
            return [int(word) for word in f.read().split()]
    own = sum(of_threads(pid, children).values(), [])
    return own + [pid for child in own for pid in descendants(child)]


def program(name):
    """Path of a built program: floodgate, fgctl, fgblast ..."""
    folder = {'floodgate': 'app', 'fgctl': 'app', 'fgblast': 'tools', 'fgaudit': 'app', 'fglog': 'app',
              'fghttp': 'tools', 'order-service': 'tools'}[name]
    path = os.path.join(BUILD, folder, name, name)
    if not os.access(path, os.X_OK):
        raise Skip(f'{os.path.relpath(path, ROOT)} is not built')
    return path


def wait_until(condition, seconds, what, step=0.02):
    """Polls until condition() is true and returns its value; Timeout when it never is."""
    end = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > end:
            raise Timeout(f'{what}: not within {seconds} s')
        time.sleep(step)


def soon(began, seconds, what):
    """Timeout when more seconds have passed since `began`, of time.monotonic(): the pause may be the machine's."""
    took = time.monotonic() - began
    if took > seconds:
        raise Timeout(f'{what}: after {took:.2f} s, not within {seconds} s')


def pause(seconds, why):  # pylint: disable=unused-argument
    """For a pause that is itself the stimulus, or the interval that is measured. Else use
    wait_until()."""
    time.sleep(seconds)


def command(*argv, check=True, seconds=60, stdin=None):
    """Runs to the end, returns standard output; an error shows the command and what it said."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=seconds, input=stdin)
    if check and done.returncode:
        raise RuntimeError(f'{" ".join(map(str, argv))}: exit {done.returncode}: {done.stderr.strip()}')
    return done.stdout


def free_port():
    """A TCP port of 127.0.0.1 that is free at the moment."""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


class Process:
    """A child with its output in a file. Ends with the Lab, or with this program, whatever happens
    to it. When the Lab is detached, Ctrl-C at the terminal does not reach it."""

    def __init__(self, lab, argv, ns=None, name=None, env=None, stdin=subprocess.DEVNULL, cwd=None,
                 pass_fds=()):
        self.name = name or os.path.basename(argv[0])
        self.argv = [str(a) for a in argv]
        self.log_path = lab.unique(self.name + '.log')
        # nsenter with --net only does not fork: the pid is that of the program itself
        full = (ns.enter() if ns else []) + self.argv
        # the death signal follows the thread that forks, so only the main thread may ask for it
        guard = _die_with_parent if threading.current_thread() is threading.main_thread() else None
        with open(self.log_path, 'ab') as log:
            self.popen = subprocess.Popen(full, stdin=stdin, stdout=log, stderr=subprocess.STDOUT, cwd=cwd,
                                          env={**os.environ, **(env or {})}, preexec_fn=guard, pass_fds=pass_fds,
                                          start_new_session=lab.detached)
        self.pid = self.popen.pid
        self.orphans = []
        lab.processes.append(self)

    def running(self):
        return self.popen.poll() is None

    def output(self):
        with open(self.log_path, errors='replace') as f:
            return f.read()

    def signal(self, number):
        if self.running():
            if number == signal.SIGKILL:
                self.orphans += descendants(self.pid)
            self.popen.send_signal(number)

    def wait(self, seconds):
        """Exit code; negative = killed by that signal."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Timeout(f'{self.name} (pid {self.pid}) did not end within {seconds} s') from None

    def kill(self):
        """SIGKILL, and waits until it is gone. Its children may need a moment more to notice."""
        self.signal(signal.SIGKILL)
        return self.popen.wait()

    def wait_for_orphans(self, seconds=10):
        """Until the children of a killed program have ended by themselves; one that does not is left running."""
        end = time.monotonic() + seconds
        for pid in self.orphans:
            while lives(pid) and time.monotonic() < end:
                try:
                    os.kill(pid, signal.SIGCONT)
                except ProcessLookupError:
                    break
                time.sleep(0.02)

    def terminate(self, seconds=10):
        """SIGTERM, and waits for the end; SIGKILL and Timeout when it does not come."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Timeout(f'{self.name} (pid {self.pid}) did not end within {seconds} s of SIGTERM') from None


class Background:
    """A thread that executes run() within a with block. run() returns soon after `ends` is set; then close() is called."""

    def __enter__(self):
        self.ends = False
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends = True
        self.thread.join()
        self.close()


def of_threads(pid, function):
    """{thread id: function(thread id)} of a process; a thread that ends meanwhile is left out."""
    found = {}
    try:
        threads = [int(name) for name in os.listdir(f'/proc/{pid}/task')]
    except (FileNotFoundError, ProcessLookupError):
        return found
    for thread in threads:
        try:
            found[thread] = function(thread)
        except (FileNotFoundError, ProcessLookupError):  # from open, or from what came after it
            pass
    return found


def threads(pid, pattern=''):
    """{thread id: name} of the threads of a process whose name matches."""
    def name(thread):
        with open(f'/proc/{pid}/task/{thread}/comm', encoding='ascii') as f:
            return f.read().strip()
    return {thread: text for thread, text in of_threads(pid, name).items() if re.search(pattern, text)}


def _ptrace(request, thread):
    if _libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None):
        raise OSError(ctypes.get_errno(), f'ptrace {request:#x}')


@contextlib.contextmanager
def held(thread, within=''):
    """Stops this thread alone, and within such a system call (number): then it holds no lock. It continues after the with
    block."""
    def stop():
        _ptrace(0x4207, thread)  # INTERRUPT
        os.waitpid(thread, 0x40000000)  # __WALL
        with open(f'/proc/{thread}/syscall', encoding='ascii') as f:
            call = f.read().split()[0]
        if within and call not in within:
            _ptrace(7, thread)  # CONT
            return False
        return True
    _ptrace(0x4206, thread)  # SEIZE
    wait_until(stop, 20, f'thread {thread} is in a system call of {within}')
    try:
        yield
    finally:
        with contextlib.suppress(OSError):  # it has ended
            _ptrace(17, thread)  # DETACH
        with contextlib.suppress(ChildProcessError):  # then only its tracer can reap it
            os.waitpid(thread, 0x40000000 | os.WNOHANG)


# Where something with a tag in its name can be left behind.
PLACES = ('/run/netns', BPFFS, '/dev/hugepages', '/run/dpdk', tempfile.gettempdir())


def unmount_below(path):
    """Takes away what is mounted in a folder, last mounted first, also what is in use."""
    with open('/proc/self/mountinfo', encoding='utf-8') as f:
        points = [line.split()[4] for line in f]
    for point in reversed([p for p in points if p.startswith(f'{path}/')]):
        command('umount', '--lazy', point, check=False)


def remove_folder(path, seconds=10):
    """Removes a folder, with what is mounted in it, also when children of a server that was killed still end, and
    write, in it. False when it is still there after that time."""
    end = time.monotonic() + seconds
    while os.path.exists(path):
        if time.monotonic() > end:
            return False
        unmount_below(os.path.realpath(path))
        shutil.rmtree(path, ignore_errors=True)
        if os.path.exists(path):
            time.sleep(0.1)
    return True


def remove(path):
    if path.startswith('/run/netns/'):
        command('ip', 'netns', 'del', os.path.basename(path), check=False)
    elif os.path.isdir(path) and not os.path.islink(path):
        remove_folder(path)
    else:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def marks(places=PLACES):
    for place in places:
        try:
            names = os.listdir(place)
        except OSError:
            continue
        yield from (os.path.join(place, n) for n in names)


def remove_marks(tag):
    """Pins, hugepage files and DPDK's runtime folder of a tag; not its temporary folder."""
    pattern = re.compile(re.escape(tag) + r'(?!\d)')
    for path in list(marks(PLACES[1:-1])):
        if pattern.match(os.path.basename(path)):
            remove(path)


def _alive(pid):
    return os.path.exists(f'/proc/{pid}')


def leftovers():
    """What dead processes left: paths whose tag names a process that is no more."""
    found = []
    for path in marks():
        match = re.match(r'fg(\d+)-\d+', os.path.basename(path))
        if match and not _alive(int(match.group(1))):
            found.append(path)
    return sorted(found)


def sweep_stale():
    """Removes what killed runs left behind; returns the paths."""
    found = leftovers()
    for path in found:
        remove(path)
    return found
