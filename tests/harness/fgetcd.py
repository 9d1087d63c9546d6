# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a cluster of real etcd members in a namespace, and a client of it through lib/arbiter."""

import contextlib
import http.client
import json
import os
import socket
import subprocess
import threading

import fgtest

MEMBERS = 3
ADDRESS = '127.0.0.1'
QUICK = ('--heartbeat-interval=25', '--election-timeout=250')


class Member:
    """One etcd. Its data stays over kill() and start()."""

    def __init__(self, cluster, number):
        self.cluster, self.name = cluster, f'm{number}'
        self.client, self.peer = 2379 + 10 * number, 2380 + 10 * number
        self.folder = cluster.lab.unique(self.name)
        self.process = None

    def url(self, port, scheme='http'):
        return f'{scheme}://{self.cluster.address}:{port}'

    def start(self):
        c = self.cluster
        scheme = 'https' if c.tls else 'http'
        members = ','.join(f'{m.name}={m.url(m.peer)}' for m in c.members)
        tls = [f'--cert-file={c.tls[0]}', f'--key-file={c.tls[1]}', f'--trusted-ca-file={c.tls[2]}',
               '--client-cert-auth'] if c.tls else []
        self.process = c.ns.start(
            'etcd', f'--name={self.name}', f'--data-dir={self.folder}', f'--listen-client-urls={self.url(self.client, scheme)}',
            f'--advertise-client-urls={self.url(self.client, scheme)}', f'--listen-peer-urls={self.url(self.peer)}',
            f'--initial-advertise-peer-urls={self.url(self.peer)}', f'--initial-cluster={members}',
            '--initial-cluster-state=new', '--auto-compaction-retention=1h', *c.tuning, *tls, name=self.name)

    def kill(self):
        self.process.kill()

    def health(self):
        try:
            with self.cluster.ns.inside():
                connection = http.client.HTTPConnection(self.cluster.address, self.client, timeout=2)
                connection.connect()
            connection.request('GET', '/health')
            answer = json.loads(connection.getresponse().read())
            connection.close()
            return answer.get('health') in ('true', True)
        except (OSError, ValueError, http.client.HTTPException):
            return False


class Etcd:
    """tls: (certificate, key, authority) of the members; clients then need a certificate too. quick: elects within a second,
    which a busy machine may take for the leader's end. ns, address: where its members are; else in a namespace of their own."""

    def __init__(self, lab, members=MEMBERS, tls=None, quick=False, ns=None, address=ADDRESS):
        self.lab, self.tls, self.tuning = lab, tls, QUICK if quick else ()
        self.ns, self.address = ns or lab.namespace('etcd'), address
        self.members = []
        self.members.extend(Member(self, n) for n in range(members))
        for m in self.members:
            m.start()
        if not tls:
            fgtest.wait_until(lambda: all(m.health() for m in self.members), 30, 'etcd has a leader')

    @property
    def endpoints(self):
        return ', '.join(f'{self.address}:{m.client}' for m in self.members)

    def ctl(self, *words, stdin=None):
        """etcdctl, which a person would use, and call again while the members choose a leader."""
        argv = [*self.ns.enter(), 'env', 'ETCDCTL_API=3', 'etcdctl', f'--endpoints={self.endpoints.replace(" ", "")}', *words]
        tried = []

        def done():
            tried.append(subprocess.run(argv, input=stdin, capture_output=True, text=True, check=False, timeout=30))
            return tried[-1].returncode == 0
        try:
            fgtest.wait_until(done, 20, f'etcdctl {" ".join(words)}', 0.2)
        except fgtest.Timeout as error:
            raise fgtest.Timeout(f'{error}: {tried[-1].stderr}') from error
        return tried[-1].stdout

    def begin(self, what, config):
        """`fgctl pair init` or `fgctl fleet init`, which a person would call again while the members choose a leader; what it
        said the last time."""
        argv = [*self.ns.enter(), fgtest.program('fgctl'), what, 'init', '--config', config]
        tried = []

        def done():
            tried.append(subprocess.run(argv, capture_output=True, text=True, check=False, timeout=30))
            again = len(tried) > 1 and ' already' in tried[-1].stderr  # the answer of the one before was lost
            return tried[-1].returncode == 0 or again
        try:
            fgtest.wait_until(done, 20, f'fgctl {what} init', 0.2)
        except fgtest.Timeout as error:
            raise fgtest.Timeout(f'{error}: {tried[-1].stderr}') from error
        return tried[-1].stdout

    def leader(self):
        """The member that leads."""
        for line in self.ctl('endpoint', 'status', '-w', 'fields').split('\n\n'):
            fields = dict(part.split(' : ', 1) for part in line.splitlines() if ' : ' in part)
            if fields and fields['"MemberID"'] == fields['"Leader"']:
                return next(m for m in self.members if str(m.client) in fields['"Endpoint"'])
        raise fgtest.Timeout('etcd has no leader')


class Proxy:
    """Takes TCP connections, and passes on the request but not the answer until it is told to; only of requests that hold
    `path`."""

    def __init__(self, ns, target, path=b''):
        self.open, self.path = threading.Event(), path
        with ns.inside():
            self.listener = socket.create_server((ADDRESS, 0))
        self.ns, self.target, self.port = ns, target, self.listener.getsockname()[1]
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while True:
            try:
                inner = self.listener.accept()[0]
            except OSError:
                return
            try:
                with self.ns.inside():
                    outer = socket.create_connection((ADDRESS, self.target))
            except OSError:  # the target is away, and so is the proxy
                inner.close()
                continue
            held = []
            threading.Thread(target=self.pump, args=(inner, outer, held), daemon=True).start()
            threading.Thread(target=self.pump, args=(outer, inner, held), daemon=True).start()

    def pump(self, source, to, held):
        """The request comes before its answer, so it is known by then whether this is held back."""
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                if self.path in data and not held:
                    held.append(source)
                if held and held[0] is not source:
                    self.open.wait()
                to.sendall(data)
        with contextlib.suppress(OSError):
            to.shutdown(socket.SHUT_WR)

    def close(self):
        self.open.set()
        self.listener.close()


class Client:
    """lib/arbiter, by tests/fault/arbiter_driver."""

    def __init__(self, cluster, endpoints=None, timeout_ms=3000, words=()):
        self.argv = [*cluster.ns.enter(), os.path.join(fgtest.BUILD, 'tests/fault/arbiter_driver'),
                     endpoints or cluster.endpoints, str(timeout_ms), *words]
        self.process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def send(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def answer(self):
        line = self.process.stdout.readline()
        assert line, f'arbiter_driver ended with {self.process.wait(10)}'
        return json.loads(line)

    def ask(self, *words):
        self.send(*words)
        return self.answer()

    def read(self, key):
        return self.ask('read', key)

    def swap(self, guard, revision, key, text):
        return self.ask('swap', guard, revision, key, text)

    def commit(self, *puts):
        """puts: (key, revision, text) each; text '-' is only compared"""
        return self.ask('commit', *(word for put in puts for word in put))

    def changes(self, start, since):
        return self.ask('changes', start, since)

    def close(self):
        self.process.stdin.close()
        code = self.process.wait(10)
        self.process.stdout.close()
        return code
