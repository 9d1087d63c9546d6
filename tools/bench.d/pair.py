# SPDX-License-Identifier: BSD-3-Clause
"""A pair of appliances: how long nothing is sold when the leader dies, and what the second copy costs.

Two appliances, three members of etcd and the generator share the CPUs of one machine. Beside the load a client orders one
unit after the other, and repeats each request to both appliances every 20 ms. A fault is a kill -9 of the leader, SIGSTOP, or
both its cables pulled, in turn, and a kill -9 of it and of etcd's leader at the same moment; what is measured is the time from the fault to the first acceptance of an order that was
first asked for after it. Then planned switches and the loss of the standby: the longest time between two acceptances. Last
the same flood at a pair and at an appliance alone, in turn; and the instructions of an order in the worker's loop at both.

Peers, from their documents: Patroni about 30 s, pg_auto_failover 30 to 90 s, keepalived 3.5 s without data.
"""

import os
import select
import signal
import sys
import statistics
import threading
import time

import fgbench
import fgclient
import fgpair
import fgtest
from fgbench import Row

RUNS = 5
REPEAT_S, TOO_LONG_S = 0.02, 10
RATES, TRY_S, P99_US = (200000, 100000, 50000, 20000, 10000, 5000, 2000), 2, 20000  # requests/s beside the faults
WAVE_S, FAULT_S, FLOOD_S = 60, 20, 3  # shoppers come in waves; a fault and what follows
UNITS, ORDERS = 1000000, 4000000
FAULTS = ('kill -9', 'SIGSTOP', 'cables pulled')
WITH_ETCD = "kill -9, and etcd's leader with it"
ALONE, PAIR = 'alone', 'pair'

AFTER = [Row(f'{fault}: fault to first acceptance', 'ms', 'lower') for fault in FAULTS]
FAIL_OVER = [Row('fault to first acceptance, all kinds, p50', 'ms', 'lower', 400),
             Row('fault to first acceptance, all kinds, p99', 'ms', 'lower', 1000)]
ETCD = [Row(f'{WITH_ETCD}: {what}', 'ms', 'lower', target) for what, target in (('p50', 900), ('p99', 2000))]
LOAD = [Row('beside the faults', 'requests/s', 'higher'), Row('beside the faults: accepted, p99', 'us', 'lower')]
SWITCH = Row('planned switch: without an acceptance', 'ms', 'lower', 50)
LOSS = Row('standby lost: without an acceptance', 'ms', 'lower', 300)
FLOOD = [Row(f'{who}: {what}', unit, better) for who in (ALONE, PAIR)
         for what, unit, better in (('accepted', 'orders/s', 'higher'), ('accepted, p50', 'us', 'lower'),
                                    ('rejected', 'orders/s', 'higher'))]
RATIOS = [('accepted', 'higher', 0.5), ('accepted, p50', 'lower', 2), ('rejected', 'higher', 0.97)]


class Customer(threading.Thread):
    """Orders one unit after the other; each request goes to both appliances again and again."""

    def __init__(self, pair):
        super().__init__(daemon=True)
        self.servers = [(box.ip, fgclient.PORT) for box in pair.boxes]
        keys = pair.boxes[0].gate.keys
        self.key_id = next(n for n, role in keys.ROLES.items() if role == 'shop')
        self.secret = keys.secrets[self.key_id]
        pair.shops.plug(ns := pair.lab.namespace('customer'), 'fgd0', '198.18.0.8')
        self.socket = ns.socket()
        self.accepted, self.quit = [], False  # (when first asked for, when told, by whom)

    def run(self):
        user = 1 << 50
        while not self.quit:
            user += 1
            order, asked = os.urandom(16), time.monotonic()
            while not self.quit and not (by := self.told(user, order)):
                pass
            if not self.quit:
                self.accepted.append((asked, time.monotonic(), by))

    def told(self, user, order):
        """Asks once; who accepted it before it is time to repeat, or None."""
        packet = fgclient.request(self.key_id, self.secret, 'RESERVE', order_id=order, user=user, item=1, quantity=1)
        for server in self.servers:
            try:
                self.socket.sendto(packet, server)
            except OSError:
                pass  # its cable is pulled
        end = time.monotonic() + REPEAT_S
        while (left := end - time.monotonic()) > 0:
            if select.select([self.socket], [], [], left)[0]:
                data, (ip, _) = self.socket.recvfrom(128)
                reply = fgclient.parse_reply(data, self.key_id, self.secret)
                if reply and reply.order_id == order and reply.status == 'RESERVED':
                    return ip
        return None

    def first_after(self, when, other_than=None):
        """Seconds from then to the first acceptance (by another appliance) of an order that was first asked for after it."""
        def found():
            return next((told for asked, told, by in self.accepted if asked >= when and by != other_than), None)
        return fgtest.wait_until(found, TOO_LONG_S, 'an order is accepted after the fault', 0.005) - when

    def longest_gap(self, begin, end):
        told = [t for _, t, _ in self.accepted if begin <= t <= end]
        return max(b - a for a, b in zip([begin, *told], [*told, end]))


class Sale(fgpair.PairSale):
    """With a flood that lasts, and a customer beside it."""

    def __init__(self, lab):
        super().__init__(lab, total=UNITS, lesser=1, hold_ms=600000,
                         settings={'limits.orders_max': ORDERS, 'limits.users_max': ORDERS})
        self.rate, self.p99_us = self.bearable()
        self.customer = Customer(self.pair)
        self.customer.start()

    def bearable(self):
        """The highest rate at which acceptances take at most 20 ms, while nothing fails; and their p99."""
        for rate in RATES:
            self.shop(rate=rate, seconds=TRY_S)
            p99_us = self.wave_done()['latency_us']['accepted']['p99']
            if p99_us <= P99_US:
                break
        return rate, p99_us

    def ready(self):
        """One leads, the other stands by, and it sells."""
        self.pair.published(60)
        self.keep_shopping(FAULT_S, rate=self.rate, seconds=WAVE_S)
        self.customer.first_after(time.monotonic())

    def fail_over(self, fault):
        self.ready()
        old = self.pair.leader()
        member = self.pair.etcd.leader() if fault == WITH_ETCD else None
        began = time.monotonic()
        if member:
            member.process.signal(signal.SIGKILL)
        if fault in (FAULTS[0], WITH_ETCD):
            old.gate.process.signal(signal.SIGKILL)
        elif fault == FAULTS[1]:
            old.gate.process.signal(signal.SIGSTOP)
        else:
            self.cables(old, False)
        took = self.customer.first_after(began, old.ip)
        if fault == FAULTS[1]:
            old.gate.process.signal(signal.SIGCONT)
        elif fault == FAULTS[2]:
            self.cables(old, True)
        if member:
            member.kill()
            member.start()
            fgtest.wait_until(member.health, 30, 'the member of etcd is back')
        fgtest.wait_until(lambda: not old.gate.running(), 30, 'the old leader ends')
        old.gate.kill()
        old.start()
        return 1000 * took

    def cables(self, box, back):
        for switch, interface in ((self.pair.shops, 'fga0'), (self.pair.controls, 'fgc0')):
            switch.unplug(box.ns, interface, back)

    def switch(self):
        self.ready()
        old, began = self.pair.leader(), time.monotonic()
        old.gate.fgctl('pair', 'switch')
        self.customer.first_after(time.monotonic() + 0.2)
        gap = self.customer.longest_gap(began, time.monotonic())
        fgtest.wait_until(lambda: not old.gate.running(), 30, 'the old leader ends')
        old.start()
        return 1000 * gap

    def lose_standby(self):
        self.ready()
        standby, began = self.pair.other(self.pair.leader()), time.monotonic()
        standby.gate.kill()
        self.customer.first_after(time.monotonic() + 0.5)
        gap = self.customer.longest_gap(began, time.monotonic())
        standby.start()
        return 1000 * gap


def flood(gate, ns, lab, who, server, mac):
    """Acceptances, then rejections, as fast as they are answered."""
    found = {}
    for what, item, status in (('accepted', 1, 'RESERVED'), ('rejected', 99, 'SOLD_OUT')):
        gate.fgctl('item', 'add', item, '--total', UNITS if item == 1 else 0, '--hold', '1h')
        summary = lab.blast(ns, gate.keys, interface='fgb0', server=server, server_mac=mac, source_base='198.19.0.1', sources=500,
                            flat=400000, shoppers=400000, window=256, items=item, audit=None, seconds=FLOOD_S,
                            no_huge=True).run(FLOOD_S + 30)
        if summary['status'].get(status, 0) < 0.9 * summary['answers']:
            raise RuntimeError(f'{who}: not what is to be measured: {summary["status"]}')
        found[f'{who}: {what}'] = summary['answers_per_s']
        found[f'{who}: {what}, p50'] = summary['latency_us']['sampled']['p50']
    return found


def side_by_side():
    """A flood at an appliance alone, and one at a pair."""
    found = {}
    for who in (ALONE, PAIR):
        with fgtest.Lab() as lab:
            pair = fgpair.Pair(lab, settings={'limits.orders_max': 1000000, 'limits.users_max': 1000000})
            if who == PAIR:
                pair.start()
            else:
                pair.boxes[0].gate.settings['pair.enabled'] = 'no'
                pair.boxes[0].gate.write_config()
                pair.boxes[0].gate.start(new_log=True)
            box = pair.boxes[0]
            found.update(flood(box.gate, pair.shop, lab, who, box.ip, box.mac))
    return found


def instructions():
    """A rejection needs nothing of the pair: whatever the two floods say on a busy machine, this is what the leader does more."""
    found = fgbench.instructions('pair')
    rows = [Row(f'instructions, {case}', 'instructions', 'lower').result('pair', [value]) for case, value in found.items()]
    return rows + [Row(f'instructions, {what}: leader : no pair', 'ratio', 'lower', target)
                   .result('pair', [found[f'leader: {what}'] / found[f'no pair: {what}']])
                   for what, target in (('rejected', 1 / 0.97), ('accepted', None)) if found]


def quantile(samples, share):
    return sorted(samples)[min(len(samples) - 1, int(share * len(samples)))]


def measure(runs):
    kinds = (*FAULTS, WITH_ETCD)
    samples = {fault: [] for fault in kinds}
    switches, losses = [], []
    with fgtest.Lab() as lab:
        sale = Sale(lab)
        for n in range(runs):
            for fault in kinds:
                samples[fault].append(sale.fail_over(fault))
                print(f'bench: pair: {fault}, {n + 1} of {runs}: {samples[fault][-1]:.0f} ms', file=sys.stderr)
            switches.append(sale.switch())
            losses.append(sale.lose_standby())
        sale.customer.quit = True
        rows = [row.result('pair', [value]) for row, value in zip(LOAD, (sale.rate, sale.p99_us))]
    rows += [row.result('pair', samples[fault]) for row, fault in zip(AFTER, FAULTS)]
    for pair_of_rows, every in ((FAIL_OVER, [s for fault in FAULTS for s in samples[fault]]), (ETCD, samples[WITH_ETCD])):
        rows += [row.result('pair', [quantile(every, share)]) for row, share in zip(pair_of_rows, (0.5, 0.99))]
    rows += [SWITCH.result('pair', switches), LOSS.result('pair', losses)]
    rounds = [side_by_side() for _ in range(min(runs, 3))]
    rows += [row.result('pair', [r[row.case] for r in rounds]) for row in FLOOD]
    for what, better, target in RATIOS:
        row = Row(f'{PAIR} : {ALONE}, {what}', 'ratio', better, target)
        rows.append(row.result('pair', [r[f'{PAIR}: {what}'] / r[f'{ALONE}: {what}'] for r in rounds]))
    return rows + instructions()
