# SPDX-License-Identifier: BSD-3-Clause
"""Harness: librdkafka's mock cluster as a process, and kcat as a consumer that shares no code with
the sink's.

The mock cluster speaks the real protocol. What it does not do, and brokers do: hide aborted
transactions from readers with read_committed, write markers, fence a producer whose
transactional.id was taken over, recognise a batch that a producer sends again. Where that matters,
the tests say how they make up for it.
"""

import json
import os
import shutil
import socket
import struct
import subprocess

from fgprocess import BUILD, Process, Skip, wait_until

# numbers of the protocol
PRODUCE, FETCH, METADATA, INIT_PRODUCER_ID, ADD_PARTITIONS, END_TXN = 0, 1, 3, 22, 24, 26
UNKNOWN_TOPIC, MESSAGE_TOO_LARGE, TOPIC_DENIED, INVALID_EPOCH, TXN_ID_DENIED, NOT_LEADER = 3, 10, 29, 47, 53, 6


def varint(n):
    """Of a number that is not negative, as in a record."""
    n, out = n << 1, b''
    while n > 127:
        out, n = out + bytes((n & 127 | 128,)), n >> 7
    return out + bytes((n,))


class Kafka:
    """A mock cluster on 127.0.0.1 of the namespace; its data is gone with its process."""

    def __init__(self, lab, ns=None, topics=None, brokers=1):
        path = os.path.join(BUILD, 'tests', 'fault', 'kafka_mock')
        if not os.access(path, os.X_OK):
            raise Skip('tests/fault/kafka_mock is not built')
        if not shutil.which('kcat'):
            raise Skip('kcat is not installed')
        self.lab, self.ns = lab, ns
        words = [f'{name}:{count}' for name, count in (topics or {}).items()]
        self.process = Process(lab, [path, '--brokers', brokers, *words], ns=ns, stdin=subprocess.PIPE, name='kafka_mock')
        self.output = open(self.process.log_path, encoding='utf-8')  # pylint: disable=consider-using-with
        self.brokers = self._line()

    def _line(self):
        parts = []

        def whole():
            parts.append(self.output.readline())
            if not self.process.running():
                raise RuntimeError(f'kafka_mock ended:\n{self.process.output()}')
            return parts[-1].endswith('\n')
        wait_until(whole, 30, 'an answer of kafka_mock', step=0.002)
        text = ''.join(parts).strip()
        return self._line() if text.startswith('%') else text  # a line of librdkafka's own log

    def do(self, line):
        self.process.popen.stdin.write(line.encode() + b'\n')
        self.process.popen.stdin.flush()
        answer = self._line()
        assert answer == 'ok', (line, answer)

    def read(self, topic):
        """All records that the topic holds, by an own process: partition, offset, key, and the
        decoded value."""
        argv = ['kcat', '-C', '-b', self.brokers, '-t', topic, '-J', '-e', '-q', '-o', 'beginning', '-X',
                'isolation.level=read_committed', '-X', 'check.crcs=true', '-X', 'fetch.wait.max.ms=10', '-m', '60']
        done = subprocess.run((self.ns.enter() if self.ns else []) + argv, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        records = [json.loads(line) for line in done.stdout.splitlines()]
        for r in records:
            r['value'] = json.loads(r['payload'])
        return sorted(records, key=lambda r: (r['partition'], r['offset']))

    def write(self, topic, value):
        """One record in partition 0, by a program that is not the sink."""
        argv = ['kcat', '-P', '-b', self.brokers, '-t', topic, '-p', '0', '-k', 'cursor']
        done = subprocess.run((self.ns.enter() if self.ns else []) + argv, input=json.dumps(value, separators=(',', ':')),
                              capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr

    def expire(self, topic, partition):
        """All records of the partition go, as by retention: the mock keeps 5 MB, and this is one marker of that size, which
        no reader is shown."""
        record = b'\0\0\0' + varint(4) + struct.pack('>hh', 0, 1) + varint(5 << 20) + bytes(5 << 20) + varint(0)
        batch = struct.pack('>ibIhiqqqhii', -1, 2, 0, 0x20, 0, 0, 0, -1, -1, -1, 1) + varint(len(record)) + record
        batch = struct.pack('>qi', 0, len(batch)) + batch
        name = topic.encode()
        request = struct.pack('>hhih', PRODUCE, 7, 1, -1) + struct.pack('>hhii', -1, 1, 5000, 1) + struct.pack('>h', len(name)) + name
        request += struct.pack('>iii', 1, partition, len(batch)) + batch
        host, port = self.brokers.split(',')[0].rsplit(':', 1)
        with socket.create_connection((host, int(port)), 10) as s:
            s.sendall(struct.pack('>i', len(request)) + request)
            answer = s.recv(1 << 16)
        code = struct.unpack_from('>h', answer, 4 + 4 + 4 + 2 + len(name) + 4 + 4)[0]
        assert code == 0, (code, answer)

    def cursor(self, topic, partition=0):
        """The last cursor, 0 when there is none. In a fleet each member has a partition."""
        records = [r for r in self.read(topic + '.cursor') if r['partition'] == partition]
        return records[-1]['value']['seq'] if records else 0
