# SPDX-License-Identifier: BSD-3-Clause
"""Harness: nginx with our module in a namespace, its HTTP clients, and a relay that loses packets."""

import contextlib
import heapq
import http.client
import json
import os
import random
import re
import secrets
import select
import shutil
import signal
import socket
import subprocess
import sys
import time
import uuid

import fgclient
import fgtest
from fgshop import ITEM

MODULE = os.path.join(fgtest.BUILD, 'app', 'gateway', 'ngx_http_floodgate_module.so')
PORT = 8080

LOCATIONS = '''
location /v1/orders  { floodgate orders;  floodgate_user $http_x_user; }
location /v1/backend/orders { floodgate backend; }
location /v1/items   { floodgate items; }
location /v1/events  { floodgate events; }
location /v1/login   { floodgate login; }
location /metrics    { floodgate metrics; }
'''


# PID 1 of a namespace, where nginx leaves the foreground: it ends when nothing is left.
ADOPTER = '''
import os, sys
os.spawnv(os.P_WAIT, sys.argv[1], sys.argv[1:])
while True:
    try:
        os.wait()
    except ChildProcessError:
        break
'''


def children(pid):
    try:
        with open(f'/proc/{pid}/task/{pid}/children') as f:
            return [int(word) for word in f.read().split()]
    except OSError:
        return []


def title(pid):
    try:
        with open(f'/proc/{pid}/cmdline', 'rb') as f:
            return f.read().replace(b'\0', b' ').decode(errors='replace')
    except OSError:
        return ''


class Answer:
    """What came back: status, headers (lower case), text, and JSON where it is some."""

    def __init__(self, answer):
        self.status, self.text = answer.status, answer.read().decode()
        self.headers = {name.lower(): value for name, value in answer.getheaders()}
        self.type = self.headers.get('content-type', '')
        self.json = json.loads(self.text) if 'json' in self.type else None

    def __repr__(self):
        return f'{self.status} {self.headers} {self.text}'


class Gateway:
    """nginx with the module, in the shoppers' namespace of a link, on 127.0.0.1:8080 (or another port) there."""

    def __init__(self, lab, ns, servers, keys, workers=1, top='', http='', locations=LOCATIONS, kind='number', listen='',
                 daemon=False, connections=4096, members=(), port=PORT):
        """members: of a fleet, in place of servers. listen: further directives of the server. daemon: nginx leaves the foreground, as its upgrade needs."""
        if not shutil.which('nginx'):
            raise fgtest.Skip('nginx is not installed')
        if not os.path.exists(MODULE):
            raise fgtest.Skip('the nginx module is not built: nginx-dev is not installed')
        self.lab, self.ns, self.folder, self.process = lab, ns, lab.unique('nginx'), None
        os.mkdir(self.folder)
        self.keys, self.servers = keys, servers if isinstance(servers, str) else ' '.join(servers)
        self.workers, self.top, self.http, self.locations, self.kind = workers, top, http, locations, kind
        self.listen, self.daemon, self.connections, self.port = listen, daemon, connections, port
        self.asked = f'floodgate_members {" ".join(members)};' if members else f'floodgate_servers {self.servers};'
        self.secret('user'), self.secret('session')
        self.write_config()
        lab.servers.append(self)

    def path(self, name):
        return os.path.join(self.folder, name)

    def secret(self, name, mode=0o600):
        with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), 'w') as f:
            f.write(secrets.token_hex(32) + '\n')
        os.chmod(self.path(name), mode)

    def write_config(self):
        paths = '\n'.join(f'{n}_temp_path {self.folder}/{n};'
                          for n in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        with open(self.path('nginx.conf'), 'w') as f:
            f.write(f'''load_module {MODULE};
daemon {'on' if self.daemon else 'off'}; user root; pid {self.folder}/pid; error_log {self.folder}/error.log info;
worker_processes {self.workers}; {self.top}
events {{ worker_connections {self.connections}; }}
http {{ access_log off; {paths}
{self.asked}
floodgate_keys {self.keys.path};
floodgate_user_kind {self.kind};
floodgate_user_secret {self.folder}/user;
floodgate_session_secret {self.folder}/session;
floodgate_items {ITEM} 8 9;
{self.http}
server {{ listen 127.0.0.1:{self.port} reuseport; keepalive_requests 1000000;
{self.listen}
{self.locations}
}} }}
''')

    def check(self):
        """(exit code, what it said) of nginx -t."""
        done = subprocess.run([*self.ns.enter(), 'nginx', '-t', '-c', self.path('nginx.conf'), '-p', self.folder,
                               '-e', self.path('error.log')], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    def start(self):
        # a PID namespace of its own: when nginx's parent ends, however, no worker is left behind
        first = [sys.executable, '-c', ADOPTER] if self.daemon else []
        self.process = self.ns.start('unshare', '--fork', '--pid', '--kill-child', '--', *first, shutil.which('nginx'), '-c',
                                     self.path('nginx.conf'), '-p', self.folder, '-e', self.path('error.log'),
                                     name='nginx')
        fgtest.wait_until(self.ready, 20, 'nginx answers')
        return self

    def ready(self):
        if not self.process.running():
            raise RuntimeError(f'nginx ended: {self.process.output()}{self.errors()}')
        try:
            return self.get('/metrics').status == 200
        except OSError:
            return False

    def close(self):
        if self.process and self.process.running():
            self.process.kill()

    def master(self):
        return children(self.process.pid)[0]

    def masters(self):
        """All masters, the oldest first: an upgrade has two for a while."""
        found, look = [], [self.process.pid]
        while look:
            for pid in children(look.pop()):
                look.append(pid)
                if title(pid).startswith('nginx: master'):
                    found.append(pid)
        return found

    def worker_pids(self, master=None):
        return [pid for pid in children(master or self.master()) if title(pid).startswith('nginx: worker')]

    def reload(self):
        os.kill(self.master(), signal.SIGHUP)

    def errors(self):
        with open(self.path('error.log'), errors='replace') as f:
            return f.read()

    def bad_lines(self):
        """Lines of the error log that should not be there."""
        return [line for line in self.errors().splitlines() if re.search(r'\[(emerg|alert|crit|error)\]', line)]

    # ---- requests ----

    def connection(self, seconds=70):
        c = http.client.HTTPConnection('127.0.0.1', self.port, timeout=seconds)
        c.sock = self.ns.socket(socket.SOCK_STREAM)
        c.sock.settimeout(seconds)
        c.sock.connect(('127.0.0.1', self.port))
        return c

    def request(self, method, path, body=None, connection=None, **headers):
        """Header names with _ for -; a body that is no text is sent as JSON."""
        own = connection or self.connection()
        headers = {name.replace('_', '-'): str(value) for name, value in headers.items() if value is not None}
        if body is not None:
            headers.setdefault('Content-Type', 'application/json')
            body = body if isinstance(body, (str, bytes)) else json.dumps(body)
        try:
            own.request(method, path, body, headers)
            return Answer(own.getresponse())
        finally:
            if not connection:
                own.close()

    def get(self, path, **options):
        return self.request('GET', path, **options)

    def reserve(self, user, key=None, item=ITEM, quantity=1, wait=False, **options):
        body = {'item': str(item), 'quantity': quantity, **({'wait': True} if wait else {})}
        return self.request('POST', '/v1/orders', body, X_User=user, Idempotency_Key=key or str(uuid.uuid4()), **options)

    def order(self, user, key, query='', **options):
        return self.get(f'/v1/orders/{key}{query}', X_User=user, **options)

    def cancel(self, user, key, **options):
        return self.request('DELETE', f'/v1/orders/{key}', X_User=user, **options)

    def backend(self, operation, user, key, **fields):
        return self.request('POST', f'/v1/backend/orders/{key}/{operation}', {'user': str(user), **fields})

    def raw(self, data, seconds=10):
        """Bytes as they are, and what comes back until nginx closes or is quiet for a second."""
        s = self.ns.socket(socket.SOCK_STREAM)
        s.settimeout(seconds)
        s.connect(('127.0.0.1', self.port))
        s.sendall(data)
        got = b''
        with contextlib.suppress(TimeoutError, ConnectionError):
            while part := s.recv(65536):
                got += part
                s.settimeout(1)
        s.close()
        return got

    @contextlib.contextmanager
    def events(self, query='', path='/v1/events', seconds=10, **headers):
        """An open stream of events: a function that gives the next {item: state} within some seconds."""
        c = self.connection(seconds=seconds)
        c.request('GET', path + query, headers={name.replace('_', '-'): str(value) for name, value in headers.items()})
        answer = c.getresponse()
        assert answer.status == 200 and answer.headers['Content-Type'] == 'text/event-stream', answer.headers

        def following():
            """The next event; None at the end of the stream."""
            while line := answer.readline():
                if line.startswith(b'data: '):
                    return json.loads(line[6:])
            return None

        try:
            yield following
        finally:
            c.close()

    def metric(self, name, **labels):
        want = 'floodgate_gateway_' + name
        if labels:
            want += '{' + ','.join(f'{k}="{v}"' for k, v in labels.items()) + '}'
        for line in self.get('/metrics').text.splitlines():
            if line.startswith(want + ' '):
                return float(line.split()[-1])
        raise AssertionError(f'no metric {want}')


class OtherMember(fgtest.Background):
    """A member of a fleet on 127.0.0.1:PORT of a namespace that says of each user: belongs to member `owner`. STOCK gets no
    answer."""

    def __init__(self, ns, keys, owner, shards=256, port=4698):
        self.keys, self.owner, self.shards, self.users = keys, owner, shards, []
        self.address = f'127.0.0.1:{port}'
        self.socket = ns.socket()
        self.socket.bind(('127.0.0.1', port))
        self.socket.settimeout(0.05)

    def close(self):
        self.socket.close()

    def run(self):
        while not self.ends:
            try:
                data, source = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            magic, version, op, key, _, order, user, item, _, _, cookie = fgclient.REQUEST.unpack(data[:fgclient.TAG_AT])
            if op != fgclient.OPS['STOCK']:
                self.users.append(user)
                self.socket.sendto(fgclient.seal(self.keys.secrets[key], fgclient.ANSWER.pack(
                    magic, version, op | fgclient.REPLY, key, self.owner, order, 0, item, self.shards, 0,
                    fgclient.STATUSES['WRONG_SHARD'], 0, 2, cookie)), source)


class Relay(fgtest.Background):
    """Passes UDP between 127.0.0.1:PORT of a namespace and a server, and loses a part both ways; `loss_back`: another part
    of the replies. `doubles`: a part comes twice; `delay`: each is late by up to so many seconds, so packets overtake
    each other."""

    def __init__(self, ns, server, loss, seed=1, port=4700, doubles=0.0, delay=0.0):
        self.ns, self.server, self.loss, self.random = ns, (server, 4600), loss, random.Random(seed)
        self.doubles, self.delay, self.doubled, self.late = doubles, delay, 0, []
        self.loss_back = None
        self.port, self.lost, self.passed = port, 0, 0
        self.front = ns.socket()
        self.front.bind(('127.0.0.1', port))
        self.clients = {}

    def close(self):
        for s in (self.front, *self.clients.values()):
            s.close()

    def loses(self, back):
        lost = self.random.random() < (self.loss_back if back and self.loss_back is not None else self.loss)
        self.lost += lost
        self.passed += not lost
        return lost

    def run(self):
        while not self.ends:
            back = {s: client for client, s in self.clients.items()}
            for s in select.select([self.front, *back], [], [], 0.002 if self.late else 0.05)[0]:
                with contextlib.suppress(OSError):
                    self.pass_on(s, back.get(s))
            while self.late and self.late[0][0] <= time.monotonic():
                with contextlib.suppress(OSError):
                    s, data, address = heapq.heappop(self.late)[2:]
                    s.sendto(data, address)

    def pass_on(self, s, client):
        data, source = s.recvfrom(2048)
        if client is None and source not in self.clients:
            self.clients[source] = self.ns.socket()
        if self.loses(client is not None):
            return
        way = (self.clients[source], data, self.server) if client is None else (self.front, data, client)
        twice = self.doubles > 0 and self.random.random() < self.doubles
        self.doubled += twice
        for _ in range(1 + twice):
            if self.delay:
                when = time.monotonic() + self.random.random() * self.delay
                heapq.heappush(self.late, (when, self.random.random(), *way))
            else:
                way[0].sendto(data, way[2])
