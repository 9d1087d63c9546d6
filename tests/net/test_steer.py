#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Orders that come in where their user's worker polls are not handed off; any others are, and are answered too."""

import secrets
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgmemif  # noqa: E402
import fgtest  # noqa: E402
from fgframe import MAC_SERVER, SERVER, check_turned, frame  # noqa: E402
from fgshop import ITEM, SMALL, UNITS, NsClient, add_item, audited, workers  # noqa: E402

WORKERS, USERS = 2, 200


def with_port(data, port):
    """The frame, to another UDP port; the checksum of an order packet over IPv4 is none."""
    return data[:36] + port.to_bytes(2, 'big') + data[38:]


def ask_all(peer, gate, users, queue_of, port_of):
    """A RESERVE of each user by the queue and to the port that are named; {user: status}."""
    orders = {secrets.token_bytes(16): user for user in users}
    answers, waiting = {}, []
    for order, user in orders.items():
        data = fgclient.request(1, gate.keys.secrets[1], 'RESERVE', order, user=user, item=ITEM, quantity=1)
        waiting.append((queue_of(user), with_port(frame(data), fgclient.PORT + port_of(user))))
    end = time.monotonic() + 20
    while (waiting or len(answers) < len(orders)) and time.monotonic() < end:
        if waiting and peer.send(waiting[0][1], waiting[0][0]):
            waiting.pop(0)
        for queue in range(WORKERS):
            while (data := peer.receive(queue)):
                port = int.from_bytes(data[34:36], 'big')
                reply = fgclient.parse_reply(check_turned(data, port=port), 1, gate.keys.secrets[1])
                user = orders[reply.order_id]
                assert queue == queue_of(user) and port == fgclient.PORT + port_of(user), 'as the request came'
                answers[user] = reply.status
    return answers


def test_queues(lab):
    """memif with two queues: by the right one nothing is handed off; by a wrong one all are, and are answered"""
    gate = lab.daemon(ports={'shop': {'device': fgmemif.device(lab, 'server', mac=MAC_SERVER), 'queues': WORKERS, 'address': SERVER}}, settings={
        **SMALL, 'workers.count': WORKERS, 'orders.steer': 'yes', 'eal.mbufs': 4096, 'filter.enabled': 'no'}).start()
    assert gate.get('/v1/status')['order_ports'] == WORKERS
    assert 'takes no flow rules' in gate.output(), 'memif has none: told once'
    add_item(gate, 10 * USERS)
    peer = fgmemif.Memif(fgmemif.path_of(lab), queues=WORKERS)
    owner = lambda user: fgclient.owner(user, WORKERS)  # noqa: E731
    other = lambda user: 1 - owner(user)  # noqa: E731
    first, second, third = (range(n * USERS + 1, (n + 1) * USERS + 1) for n in range(3))

    assert ask_all(peer, gate, first, owner, owner) == {user: 'RESERVED' for user in first}
    assert workers(gate, 'handed_off') == [0, 0], workers(gate, 'handed_off')
    assert min(workers(gate, 'orders_in_memory')) > USERS / 4, 'both have some'
    assert ask_all(peer, gate, second, owner, lambda _: 0) == {user: 'RESERVED' for user in second}
    assert sum(workers(gate, 'handed_off')) == 0, 'the queue counts, not the port'
    assert ask_all(peer, gate, third, other, other) == {user: 'RESERVED' for user in third}
    assert sum(workers(gate, 'handed_off')) == USERS, workers(gate, 'handed_off')
    peer.close()
    audited(lab, gate)


def test_ports_over_af_xdp(lab):
    """AF_XDP: the client learns the ports and uses them; any is answered; the one behind them is the kernel's"""
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if, settings={**SMALL, 'workers.count': 3, 'orders.steer': 'yes',
                                                             'filter.order_rate': 0}).start()
    add_item(gate, 100)
    for address in (link.a_ip, link.a_ip6):
        shop = NsClient(link.b, address, gate.keys, 'shop')
        assert shop.stock(ITEM).quantity == 3 and shop.ports == 3
        used = set()
        for user in range(1, 21):
            order = secrets.token_bytes(16)
            assert shop.reserve(user, ITEM, 1, order).status == 'RESERVED'
            used.add(shop.socket.getpeername()[1])
            assert shop.cancel(user, order).status == 'CANCELLED'
        assert used == {4600, 4601, 4602}, used
        for port in (4600, 4601, 4602):  # whoever the user is
            one = NsClient(link.b, address, gate.keys, 'shop')
            one.socket.connect((address, port))
            one.ports = 1
            assert one.reserve(1000 + port, ITEM, 1).status == 'RESERVED'
    passed = gate.get('/v1/stats')['filter']['pass']
    beyond = NsClient(link.b, link.a_ip, gate.keys, 'shop')
    beyond.socket.connect((link.a_ip, 4603))
    assert beyond.silence('RESERVE', secrets.token_bytes(16), 1, user=5000, item=ITEM, quantity=1), 'not an order port'
    assert gate.get('/v1/stats')['filter']['pass'] > passed
    blast = lab.blast(link.b, gate.keys, interface=link.b_if, server=[link.a_ip, link.a_ip6], no_huge=True,
                      source_base=['198.18.0.10', '2001:db8::10'], items=ITEM, shoppers=200, orders=200, steer=3,
                      user_base=100000, forged=0.1, duplicates=0.1, rate=3000).run()
    assert blast['finished'] and blast['contradictions'] == 0 and blast['unanswered'] == 0, blast
    audited(lab, gate)


def test_no_steering(lab):
    """without `steer` there is one order port, and STOCK says nothing of others; a range that does not fit is refused"""
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if, settings={**SMALL, 'workers.count': 2}).start()
    add_item(gate, UNITS)
    shop = NsClient(link.b, link.a_ip, gate.keys, 'shop')
    assert shop.stock(ITEM).quantity == 0 and gate.get('/v1/status')['order_ports'] == 1
    shop.socket.connect((link.a_ip, 4601))
    assert shop.silence('STOCK', seconds=1, item=ITEM), '4601 is not an order port'
    assert gate.stop() == 0
    gate.settings.update({'orders.steer': 'yes', 'orders.port': 65535})
    gate.write_config()
    code, text = gate.check()
    assert code == 1 and '[orders] port = 65535' in text and 'up to 65534' in text, text
    gate.settings['orders.port'] = 65534
    gate.write_config()
    assert gate.check()[0] == 0


if __name__ == '__main__':
    fgtest.main()
