#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""One small sale over every kind of port that can work without a NIC to bind: docs/ports.md has the table."""

import os
import secrets
import subprocess
import sys
import threading

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgmemif  # noqa: E402
import fgtest  # noqa: E402
from fgframe import MAC_SERVER, SERVER, SERVER6, SHOPPER, SHOPPER6, check_turned, frame, read_pcap, write_pcap  # noqa: E402
from fgshop import ITEM, SMALL, UNITS, NsClient, add_item, alarms, audited, sell, workers  # noqa: E402


# ---- ports with a kernel at the other end -----------------------------------------------------------------


def test_af_packet(lab):
    """net_af_packet on a veth: ARP, neighbour discovery, ping, a sale over IPv4 and IPv6"""
    link = lab.pair(neighbours=False)
    link.a.ip('addr', 'flush', 'dev', link.a_if)  # no address: this kernel answers nothing
    gate = lab.daemon(link.a, ports={'shop': {'device': f'net_af_packet0,iface={link.a_if}',
                                              'address': f'{link.a_ip}, {link.a_ip6}'}}, settings=SMALL).start()
    assert link.b.pings(link.a_ip) and link.b.pings(link.a_ip6)
    add_item(gate, UNITS)
    sell(link.b, gate, link.a_ip)
    gate.fgctl('stock', 'add', ITEM, UNITS)
    sell(link.b, gate, link.a_ip6, user=11)
    audited(lab, gate)


def test_tap(lab):
    """net_tap: the daemon makes the interface; its kernel side is the shopper's"""
    ns = lab.namespace('gate')
    gate = lab.daemon(ns, ports={'shop': {'device': 'net_tap0,iface=fgtap,mac=fixed', 'queues': 2,
                                          'address': f'{SERVER}, {SERVER6}'}},
                      settings={**SMALL, 'workers.count': 2, 'eal.mbufs': 4096}).start()
    for words in (('addr', 'add', f'{SHOPPER}/24'), ('addr', 'add', f'{SHOPPER6}/64', 'nodad')):
        ns.ip(*words, 'dev', 'fgtap')
    assert ns.pings(SERVER) and ns.pings(SERVER6)
    add_item(gate, UNITS)
    sell(ns, gate, SERVER)
    gate.fgctl('stock', 'add', ITEM, UNITS)
    sell(ns, gate, SERVER6, user=11)
    audited(lab, gate)


def test_af_xdp_queues(lab):
    """AF_XDP with two queues of a veth, one worker each: both receive"""
    link = lab.pair(queues=2)
    gate = lab.daemon(link.a, ports={'shop': {'interface': link.a_if, 'queues': 2}},
                      settings={**SMALL, 'workers.count': 2}).start()
    add_item(gate, UNITS)
    sell(link.b, gate, link.a_ip)
    for _ in range(200):  # each socket has a port of its own, which decides the queue
        NsClient(link.b, link.a_ip, gate.keys, 'shop').stock(ITEM)
        if min(workers(gate, 'rx')):
            break
    assert min(workers(gate, 'rx')) > 0, workers(gate, 'rx')
    audited(lab, gate)


def test_udp_segmentation(lab):
    """a sender that hands four orders to its kernel as one packet: native XDP gets four, generic mode drops one and counts it"""
    for number, generic in enumerate(('no', 'yes')):
        link = fgtest.Link(lab.namespace(f'gate{number}'), lab.namespace(f'shop{number}'))
        gate = lab.daemon(link.a, ports={'shop': {'interface': link.a_if, 'generic': generic}}, settings=SMALL).start()
        add_item(gate, 1)
        shopper = NsClient(link.b, link.a_ip, gate.keys, 'shop')
        shopper.socket.setsockopt(17, 103, 64)  # SOL_UDP, UDP_SEGMENT
        shopper.socket.send(b''.join(shopper.packet('STOCK', item=ITEM, cookie=i) for i in range(4)))
        filtered = lambda: gate.get('/v1/stats')['filter']  # noqa: B023, E731
        fgtest.wait_until(lambda: filtered()['order'] == 4 or filtered()['order-length'] == 1, 10, 'it arrives')
        assert (filtered()['order'], filtered()['order-length']) == ((0, 1) if generic == 'yes' else (4, 0)), filtered()
        audited(lab, gate)


# ---- links that come and go --------------------------------------------------------------------------------


def link_of(gate):
    return gate.get('/v1/status')['ports'][0]['state']


def reserved_while(ns, gate, address, action, item=ITEM):
    """Shoppers ask all the time while action() runs, and are answered after it; how many were."""
    shop, stop, served = NsClient(ns, address, gate.keys, 'shop', patience=30), threading.Event(), []

    def run():
        while not stop.is_set():
            served.append(shop.reserve(len(served) + 1000, item, 1).status)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        fgtest.wait_until(lambda: len(served) > 10, 20, 'shoppers are served')
        action()
        before = len(served)
        fgtest.wait_until(lambda: len(served) > before + 10, 30, 'shoppers are served again')
    finally:
        stop.set()
        thread.join()
    assert set(served) == {'RESERVED'}, served
    return len(served)


def lost_and_found(gate, ns, interface, after=lambda: None):
    """The interface goes down, which the daemon says, and up again, which it says too."""
    lost = gate.get('/v1/stats')['ports'][0]['link_lost']
    ns.ip('link', 'set', interface, 'down')
    fgtest.wait_until(lambda: link_of(gate) == 'down', 5, 'link down')
    fgtest.wait_until(lambda: alarms(gate).get('link') == 'alarm' and gate.api('GET', '/healthz')[0] == 503, 5, 'it is told')
    status = gate.get('/v1/status')
    assert status['state'] == 'unhealthy' and 'no link' in status['reason'], status
    ns.ip('link', 'set', interface, 'up')
    after()
    fgtest.wait_until(lambda: link_of(gate) == 'up' and gate.healthy(), 5, 'link up')
    assert gate.get('/v1/stats')['ports'][0]['link_lost'] == lost + 1
    metrics = gate.api('GET', '/metrics')[1]
    assert f'floodgate_port_link_lost_total{{port="shop"}} {lost + 1}' in metrics, metrics
    assert 'floodgate_port_state{port="shop",state="up"} 1' in metrics
    assert 'floodgate_port_link_up{port="shop"} 1' in metrics, metrics


def flap(lab, ports, link):
    """Both ends go down and up while orders come in; all of them are answered in the end."""
    gate = lab.daemon(link.a, ports=ports, settings=SMALL).start()
    add_item(gate, 100000)
    assert link_of(gate) == 'up'

    def action():
        for _ in range(2):
            lost_and_found(gate, link.b, link.b_if, link.set_neighbours)
            lost_and_found(gate, link.a, link.a_if)

    served = reserved_while(link.b, gate, link.a_ip, action)
    item = gate.fgctl('item', 'show', ITEM)
    assert item['reserved'] >= served, (item, served)
    return gate


def test_flaps_af_xdp(lab):
    """AF_XDP: either end of the link goes down and up under load; counted, told, and every order is answered"""
    link = lab.pair()
    audited(lab, flap(lab, {'shop': {'interface': link.a_if}}, link))


def test_flaps_af_packet(lab):
    """af_packet: the same"""
    link = lab.pair()
    audited(lab, flap(lab, {'shop': {'device': f'net_af_packet0,iface={link.a_if}', 'address': link.a_ip}}, link))


def test_interface_removed(lab):
    """AF_XDP: the interface is deleted under load: unhealthy until a restart, nothing acknowledged is lost"""
    link = lab.pair()
    gate = lab.daemon(link.a, ports={'shop': {'interface': link.a_if}}, settings=SMALL).start()
    add_item(gate, UNITS)
    sell(link.b, gate, link.a_ip)
    flood = lab.blast(link.b, gate.keys, interface=link.b_if, server=link.a_ip, source_base='198.18.0.10', items=ITEM,
                      shoppers=200, seconds=20, rate=3000, no_huge=True, audit=None).start()
    before = workers(gate, 'rx')[0]
    fgtest.wait_until(lambda: workers(gate, 'rx')[0] > before + 500, 20, 'the flood comes in')
    link.a.ip('link', 'del', link.a_if)
    flood.process.kill()
    fgtest.wait_until(lambda: link_of(gate) == 'gone', 5, 'gone')
    status = gate.get('/v1/status')
    assert status['state'] == 'unhealthy' and link.a_if in status['reason'] and 'restart' in status['reason'], status
    fgtest.wait_until(lambda: gate.get('/v1/stats')['alarm_levels']['link'] == 2, 5, 'an alarm')
    again = fgtest.Link(link.a, link.b)
    fgtest.pause(0.5, 'several polls of the links')
    assert link_of(gate) == 'gone', 'the new interface is another one'
    gate.restart()
    shop = NsClient(again.b, again.a_ip, gate.keys, 'shop')
    assert shop.stock(ITEM).status == 'SOLD_OUT' and gate.healthy() and link_of(gate) == 'up'
    audited(lab, gate)


# ---- what a device does not take ---------------------------------------------------------------------------


def refusal(lab, ns, **port):
    gate = lab.daemon(ns, ports={'shop': port}, settings={**SMALL, 'eal.mbufs': 4096})
    gate.start(ready=False)
    assert gate.process.wait(30) == 1, 'the daemon must not start'
    return next(line for line in gate.output().splitlines() if ' error ' in line and (
        'port shop' in line or 'XDP program' in line))


def test_refusals(lab):
    """a device that cannot do what is asked: one line with port, device, value and what it lacks"""
    link = lab.pair(mtu=9000)
    null, packet = 'net_null0', f'net_af_packet0,iface={link.a_if}'
    for port, words in (({'device': null, 'mtu': 9000}, ('net_null0', 'mtu = 9000', 'scattered')),
                        ({'device': packet, 'queues': 2}, ('queues = 2', '1 receive')),
                        ({'device': 'net_pcap0,rx_pcap=/nowhere/x', 'queues': 1}, ('/nowhere/x',)),
                        ({'device': 'net_tap0,iface=fgtap', 'mtu': 9000}, ('mtu = 9000', '1522')),
                        ({'interface': link.a_if}, (link.a_if, 'MTU'))):
        line = refusal(lab, link.a, **port)
        assert all(word in line for word in words), line


# ---- ports without one ------------------------------------------------------------------------------------


def with_item(lab, ports, total=UNITS, **settings):
    """A daemon that is not started yet, and has the item in its log."""
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 4096, 'filter.enabled': 'no', **settings})
    gate.start()
    add_item(gate, total)
    gate.stop()
    gate.ports = ports
    gate.write_config()
    return gate


def blasted(lab, gate, before=lambda: None, **options):
    """300 shoppers of fgblast want 50 units; client, log and stock agree at the end."""
    found = lab.blast(None, gate.keys, server=SERVER, source_base=SHOPPER, items=ITEM, shoppers=300, orders=300,
                      window=50, duplicates=0.1, forged=0.1, malformed=0.1, confirm=0.8, **options).start()
    before()
    summary = found.finish()
    assert summary['finished'] and summary['contradictions'] == 0 and summary['unanswered'] == 0, summary
    assert summary['units_reserved'] == 50 and summary['status']['SOLD_OUT'] > 0, summary
    assert gate.stop() == 0
    code, text = lab.audit('--client-complete', log=gate.log_dir, client=found.audit)
    assert code == 0, text


def test_memif(lab):
    """net_memif: the load generator asks for the address, then a sale; client, log and stock agree"""
    gate = lab.daemon(ports={'shop': {'device': fgmemif.device(lab, 'server'), 'address': SERVER}},
                      settings={**SMALL, 'eal.mbufs': 4096, 'filter.enabled': 'no'}).start()
    add_item(gate, 50)
    blasted(lab, gate, device=fgmemif.device(lab, 'client'), no_huge=True)


def huge_mb():
    with open('/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages') as f:
        return 2 * int(f.read())


def test_vhost(lab):
    """net_vhost and net_virtio_user, the appliance at either end: features and checksums negotiated as with a guest"""
    if huge_mb() < 256:
        raise fgtest.Skip('virtio_user shares its memory, which must be hugepages: 256 MiB of them are not free')
    path = f'{lab.dir}/vhost.sock'
    gate = with_item(lab, {'shop': {'device': f'net_vhost0,iface={path},queues=2', 'queues': 2, 'address': SERVER}}, 50,
                     **{'workers.count': 2}).start()
    blasted(lab, gate, device=f'net_virtio_user0,path={path}')
    gate = with_item(lab, {'shop': {'device': f'net_virtio_user0,path={path}2', 'address': SERVER}}, 50,
                     **{'eal.huge': 'yes'})

    def start():
        fgtest.wait_until(lambda: os.path.exists(f'{path}2'), 20, 'the load generator listens')
        gate.start()

    blasted(lab, gate, start, device=f'net_vhost0,iface={path}2', no_huge=True)


def testpmd(lab, device, *words):
    """DPDK's own traffic generator at the other end of a port; it runs until it is killed."""
    return lab.start('dpdk-testpmd', '--lcores', '0,1@(0)', '--no-pci', '--no-huge', '-m', '128', '--file-prefix',
                     f'{lab.tag}-testpmd', '--vdev', device, '--', '--total-num-mbufs=4096', '--disable-link-check',
                     *words, name='testpmd', stdin=subprocess.PIPE)


def test_jumbo_frames(lab):
    """frames of several buffers are counted and get no answer, to the order port or another; orders go on"""
    gate = lab.daemon(ports={'shop': {'device': fgmemif.device(lab, 'server', mac=MAC_SERVER), 'address': SERVER}},
                      settings={**SMALL, 'eal.mbufs': 4096, 'filter.enabled': 'no'}).start()
    add_item(gate, 50)
    addresses = f'--tx-ip={SHOPPER},{SERVER}'
    for port, count in ((fgclient.PORT, lambda: gate.get('/v1/stats')['drops']['truncated']),
                        (9, lambda: workers(gate, 'other')[0])):
        sender = testpmd(lab, fgmemif.device(lab, 'client'), '--forward-mode=txonly', '--txpkts=1000,1000,1000', addresses,
                         f'--eth-peer=0,{MAC_SERVER}',
                         f'--tx-udp=40000,{port}')
        fgtest.wait_until(lambda: count() > 1000 or not sender.running(), 20, 'they are counted')  # noqa: B023
        assert count() > 1000 and sender.running(), sender.output()
        sender.kill()
    assert sum(workers(gate, 'tx')) == 0
    blasted(lab, gate, device=fgmemif.device(lab, 'client'), no_huge=True)


def test_pcap(lab):
    """net_pcap: a file of requests in, a file of replies out"""
    source, sink = f'{lab.dir}/in.pcap', f'{lab.dir}/out.pcap'
    gate = with_item(lab, {'shop': {'device': f'net_pcap0,rx_pcap={source},tx_pcap={sink}'}})
    order, other = secrets.token_bytes(16), secrets.token_bytes(16)
    asked = [('RESERVE', 1, order, UNITS - 1), ('RESERVE', 1, order, UNITS - 1), ('RESERVE', 2, other, UNITS),
             ('RESERVE', 3, secrets.token_bytes(16), 1), ('RESERVE', 4, secrets.token_bytes(16), 1),
             ('CONFIRM', 1, order, 0), ('QUERY', 1, order, 0)]
    wanted = ['RESERVED', 'RESERVED', 'INSUFFICIENT', 'RESERVED', 'SOLD_OUT', 'SOLD', 'SOLD']
    keys = {op: 2 if op == 'CONFIRM' else 1 for op, *_ in asked}
    frames = [frame(fgclient.request(keys[op], gate.keys.secrets[keys[op]], op, order_id, user=user, cookie=cookie,
                                   item=ITEM if op == 'RESERVE' else 0, quantity=quantity), v6=cookie % 2)
              for cookie, (op, user, order_id, quantity) in enumerate(asked)]
    forged = frames[0][:-1] + bytes([frames[0][-1] ^ 1])
    write_pcap(source, [*frames, forged, frames[0][:-1]])
    gate.start()
    fgtest.wait_until(lambda: workers(gate, 'tx')[0] == len(asked), 10, 'all are answered')
    drops = gate.get('/v1/stats')['drops']
    assert drops['tag'] == 1 and drops['truncated'] == 1, drops
    audited(lab, gate)
    got = {}
    for data in read_pcap(sink):
        payload = check_turned(data, v6=data[12:14] == b'\x86\xdd')
        key_id = 2 if payload[3] == fgclient.OPS['CONFIRM'] | fgclient.REPLY else 1
        reply = fgclient.parse_reply(payload, key_id, gate.keys.secrets[key_id])
        assert reply and reply.cookie not in got, payload.hex()
        got[reply.cookie] = reply.status
    assert [got[cookie] for cookie in range(len(asked))] == wanted, got


def test_null_and_ring(lab):
    """net_null and net_ring: they start, poll, count, and stop"""
    gate = lab.daemon(ports={'null': {'device': 'net_null0,size=64'}, 'ring': {'device': 'net_ring0'}},
                      settings={**SMALL, 'eal.mbufs': 2048, 'filter.enabled': 'no'}).start()
    fgtest.wait_until(lambda: workers(gate, 'other')[0] > 1000, 10, 'frames of net_null are received')
    ports = {p['port']: p for p in gate.get('/v1/stats')['ports']}
    assert ports['null']['rx_packets'] > 1000 and ports['ring']['rx_packets'] == 0, ports
    assert gate.stop() == 0


if __name__ == '__main__':
    fgtest.main()
