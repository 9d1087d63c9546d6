# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a Redis server and a small client. See fgtest.py."""

import os
import shutil
import socket

from fgprocess import Process, Skip, wait_until


class RedisError(Exception):
    pass


class Redis:
    """A Redis server of its own: unix socket in the Lab's folder, and TCP when a port is given.

    persist: keeps its data over stop() and start(), by an append-only file that is synced on every
    write.
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
