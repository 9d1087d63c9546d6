# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a small shop for the net tests: a daemon with one item, and clients that live in a
namespace."""

import secrets

import fgclient
import fgtest

# Enough for a test, quick to start, and without hugepages.
SMALL = {'limits.orders_max': 20000, 'limits.users_max': 20000, 'limits.deferred_max': 4096, 'eal.huge': 'no'}
ITEM = 7


class NsClient(fgclient.Client):
    """The client of the order protocol, with its socket in a namespace and the key of a role.

    The raw half (packet, send, receive) sends one packet, and neither waits nor repeats.
    """

    def __init__(self, ns, address, keys, role='shop', patience=10.0, source=None, port=fgclient.PORT):
        key_id = next(number for number, name in keys.ROLES.items() if name == role)
        with ns.inside():
            super().__init__(address, key_id, keys.secrets[key_id], patience=patience, source=source, port=port)

    def packet(self, op, order_id=bytes(16), **fields):
        return fgclient.request(self.key_id, self.secret, op, order_id, **fields)

    def send(self, op, order_id=bytes(16), **fields):
        self.socket.send(self.packet(op, order_id, **fields))

    def receive(self, seconds):
        """The next packet as a Reply, None when none comes in time; its signature must be right."""
        self.socket.settimeout(seconds)
        try:
            data = self.socket.recv(2048)
        except TimeoutError:
            return None
        reply = fgclient.parse_reply(data, self.key_id, self.secret)
        assert reply, f'not a reply with a right tag: {data.hex()}'
        return reply

    def once(self, op, order_id=bytes(16), seconds=0.5, **fields):
        """(status, reply) of the first answer, also of one that says: ask again; (None, None)
        without an answer."""
        patience, self.patience = self.patience, seconds
        try:
            reply = self.ask(op, order_id, **fields)
        except fgclient.NoReply:
            reply = self.last
        finally:
            self.patience = patience
        return (reply.status, reply) if reply else (None, None)

    def silence(self, op, order_id=bytes(16), seconds=0.5, **fields):
        """Whether no answer comes to a request and its repeats."""
        return self.once(op, order_id, seconds, **fields) == (None, None)


class Shop:
    """A daemon behind one link, one item on sale, and a client of each role."""

    def __init__(self, lab, item=None, redis=None, workers=1, queues=1, v6=False, **settings):
        self.link = lab.pair(queues=queues)
        self.gate = lab.daemon(self.link.a, ports={'shop': {'interface': self.link.a_if, 'queues': queues}}, redis=redis,
                               settings={**SMALL, 'workers.count': workers, **settings})
        self.gate.start()
        address = self.link.a_ip6 if v6 else self.link.a_ip
        self.shop, self.backend, self.monitor = (NsClient(self.link.b, address, self.gate.keys, role, patience=5)
                                                 for role in ('shop', 'backend', 'monitor'))
        self.create(ITEM, **{'name': 'shoe', 'total': 100, 'hold_ms': 60000, **(item or {})})

    def create(self, item, **fields):
        status, answer = self.gate.api('POST', '/v1/items', {'item': item, **fields})
        assert status == 201, answer

    def change(self, path='', method='PATCH', **fields):
        status, answer = self.gate.api(method, f'/v1/items/{ITEM}{path}', fields or None)
        assert status == 200, answer

    def reserve(self, user, quantity=1, item=ITEM, order=None):
        """(status, order id)"""
        order = order or secrets.token_bytes(16)
        return self.shop.reserve(user, item, quantity, order).status, order

    def totals(self):
        item = self.gate.get(f'/v1/items/{ITEM}')
        return tuple(item[k] for k in ('total', 'available', 'reserved', 'sold'))

    def settle(self, *expected, seconds=5):
        """The ledger follows the log by a moment."""
        fgtest.wait_until(lambda: self.totals() == expected, seconds, f'total, available, reserved, sold = {expected}')

    def stock(self, counter):
        return self.gate.get('/v1/stats')['stock'][counter]

    def alarms(self):
        return alarms(self.gate)

    def audit(self, lab):
        audited(lab, self.gate)


def alarms(gate):
    """{name: level} of the alarms that are raised."""
    return {a['name']: a['level'] for a in gate.get('/v1/status')['alarms']}


def workers(gate, counter):
    return [w[counter] for w in gate.get('/v1/stats')['workers']]


def add_item(gate, total):
    gate.fgctl('item', 'add', ITEM, '--total', total, '--hold', '1h')


def audited(lab, gate):
    """Stops the daemon; the log must add up."""
    assert gate.stop() == 0
    code, text = lab.audit(log=gate.log_dir)
    assert code == 0, text


UNITS = 3  # that sell() needs


def sell(ns, gate, address, user=1, item=ITEM):
    """Reserve, the same again, confirm, query, and sold out: two units are sold and one is reserved
    after it."""
    shop, backend = (NsClient(ns, address, gate.keys, role) for role in ('shop', 'backend'))
    order = secrets.token_bytes(16)
    first = shop.reserve(user, item, UNITS - 1, order)
    assert (first.status, first.quantity) == ('RESERVED', UNITS - 1), first
    again = shop.reserve(user, item, UNITS - 1, order)
    assert (again.status, again.deadline_ms) == ('RESERVED', first.deadline_ms), again
    assert shop.reserve(user, item, 1, order).status == 'CONFLICT'
    assert shop.reserve(user + 1, item, UNITS).status == 'INSUFFICIENT'
    assert shop.reserve(user + 2, item, 1).status == 'RESERVED'
    assert shop.reserve(user + 3, item, 1).status == 'SOLD_OUT'
    assert backend.confirm(user, order).status == 'SOLD'
    assert backend.query(user, order).status == 'SOLD'
    assert shop.stock(item).status == 'SOLD_OUT'
