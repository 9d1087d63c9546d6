# SPDX-License-Identifier: BSD-3-Clause
"""Harness: the appliance and its tools. See fgtest.py."""

import glob
import http.client
import json
import os
import re
import secrets
import signal
import socket
import subprocess

from fgprocess import BPFFS, ROOT, Process, program, remove_marks, threads, wait_until


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

    Give `interface` (AF_XDP) or `device` (any other DPDK port), or `ports`: {NAME: {setting:
    value}}. `settings`: {'workers.count': 2} over the Lab's choices; a value None removes a
    setting. Log, keys, lists and configuration stay over kill(), stop() and start(). The first
    start begins a new log; later ones need it.
    """

    def __init__(self, lab, ns=None, interface=None, device=None, ports=None, settings=None, redis=None):
        self.lab, self.ns, self.process, self.starts = lab, ns, None, 0
        self.log_begun = False
        self.program = program('floodgate')
        self.dir = lab.unique('gate')
        os.mkdir(self.dir)
        self.tag = f'{lab.tag}-{os.path.basename(self.dir)}'.replace('.', '_')  # a bpffs takes no dot
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
            'limits.user_rate': 0,  # a test's one user may ask as often as it likes
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

    def new_log(self, wanted=None):
        """The words by which the next start begins a new log: as wanted, or while this daemon never
        had one."""
        if not self.log_begun:
            self.log_begun = bool(glob.glob(os.path.join(self.settings.get('log.dir') or '', '*.fgj')))
        return ['--new-log'] if (not self.log_begun if wanted is None else wanted) else []

    def check(self, new_log=None):
        """(exit code, output) of floodgate --check, run where the daemon would run."""
        enter = self.ns.enter() if self.ns else []
        done = subprocess.run([*enter, self.program, *self.new_log(new_log), '--check', self.config],
                              capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    def start(self, seconds=60, ready=True, wrapper=(), new_log=None):
        """Starts it, and waits until /healthz says that it is. wrapper: a command in front of it.
        """
        if self.running():
            raise RuntimeError('the daemon runs already')
        argv = [self.program, *self.new_log(new_log), '--config', self.config]
        self.process = Process(self.lab, [*wrapper, *argv], ns=self.ns, name=f'floodgate{self.starts}')
        self.starts += 1
        if ready:
            wait_until(self._ready, seconds, 'the daemon is ready')
            self.new_log()
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

    def thread(self, pattern):
        """The id of its one thread with such a name."""
        found = threads(self.process.pid, pattern)
        assert len(found) == 1, threads(self.process.pid)
        return next(iter(found))

    def worker_thread(self, worker):
        """DPDK 22.11 calls it rte-worker-N, DPDK 24.11 dpdk-workerN; the first lcore is the main thread's."""
        return self.thread(rf'^(rte-worker-|dpdk-worker){worker + 1}$')

    def running(self):
        return self.process is not None and self.process.running()

    def output(self):
        return self.process.output()

    def stop(self, seconds=30):
        """SIGTERM; returns the exit code, which must be 0."""
        self.new_log()
        code = self.process.terminate(seconds)
        if code != 0:
            raise AssertionError(f'the daemon ended with {code} after SIGTERM:\n{self.output()[-4000:]}')
        return code

    def kill(self):
        """kill -9."""
        self.new_log()
        return self.process.kill()

    def killed(self):
        """How many of its processes ended by SIGKILL, by the word of the kernel."""
        return sum(p.popen.poll() == -signal.SIGKILL for p in self.lab.processes if p.argv[-1] == self.config)

    def restart(self, kill=False, seconds=60):
        self.kill() if kill else self.stop()
        return self.start(seconds)

    def metrics_missing(self, prefix):
        """Metrics of docs/metrics.md with this prefix that /metrics lacks."""
        page = self.api('GET', '/metrics')[1]
        with open(os.path.join(ROOT, 'docs/metrics.md'), encoding='utf-8') as f:
            names = re.findall(rf'^\| `({prefix}\w+)`', f.read(), re.M)
        assert names
        return [name for name in names if f'\n# TYPE {name} ' not in page]

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

    def alarm(self, name):
        """Its level, as Prometheus scrapes it, by which the alert rules fire; None while nothing answers."""
        try:
            status, page = self.api('GET', '/metrics') if self.running() else (503, '')
        except (OSError, http.client.HTTPException):  # it starts
            return None
        found = status == 200 and re.search(rf'^floodgate_alarm_level\{{alarm="{name}"\}} ([0-2])$', page, re.M)
        return found and ('none', 'warning', 'alarm')[int(found[1])]

    def alarm_fires(self, name, level, seconds=20):
        wait_until(lambda: self.alarm(name) == level, seconds, f'alarm {name}: {level}')

    def alarm_clears(self, name, seconds=20):
        wait_until(lambda: self.alarm(name) == 'none', seconds, f'alarm {name} ends')

    def sink(self, name):
        """Status of one sink: 'redis' ..."""
        return next(s for s in self.get('/v1/status')['sinks'] if s['sink'] == name)

    def fgctl(self, *words, check=True, seconds=60):
        """Runs fgctl --json; its decoded output. With check=False: (exit code, output, error text).
        """
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
        remove_marks(self.tag)


class Blast:
    """fgblast in a namespace. Options by name: seconds=5, source_base='198.18.0.10', no_huge=True.
    """

    def __init__(self, lab, ns, keys, **options):
        self.lab, self.ns = lab, ns
        base = lab.unique('blast')
        os.mkdir(base)  # the next one gets another name
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
