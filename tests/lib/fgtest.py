#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Harness of the black-box tests and of the demo: namespaces, Redis, the daemon and its tools, and a TAP runner.

A test file is an executable with functions test_*; each takes a fresh Lab and may raise Skip:

    import os, sys
    sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'lib'))
    import fgtest

    def test_something(lab):
        '''One line that becomes the name in the report.'''
        link = lab.pair()
        gate = lab.daemon(link.a, interface=link.a_if)
        gate.start()
        ...

    if __name__ == '__main__':
        fgtest.main()

Whatever a Lab makes (processes, namespaces, pinned BPF objects, hugepage files, its folder) is gone after close(),
also after a failure, a timeout, SIGTERM or SIGINT. Everything has a name that begins with the Lab's tag, fgPID-N,
so that what a SIGKILL leaves behind can be told from what is in use, and swept by sweep_stale().
"""

import atexit
import ctypes
import http.client
import inspect
import json
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BUILD = os.environ.get('FG_BUILD', os.path.join(ROOT, 'build'))
BPFFS = '/sys/fs/bpf'
ORDER_PORT = 4600
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)
_labs = []
_count = 0


class Skip(Exception):
    """The test cannot be run here; the text says why."""


class Timeout(Exception):
    """Something did not happen in time; the text says what."""


def program(name):
    """Path of a built program: floodgate, fgctl, fgblast, fgaudit."""
    folder = {'floodgate': 'app', 'fgctl': 'app', 'fgblast': 'tools', 'fgaudit': 'tools'}[name]
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


def _die_with_parent():
    _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


# ---- processes -------------------------------------------------------------------------------------------


class Process:
    """A child with its output in a file. Ends with the Lab, or with this program, whatever happens to it."""

    def __init__(self, lab, argv, ns=None, name=None, env=None, stdin=subprocess.DEVNULL, cwd=None):
        self.name = name or os.path.basename(argv[0])
        self.argv = [str(a) for a in argv]
        self.log_path = lab.unique(self.name + '.log')
        # nsenter with --net only does not fork: the pid is that of the program itself
        full = (ns.enter() if ns else []) + self.argv
        # the death signal follows the thread that forks, so only the main thread may ask for it
        guard = _die_with_parent if threading.current_thread() is threading.main_thread() else None
        with open(self.log_path, 'ab') as log:
            self.popen = subprocess.Popen(full, stdin=stdin, stdout=log, stderr=subprocess.STDOUT, cwd=cwd,
                                          env={**os.environ, **(env or {})}, preexec_fn=guard)
        self.pid = self.popen.pid
        lab.processes.append(self)

    def running(self):
        return self.popen.poll() is None

    def output(self):
        with open(self.log_path, errors='replace') as f:
            return f.read()

    def signal(self, number):
        if self.running():
            self.popen.send_signal(number)

    def wait(self, seconds):
        """Exit code; negative = killed by that signal."""
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Timeout(f'{self.name} (pid {self.pid}) did not end within {seconds} s') from None

    def kill(self):
        """SIGKILL, and waits until it is gone."""
        self.signal(signal.SIGKILL)
        return self.popen.wait()

    def terminate(self, seconds=10):
        """SIGTERM, and waits for the end; SIGKILL and Timeout when it does not come."""
        self.signal(signal.SIGTERM)
        try:
            return self.popen.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise Timeout(f'{self.name} (pid {self.pid}) did not end within {seconds} s of SIGTERM') from None


# ---- network ---------------------------------------------------------------------------------------------


class Namespace:
    """A network namespace. Only --net is entered: `ip netns exec` would hide /sys/fs/bpf."""

    def __init__(self, lab, label):
        self.lab = lab
        self.name = f'{lab.tag}-{label}'
        command('ip', 'netns', 'add', self.name)
        lab.namespaces.append(self)
        # No duplicate address detection, no router solicitations: addresses work at once, captures stay quiet.
        self.run('sh', '-c', 'for i in all default; do d=/proc/sys/net/ipv6/conf/$i; '
                 'echo 0 >$d/disable_ipv6; echo 0 >$d/accept_dad; echo 0 >$d/accept_ra; done')
        self.ip('link', 'set', 'lo', 'up')

    def enter(self):
        return ['nsenter', f'--net=/run/netns/{self.name}', '--']

    def run(self, *argv, **options):
        return command(*self.enter(), *argv, **options)

    def ip(self, *argv):
        return command('ip', '-n', self.name, *argv)

    def start(self, *argv, **options):
        return Process(self.lab, argv, ns=self, **options)

    def mac(self, interface):
        return json.loads(self.ip('-json', 'link', 'show', 'dev', interface))[0]['address']

    def counters(self, interface):
        """{'rx': {'packets': ...}, 'tx': {...}} of the kernel."""
        return json.loads(self.ip('-json', '-s', 'link', 'show', 'dev', interface))[0]['stats64']

    def remove(self):
        command('ip', 'netns', 'del', self.name, check=False)


class Link:
    """A veth with one end in each of two namespaces.

    Side a is 198.18.NET.1 and 2001:db8:NET::1, side b .2; side b can hold any number of further addresses.
    """

    def __init__(self, a, b, net=0, a_if=None, b_if=None, queues=1, neighbours=True, mtu=None):
        self.a, self.b, self.net = a, b, net
        self.a_if, self.b_if = a_if or f'fga{net}', b_if or f'fgb{net}'
        q = ['numrxqueues', str(queues), 'numtxqueues', str(queues)]
        command('ip', 'link', 'add', self.a_if, *q, 'netns', a.name, 'type', 'veth', 'peer', 'name', self.b_if, *q,
                'netns', b.name)
        self.a_ip, self.b_ip = f'198.18.{net}.1', f'198.18.{net}.2'
        self.a_ip6, self.b_ip6 = f'2001:db8:{net:x}::1', f'2001:db8:{net:x}::2'
        for ns, interface, ip, ip6 in ((a, self.a_if, self.a_ip, self.a_ip6), (b, self.b_if, self.b_ip, self.b_ip6)):
            ns.ip('link', 'set', interface, 'addrgenmode', 'none', *(['mtu', str(mtu)] if mtu else []))
            ns.ip('addr', 'add', f'{ip}/24', 'dev', interface)
            ns.ip('addr', 'add', f'{ip6}/64', 'dev', interface, 'nodad')
            ns.ip('link', 'set', interface, 'up')
        self.a_mac, self.b_mac = a.mac(self.a_if), b.mac(self.b_if)
        if neighbours:
            self.set_neighbours()

    def set_neighbours(self):
        """Both ends know each other without ARP or neighbour discovery."""
        for ip in (self.b_ip, self.b_ip6):
            self.a.ip('neigh', 'replace', ip, 'lladdr', self.b_mac, 'dev', self.a_if, 'nud', 'permanent')
        for ip in (self.a_ip, self.a_ip6):
            self.b.ip('neigh', 'replace', ip, 'lladdr', self.a_mac, 'dev', self.b_if, 'nud', 'permanent')

    def route_to_b(self, prefix):
        """Side a sends to further addresses of side b (sources of a load generator) without asking for them."""
        via = self.b_ip6 if ':' in prefix else self.b_ip
        self.a.ip('route', 'replace', prefix, 'via', via, 'dev', self.a_if)

    def checksums_in_software(self):
        """Without this, a veth hands on UDP packets with a partial checksum, which the hardware would fill in."""
        for ns, interface in ((self.a, self.a_if), (self.b, self.b_if)):
            ns.run('ethtool', '-K', interface, 'tx', 'off', 'rx', 'off')


# ---- Redis -----------------------------------------------------------------------------------------------


class RedisError(Exception):
    pass


class Redis:
    """A Redis server of its own: unix socket in the Lab's folder, and TCP when a port is given.

    persist: keeps its data over stop() and start(), by an append-only file that is synced on every write.
    """

    def __init__(self, lab, ns=None, port=0, bind='127.0.0.1', persist=False, password=None):
        self.lab, self.ns, self.port, self.bind, self.password = lab, ns, port, bind, password
        self.dir = lab.unique('redis')
        os.mkdir(self.dir)
        self.socket = os.path.join(self.dir, 's')
        self.address = f'unix:{self.socket}'
        self.process, self._connection = None, None
        self.options = ['--port', port, '--bind', bind, '--unixsocket', self.socket, '--dir', self.dir,
                        '--daemonize', 'no', '--save', '', '--appendonly', 'yes' if persist else 'no',
                        '--appendfsync', 'always', '--protected-mode', 'no']
        if password:
            self.options += ['--requirepass', password]

    def start(self):
        if not shutil.which('redis-server'):
            raise Skip('redis-server is not installed')
        self.process = Process(self.lab, ['redis-server', *self.options], ns=self.ns)
        wait_until(self._answers, 10, 'Redis answers PING')
        return self

    def _answers(self):
        if not self.process.running():
            raise RuntimeError(f'redis-server ended:\n{self.process.output()}')
        try:
            return self.command('PING') == 'PONG'
        except (OSError, RedisError):
            return False

    def stop(self):
        self._disconnect()
        return self.process.terminate()

    def kill(self):
        self._disconnect()
        return self.process.kill()

    def _disconnect(self):
        if self._connection:
            for part in self._connection:
                part.close()
        self._connection = None

    def _connect(self):
        s = socket.socket(socket.AF_UNIX)
        s.settimeout(30)
        s.connect(self.socket)
        self._connection = (s, s.makefile('rb'))
        if self.password:
            self._exchange('AUTH', self.password)

    def command(self, *words):
        """One command; text as str, numbers as int, arrays as list, nil as None."""
        try:
            if not self._connection:
                self._connect()
            return self._exchange(*words)
        except OSError:
            self._disconnect()
            raise

    def _exchange(self, *words):
        words = [str(w).encode() for w in words]
        request = b'*%d\r\n' % len(words) + b''.join(b'$%d\r\n%s\r\n' % (len(w), w) for w in words)
        self._connection[0].sendall(request)
        return self._reply()

    def _reply(self):
        line = self._connection[1].readline()
        if not line.endswith(b'\r\n'):
            raise ConnectionResetError('Redis closed the connection')
        kind, rest = line[:1], line[1:-2]
        if kind == b'+':
            return rest.decode()
        if kind == b'-':
            raise RedisError(rest.decode())
        if kind == b':':
            return int(rest)
        count = int(rest)
        if count < 0:
            return None
        if kind == b'$':
            return self._connection[1].read(count + 2)[:-2].decode(errors='surrogateescape')
        return [self._reply() for _ in range(count)]

    def hash(self, key):
        """HGETALL as a dict."""
        flat = self.command('HGETALL', key)
        return dict(zip(flat[::2], flat[1::2]))


# ---- the appliance ---------------------------------------------------------------------------------------


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path, seconds):
        super().__init__('floodgate', timeout=seconds)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Keys:
    """A key file with one key of each role: 1 shop, 2 backend, 3 monitor."""

    ROLES = {1: 'shop', 2: 'backend', 3: 'monitor'}

    def __init__(self, path):
        self.path = path
        self.secrets = {number: secrets.token_bytes(16) for number in self.ROLES}
        self.write()

    def write(self):
        with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
            for number, role in self.ROLES.items():
                f.write(f'{number} {role} {self.secrets[number].hex()}\n')


class Daemon:
    """The floodgate daemon in a namespace, with configuration, keys and log of its own.

    Give `interface` (AF_XDP) or `device` (any other DPDK port), or `ports`: {NAME: {setting: value}}. `settings`:
    {'workers.count': 2} over the Lab's choices; a value None removes a setting. Log, keys, lists and configuration
    stay over kill(), stop() and start().
    """

    def __init__(self, lab, ns=None, interface=None, device=None, ports=None, settings=None, redis=None):
        self.lab, self.ns, self.process, self.starts = lab, ns, None, 0
        self.dir = lab.unique('gate')
        os.mkdir(self.dir)
        self.tag = f'{lab.tag}-{os.path.basename(self.dir)}'
        self.keys = Keys(os.path.join(self.dir, 'keys'))
        self.config = os.path.join(self.dir, 'floodgate.conf')
        self.log_dir = os.path.join(self.dir, 'log')
        self.socket = os.path.join(self.dir, 'control.sock')
        self.pins = os.path.join(BPFFS, self.tag)
        if ports is None:
            port = {'interface': interface} if interface else {'device': device}
            ports = {'shop': port}
        self.ports = ports
        self.settings = {
            'eal.file_prefix': self.tag,
            'orders.keys': self.keys.path,
            'filter.pins': self.pins,
            'log.dir': self.log_dir,
            'api.socket': self.socket,
            **({'redis.address': redis if isinstance(redis, str) else redis.address} if redis else {}),
            **(settings or {}),
        }
        lab.daemons.append(self)
        self.write_config()

    def write_config(self):
        """Writes `ports` and `settings` to the file; call it after changing them."""
        sections = {f'port {name}': values for name, values in self.ports.items()}
        for name, value in self.settings.items():
            section, key = name.split('.', 1)
            sections.setdefault(section, {})[key] = value
        with open(self.config, 'w') as f:
            for section, values in sections.items():
                f.write(f'[{section}]\n')
                f.writelines(f'{k} = {v}\n' for k, v in values.items() if v is not None)

    def check(self):
        """(exit code, output) of floodgate --check."""
        done = subprocess.run([program('floodgate'), '--check', self.config], capture_output=True, text=True,
                              timeout=30)
        return done.returncode, done.stdout + done.stderr

    def start(self, seconds=60, ready=True, wrapper=()):
        """Starts it, and waits until /healthz says that it is. wrapper: a command in front of it."""
        if self.running():
            raise RuntimeError('the daemon runs already')
        self.process = Process(self.lab, [*wrapper, program('floodgate'), '--config', self.config], ns=self.ns,
                               name=f'floodgate{self.starts}')
        self.starts += 1
        if ready:
            wait_until(self._ready, seconds, 'the daemon is ready')
        return self

    def _ready(self):
        if not self.running():
            raise RuntimeError(f'the daemon ended with {self.process.popen.returncode}:\n{self.output()}')
        return self.healthy()

    def healthy(self):
        try:
            return self.api('GET', '/healthz', seconds=5)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def running(self):
        return self.process is not None and self.process.running()

    def output(self):
        return self.process.output()

    def stop(self, seconds=30):
        """SIGTERM; returns the exit code, which must be 0."""
        code = self.process.terminate(seconds)
        if code != 0:
            raise AssertionError(f'the daemon ended with {code} after SIGTERM:\n{self.output()[-4000:]}')
        return code

    def kill(self):
        """kill -9."""
        return self.process.kill()

    def restart(self, kill=False, seconds=60):
        self.kill() if kill else self.stop()
        return self.start(seconds)

    def api(self, method, path, body=None, seconds=30):
        """(HTTP status, decoded JSON, or text where it is none)."""
        connection = _UnixConnection(self.socket, seconds)
        try:
            connection.request(method, path, None if body is None else json.dumps(body),
                               {'Content-Type': 'application/json'})
            answer = connection.getresponse()
            text = answer.read().decode()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(text)
        except ValueError:
            return answer.status, text

    def get(self, path):
        status, value = self.api('GET', path)
        if status != 200:
            raise AssertionError(f'GET {path}: {status} {value}')
        return value

    def fgctl(self, *words, check=True, seconds=60):
        """Runs fgctl --json; its decoded output. With check=False: (exit code, output, error text)."""
        argv = [program('fgctl'), '--socket', self.socket, '--json', *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds)
        if not check:
            return done.returncode, done.stdout, done.stderr
        if done.returncode:
            raise AssertionError(f'fgctl {" ".join(argv[4:])}: exit {done.returncode}: {done.stderr}{done.stdout}')
        return json.loads(done.stdout) if done.stdout.strip() else None

    def clean(self):
        if self.process:
            self.process.kill()
        _remove_marks(self.tag)


class Blast:
    """fgblast in a namespace. Options by name: seconds=5, source_base='198.18.0.10', no_huge=True."""

    def __init__(self, lab, ns, keys, **options):
        self.lab, self.ns = lab, ns
        base = lab.unique('blast')
        self.audit, self.summary_path = base + '.audit', base + '.json'
        options = {'keys': keys.path if isinstance(keys, Keys) else keys, 'audit': self.audit,
                   'json': self.summary_path, **options}
        self.argv = [program('fgblast'), *_flags(options)]
        self.process = None

    def start(self):
        self.process = Process(self.lab, self.argv, ns=self.ns, name='fgblast')
        return self

    def finish(self, seconds=120, check=True):
        """Waits for the end; the summary as a dict."""
        code = self.process.wait(seconds)
        if check and code != 0:
            raise AssertionError(f'fgblast ended with {code}:\n{self.process.output()[-4000:]}')
        return self.summary()

    def run(self, seconds=120, check=True):
        return self.start().finish(seconds, check)

    def summary(self):
        with open(self.summary_path) as f:
            return json.load(f)


def _flags(options):
    argv = []
    for name, value in options.items():
        flag = '--' + name.replace('_', '-')
        for one in value if isinstance(value, (list, tuple)) else [value]:
            if one is True:
                argv.append(flag)
            elif one is not None and one is not False:
                argv += [flag, str(one)]
    return argv


def audit(lab, *words, seconds=120, **options):
    """Runs fgaudit with the given words and options; (exit code, output)."""
    done = subprocess.run([program('fgaudit'), *_flags(options), *map(str, words)], capture_output=True, text=True,
                          timeout=seconds)
    with open(lab.unique('fgaudit.log'), 'w') as f:
        f.write(done.stdout + done.stderr)
    return done.returncode, done.stdout + done.stderr


# ---- the laboratory --------------------------------------------------------------------------------------


class Lab:
    """What one test (or the demo) makes, and the removal of it. Also a context manager."""

    def __init__(self, keep=False):
        global _count
        if os.geteuid() != 0:
            raise Skip('needs root')
        _count += 1
        self.tag = f'fg{os.getpid()}-{_count}'
        self.dir = tempfile.mkdtemp(prefix=self.tag + '-')
        self.keep = keep
        self.processes, self.namespaces, self.daemons = [], [], []
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
        """Two namespaces, gate and shop, and a veth between them: link.a is gate, link.b is shop."""
        return Link(self.namespace('gate'), self.namespace('shop'), **options)

    def redis(self, **options):
        return Redis(self, **options).start()

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
        for p in reversed(self.processes):
            if p.running():
                p.kill()
        for d in self.daemons:
            d.clean()
        for ns in self.namespaces:
            ns.remove()
        _remove_marks(self.tag)
        if not self.keep:
            shutil.rmtree(self.dir, ignore_errors=True)


def command(*argv, check=True, seconds=60, stdin=None):
    """Runs to the end, returns standard output; an error shows the command and what it said."""
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True, timeout=seconds, input=stdin)
    if check and done.returncode:
        raise RuntimeError(f'{" ".join(map(str, argv))}: exit {done.returncode}: {done.stderr.strip()}')
    return done.stdout


# ---- leftovers -------------------------------------------------------------------------------------------

# Where something with a tag in its name can be left behind.
_PLACES = ('/run/netns', BPFFS, '/dev/hugepages', '/run/dpdk', tempfile.gettempdir())


def _remove(path):
    if path.startswith('/run/netns/'):
        command('ip', 'netns', 'del', os.path.basename(path), check=False)
    elif os.path.isdir(path) and not os.path.islink(path):
        shutil.rmtree(path, ignore_errors=True)
    else:
        try:
            os.unlink(path)
        except FileNotFoundError:
            pass


def _marks(places=_PLACES):
    for place in places:
        try:
            names = os.listdir(place)
        except OSError:
            continue
        yield from (os.path.join(place, n) for n in names)


def _remove_marks(tag):
    """Pins, hugepage files and DPDK's runtime folder of a tag; not its temporary folder."""
    pattern = re.compile(re.escape(tag) + r'(?!\d)')
    for path in list(_marks(_PLACES[1:-1])):
        if pattern.match(os.path.basename(path)):
            _remove(path)


def _alive(pid):
    return os.path.exists(f'/proc/{pid}')


def leftovers():
    """What dead processes left: paths whose tag names a process that is no more."""
    found = []
    for path in _marks():
        match = re.match(r'fg(\d+)-\d+', os.path.basename(path))
        if match and not _alive(int(match.group(1))):
            found.append(path)
    return sorted(found)


def sweep_stale():
    """Removes what killed runs left behind; returns the paths."""
    found = leftovers()
    for path in found:
        _remove(path)
    return found


def _close_all():
    for lab in list(_labs):
        lab.close()


def _on_signal(number, _frame):
    _close_all()
    os._exit(128 + number)


_owner = os.getpid()


@atexit.register
def _at_exit():
    if os.getpid() == _owner:
        _close_all()


def handle_signals():
    """SIGTERM, SIGINT and SIGHUP clean up and end the program. main() does it; the demo calls it itself."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)


# ---- TAP -------------------------------------------------------------------------------------------------


def _on_alarm(_number, _frame):
    raise Timeout('the test took too long')


def timeout(seconds):
    """Decorator: the longest time that a test may take, instead of 60 s."""
    def mark(function):
        function.seconds = seconds
        return function
    return mark


def _comment(text):
    for line in text.splitlines():
        print(f'# {line}')


def _run_one(function, keep):
    """('ok' | 'not ok', skip reason or '')."""
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
    except BaseException:  # pylint: disable=broad-except
        signal.alarm(0)
        _comment(traceback.format_exc())
        if lab:
            _comment(lab.logs())
        return 'not ok', ''
    finally:
        signal.alarm(0)
        if lab:
            lab.close()


def main(tests=None):
    """Runs the test_* functions of the calling file, or those named on its command line; prints TAP and exits."""
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
