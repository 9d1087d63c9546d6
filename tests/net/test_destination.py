#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The destination of an order: what is sent to another MAC or IP address is none of ours, and is counted."""

import secrets
import socket
import struct
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgmemif  # noqa: E402
import fgtest  # noqa: E402
from fgframe import SERVER, ip_udp  # noqa: E402
from fgshop import ITEM, SMALL, NsClient, add_item, audited, workers  # noqa: E402

ORDER_PORT = 4600
OTHER_MAC = '02:00:00:00:00:99'
BROADCAST = 'ff:ff:ff:ff:ff:ff'


class Wire:
    """Raw frames of a shopper, and the replies to them."""

    def __init__(self, link, keys):
        self.link, self.shop = link, NsClient(link.b, link.a_ip, keys)
        with link.b.inside():
            self.raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
        self.raw.bind((link.b_if, 0))

    def frame(self, mac, address, payload=None):
        payload = payload or self.shop.packet('RESERVE', secrets.token_bytes(16), user=secrets.randbits(32), item=ITEM,
                                              quantity=1, cookie=1)
        source = self.link.b_ip6 if ':' in address else self.link.b_ip
        macs = bytes.fromhex((mac + self.link.b_mac).replace(':', ''))
        return macs + ip_udp(source, address, 40000, ORDER_PORT, payload)

    def status(self, mac, address, seconds=0.4):
        """Of the reply to an order that is sent there; None: no reply."""
        self.raw.send(self.frame(mac, address))
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self.raw.settimeout(left)
            try:
                data, (*_, kind, _, _) = self.raw.recvfrom(2048)
            except TimeoutError:
                break
            reply = fgclient.parse_reply(data[-fgclient.SIZE:], self.shop.key_id, self.shop.secret)
            if reply and kind != socket.PACKET_OUTGOING:
                return reply.status
        return None


def theirs(mac, us4, us6):
    """(MAC, IP) pairs that are not the appliance's."""
    network4, network6 = us4.rsplit('.', 1)[0], us6.rsplit(':', 1)[0]
    return [(OTHER_MAC, us4), (OTHER_MAC, us6), (BROADCAST, us4), (OTHER_MAC, f'{network4}.77'),
            *((mac, address) for address in (f'{network4}.77', f'{network4}.255', '255.255.255.255', '127.0.0.1', '0.0.0.0',
                                             '224.0.0.1', f'{network6}:77', '::1', '::', 'ff02::1'))]


def refuses(gate, wire, count):
    """No order to another destination is answered or holds units; count() moves for each."""
    link, before = wire.link, count()
    pairs = theirs(link.a_mac, link.a_ip, link.a_ip6)
    for mac, address in pairs:
        assert wire.status(mac, address, 0.2) is None, (mac, address)
    fgtest.wait_until(lambda: count() - before == len(pairs), 5, f'{len(pairs)} are counted, not {count() - before}')
    assert gate.get(f'/v1/items/{ITEM}')['reserved'] == 0
    assert wire.status(link.a_mac, link.a_ip, 5) == 'RESERVED'
    assert wire.status(link.a_mac, link.a_ip6, 5) == 'RESERVED'
    assert count() - before == len(pairs), 'an order to us is no foreign one'


def foreign(gate):
    return gate.get('/v1/stats')['filter']['foreign']


def test_af_xdp(lab):
    """AF_XDP: orders to another MAC or IP address, IPv4 and IPv6, are the kernel's"""
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if, settings=SMALL).start()
    add_item(gate, 100)
    refuses(gate, Wire(link, gate.keys), lambda: foreign(gate))
    audited(lab, gate)


def test_device(lab):
    """a device port with `address`: the same, ignored by the worker; malformed ones are no offence"""
    link = lab.pair()
    link.a.ip('addr', 'flush', 'dev', link.a_if)
    gate = lab.daemon(link.a, ports={'shop': {'device': f'net_af_packet0,iface={link.a_if}',
                                              'address': f'{link.a_ip}, {link.a_ip6}'}},
                      settings={**SMALL, 'filter.enabled': 'no'}).start()
    add_item(gate, 100)
    wire = Wire(link, gate.keys)
    refuses(gate, wire, lambda: workers(gate, 'foreign')[0])
    before = sum(gate.get('/v1/stats')['drops'].values()), workers(gate, 'foreign')[0]
    wire.raw.send(wire.frame(OTHER_MAC, link.a_ip, b'x' * 20))
    fgtest.wait_until(lambda: workers(gate, 'foreign')[0] == before[1] + 1, 5, 'it is counted as foreign')
    assert sum(gate.get('/v1/stats')['drops'].values()) == before[0]
    audited(lab, gate)


def test_addresses_that_change(lab):
    """addresses come and go while the daemon runs; those of a bridge and a configured one on lo are ours"""
    link = lab.pair()
    gate = lab.daemon(link.a, ports={'shop': {'interface': link.a_if, 'address': '198.18.9.9'}}, settings=SMALL).start()
    add_item(gate, 1000)
    wire = Wire(link, gate.keys)

    def becomes(address, wanted, mac=link.a_mac):
        fgtest.wait_until(lambda: wire.status(mac, address) == wanted, 10, f'{address}: {wanted}')

    assert wire.status(link.a_mac, '198.18.9.9', 5) == 'RESERVED'
    for address in ('198.18.0.55', '2001:db8::55'):
        assert wire.status(link.a_mac, address) is None
        link.a.ip('addr', 'add', f'{address}/{128 if ":" in address else 32}', 'dev', link.a_if, *['nodad'] * (':' in address))
        becomes(address, 'RESERVED')
        link.a.ip('addr', 'del', f'{address}/{128 if ":" in address else 32}', 'dev', link.a_if)
        becomes(address, None)
    link.a.ip('addr', 'add', '198.18.8.8/32', 'dev', 'lo')
    link.a.ip('addr', 'add', '198.18.0.56/32', 'dev', link.a_if)
    becomes('198.18.0.56', 'RESERVED')
    assert wire.status(link.a_mac, '198.18.8.8') is None, 'an address of another interface is not ours'
    link.a.ip('link', 'add', 'fgbr', 'type', 'bridge')
    link.a.ip('addr', 'add', '198.18.7.7/32', 'dev', 'fgbr')
    link.a.ip('link', 'set', link.a_if, 'master', 'fgbr')
    becomes('198.18.7.7', 'RESERVED')
    link.a.ip('link', 'set', link.a_if, 'nomaster')
    becomes('198.18.7.7', None)
    link.a.ip('link', 'set', link.a_if, 'address', OTHER_MAC)
    becomes(link.a_ip, 'RESERVED', OTHER_MAC)
    becomes(link.a_ip, None, link.a_mac)
    audited(lab, gate)


def test_container(lab):
    """a container behind the host has a UDP service of its own at the order port: its packets pass, of whichever shape"""
    link, box = lab.pair(), lab.namespace('box')
    link.a.ip('link', 'add', 'v0', 'type', 'veth', 'peer', 'name', 'v1', 'netns', box.name)
    for ns, name, address in ((link.a, 'v0', '198.18.9.1'), (box, 'v1', '198.18.9.2')):
        ns.ip('addr', 'add', f'{address}/24', 'dev', name)
        ns.ip('link', 'set', name, 'up')
    box.ip('route', 'add', 'default', 'via', '198.18.9.1')
    link.a.run('sysctl', '-q', '-w', 'net.ipv4.ip_forward=1')
    link.b.ip('route', 'add', '198.18.9.0/24', 'via', link.a_ip)
    gate = lab.daemon(link.a, interface=link.a_if, settings=SMALL).start()
    add_item(gate, 10)
    server, client = box.socket(), link.b.socket()
    server.bind(('198.18.9.2', ORDER_PORT))
    client.connect(('198.18.9.2', ORDER_PORT))
    for s in (server, client):
        s.settimeout(5)
    for data in (b'x' * 20, b'x' * 64, Wire(link, gate.keys).shop.packet('RESERVE', bytes(16), user=1, item=ITEM, quantity=1)):
        client.send(data)
        got, sender = server.recvfrom(2048)
        assert got == data
        server.sendto(b'ok', sender)
        assert client.recv(64) == b'ok'
    assert gate.get(f'/v1/items/{ITEM}')['reserved'] == 0
    audited(lab, gate)


def test_flooding_bridge(lab):
    """two appliances with one key file behind a bridge that floods: an order to one is sold by that one alone"""
    switch, shop = lab.namespace('sw'), lab.namespace('shop')
    switch.ip('link', 'add', 'br0', 'type', 'bridge', 'ageing_time', '0')
    switch.ip('link', 'set', 'br0', 'up')

    def plug(ns, name, port, address):
        fgtest.command('ip', 'link', 'add', name, 'netns', ns.name, 'type', 'veth', 'peer', 'name', port, 'netns', switch.name)
        ns.ip('addr', 'add', f'{address}/24', 'dev', name)
        ns.ip('link', 'set', name, 'up')
        switch.ip('link', 'set', port, 'master', 'br0', 'up')

    plug(shop, 'fgs', 'p0', '198.18.0.9')
    gates = []
    for n in (1, 2):
        ns = lab.namespace(f'gate{n}')
        plug(ns, f'fgx{n}', f'p{n}', f'198.18.0.{n}')
        gate = lab.daemon(ns, interface=f'fgx{n}', settings=SMALL)
        if gates:
            gate.keys.secrets = gates[0].keys.secrets
            gate.keys.write()
        gates.append(gate.start())
        add_item(gate, 5)
    client = NsClient(shop, '198.18.0.1', gates[0].keys)
    for user in range(1, 4):
        assert client.reserve(user, ITEM, 1).status == 'RESERVED'
    fgtest.wait_until(lambda: gates[0].get(f'/v1/items/{ITEM}')['reserved'] == 3, 5, 'the first one sold three')
    fgtest.wait_until(lambda: foreign(gates[1]) >= 3, 5, 'the second one saw them, and took none')
    assert gates[1].get(f'/v1/items/{ITEM}')['reserved'] == 0
    for gate in gates:
        audited(lab, gate)


@fgtest.timeout(120)
def test_memif_keeps_its_mac(lab):
    """a memif port without mac= has the same MAC address at each start, and stops cleanly while its peer leaves"""
    gate = lab.daemon(ports={'shop': {'device': fgmemif.device(lab, 'server'), 'address': SERVER}}, settings={
        **SMALL, 'eal.mbufs': 4096, 'filter.enabled': 'no'}).start()

    def mac():
        peer = fgmemif.Memif(fgmemif.path_of(lab))
        asked = struct.pack('!HHBBH6s4s6s4s', 1, 0x800, 6, 4, 1, bytes([2, 0, 0, 0, 0, 9]), bytes([198, 18, 0, 9]), bytes(6),
                            socket.inet_aton(SERVER))
        peer.send(b'\xff' * 6 + bytes([2, 0, 0, 0, 0, 9]) + b'\x08\x06' + asked)
        found = []
        fgtest.wait_until(lambda: (frame := peer.receive()) and not found.append(frame), 10, 'the port answers ARP')
        peer.close()
        return found[0][22:28]

    first = mac()
    assert first[0] & 3 == 2, f'locally administered, no group: {first.hex()}'
    gate.restart()
    assert mac() == first
    # a peer leaves at the moment of the stop: its connection is taken down once
    for _ in range(30):
        gate.restart()
        assert mac() == first
    assert gate.stop() == 0


if __name__ == '__main__':
    fgtest.main()
