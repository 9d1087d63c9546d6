#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Peers of a memif that come and go under load: the daemon outlives all of them (docs/ports.md, memif)."""

import os
import random
import struct
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgmemif  # noqa: E402
import fgtest  # noqa: E402
from fgmemif import RING, Memif  # noqa: E402
from fgframe import MAC_SERVER, SERVER, SHOPPER, check_turned, frame  # noqa: E402
from fgshop import ITEM, SMALL, UNITS, add_item, audited, workers  # noqa: E402


def start(lab, role='server', **settings):
    return lab.daemon(ports={'shop': {'device': fgmemif.device(lab, role, mac=MAC_SERVER), 'address': SERVER}}, settings={
        **SMALL, 'eal.mbufs': 4096, 'filter.enabled': 'no', **settings}).start()


def connect(lab, gate, **options):
    """A peer; the one before may not be gone yet for the appliance."""
    def connected():
        try:
            return Memif(fgmemif.path_of(lab), **options)
        except OSError:
            assert gate.running(), gate.output()
            return None
    return fgtest.wait_until(connected, 10, 'a connection to the memif', 0.01)


def flood(peer, request, seconds):
    """Sends as much as there is room for; the replies."""
    replies, end = [], time.monotonic() + seconds
    while time.monotonic() < end or (not replies and time.monotonic() < end + 10):
        while peer.send(request):
            pass
        while (reply := peer.receive()):
            replies.append(reply)
    while peer.send(request):
        pass
    return replies


@fgtest.timeout(120)
def test_comes_and_goes(lab):
    """300 peers one after the other, each gone in the middle of a flood that is being answered"""
    gate = start(lab, **{'workers.idle': 'spin'})
    add_item(gate, 50)
    request = frame(fgclient.request(1, gate.keys.secrets[1], 'STOCK', item=ITEM))
    rounds, begin = 0, time.monotonic()
    while rounds < 300 and (rounds < 30 or time.monotonic() < begin + 45):
        peer = connect(lab, gate)
        replies = flood(peer, request, 0.003 * (rounds % 3))
        peer.close()
        reply = fgclient.parse_reply(check_turned(replies[-1]), 1, gate.keys.secrets[1])
        assert reply.status == 'ON_SALE' and gate.running(), (rounds, gate.output())
        rounds += 1
    print(f'# {rounds} peers came and went')
    fgtest.wait_until(lambda: gate.get('/v1/stats')['ports'][0]['link_lost'] > 0, 5, 'some of it is seen')
    audited(lab, gate)


def served(lab, gate):
    """The next peer buys as if nothing had been."""
    peer = connect(lab, gate)
    request = frame(fgclient.request(1, gate.keys.secrets[1], 'STOCK', item=ITEM))
    reply = fgclient.parse_reply(check_turned(flood(peer, request, 0)[-1]), 1, gate.keys.secrets[1])
    assert reply.status == 'ON_SALE'
    return peer


def refused(lab, gate, **options):
    try:
        Memif(fgmemif.path_of(lab), **options).close()
    except (ConnectionError, TimeoutError):
        return True
    return False


@fgtest.timeout(120)
def test_unsafe_memory(lab):
    """memory that can shrink, is smaller than it says, or does not hold its rings is refused; sealed memory cannot shrink"""
    def claims(kind, **fields):
        """A handshake with other numbers in one kind of message."""
        def change(k, body):
            if k != kind:
                return body
            if kind == fgmemif.ADD_REGION:
                return struct.pack('<HQ', fields.get('index', 0), fields.get('size', struct.unpack('<HQ', body)[1]))
            flags, index, region, offset, log2, private = struct.unpack('<HHHIBH', body)
            return struct.pack('<HHHIBH', flags, index, fields.get('region', region), fields.get('offset', offset),
                               fields.get('log2', log2), private)
        return {'change': change}
    gate = start(lab)
    add_item(gate, 50)
    peer = served(lab, gate)
    try:
        os.ftruncate(peer.file, 4096)
        raise AssertionError('the memory of a peer could shrink')
    except PermissionError:
        pass
    peer.close()
    region, ring = fgmemif.ADD_REGION, fgmemif.ADD_RING
    for hostile in ({'flags': 0}, claims(region, size=1 << 40), claims(region, size=0), claims(region, index=256),
                    claims(region, index=65535), claims(ring, region=1), claims(ring, offset=0xffffff80),
                    claims(ring, offset=1), claims(ring, log2=15), claims(ring, log2=255)):
        served(lab, gate).close()
        fgtest.wait_until(lambda h=hostile: refused(lab, gate, **h), 10, f'{hostile} is refused')
        assert gate.running(), (hostile, gate.output())
    assert 'a peer of the memif was sent away' in gate.output()
    served(lab, gate).close()
    audited(lab, gate)


@fgtest.timeout(180)
def test_control_channel(lab):
    """400 handshakes with damaged and missing messages, of three seeds: the daemon serves the next peer each time"""
    gate = start(lab)
    add_item(gate, 50)
    for seed in 1, 2, 3:
        chance = random.Random(seed)

        def damage(_kind, body):
            body = bytearray(body)
            if chance.random() < 0.1:
                return None
            if chance.random() < 0.4:
                for _ in range(chance.randint(1, 4)):
                    body[chance.randrange(len(body))] = chance.choice((0, 1, 0x7f, 0x80, 0xff, chance.randrange(256)))
            return bytes(body)
        for _ in range(133):
            try:
                Memif(fgmemif.path_of(lab), change=damage, patience=0.3).close()
            except (ConnectionError, TimeoutError):
                pass
            assert gate.running(), (seed, gate.output())
        served(lab, gate).close()
    audited(lab, gate)


@fgtest.timeout(120)
def test_generator_is_killed(lab):
    """fgblast, a DPDK process, is killed again and again in full flood; the next one is served"""
    gate = start(lab, **{'workers.count': 2})
    add_item(gate, 1000)
    options = {'device': fgmemif.device(lab, 'client'), 'no_huge': True, 'server': SERVER, 'source_base': SHOPPER, 'items': ITEM}
    begin = time.monotonic()
    for number in range(8):
        if number >= 3 and time.monotonic() > begin + 30:
            break
        before = workers(gate, 'tx')[0]
        found = lab.blast(None, gate.keys, audit=None, flat=1000, shoppers=1000, window=512, seconds=60,
                          user_base=1 + 1000 * number, **options).start()
        fgtest.wait_until(lambda: workers(gate, 'tx')[0] > before + 5000, 30, 'orders are answered')  # noqa: B023
        found.process.kill()
        assert gate.running(), gate.output()
    summary = lab.blast(None, gate.keys, orders=100, shoppers=100, user_base=1000000, confirm=0, **options).run()
    assert summary['finished'] and summary['contradictions'] == 0 and summary['unanswered'] == 0, summary
    audited(lab, gate)


@fgtest.timeout(120)
def test_appliance_is_client(lab):
    """the appliance is the client: it waits for a server, and finds the next one when one was killed"""
    gate = start(lab, 'client')
    add_item(gate, 1000)
    for number in range(4):
        before = workers(gate, 'tx')[0]
        found = lab.blast(None, gate.keys, audit=None, flat=1000, shoppers=1000, window=512, seconds=60,
                          user_base=1 + 1000 * number, device=fgmemif.device(lab, 'server'), no_huge=True, server=SERVER,
                          source_base=SHOPPER, items=ITEM).start()
        fgtest.wait_until(lambda: workers(gate, 'tx')[0] > before + 5000, 30, 'orders are answered')  # noqa: B023
        found.process.kill()
        try:
            os.unlink(fgmemif.path_of(lab))  # DPDK does not start over one that a killed process left
        except FileNotFoundError:
            pass
        assert gate.running(), gate.output()
    audited(lab, gate)


def test_peer_pauses(lab):
    """a peer that does not read for a moment loses no answer; one that never reads does not stop the worker"""
    gate = start(lab)
    add_item(gate, 50)
    peer = connect(lab, gate)
    request = frame(fgclient.request(1, gate.keys.secrets[1], 'STOCK', item=ITEM))
    sent = received = 0
    begin = time.monotonic()
    while sent <= 2 * RING - 10:  # more than its ring for answers has slots
        sent += peer.send(request)
        if time.monotonic() > begin + 0.08:
            raise fgtest.Timeout(f'only {sent} requests were taken within 80 ms')
    end = time.monotonic() + 10
    while received < sent and time.monotonic() < end:
        received += peer.receive() is not None
    assert received == sent, (sent, received, workers(gate, 'tx_dropped'))
    assert workers(gate, 'tx_dropped') == [0], gate.get('/v1/stats')
    while workers(gate, 'tx_dropped') == [0]:
        assert time.monotonic() < end + 20, 'what cannot be sent is dropped'
        peer.send(request)
    assert flood(peer, request, 0.01), 'it is answered when it reads again'
    peer.close()
    audited(lab, gate)


def test_killed_appliance(lab):
    """a killed appliance leaves its sockets, and starts over them; two ports on one socket are refused"""
    gate = start(lab)
    gate.kill()
    assert os.path.exists(fgmemif.path_of(lab))
    gate.start()
    add_item(gate, UNITS)
    request = frame(fgclient.request(1, gate.keys.secrets[1], 'STOCK', item=ITEM))
    assert flood(connect(lab, gate), request, 0)
    assert gate.stop() == 0
    assert not os.path.exists(fgmemif.path_of(lab)) and not os.path.exists(f'{fgmemif.path_of(lab)}-port')
    gate.ports = {'shop': {'device': fgmemif.device(lab, 'server')},
                  'spare': {'device': fgmemif.device(lab, 'server', id=1).replace('net_memif0', 'net_memif1')}}
    gate.write_config()
    gate.start(ready=False)
    assert gate.process.wait(20) == 1 and 'is that of port shop' in gate.output(), gate.output()


if __name__ == '__main__':
    fgtest.main()
