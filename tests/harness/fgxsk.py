# SPDX-License-Identifier: BSD-3-Clause
"""An AF_XDP socket of somebody else on one queue of an interface: what a killed daemon leaves for a
moment.

As a program: fgxsk.py INTERFACE QUEUE SECONDS, in the namespace of the interface. Prints `bound`,
holds, ends.
"""

import ctypes
import mmap
import os
import socket
import struct
import sys
import time

AF_XDP, SOL_XDP = 44, 283
RX_RING, UMEM_REG, FILL_RING, COMPLETION_RING = 2, 4, 5, 6
BIND_COPY = 2
FRAME, FRAMES = 4096, 64


def hold(interface, queue):
    """The bound socket, and the memory that must live as long as it does."""
    xsk = socket.socket(AF_XDP, socket.SOCK_RAW, 0)
    memory = mmap.mmap(-1, FRAME * FRAMES)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    xsk.setsockopt(SOL_XDP, UMEM_REG, struct.pack('<QQIIII', address, FRAME * FRAMES, FRAME, 0, 0, 0))
    for ring in (FILL_RING, COMPLETION_RING, RX_RING):
        xsk.setsockopt(SOL_XDP, ring, struct.pack('<I', FRAMES))
    where = struct.pack('<HHIII', AF_XDP, BIND_COPY, socket.if_nametoindex(interface), queue, 0)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.bind(xsk.fileno(), where, len(where)):
        raise OSError(ctypes.get_errno(), f'bind to {interface}: {os.strerror(ctypes.get_errno())}')
    return xsk, memory


if __name__ == '__main__':
    HELD = hold(sys.argv[1], int(sys.argv[2]))
    print('bound', flush=True)
    time.sleep(float(sys.argv[3]))
