# SPDX-License-Identifier: BSD-3-Clause
"""Harness: the members of a fleet, each with a link to its own shoppers, and an etcd that all of them reach."""

import contextlib
import secrets
import threading
import time

import fgtest
from fgetcd import Etcd
from fgpair import ARBITER, Switch
from fgshop import SMALL, NsClient

ITEM, SHARDS = 7, 256
ENDED = 78  # exit code of a member that must not sell


def owner(user, members):
    """The member that a user belongs to: docs/fleet.md and lib/fleet/map.h."""
    product = (user ^ 0x9e3779b97f4a7c15) * (0x2545f4914f6cdd1d ^ 0xe7037ed1a0b428db)
    mixed = (product & (1 << 64) - 1) ^ (product >> 64)
    return (mixed * SHARDS >> 64) % members


class Member:
    """One appliance. Its log stays over kill() and start()."""

    def __init__(self, fleet, number, workers):
        self.fleet, self.number = fleet, number
        lab = fleet.lab
        self.link = fgtest.Link(lab.namespace(f'member{number}'), lab.namespace(f'shop{number}'))
        fleet.controls.plug(self.link.a, 'fgc0', f'198.18.9.{number + 1}')
        self.gate = lab.daemon(self.link.a, interface=self.link.a_if, settings={
            **SMALL, 'workers.count': workers, 'workers.idle': 'sleep', 'filter.order_rate': 0, 'fleet.enabled': 'yes', 'fleet.member': number,
            'fleet.members': fleet.count, 'fleet.shards': SHARDS, 'fleet.etcd': fleet.etcd.endpoints})
        self.users = (user for user in range(1, 1 << 62) if owner(user, fleet.count) == number)

    def start(self):
        self.gate.start()
        return self

    def client(self, role='shop', patience=5):
        return NsClient(self.link.b, self.link.a_ip, self.gate.keys, role, patience=patience)

    def item(self, item=ITEM, total=0, **fields):
        def made():
            status, answer = self.gate.api('POST', '/v1/items', {'item': item, 'hold_ms': 600000, **fields})
            assert status in (201, 409, 503), answer  # etcd elects; it took place, and is not read yet
            return status == 201
        fgtest.wait_until(made, 20, f'item {item} is there', 0.2)
        if total:
            status, answer = self.gate.api('POST', f'/v1/items/{item}/stock', {'add': total})
            assert status == 200, answer

    def units(self, item=ITEM):
        """(available, reserved, sold)"""
        found = self.gate.get(f'/v1/items/{item}')
        return tuple(found[k] for k in ('available', 'reserved', 'sold'))

    def view(self):
        return self.gate.get('/v1/fleet')

    def raises(self, level):
        self.gate.alarm_fires('fleet', level)


class Fleet:
    """Members with one item, which has all its units at member 0 at first."""

    def __init__(self, lab, count=2, total=0, etcds=1, workers=1, start=True):
        self.lab, self.count = lab, count
        self.net = lab.namespace('net')
        self.controls = Switch(self.net, 'controls', ARBITER)
        self.etcd = Etcd(lab, members=etcds, quick=True, ns=self.net, address=ARBITER)
        self.members = []
        for number in range(count):
            self.members.append(Member(self, number, workers))
        if start:
            self.init()
            for member in self.members:
                member.start()
                member.item(total=0 if member.number else total)

    def fgctl(self, *words, check=True):
        """fgctl in the network of etcd, with the configuration of member 0."""
        return self.net.run(fgtest.program('fgctl'), *words, '--config', self.members[0].gate.config, check=check)

    def init(self):
        return self.etcd.begin('fleet', self.members[0].gate.config)

    def pool(self, item=ITEM, at=0):
        """As this member knows it: a new item is there a moment later."""
        items = self.members[at].gate.get('/v1/fleet/items')['items']
        return next((i for i in items if i['item'] == str(item)), {'free': 0})

    def taken(self, item=ITEM):
        """Units in orders, over all members."""
        return sum(sum(m.units(item)[1:]) for m in self.members)

    def settle(self, total, taken, item=ITEM, seconds=10):
        """So many units are in orders, and the rest is free somewhere."""
        def settled():
            free = self.pool(item)['free'] + sum(m.units(item)[0] for m in self.members)
            return (self.taken(item), free) == (taken, total - taken)
        fgtest.wait_until(settled, seconds, f'{taken} of {total} units are in orders, the rest is free')

    def audit(self, pools=True):
        """Stops all; each log adds up, and all of them with the pools that etcd has."""
        for member in self.members:
            if member.gate.running():
                member.gate.stop()
        path = self.lab.unique('pools')
        if pools:
            with open(path, 'w', encoding='utf-8') as f:
                f.write(self.fgctl('fleet', 'dump'))
        code, text = self.lab.audit('--fleet', *(m.gate.log_dir for m in self.members),
                                    **({'pools': path} if pools else {'shards': SHARDS}))
        assert code == 0, text
        return text


class Buyer:
    """Shoppers of one member, each of whom wants some units once."""

    def __init__(self, member, item=ITEM, patience=5):
        self.member, self.item, self.client = member, item, member.client(patience=patience)
        self.bought, self.orders = 0, []

    def buy(self, quantity=1):
        """The status."""
        user, order = next(self.member.users), secrets.token_bytes(16)
        status = self.client.reserve(user, self.item, quantity, order).status
        if status == 'RESERVED':
            self.bought += quantity
            self.orders.append((user, order))
        return status

    def once(self, quantity=1, seconds=20):
        """The status of the first answer, be it BUSY."""
        user, order = next(self.member.users), secrets.token_bytes(16)

        def answer():
            with contextlib.suppress(ConnectionRefusedError):  # it starts
                self.client.send('RESERVE', order, user=user, item=self.item, quantity=quantity)
                while (reply := self.client.receive(0.5)) and reply.order_id != order:
                    pass
                return reply
        status = fgtest.wait_until(answer, seconds, 'an answer').status
        self.bought += quantity if status == 'RESERVED' else 0
        return status


class Churn(threading.Thread):
    """A shopper of one member who takes some units and gives them back at once. When there are fewer than two of these can
    have, every order needs units of another member."""

    def __init__(self, member, quantity):
        super().__init__(daemon=True)
        self.buyer, self.quantity, self.over, self.sold, self.failure = Buyer(member), quantity, False, 0, None

    def run(self):
        try:
            while not self.over:
                self.turn()
        except Exception as error:  # pylint: disable=broad-except
            self.failure = error

    def turn(self):
        user, order = next(self.buyer.member.users), secrets.token_bytes(16)
        status = self.buyer.client.once('RESERVE', order, 2, user=user, item=self.buyer.item, quantity=self.quantity)[0]
        if status == 'RESERVED':
            self.sold += 1
            status = self.buyer.client.cancel(user, order).status
        assert status in ('CANCELLED', 'BUSY', 'INSUFFICIENT', 'SOLD_OUT', None), status

    def stop(self):
        self.over = True
        self.join(30)
        self.check()

    def check(self):
        if self.failure:
            raise self.failure


def leases(fleet):
    """How many leases each member has recorded since it started."""
    return [m.view()['counters']['leases'] for m in fleet.members]


def kill_etcd_leader(fleet, churns):
    """Under the load of churns: how many seconds until a lease that was surely taken after the kill. Of those that were under
    way then each member has one at most."""
    def leased():
        for c in churns:
            c.check()
        return any(now >= was + 2 for now, was in zip(leases(fleet), before))
    victim = fleet.etcd.leader()
    began = time.monotonic()
    victim.kill()
    before = leases(fleet)
    fgtest.wait_until(leased, 30, 'units are leased again', 0.005)
    took = time.monotonic() - began
    victim.start()
    fgtest.wait_until(victim.health, 30, 'the member of etcd is back')
    return took
