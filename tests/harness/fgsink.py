# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a log that grows on command, sinks that follow it, and what a case of fgsinkcases.py may
do to their server.

A `Log` is the process sink_driver: it makes random legal decisions, and runs up to two sinks of any
kind over them. A `Server` is one real server behind a sink; each kind (fgsinkredis.py,
fgsinkpostgres.py, fgsinkkafka.py) says how it is killed, frozen, emptied and compared.
"""

import json
import os
import random
import socket
import subprocess
import threading
import time

import fgtest
from fgtest import wait_until

STATES = {'reserved', 'sold', 'cancelled', 'expired', 'refunded'}


class Log:
    """A log that grows on command, and the sinks that follow it, by their slots 0 and 1.

    member: (number, members) of a fleet; the sinks of all members write into the same places.
    """

    def __init__(self, lab, seed=None, member=None):
        self.lab, self.member = lab, member
        self.log_dir = lab.unique('log')
        self.seed = random.randrange(1 << 32) if seed is None else seed
        print(f'# seed {self.seed}')
        self.lock = threading.Lock()
        self._run(self.seed)
        self.do('items 5 2000')

    def _run(self, seed):
        path = os.path.join(fgtest.BUILD, 'tests', 'fault', 'sink_driver')
        if not os.access(path, os.X_OK):
            raise fgtest.Skip('tests/fault/sink_driver is not built')
        self.process = fgtest.Process(self.lab, [path, self.log_dir, seed], stdin=subprocess.PIPE)
        self.output = open(self.process.log_path, encoding='utf-8')  # pylint: disable=consider-using-with
        self._answer()
        if self.member:
            self.do(f'fleet {self.member[0]} {self.member[1]}')

    def again(self):
        """kill -9, and another process that resumes the same log, without sinks."""
        self.process.kill()
        self._run(random.randrange(1 << 32))

    def _answer(self):
        line, end = '', time.monotonic() + 30
        while not line.endswith('\n'):
            line += self.output.readline()
            if not line.endswith('\n'):
                if not self.process.running() or time.monotonic() > end:
                    raise RuntimeError(f'sink_driver: {line or "no answer"}')
                fgtest.pause(0.0005, 'between two polls')
        return json.loads(line)

    def do(self, line):
        with self.lock:
            self.process.popen.stdin.write(line.encode() + b'\n')
            self.process.popen.stdin.flush()
            return self._answer()

    def load(self, commits=20, records=50):
        """The log grows; its last sequence number."""
        return self.do(f'load {commits} {records}')['seq']

    def status(self, slot=0):
        return self.do(f'status {slot}')

    def stop(self, slot=0, drain=5000):
        """Stops a sink; the milliseconds that this took."""
        return self.do(f'stop {slot} {drain}')['ms']

    def caught_up(self, slot=0, seconds=20):
        def done():
            s = self.status(slot)
            return s if s['lag'] == 0 and s['state'] == 'live' else None
        before = self.status(slot)
        try:
            return wait_until(done, seconds, 'the sink catches up')
        except fgtest.Timeout:
            raise fgtest.Timeout(f'not caught up within {seconds} s: {self.status(slot)}, before {before}') from None

    def in_state(self, state, slot=0, seconds=15, text=''):
        def there():
            s = self.status(slot)
            return s if s['state'] == state and text in s['error'] else None
        try:
            return wait_until(there, seconds, state)
        except fgtest.Timeout:
            raise fgtest.Timeout(f'not {state} ({text}) within {seconds} s: {self.status(slot)}') from None

    def ledger(self):
        path = self.lab.unique('ledger.json')
        self.do(f'ledger {path}')
        with open(path, encoding='utf-8') as f:
            return json.load(f)

    def segments(self):
        return sorted(name for name in os.listdir(self.log_dir) if name.endswith('.fgj'))

    def retire(self, records):
        """Grows, makes a snapshot, and so loses its beginning; the first record that it still
        holds."""
        while self.load(60, 200) < records:
            pass
        self.do('snapshot')
        first = int(self.segments()[0].split('.')[0])
        assert first > 1, self.segments()
        return first


def sums(ledgers, item, fields):
    """Of an item over all ledgers."""
    found = [i for ledger in ledgers for i in ledger['items'] if i['item'] == int(item)]
    return {field: sum(i[field] for i in found) for field in fields}


class Server:
    """A server behind a sink. `space` is where a sink writes in it: a prefix of keys, a schema, a
    topic."""

    NAME = ''            # for reports
    SINK = ''            # of the configuration, and of the auditor's findings
    SPACE = ''           # where a sink writes unless a case says otherwise
    OPTIONS = {}         # of the server in the case of the normal flow
    TIMEOUT_MS = 300     # of one answer: more is a server that hangs
    STOP_MS_MAX = 2000   # a stop that may not drain
    KILL_RECONNECTS = 1  # seen at least, after several kills
    SLOW = {}            # load, timeout and reconnects of the case with small batches
    CUTS = {}            # least, most, count: bytes of answers let through, and connections cut
    FILL_RECORDS = 25000  # a log of this length retires its first segment
    REMEDY = ()          # words of the refusal that say how it is resolved
    LOST_CURSOR = ''     # words of the refusal of contents without a cursor

    def __init__(self, lab):
        self.lab = lab

    def start(self):
        """The server, again with what it has kept."""
        raise NotImplementedError

    def stop(self):
        """As an operator would."""
        raise NotImplementedError

    def kill(self):
        """kill -9"""
        raise NotImplementedError

    def freeze(self):
        """SIGSTOP: connections are taken (by the kernel), nothing is answered."""
        raise NotImplementedError

    def thaw(self):
        raise NotImplementedError

    def follow(self, log, slot=0, space=None, **options):
        """Starts a sink of the log. options: batch, timeout, retry, and those of the kind."""
        raise NotImplementedError

    def compare(self, log, space=None):
        """Everything in the space is what the ledger says, no more and no less; the ledger."""
        raise NotImplementedError

    def audit(self, log, space=None, **options):
        """(exit code, text) of the auditor."""
        raise NotImplementedError

    def wipe(self):
        """Everything goes, while the server and its connections live."""
        raise NotImplementedError

    def start_empty(self):
        """A killed server, with a new disk."""
        raise NotImplementedError

    def remade(self, log):
        """What an operator does after wipe() or start_empty(), when the sink has said what is
        missing."""

    def check_writers_met(self):
        """Where the server can tell: two writers did come across each other, and nothing else went
        wrong."""

    # ---- of servers with TLS (fgtls.py)

    def right(self):
        """For each way to be let in: (commits, records) of a load, and options of follow()."""
        raise NotImplementedError

    def wrong(self):
        """[(options of follow(), words of the error)]"""
        raise NotImplementedError

    def check_encrypted(self):
        """Where the server can tell: the sink's connection is encrypted. Else wrong() shows that no
        other is taken."""

    def check_untouched(self):
        """None of the servers that wrong() leads to holds anything."""
        raise NotImplementedError

    def no_answer(self, timeout):
        """Words of the error after that many milliseconds without an answer."""
        return f'no answer within {timeout} ms'


class Reader:
    """Reads a server's contents again and again in a thread, and checks each reading."""

    def __init__(self):
        self.error, self.quit = None, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def look(self):
        raise NotImplementedError

    def has_read(self):
        raise NotImplementedError

    def _run(self):
        try:
            while not self.quit:
                self.look()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self):
        self.quit = True
        self.thread.join(20)
        assert not self.error, repr(self.error)


class Proxy:
    """Between sink and server; cuts connections after a chosen number of bytes of replies."""

    def __init__(self, lab, target, path=None):
        self.path, self.target = path or lab.unique('proxy'), target
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.cut_after = None  # function that gives the bytes of replies to let through; None = all
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
        left = self.cut_after() if self.cut_after else None
        while data := self._receive(server):
            if left is not None:
                data, left = data[:left], left - len(data)
            try:
                client.sendall(data)
            except OSError:
                break
            if left is not None and left <= 0:
                self.cuts += 1
                break
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)  # close() alone would wait for the other thread
            except OSError:
                pass
            end.close()

    @staticmethod
    def _receive(s):
        try:
            return s.recv(65536)
        except OSError:
            return b''

    def _requests(self, client, server):
        while data := self._receive(client):
            try:
                server.sendall(data)
            except OSError:
                return
        try:
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass
