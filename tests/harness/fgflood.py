#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""An attack on a port, from any number of source addresses: order packets without a right tag,
SYNs, malformed packets.

    fgflood.py --interface IF --dst-mac MAC --src-mac MAC --server IP --sources N --rate PPS --seconds S [--base IP]
             [--only KIND...] [--count N]

Prints {"sent": N, "by_kind": {...}}. Only for interfaces inside namespaces of a test.
"""

import argparse
import ipaddress
import json
import os
import random
import socket
import struct
import time

ORDER_PORT = 4600
LOUD = 60  # packets of a loud source to one of another


def checksum(data):
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def ipv4(src, dst, proto, payload, total=None, first=0x45):
    head = struct.pack('!BBHHHBBH4s4s', first, 0, total or 20 + len(payload), 1, 0, 64, proto, 0, src, dst)
    return head[:10] + struct.pack('!H', checksum(head)) + head[12:] + payload


def udp(src, dst, port, payload):
    return ipv4(src, dst, 17, struct.pack('!HHHH', 20000, port, 8 + len(payload), 0) + payload)


def order(src, dst):
    """Shape of an order packet, key 1, a tag out of nowhere."""
    return udp(src, dst, ORDER_PORT, struct.pack('<HBBHH', 0x4746, 2, 1, 1, 1) + os.urandom(16) + struct.pack(
        '<QQQ', 1, 7, 0) + bytes(8) + os.urandom(8))


def syn(src, dst, port=80):
    head = struct.pack('!HHIIBBHHH', random.randrange(1024, 65536), port, random.getrandbits(32), 0, 0x50, 2, 64240, 0, 0)
    pseudo = src + dst + struct.pack('!BBH', 0, 6, len(head))
    return ipv4(src, dst, 6, head[:16] + struct.pack('!H', checksum(pseudo + head)) + head[18:])


def malformed(src, dst):
    good = order(src, dst)
    return random.choice([
        udp(src, dst, ORDER_PORT, bytes(64)),              # no magic
        udp(src, dst, ORDER_PORT, bytes(40)),              # short
        ipv4(src, dst, 17, good[20:], first=0x44),         # header too short
        ipv4(src, dst, 17, good[20:], total=1400),         # longer than the frame
    ])


def plain(src, dst):
    return udp(src, dst, 9999, b'who comes through?')


KINDS = {'order': order, 'syn': syn, 'malformed': malformed, 'plain': plain}


def frames_of(args):
    """[(kind, frame)]: some of every kind of every source, in random order; one in ten sources is
    loud."""
    ether = bytes.fromhex((args.dst_mac + args.src_mac).replace(':', '')) + b'\x08\x00'
    base, dst = int(ipaddress.ip_address(args.base)), ipaddress.ip_address(args.server).packed
    frames = []
    for number in range(args.sources):
        src = ipaddress.ip_address(base + number).packed
        for kind in args.only:
            for _ in range(LOUD if number % 10 == 0 else 1):
                frames.append((kind, ether + KINDS[kind](src, dst)))
    random.shuffle(frames)
    return frames


def main():
    parser = argparse.ArgumentParser()
    for name in ('interface', 'dst-mac', 'src-mac', 'server'):
        parser.add_argument('--' + name, required=True)
    parser.add_argument('--base', default='198.18.128.0')
    parser.add_argument('--only', nargs='+', choices=KINDS, default=['order', 'syn', 'malformed'])
    parser.add_argument('--sources', type=int, default=1000)
    parser.add_argument('--rate', type=int, default=5000)
    parser.add_argument('--seconds', type=float, default=5)
    parser.add_argument('--count', type=int, default=1 << 60, help='frames; the end comes with them, or with the time')
    args = parser.parse_args()
    random.seed(1)  # the same frames each time
    out = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    out.bind((args.interface, 0))
    frames, sent, by_kind = frames_of(args), 0, dict.fromkeys(args.only, 0)
    began = time.monotonic()
    while (passed := time.monotonic() - began) < args.seconds and sent < args.count:
        while sent < min(passed * args.rate, args.count):
            kind, frame = frames[sent % len(frames)]
            try:
                out.send(frame)
            except OSError:  # the queue is full: as good as lost
                pass
            sent += 1
            by_kind[kind] += 1
        time.sleep(0.002)
    print(json.dumps({'sent': sent, 'by_kind': by_kind}), flush=True)
    # Whoever waits, waits for this line: to close a packet socket the kernel waits for RCU, under
    # load for very long.


if __name__ == '__main__':
    main()
