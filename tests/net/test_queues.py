#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Receive queues: more of them than the port reads, fewer than it wants, and what overflows one."""

import signal
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgshop import ITEM, SMALL, NsClient, add_item, alarms, audited, workers  # noqa: E402

FLOOD = 20000  # packets, several times what a ring holds
OTHERS = 50  # frames of the kernels at both ends, at most
SHOPPERS = 48


def port(gate):
    return gate.get('/v1/stats')['ports'][0]


def dropped_before():
    """Packets that the kernel had no room for before any socket: they are nobody's to count."""
    with open('/proc/net/softnet_stat') as f:
        return sum(int(line.split()[1], 16) for line in f)


def overflow(lab, link, ports):
    """The daemon stands still while a shopper floods it; every packet is then answered for: received, or counted."""
    gate = lab.daemon(link.a, ports=ports, settings={**SMALL, 'filter.order_rate': 0}).start()
    add_item(gate, 10)
    shopper = NsClient(link.b, link.a_ip, gate.keys, 'shop')
    assert shopper.stock(ITEM).status == 'ON_SALE'
    before, rx, dropped = port(gate), sum(workers(gate, 'rx')), dropped_before()

    def told():
        now = port(gate)
        return now['rx_packets'] + now['rx_missed'] - before['rx_packets'] - before['rx_missed']
    gate.process.signal(signal.SIGSTOP)
    for _ in range(FLOOD):
        shopper.send('STOCK', item=ITEM)
    gate.process.signal(signal.SIGCONT)

    fgtest.wait_until(lambda: port(gate)['rx_missed'] > before['rx_missed'], 10, 'the overflow is counted')
    fgtest.wait_until(lambda: told() >= FLOOD - (dropped_before() - dropped), 10, 'every packet is received, or missed')
    assert told() <= FLOOD + OTHERS, told()
    assert sum(workers(gate, 'rx')) - rx <= port(gate)['rx_packets'] - before['rx_packets'] < FLOOD // 2
    assert shopper.stock(ITEM).status == 'ON_SALE', 'and it goes on'
    audited(lab, gate)


def test_overflow_af_xdp(lab):
    """what an AF_XDP socket has no room for is counted as rx_missed"""
    link = lab.pair()
    overflow(lab, link, {'shop': {'interface': link.a_if}})


def test_overflow_af_packet(lab):
    """what a packet ring has no room for is counted as rx_missed"""
    link = lab.pair()
    link.a.ip('addr', 'flush', 'dev', link.a_if)
    overflow(lab, link, {'shop': {'device': f'net_af_packet0,iface={link.a_if}', 'address': link.a_ip}})


def ask(link, gate):
    """Many shoppers ask once: the port of each decides the queue."""
    shoppers = [NsClient(link.b, link.a_ip, gate.keys, 'shop') for _ in range(SHOPPERS)]
    for shopper in shoppers:
        shopper.send('STOCK', item=ITEM)
    return shoppers


def answered(shoppers, seconds=5):
    return sum(shopper.receive(seconds) is not None for shopper in shoppers)


def queue_alarm(gate):
    return next((a for a in gate.get('/v1/status')['alarms'] if a['name'] == 'queues'), None)


def test_more_queues_than_are_read(lab):
    """a NIC that spreads packets over 4 queues, of which one is read: a warning from the start, an alarm while orders are lost"""
    link = lab.pair(queues=4)
    gate = lab.daemon(link.a, interface=link.a_if, settings=SMALL).start()
    add_item(gate, 10)
    gate.alarm_fires('queues', 'warning')  # before any order
    alarm = queue_alarm(gate)
    assert f'`ethtool -L {link.a_if} rx 1 tx 1`, or queues = 4' in alarm['text'], alarm
    assert gate.get('/v1/status')['state'] == 'degraded'
    shoppers = ask(link, gate)
    gate.alarm_fires('queues', 'alarm')  # orders are lost
    lost = gate.get('/v1/stats')['filter']['no-socket']
    assert 0 < answered(shoppers, 0.2) <= SHOPPERS - lost, lost
    for ns, interface in ((link.b, link.b_if), (link.a, link.a_if)):  # as the text says
        ns.run('ethtool', '-L', interface, 'rx', '1', 'tx', '1')
    gate.alarm_clears('queues')
    assert answered(ask(link, gate)) == SHOPPERS
    for ns, interface in ((link.a, link.a_if), (link.b, link.b_if)):
        ns.run('ethtool', '-L', interface, 'rx', '2', 'tx', '2')
    gate.alarm_fires('queues', 'warning')  # of a queue that came later
    audited(lab, gate)


def test_all_queues_are_read(lab):
    """as many queues as the NIC has: no alarm, every shopper is answered"""
    link = lab.pair(queues=4)
    gate = lab.daemon(link.a, ports={'shop': {'interface': link.a_if, 'queues': 4}}, settings=SMALL).start()
    add_item(gate, 10)
    assert answered(ask(link, gate)) == SHOPPERS and alarms(gate) == {}
    audited(lab, gate)


def test_fewer_queues_than_wanted(lab):
    """--check and the start say how many queues the NIC has, and how it gets more"""
    link = lab.pair()
    gate = lab.daemon(link.a, ports={'shop': {'interface': link.a_if, 'queues': 3}}, settings=SMALL)
    wanted = (f'queue 1 does not start: {link.a_if} has 1 receive queue, and queues = 3; '
              f'`ethtool -L {link.a_if} rx 3 tx 3`, or fewer queues')
    code, text = gate.check()
    assert code == 1 and wanted in text, text
    gate.start(ready=False)
    assert gate.process.wait(20) == 1 and wanted in gate.output(), gate.output()


if __name__ == '__main__':
    fgtest.main()
