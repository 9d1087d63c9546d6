# SPDX-License-Identifier: BSD-3-Clause
"""Harness: servers that speak the protocols of Redis and PostgreSQL and say whatever a test wants. See fgtest.py."""

import os
import socket
import struct
import threading


def bulk(text):
    text = text if isinstance(text, bytes) else str(text).encode()
    return b'$%d\r\n%s\r\n' % (len(text), text)


def array(*replies):
    return b'*%d\r\n' % len(replies) + b''.join(replies)


def number(n):
    return b':%d\r\n' % n


NIL, NIL_ARRAY, OK = b'$-1\r\n', b'*-1\r\n', b'+OK\r\n'


def entry(id, *words):
    return array(bulk(id), array(*(w if isinstance(w, bytes) and w[:1] in b'$*:-+' and w[-2:] == b'\r\n' else bulk(w)
                                   for w in words)))


class _Fake:
    """Accepts on a unix socket in the Lab's folder, or on 127.0.0.1; each connection has a thread of its own."""

    def __init__(self, lab, path):
        self.connections, self._open = 0, []
        self._listener = socket.socket(socket.AF_UNIX if path else socket.AF_INET)
        self._listener.bind(path or ('127.0.0.1', 0))
        self._listener.listen(16)
        threading.Thread(target=self._accept, daemon=True).start()
        lab.servers.append(self)

    def _accept(self):
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.append(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection):
        stream = connection.makefile('rb')
        try:
            self.serve(connection, stream)
        except (OSError, ValueError, TypeError, struct.error):
            pass
        finally:
            stream.close()
            connection.close()

    def drop(self):
        """Ends every connection."""
        for connection in self._open:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
        self._open = []

    def close(self):
        self._listener.close()
        self.drop()


class FakeRedis(_Fake):
    """Answers as an empty Redis, except where `lies` says otherwise.

    lies: {command: bytes, or a function of (words) that gives bytes, or None for the honest answer}
    seen: {command: how often it was asked}
    """

    def __init__(self, lab, tcp=False):
        path = None if tcp else os.path.join(lab.dir, 'fake-redis')
        self.lies, self.seen = {}, {}
        super().__init__(lab, path)
        self.address = f'unix:{path}' if path else f'127.0.0.1:{self._listener.getsockname()[1]}'

    def serve(self, connection, stream):
        queued = None
        while True:
            line = stream.readline()
            if not line:
                return
            words = []
            for _ in range(int(line[1:])):
                words.append(stream.read(int(stream.readline()[1:]) + 2)[:-2])
            name = words[0].decode().upper()
            self.seen[name] = self.seen.get(name, 0) + 1
            lie = self.lies.get(name)
            lie = lie(words) if callable(lie) else lie
            if name == 'MULTI':
                queued, reply = 0, OK
            elif name == 'EXEC':
                reply, queued = array(*[number(1)] * (queued or 0)), None
            elif queued is not None:
                queued, reply, lie = queued + 1, b'+QUEUED\r\n', None
            else:
                reply = self.honest(name, words)
            connection.sendall(lie if lie is not None else reply)

    @staticmethod
    def honest(name, words):
        return {'HMGET': array(*[NIL] * (len(words) - 2)), 'SCAN': array(bulk(0), array()), 'PING': b'+PONG\r\n',
                'XINFO': array(bulk('length'), number(0), bulk('entries-added'), number(0), bulk('first-entry'), NIL)
                if words[1:2] == [b'STREAM'] else array(array(bulk('name'), bulk('floodgate'), bulk('last-delivered-id'),
                                                                  bulk('0-0'), bulk('entries-read'), number(0))),
                'XLEN': number(0), 'XAUTOCLAIM': array(bulk('0-0'), array()), 'XREADGROUP': NIL_ARRAY,
                'XREAD': NIL_ARRAY, 'SMEMBERS': array(), 'SUNION': array(), 'XRANGE': array(), 'XREVRANGE': array(),
                'HGETALL': array()}.get(name, OK)


def message(kind, body=b''):
    return kind + struct.pack('>I', len(body) + 4) + body


def row_description(columns):
    one = b''.join(b'c%d\0' % i + struct.pack('>IhIhih', 0, 0, 25, -1, -1, 0) for i in range(columns))
    return message(b'T', struct.pack('>h', columns) + one)


def data_row(cells):
    body = struct.pack('>h', len(cells))
    for cell in cells:
        text = None if cell is None else str(cell).encode()
        body += struct.pack('>i', -1) if text is None else struct.pack('>i', len(text)) + text
    return message(b'D', body)


class FakePostgres(_Fake):
    """Lets everybody in, and answers each statement by answer(sql): a list of rows (lists of cells), or None: done.

    copy: lines that each COPY TO STDOUT gives.
    """

    def __init__(self, lab):
        self.dir = os.path.join(lab.dir, 'fake-postgres')
        os.mkdir(self.dir)
        super().__init__(lab, os.path.join(self.dir, '.s.PGSQL.5432'))
        self.conninfo, self.statements = f'host={self.dir} dbname=x user=x', 0
        self.answer, self.copy = lambda sql: None, []

    def rows(self, sql):
        self.statements += 1
        rows = self.answer(sql)
        if rows is None:
            return b'', b'n'
        return b''.join(data_row(row) for row in rows), row_description(len(rows[0]) if rows else 0)

    def serve(self, connection, stream):
        size, = struct.unpack('>I', stream.read(4))
        stream.read(size - 4)
        ready, sql = message(b'Z', b'I'), ''
        values = (('server_version', '15.0'), ('client_encoding', 'UTF8'), ('standard_conforming_strings', 'on'),
                  ('in_hot_standby', 'off'), ('default_transaction_read_only', 'off'))
        status = b''.join(message(b'S', k.encode() + b'\0' + v.encode() + b'\0') for k, v in values)
        connection.sendall(message(b'R', struct.pack('>I', 0)) + status + ready)
        while True:
            kind = stream.read(1)
            if not kind or kind == b'X':
                return
            size, = struct.unpack('>I', stream.read(4))
            body = stream.read(size - 4)
            reply = b''
            if kind == b'Q':
                sql = body.rstrip(b'\0').decode()
                reply = self._simple(sql) + ready
            elif kind == b'P':
                sql = body.split(b'\0')[1].decode()
                reply = message(b'1')
            elif kind == b'B':
                reply = message(b'2')
            elif kind == b'D':
                self._rows, described = self.rows(sql)
                reply = message(b'n') if described == b'n' else described
            elif kind == b'E':
                reply = self._rows + message(b'C', b'SELECT 1\0')
            elif kind == b'S':
                reply = ready
            connection.sendall(reply)

    def _simple(self, sql):
        if sql.startswith('COPY'):
            lines = b''.join(message(b'd', line) for line in self.copy)
            return message(b'H', struct.pack('>bh', 0, 0)) + lines + message(b'c') + message(b'C', b'COPY 1\0')
        rows, described = self.rows(sql)
        return (b'' if described == b'n' else described) + rows + message(b'C', b'SELECT 1\0')
