# SPDX-License-Identifier: BSD-3-Clause
"""Harness: frames of order packets between one shopper and one server, for ports without a kernel,
and pcap files."""

import socket
import struct

import fgclient

MAC_SERVER, MAC_CLIENT = '02:00:00:00:00:01', '02:00:00:00:00:02'
SERVER, SHOPPER = '198.18.0.1', '198.18.0.2'
SERVER6, SHOPPER6 = '2001:db8::1', '2001:db8::2'
SOURCE_PORT = 40000


def frame(payload, v6=False, sport=SOURCE_PORT):
    """An order packet from the shopper to the server."""
    macs = bytes.fromhex((MAC_SERVER + MAC_CLIENT).replace(':', ''))
    return macs + ip_udp(SHOPPER6 if v6 else SHOPPER, SERVER6 if v6 else SERVER, sport, fgclient.PORT, payload)


def ip_udp(source, destination, sport, dport, payload):
    """Behind the MAC addresses: type, IP header, UDP."""
    length = 8 + len(payload)
    if ':' in destination:
        ends = b''.join(socket.inet_pton(socket.AF_INET6, a) for a in (source, destination))
        udp = struct.pack('!HHHH', sport, dport, length, 0) + payload
        total = _sum16(ends + struct.pack('!IHBB', length, 0, 0, 17) + udp + b'\0' * (length % 2))
        udp = udp[:6] + struct.pack('!H', ~total & 0xffff or 0xffff) + udp[8:]
        return b'\x86\xdd' + struct.pack('!IHBB', 6 << 28, length, 17, 64) + ends + udp
    udp = struct.pack('!HHHH', sport, dport, length, 0) + payload
    ip = struct.pack('!BBHHHBBH4s4s', 0x45, 0, 20 + length, 0, 0x4000, 64, 17, 0, socket.inet_aton(source),
                     socket.inet_aton(destination))
    return b'\x08\x00' + ip[:10] + struct.pack('!H', ~_sum16(ip) & 0xffff) + ip[12:] + udp


def _sum16(data):
    """The one's complement sum of 16-bit words."""
    total = sum(struct.unpack(f'!{len(data) // 2}H', data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return total


def check_turned(data, v6=False, port=fgclient.PORT):
    """The frame goes from the server's port to the shopper, its checksums are right; its payload.
    """
    assert data[:12] == bytes.fromhex((MAC_CLIENT + MAC_SERVER).replace(':', ''))
    ip, udp = data[14:14 + (40 if v6 else 20)], data[14 + (40 if v6 else 20):]
    assert struct.unpack('!HHH', udp[:6]) == (port, SOURCE_PORT, 72)
    if v6:
        assert udp[6:8] != b'\0\0'
        total = _sum16(ip[8:40] + struct.pack('!IHBB', len(udp), 0, 0, 17) + udp)
    else:
        assert (ip[12:16], ip[16:20]) == (socket.inet_aton(SERVER), socket.inet_aton(SHOPPER))
        total = _sum16(ip)
    assert total == 0xffff, 'a wrong checksum'
    return udp[8:]


def write_pcap(path, frames):
    with open(path, 'wb') as f:
        f.write(struct.pack('<IHHIIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for number, data in enumerate(frames):
            f.write(struct.pack('<IIII', 0, number, len(data), len(data)) + data)


def read_pcap(path):
    with open(path, 'rb') as f:
        data = f.read()
    at, frames = 24, []
    while at + 16 <= len(data):
        length, = struct.unpack('<I', data[at + 8:at + 12])
        frames.append(data[at + 16:at + 16 + length])
        at += 16 + length
    return frames
