# SPDX-License-Identifier: BSD-3-Clause
"""A fleet: one item sold by several members, and what that costs; etcd's leader killed under load.

All are real daemons, with three members of etcd and the shoppers on the CPUs of one machine; the instructions of an order
are counted in the worker's loop alone (bench_budget). --scale says how many units of a million are sold, and --runs how
often etcd's leader is killed.
"""

import collections
import json
import math
import os
import random
import secrets
import select
import statistics
import subprocess
import sys
import threading
import time

import fgbench
import fgclient
import fgtest
from fgbench import Row
from fgetcd import Client
from fgfleet import ITEM, Buyer, Churn, Fleet, kill_etcd_leader

RUNS = 5
UNITS, USER_LIMIT, MEMBERS = 1_000_000, 4, (2, 3, 4)
HOT = 0.01             # until that share is left, the item is hot
WINDOW, SAMPLE_S = 1024, 0.1
RELEASES = 100
CHURN, CHURN_ORDER = 12, 8  # units; an order takes most of them, so the next one needs a lease
ITEMS, REQUESTS, ITEM_UNITS, SENDS, AGAIN_S = 1000, 2500, 1000, 64, 0.2  # SENDS: of a member at a time
SYNC = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'sync', 'bench_sync')


def one(case, unit, better, value, target=None):
    return Row(case, unit, better, target).result('fleet', [value])


def say(text):
    print(f'bench: fleet: {text}', file=sys.stderr)


def open_fleet(lab, count, total, settings=None, **item):
    """A fleet with three members of etcd, all of whose units are in the pool."""
    fleet = Fleet(lab, count=count, etcds=3, start=False)
    for member in fleet.members:
        member.gate.settings.update(settings or {})
        member.gate.write_config()
    fleet.init()
    for member in fleet.members:
        member.start()
        member.item(total=0 if member.number else total, **item)
    fgtest.wait_until(lambda: all(fleet.pool(at=m.number)['free'] == total for m in fleet.members), 30, 'all units are in the pool')
    return fleet


def transactions(fleet):
    """With the pools, also those that another member was faster than."""
    counters = [m.view()['counters'] for m in fleet.members]
    return sum(c['swaps'] + c['lost'] + c['unknown'] for c in counters)


# ---- a million units -----------------------------------------------------------------------------


def cpu_s(member):
    """CPU time of the two threads of the fleet."""
    def ticks(thread):
        with open(f'/proc/{member.gate.process.pid}/task/{thread}/stat', encoding='ascii') as f:
            name, rest = f.read().rsplit(')', 1)
        return sum(map(int, rest.split()[11:13])) if name.split('(', 1)[1].startswith('fg-fleet') else 0
    return sum(fgtest.of_threads(member.gate.process.pid, ticks).values()) / os.sysconf('SC_CLK_TCK')


def blast(lab, member, orders, users):
    member.link.route_to_b('198.19.0.0/16')
    cpu = sorted(os.sched_getaffinity(0))[1]
    return lab.blast(member.link.b, member.gate.keys, interface=member.link.b_if, server=member.link.a_ip,
                     server_mac=member.link.a_mac, source_base='198.19.0.1', sources=500, crowd=True, cpu=cpu, shoppers=users,
                     window=WINDOW, items=ITEM, orders=orders, timeout_ms=500, retries=60, drain_seconds=120, no_huge=True,
                     members=member.fleet.count, member=member.number, seed=1 + member.number)


def by_user(blasts):
    """{user: units} of the shoppers' files."""
    units = collections.Counter()
    for b in blasts:
        with open(b.audit, encoding='ascii') as f:
            for line in f:
                if not line.startswith('#'):
                    _, user, _, quantity, status = line.split()
                    if status.rstrip('+') in ('RESERVED', 'SOLD'):
                        units[user] += int(quantity)
    return units


def sale(count, total):
    """Rows of one item sold by so many members, and {what: figure}."""
    users = max(100, total // 2 // count)  # who could buy twice as much as there is, but for the others
    with fgtest.Lab() as lab:
        fleet = open_fleet(lab, count, total, {'limits.orders_max': total + 100000, 'limits.users_max': total + 100000,
                                               'limits.deferred_max': 65536}, user_limit=USER_LIMIT, hold_ms=3600000)
        before, threads_before = transactions(fleet), sum(map(cpu_s, fleet.members))
        blasts = [blast(lab, m, 2 * USER_LIMIT * users, users).start() for m in fleet.members]
        hot = (0, 0)
        while any(b.process.running() for b in blasts):
            taken, made = fleet.taken(), transactions(fleet) - before  # in this order: none is left out
            if taken <= (1 - HOT) * total:
                hot = (taken, made)
            fgtest.pause(SAMPLE_S, 'between two samples')
        for b in blasts:
            summary = b.finish(10)
            if summary['contradictions'] or summary['unanswered']:
                raise RuntimeError(f'wrong answers: {summary}')
        fleet.settle(total, total, seconds=30)
        made = transactions(fleet) - before
        threads = sum(map(cpu_s, fleet.members)) - threads_before
        units = by_user(blasts)
        shares = [sum(m.units()[1:]) for m in fleet.members]
        fleet.audit()
    say(f'{count} members sold {shares} with {made} transactions, {hot[1]} of them for the first {hot[0]} units')
    name, full = f'{count} members', total == UNITS or None
    return [one(f'{name}, units of one item', 'units', 'higher', total),
            one(f'{name}: sold too many or too few', 'units', 'lower', abs(sum(units.values()) - total), 0),
            one(f'{name}: users above the limit', 'users', 'lower', sum(n > USER_LIMIT for n in units.values()), 0),
            one(f'{name}: transactions an order, until 1 % is left', 'transactions', 'lower', hot[1] / max(hot[0], 1), full and 0.001),
            one(f'{name}: transactions an order, overall', 'transactions', 'lower', made / total, full and 0.01),
            one(f"{name}: CPU time of the fleet's threads, an order", 'us', 'lower', 1e6 * threads / total)]


# ---- instructions --------------------------------------------------------------------------------


def instructions():
    found = fgbench.instructions('fleet')
    if not found:
        return []
    rows = [one(f'instructions, {case}', 'instructions', 'lower', value) for case, value in found.items()]
    return rows + [one(f'instructions, {what}: 4 members : {than}', 'ratio', 'lower', found[f'4 members: {what}'] / found[f'{than}: {what}'],
                       target) for what in ('rejected', 'accepted') for than, target in (('1 member', 1.1), ('no fleet', None))]


# ---- a released unit -----------------------------------------------------------------------------


def ask_until_sold(member, user, order, sold):
    """A shopper who asks again each millisecond, until he has the unit."""
    client = member.client()
    packet = client.packet('RESERVE', order, user=user, item=ITEM, quantity=1)
    while not sold:
        client.socket.send(packet)
        if select.select([client.socket], [], [], 0.001)[0]:
            reply = fgclient.parse_reply(client.socket.recv(128), client.key_id, client.secret)
            if reply and reply.order_id == order and reply.status == 'RESERVED':
                sold.append(time.monotonic())
    client.socket.close()


def swap_ms(etcd):
    """Median of a transaction of one key, by lib/arbiter."""
    client, revision, took = Client(etcd), 0, []
    for _ in range(50):
        began = time.monotonic()
        revision = client.commit(('bench/key', revision, 'x' * 300))['store']
        took.append(time.monotonic() - began)
    client.close()
    return 1000 * statistics.median(took)


def sync_ms(folder):
    done = subprocess.run([SYNC, os.path.join(folder, 'sync'), '128', '200', '1'], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout)['p50'] / 1000


def quantile(samples, share):
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def releases(count):
    """The only unit is sold at one member, and cancelled while a shopper of the other one asks."""
    took = []
    with fgtest.Lab() as lab:
        fleet = open_fleet(lab, 2, 1)
        swaps, syncs = [swap_ms(fleet.etcd)], [sync_ms(lab.dir)]
        here, there = fleet.members
        user, order = next(here.users), secrets.token_bytes(16)
        assert here.client().reserve(user, ITEM, 1, order).status == 'RESERVED'
        for n in range(count):
            fgtest.wait_until(lambda m=there: Buyer(m).once() == 'SOLD_OUT', 10, 'the other member is told')
            other, next_order, sold = next(there.users), secrets.token_bytes(16), []
            shopper = threading.Thread(target=ask_until_sold, args=(there, other, next_order, sold), daemon=True)
            shopper.start()
            fgtest.pause(random.uniform(0.02, 0.05), 'some time passes until the unit is released')
            began = time.monotonic()
            assert here.client().cancel(user, order).status == 'CANCELLED'
            shopper.join(10)
            if not sold:
                raise RuntimeError(f'release {n}: the unit is not sold at the other member')
            took.append(1000 * (sold[0] - began))
            here, there, user, order = there, here, other, next_order
        swaps.append(swap_ms(fleet.etcd))
        syncs.append(sync_ms(lab.dir))
        fleet.audit()
    swap, sync = statistics.mean(swaps), statistics.mean(syncs)
    p99 = quantile(took, 0.99)
    return [one('a swap of one key, p50', 'ms', 'lower', swap), one('write and fdatasync, p50', 'ms', 'lower', sync),
            one('unit released at A, sold to a waiting request at B, p50', 'ms', 'lower', statistics.median(took)),
            one('unit released at A, sold to a waiting request at B, p99', 'ms', 'lower', p99),
            one('that p99 : 5 swaps + 2 syncs', 'ratio', 'lower', p99 / (5 * swap + 2 * sync), 1)]


# ---- etcd's leader -------------------------------------------------------------------------------


def kills(count):
    took = []
    with fgtest.Lab() as lab:
        fleet = open_fleet(lab, 2, CHURN, {'limits.orders_max': 1000000, 'limits.users_max': 1000000})
        churns = [Churn(m, CHURN_ORDER) for m in fleet.members]
        for c in churns:
            c.start()
        for n in range(count):
            took.append(kill_etcd_leader(fleet, churns))
            say(f"etcd's leader killed, {n + 1} of {count}: {1000 * took[-1]:.0f} ms")
        for c in churns:
            c.stop()
        buyers, end = [Buyer(m) for m in fleet.members], time.monotonic() + 60
        while sum(b.bought for b in buyers) < CHURN and time.monotonic() < end:
            for b in buyers:
                b.buy()
        for b in buyers:
            fgtest.wait_until(lambda b=b: b.once() in ('SOLD_OUT', 'RESERVED'), 20, 'an answer')
        taken = sum(b.bought for b in buyers)
        fleet.audit()
    return [one("kills of etcd's leader", 'kills', 'higher', count), one('orders beside them', 'orders', 'higher', sum(c.sold for c in churns)),
            one("etcd's leader killed: oversold", 'units', 'lower', max(0, taken - CHURN), 0),
            one("etcd's leader killed: leaked", 'units', 'lower', max(0, CHURN - taken), 0),
            Row("etcd's leader killed: leases again", 'ms', 'lower').result('fleet', [1000 * t for t in took]),
            one("etcd's leader killed: leases again, the longest", 'ms', 'lower', 1000 * max(took), 1000)]


# ---- many items ----------------------------------------------------------------------------------


class Crowd:
    """The requests of one member, signed before the opening."""

    def __init__(self, member, weights):
        self.member, self.client, self.waiting, self.served = member, member.client(), {}, {}
        for n, item in enumerate(random.choices(range(1, ITEMS + 1), weights, k=REQUESTS)):
            order = secrets.token_bytes(16)
            self.waiting[order] = (item, self.client.packet('RESERVE', order, user=next(member.users), item=item, quantity=1))
        self.items = len({item for item, _ in self.waiting.values()})
        self.client.socket.setblocking(False)
        self.queue, self.again_at = collections.deque(self.waiting), math.inf

    def send(self, now):
        """And again what was not served, as a shopper does."""
        if not self.queue and now > self.again_at:
            self.queue.extend(order for order, (item, _) in self.waiting.items() if item not in self.served)
        if self.queue:
            self.again_at = now + AGAIN_S
        for _ in range(min(SENDS, len(self.queue))):
            order = self.queue.popleft()
            try:
                self.client.socket.send(self.waiting[order][1])
            except BlockingIOError:
                self.queue.appendleft(order)
                return

    def receive(self, now):
        """The first packet of an item that is RESERVED says that the member has units of it."""
        while True:
            try:
                data = self.client.socket.recv(128)
            except BlockingIOError:
                return
            order, status = data[8:24], fgclient.STATUS_NAMES[data[48]]
            if order in self.waiting and status == 'RESERVED':
                self.served.setdefault(self.waiting[order][0], now)


def zipf(count):
    """Seconds until the last of the members has units of each item that it is asked for."""
    with fgtest.Lab() as lab:
        fleet = open_fleet(lab, count, ITEM_UNITS, {'limits.items_max': ITEMS + 100, 'limits.parked_max': 65536})
        for item in range(1, ITEMS + 1):
            if item != ITEM:
                for member in fleet.members:
                    member.item(item, total=0 if member.number else ITEM_UNITS)
        def free():
            items = [i for offset in range(0, ITEMS, 100)
                     for i in fleet.members[-1].gate.get(f'/v1/fleet/items?offset={offset}&limit=100')['items']]
            return len(items) == ITEMS and all(i['free'] == ITEM_UNITS for i in items)
        fgtest.wait_until(free, 120, 'all units are in the pools', 0.5)
        crowds = [Crowd(m, [1 / rank for rank in range(1, ITEMS + 1)]) for m in fleet.members]
        before = transactions(fleet)
        began = time.monotonic()
        while any(len(c.served) < c.items for c in crowds):
            now = time.monotonic()
            for c in crowds:
                c.send(now)
                c.receive(now)
            if now > began + 60:
                raise RuntimeError(f'not served: {[c.items - len(c.served) for c in crowds]}')
        took = max(t for c in crowds for t in c.served.values()) - began
        made = transactions(fleet) - before
        pairs = sum(c.items for c in crowds)
        lost = sum(m.view()['counters']['lost'] for m in fleet.members)
        fleet.audit()
    say(f'{pairs} pairs of member and item were served in {took:.2f} s, with {made} transactions ({lost} lost in all)')
    return [one(f'{ITEMS} items opened by {count} members: pairs of member and item that were asked for', 'pairs', 'higher', pairs),
            one(f'{ITEMS} items opened by {count} members: until all have units', 's', 'lower', took, 1)]


def measure_sized(runs, scale):
    total = max(1000, math.floor(UNITS * scale))
    rows = [row for count in MEMBERS for row in sale(count, total)]
    return rows + instructions() + releases(max(20, int(RELEASES * min(1, runs / RUNS)))) + kills(runs) + zipf(4)
