# SPDX-License-Identifier: BSD-3-Clause
"""TRex, stateless: one continuous stream for each packet of a pcap file. See docs/pktgen.md.

    start -f trex.py -m 10mpps -p 0 -t --file=pcaps/short.pcap

Streams are few thousand at most, so take a short file. -m is the rate of all of them together.
"""

import argparse
import struct

from trex_stl_lib.api import STLPktBuilder, STLStream, STLTXCont

STREAMS_MAX = 4096


def frames(path):
    """The frames of a classic pcap file of this byte order."""
    with open(path, 'rb') as f:
        data = f.read()
    if data[:4] != struct.pack('=I', 0xa1b2c3d4):
        raise ValueError(f'{path}: no pcap file of this machine\'s byte order')
    at = 24
    while at + 16 <= len(data):
        length, = struct.unpack('=I', data[at + 8:at + 12])
        yield data[at + 16:at + 16 + length]
        at += 16 + length


class Orders:
    """The profile that TRex asks for streams."""

    def get_streams(self, direction=0, tunables=(), **_):
        parser = argparse.ArgumentParser(prog='trex.py')
        parser.add_argument('--file', required=True, help='pcap file, as tools/pktgen/pcaps makes it')
        path = parser.parse_args(list(tunables)).file
        list_of_frames = list(frames(path))
        if not 1 <= len(list_of_frames) <= STREAMS_MAX:
            raise ValueError(f'{path}: {len(list_of_frames)} packets; accepted: 1..{STREAMS_MAX}')
        return [STLStream(packet=STLPktBuilder(pkt_buffer=frame), mode=STLTXCont(pps=1)) for frame in list_of_frames]


def register():
    """TRex's entry."""
    return Orders()
