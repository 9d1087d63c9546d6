#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Peers of a memif that come and go under load: the daemon outlives all of them (docs/ports.md, memif)."""

import array
import glob
import os
import random
import socket
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
    except BlockingIOError:  # the one before still has its turn
        pass
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
    disk = os.open(lab.unique('disk'), os.O_RDWR | os.O_CREAT)  # has no seals
    for hostile in ({'flags': 0}, {'file': disk}, {'queues': 2}, claims(region, size=1 << 40), claims(region, size=0), claims(region, index=256),
                    claims(region, index=65535), claims(ring, region=1), claims(ring, offset=0xffffff80),
                    claims(ring, offset=1), claims(ring, log2=15), claims(ring, log2=255)):
        served(lab, gate).close()
        fgtest.wait_until(lambda h=hostile: refused(lab, gate, **h), 10, f'{hostile} is refused')
        assert gate.running(), (hostile, gate.output())
    assert 'a peer of the memif was sent away' in gate.output()
    os.close(disk)
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
            except OSError:
                pass
            assert gate.running(), (seed, gate.output())
        served(lab, gate).close()
    audited(lab, gate)


def files_of(gate):
    """How many are open of the kinds that a hostile peer sends, but for the memory of peers that never connected: DPDK's
    driver keeps that (docs/ports.md)."""
    links = []
    for path in glob.glob(f'/proc/{gate.process.pid}/fd/*'):
        try:
            links.append(os.readlink(path))
        except FileNotFoundError:
            pass  # it was closed meanwhile
    return len([link for link in links if 'eventfd' in link or link.startswith('pipe:') or link == '/dev/null'])


class Hostile:
    """A peer that says some right messages of a handshake, and then any: of any kind, length, number of files."""

    SIZE = 1 << 20

    def __init__(self, chance):
        self.chance = chance
        self.memory = os.memfd_create('hostile', os.MFD_ALLOW_SEALING)
        os.ftruncate(self.memory, self.SIZE)
        self.files = (self.memory, os.eventfd(0), os.memfd_create('small'), *os.pipe(), os.open('/dev/null', os.O_RDWR))

    def bodies(self, kind):
        """A right body of the kind, or one of several."""
        ring = lambda flags, index: struct.pack('<HHHIBH', flags, index, 0, fgmemif.RING_BYTES * (2 * index + flags), 8, 0)  # noqa: E731
        return {fgmemif.INIT: [struct.pack('<HIB24s32s', fgmemif.VERSION, 0, 0, b'', b'hostile')],
                fgmemif.ADD_REGION: [struct.pack('<HQ', index, self.SIZE) for index in (0, 1, 2, 255)],
                fgmemif.ADD_RING: [ring(1, 0), ring(0, 0), ring(1, 1), ring(0, 1), ring(1, 9)],
                fgmemif.CONNECT: [struct.pack('<32s', b'hostile')],
                fgmemif.DISCONNECT: [struct.pack('<I96s', 7, b'x' * 96)]}.get(kind, [b''])

    def prefix(self):
        """The first messages of a right handshake."""
        kinds = (fgmemif.INIT, fgmemif.ADD_REGION, fgmemif.ADD_RING, fgmemif.ADD_RING)
        for number, kind in enumerate(kinds[:self.chance.randint(0, len(kinds))]):
            yield kind, self.bodies(kind)[number == 3], {1: [self.memory], 2: [self.files[1]], 3: [self.files[1]]}.get(number, [])

    def any(self):
        chance = self.chance
        kind = chance.choice((*range(1, 9), *range(1, 9), 0, 9, 255, 256, 65535))
        body = bytearray(chance.choice(self.bodies(kind)).ljust(fgmemif.MESSAGE - 2, b'\0'))
        for _ in range(chance.choice((0, 0, 0, 1, 2, 8))):
            body[chance.randrange(24 if chance.random() < 0.8 else len(body))] = chance.choice((0, 1, 0x7f, 0x80, 0xff, chance.randrange(256)))
        return kind, bytes(body), [chance.choice(self.files) for _ in range(chance.choice((0, 0, 1, 1, 1, 2, 4, 9)))]

    def say(self, channel, kind, body, files, size=fgmemif.MESSAGE):
        data = (struct.pack('<H', kind) + body).ljust(size, b'\0')[:size]
        channel.sendmsg([data], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', files))] if files else [])

    def talk(self, channel):
        """Until it has said enough, or was sent away."""
        channel.settimeout(0.02)
        for _ in range(self.chance.randint(1, 10)):
            size = self.chance.choice((*(fgmemif.MESSAGE,) * 12, 0, 1, 2, fgmemif.MESSAGE - 1, fgmemif.MESSAGE + 1, 4096))
            self.say(channel, *self.any(), size)
            try:
                if self.chance.random() < 0.5 and not channel.recv(fgmemif.MESSAGE):
                    return
            except TimeoutError:
                pass

    def attack(self, path):
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as channel:
                channel.settimeout(1)
                channel.connect(path)
                for message in self.prefix():
                    self.say(channel, *message)
                self.talk(channel)
        except OSError:
            pass

    def attack_connected(self, peer):
        """As a peer that was let in."""
        try:
            self.talk(peer.socket)
        except OSError:
            pass
        peer.close()

    def close(self):
        for file in self.files:
            os.close(file)


@fgtest.timeout(120)
def test_messages(lab):
    """300 peers that say anything, with any files: the daemon lives, keeps no files, serves the next, and sells at another port"""
    seed = int(os.environ.get('FG_SEED', 1))
    other = f'{lab.dir}/other.sock'
    gate = lab.daemon(ports={'shop': {'device': fgmemif.device(lab, 'server', mac=MAC_SERVER, socket=other), 'address': SERVER},
                             'open': {'device': fgmemif.device(lab, 'server').replace('net_memif0', 'net_memif1'),
                                      'address': '198.18.0.99'}}, settings={
        **SMALL, 'eal.mbufs': 8192, 'filter.enabled': 'no', 'limits.user_rate': 0}).start()
    add_item(gate, 50)
    shopper, hostile = Memif(other), Hostile(random.Random(seed))
    peer = connect(lab, gate)
    files = files_of(gate)
    peer.close()
    for user in range(1, 31):
        for _ in range(9):
            hostile.attack(fgmemif.path_of(lab))
        hostile.attack_connected(connect(lab, gate))
        order = frame(fgclient.request(1, gate.keys.secrets[1], 'RESERVE', os.urandom(16), user=user, item=ITEM, quantity=1))
        assert gate.running() and shopper.send(order), gate.output()
        reply = fgtest.wait_until(shopper.receive, 10, 'an answer at the other port')
        assert fgclient.parse_reply(check_turned(reply), 1, gate.keys.secrets[1]).status == 'RESERVED'
    hostile.close()
    peer = connect(lab, gate)
    fgtest.wait_until(lambda: files_of(gate) <= files, 10, f'{files_of(gate)} open files become {files} again')
    peer.close()
    shopper.close()
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
