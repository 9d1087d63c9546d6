# SPDX-License-Identifier: BSD-3-Clause
"""The client's end of a memif, in Python: shared memory by memfd, handshake over a SOCK_SEQPACKET
socket.

Protocol version 2.0 as FD.io describes it. It shares no code with DPDK's driver, and can come and
go a thousand times a second, which a DPDK process cannot.
"""

import array
import mmap
import os
import socket
import struct

ACK, HELLO, INIT, ADD_REGION, ADD_RING, CONNECT, CONNECTED, DISCONNECT = range(1, 9)
VERSION, COOKIE, MESSAGE = 0x0200, 0x3e31f20, 128
HEAD_AT, TAIL_AT, RING_HEADER, DESCRIPTOR = 6, 64, 128, 16
LOG2_RING, BUFFER = 8, 2048
RING = 1 << LOG2_RING
RING_BYTES = RING_HEADER + RING * DESCRIPTOR


def device(lab, role, **more):
    """The DPDK port of a memif in the Lab's folder; PATH of its socket is path_of(lab)."""
    words = {'role': role, 'id': 0, 'socket': path_of(lab), 'socket-abstract': 'no', **more}
    return 'net_memif0,' + ','.join(f'{k}={v}' for k, v in words.items())


def path_of(lab):
    return f'{lab.dir}/memif.sock'


class Memif:
    """Connected when made. queues: pairs of rings, each a way to send (client to server) and one to
    receive. file: the memory; a memfd with the flags unless it is given. change: of the body of a
    message of the handshake; None leaves it out."""

    def __init__(self, path, queues=1, number=0, flags=os.MFD_ALLOW_SEALING, patience=10,
                 change=lambda kind, body: body, file=None):
        self.queues, self.rings = queues, 2 * queues
        self.buffers_at = self.rings * RING_BYTES
        self.size = self.buffers_at + self.rings * RING * BUFFER
        self.file = os.memfd_create('memif', flags) if file is None else os.dup(file)
        self.change = change
        os.ftruncate(self.file, self.size)
        self.memory = mmap.mmap(self.file, self.size)
        self.shorts = memoryview(self.memory).cast('H')
        self.events = [os.eventfd(0, os.EFD_NONBLOCK) for _ in range(self.rings)]
        self.sent, self.freed, self.received = [0] * queues, [0] * queues, [0] * queues
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self.socket.settimeout(patience)
        for ring in range(self.rings):
            self._init_ring(ring)
        try:
            self._connect(path, number)
        except BaseException:
            self.close()
            raise
        for queue in range(queues):  # room for replies
            self._put(queues + queue, HEAD_AT, RING - 1)
        self.received = [0] * queues

    def _init_ring(self, ring):
        at = ring * RING_BYTES
        struct.pack_into('<IHH', self.memory, at, COOKIE, 1, 0)  # 1: no interrupts
        for slot in range(RING):
            struct.pack_into('<HHIII', self.memory, at + RING_HEADER + slot * DESCRIPTOR, 0, 0, BUFFER,
                             self._buffer(ring, slot), 0)

    def _buffer(self, ring, slot):
        return self.buffers_at + (ring * RING + slot) * BUFFER

    # By a view of shorts, which are read and written whole. struct works byte by byte, and packs
    # over zeros: a head that is 0 for a moment is a ring of 65,000 old frames to the other side.
    def _put(self, ring, at, value):
        self.shorts[(ring * RING_BYTES + at) // 2] = value & 0xffff

    def _get(self, ring, at):
        return self.shorts[(ring * RING_BYTES + at) // 2]

    def _say(self, kind, body, file=None, wanted=ACK):
        body = self.change(kind, body)
        if body is None:
            return
        rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [file]))] if file is not None else []
        self.socket.sendmsg([(struct.pack('<H', kind) + body).ljust(MESSAGE, b'\0')], rights)
        self._hear(wanted)

    def _hear(self, wanted):
        data = self.socket.recv(MESSAGE)
        kind = struct.unpack_from('<H', data)[0] if len(data) == MESSAGE else None
        if kind != wanted:
            raise ConnectionError(f'memif: message {kind}, not {wanted}: {data[6:].rstrip(bytes(1))!r}')

    def _connect(self, path, number):
        self.socket.connect(path)
        self._hear(HELLO)
        self._say(INIT, struct.pack('<HIB24s32s', VERSION, number, 0, b'', b'tests'))
        self._say(ADD_REGION, struct.pack('<HQ', 0, self.size), self.file)
        for ring in range(self.rings):
            to_server = ring < self.queues
            self._say(ADD_RING, struct.pack('<HHHIBH', 1 if to_server else 0, ring % self.queues, 0, ring * RING_BYTES,
                                            LOG2_RING, 0), self.events[ring])
        self._say(CONNECT, struct.pack('<32s', b'tests'), wanted=CONNECTED)

    def send(self, frame, queue=0):
        """False: the ring is full."""
        tail = self._get(queue, TAIL_AT)
        if (self.sent[queue] - tail) & 0xffff >= RING:
            return False
        slot = self.sent[queue] % RING
        at = self._buffer(queue, slot)
        self.memory[at:at + len(frame)] = frame
        struct.pack_into('<HHI', self.memory, queue * RING_BYTES + RING_HEADER + slot * DESCRIPTOR, 0, 0, len(frame))
        self.sent[queue] += 1
        self._put(queue, HEAD_AT, self.sent[queue])
        return True

    def receive(self, queue=0):
        """The next frame, or None."""
        ring = self.queues + queue
        if self._get(ring, TAIL_AT) == self.received[queue] & 0xffff:
            return None
        slot = self.received[queue] % RING
        length, = struct.unpack_from('<I', self.memory, ring * RING_BYTES + RING_HEADER + slot * DESCRIPTOR + 4)
        at = self._buffer(ring, slot)
        frame = bytes(self.memory[at:at + length])
        self.received[queue] += 1
        self._put(ring, HEAD_AT, self.received[queue] + RING - 1)
        return frame

    def close(self):
        """As a killed process would: the socket just ends."""
        self.socket.close()
        self.shorts.release()
        self.memory.close()
        for file in (self.file, *self.events):
            os.close(file)
