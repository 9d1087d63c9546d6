#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A sale by a fleet: two to four members sell the same items from one pool of stock, which three members of etcd keep. Shoppers ask by
packets, or over HTTPS through nginx, whose gateway and an order service find the member of each user. In mid-sale one member is killed
and comes back, and then etcd's leader. Then the audit of all logs, of the pool, of what each shopper was told and paid. Exits with 0
only if everything was right."""

import argparse
import json
import os
import signal
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'harness'))
sys.dont_write_bytecode = True
import demo  # noqa: E402
import fgtest  # noqa: E402
import web as front  # noqa: E402
from fgfleet import Fleet, owner  # noqa: E402
from fgpair import DECIDED  # noqa: E402

HOT, LESSER = 1, range(2, 12)
HOT_UNITS, LESSER_UNITS = 2000, 300  # for each member
ADDED_UNITS = 500
HOLD_MS = 2500
SHOPPERS, RATE = 4000, 1200      # of each member by packets; and their requests a second
WEB_SHOPPERS, WEB_SECONDS = 300, 8
SECONDS_MAX = 90                 # of new orders: only against a hang
PROVIDER = {'success': 0.85, 'failure': 0.12, 'delay_ms': '50-600'}


def options():
    p = argparse.ArgumentParser(prog='tools/demo --fleet', description=__doc__)
    p.add_argument('--fleet', type=int, nargs='?', const=2, default=2, choices=(2, 3, 4), help='this demo; how many members [2]')
    p.add_argument('--json', metavar='FILE', help='write the summary as JSON')
    p.add_argument('--keep', action='store_true', help='leave logs, configuration and output in their temporary folder')
    p.add_argument('--no-setup', action='store_true', help='do not look for missing packages, do not build')
    p.add_argument('--seed', type=int, default=1, help='of the shoppers [1]')
    return p.parse_args()


class Parts:
    """The members, etcd, Redis, PostgreSQL, nginx, and the items on sale."""

    def __init__(self, lab, o):
        self.lab, self.desk = lab, lab.namespace('desk')  # of the shop's own servers
        self.redis, self.postgres = lab.redis(), lab.postgres()
        print('demo: etcd starts, which keeps the pool', flush=True)
        self.fleet = Fleet(lab, count=o.fleet, etcds=3, start=False)
        self.members = self.fleet.members
        self.keys = self.members[0].gate.keys
        self.addresses = [self.join(m) for m in self.members]
        self.fleet.init()
        self.totals = {HOT: HOT_UNITS * o.fleet, **{item: LESSER_UNITS * o.fleet for item in LESSER}}
        for m in self.members:
            print(f'demo: member {m.number} starts', flush=True)
            m.start()
        for item, total in self.totals.items():  # the others take them from the catalogue
            self.members[0].item(item, name=f'item {item}', total=total, hold_ms=HOLD_MS, user_limit=4)
        self.web = front.Web(lab, self.desk, f'floodgate_members {" ".join(f"{a}:4600" for a in self.addresses)}', self.keys,
                             self.totals, '127.0.0.1')

    def join(self, member):
        """Its second port, to the shop's servers; the address of it."""
        link = fgtest.Link(member.link.a, self.desk, net=10 + member.number)
        member.link.route_to_b('198.19.0.0/16')
        gate = member.gate
        gate.keys = self.keys
        gate.ports['desk'] = {'interface': link.a_if}
        gate.settings.update({'orders.keys': self.keys.path, 'limits.orders_max': 100000, 'limits.users_max': 100000,
                              'redis.address': self.redis.address})
        gate.write_config()
        return link.a_ip

    def services(self):
        """One for the events of each member; each of them knows all members."""
        where = [word for a in self.addresses for word in ('--member', a)]
        return [demo.start_service(self.lab, self.desk, where, self.keys, self.redis, self.postgres, 0, items=f'{HOT}-{LESSER[-1]}',
                                   redis_member=m.number, **PROVIDER) for m in self.members]

    def shoppers(self, member, seed):
        link = member.link
        return self.lab.blast(
            link.b, self.keys, interface=link.b_if, server=link.a_ip, server_mac=link.a_mac, source_base='198.19.0.1', sources=500,
            shoppers=SHOPPERS, members=len(self.members), member=member.number, user_base=1 + 1000000 * member.number,
            items=f'{HOT}-{LESSER[-1]}', zipf=0.8, hot=f'{HOT}:0.4', seconds=SECONDS_MAX, rate=RATE, window=2000, duplicates=0.05,
            replays=0.02, served=True, confirm=0, cancel=0.05, confirm_delay_ms=300, again_ms=500, again=1, timeout_ms=150, retries=60,
            drain_seconds=40, no_huge=True, seed=seed + member.number).start()


class Sale:
    """What happens, told while it happens."""

    def __init__(self, parts):
        self.parts, self.fleet, self.members = parts, parts.fleet, parts.members
        self.began, self.shown, self.line = time.monotonic(), 0, ''
        self.items = [{} for _ in self.members]  # as each member said last
        self.pools, self.outages, self.swaps = {}, {}, 0

    # ---- the view ----

    def look(self):
        for m in self.members:
            if not m.gate.running():
                continue
            try:
                self.items[m.number] = {int(i['item']): i for i in m.gate.get('/v1/items')['items']}
                self.pools = {int(i['item']): i for i in m.gate.get('/v1/fleet/items')['items']}
            except (OSError, AssertionError):  # it starts
                pass

    def units(self, kind, item=None):
        return sum(i[kind] for items in self.items for n, i in items.items() if item in (None, n))

    def say(self, text):
        print(f'{time.monotonic() - self.began:6.1f} s  {text}', flush=True)

    def show(self, what):
        free = ' '.join(f'{items[HOT]["available"]:3d}' if HOT in items else '  -' for items in self.items)
        pool = f'{self.pools[HOT]["free"]:4d}' if HOT in self.pools else '   -'  # a member that starts has not read it yet
        line = f'hot: {self.units("sold", HOT):4d} sold {self.units("reserved", HOT):4d} reserved, free: pool {pool}, members {free}'
        self.say(f'waiting until {what}' if line == self.line else line)
        self.line, self.shown = line, time.monotonic()

    def until(self, condition, seconds, what):
        """With a line every two seconds."""
        def step():
            self.look()
            if time.monotonic() - self.shown >= 2:
                self.show(what)
            return condition()
        return fgtest.wait_until(step, seconds, what, 0.05)

    # ---- what happens ----

    def decided(self, member):
        try:
            return sum(member.gate.get('/v1/stats')['answers'][status] for status in DECIDED)
        except (OSError, AssertionError):
            return 0

    def swapped(self, member):
        return member.view()['counters']['swaps']

    def member_dies(self, member):
        others = [m for m in self.members if m is not member]
        before = [self.decided(m) for m in others]
        self.say(f'member {member.number} is killed (SIGKILL); its users wait for it')
        self.swaps += self.swapped(member)  # its counters begin anew
        member.gate.kill()
        self.until(lambda: all(self.decided(m) > n + 1500 for m, n in zip(others, before)), 30, 'the others sell')
        self.say(f'the other {"members sell" if len(others) > 1 else "member sells"} on; member {member.number} is started again')
        began = time.monotonic()
        member.gate.start(ready=False)
        self.until(lambda: member.gate.running() and self.decided(member) > 50, 40, f'member {member.number} sells')
        self.outages['member'] = round(time.monotonic() - began, 2)
        self.say(f'member {member.number} is back, agrees with the pool, and sells after {self.outages["member"]:.1f} s')

    def etcd_leader(self):
        try:
            return self.fleet.etcd.leader()
        except (fgtest.Timeout, subprocess.CalledProcessError):  # a busy machine: it elects
            return None

    def etcd_leader_dies(self):
        first, last = self.members[0], self.members[-1]
        leader = self.until(self.etcd_leader, 30, 'etcd has a leader')
        self.say(f"etcd's leader {leader.name} is killed (SIGKILL); {ADDED_UNITS} units more come to member {last.number}")
        began = time.monotonic()
        leader.kill()
        last.gate.fgctl('stock', 'add', HOT, ADDED_UNITS)
        self.parts.totals[HOT] += ADDED_UNITS
        self.until(lambda: self.fleet.pool(HOT, first.number)['members'][last.number]['stock'] == ADDED_UNITS, 30,
                   'the added units are in the pool')
        self.outages['etcd'] = round(time.monotonic() - began, 2)
        self.say(f'etcd has another leader: the pool has these units after {self.outages["etcd"]:.1f} s')
        leader.start()
        self.until(leader.health, 30, f'{leader.name} is back')
        self.say(f'{leader.name} is back, and follows')

    def run(self, seed):
        parts = self.parts
        services = parts.services()
        self.look()
        self.began = time.monotonic()
        waves = [parts.shoppers(m, seed) for m in self.members]
        people = front.Shoppers(parts.lab, parts.web, f'{HOT}-{LESSER[-1]}', HOT, 0.4, WEB_SECONDS, seed, WEB_SHOPPERS)
        self.until(lambda: all(items and items[HOT]['sold'] > 300 for items in self.items), 60, 'all members sell')
        self.member_dies(self.members[-1])
        self.etcd_leader_dies()
        self.until(lambda: HOT in self.pools and self.units('available', HOT) + self.pools[HOT]['free'] == 0, 60,
                   'the hot item is sold out')
        self.say('the hot item is sold out; units that come back are sold again')
        self.until(lambda: not people.process.running(), 60, 'the shoppers over HTTPS have ended')
        for wave in waves:
            wave.process.signal(signal.SIGUSR1)  # no new orders
        self.until(lambda: not any(w.process.running() for w in waves), 90, 'the shoppers have ended')
        self.until(lambda: self.settled() and not self.payments_open(), 60, 'no order and no payment is under way')
        self.swaps += sum(self.swapped(m) for m in self.members)
        for service, _ in services:
            service.terminate()
        return waves, people, demo.finish_service(*services[0])  # each tells what is in the books

    def payments_open(self):
        text = "SELECT count(*) FROM order_service.payments WHERE state IN ('taken', 'charged', 'declined')"
        return int(self.parts.postgres.sql(text)[0][0])

    def settled(self):
        """Logs and pool agree: what the pool says that a member holds is the total of its ledger."""
        if self.pools.keys() != self.parts.totals.keys():
            return False
        return all(self.units('reserved', item) == 0 and pool['free'] + self.units('total', item) == self.parts.totals[item] and
                   all(row['held'] == items[item]['total'] for row, items in zip(pool['members'], self.items))
                   for item, pool in self.pools.items())


# ---- the verdict -----------------------------------------------------------------------------------------


def orders_of(path, members):
    """What shoppers were told, in a file for each member."""
    parts = [f'{path}.{n}' for n in range(members)]
    files = [open(part, 'w', encoding='ascii') for part in parts]
    with open(path, encoding='ascii') as f:
        for line in f:
            for n, out in enumerate(files):
                if line.startswith('#') or owner(int(line.split()[1]), members) == n:
                    out.write(line)
    for out in files:
        out.close()
    return parts


def audit(parts, sale, waves, people):
    """Of each member: its log, its keys in Redis, what its shoppers were told. Then all logs with the pools that etcd has."""
    lab, fleet, results = parts.lab, parts.fleet, []
    by_web = orders_of(people.audit, len(parts.members))
    for m, wave in zip(parts.members, waves):
        m.gate.stop()
        report = lab.unique('audit.json')
        code, text = lab.audit('--client-complete', log=m.gate.log_dir, redis=parts.redis.address, redis_member=m.number,
                               client=[wave.audit, by_web[m.number]], json=report)
        if code == 2:
            raise SystemExit(f'the audit could not be made:\n{text}')
        with open(report, encoding='utf-8') as f:
            results.append(json.load(f))
    problems = [f'member {m.number}: {text}' for m, r in zip(parts.members, results) for text in r['problems']]
    units = [{int(i['item']): i for i in r['items']} for r in results]
    try:
        fleet.audit()
    except AssertionError as error:
        problems += str(error).splitlines()
    for item, total in parts.totals.items():
        free, logs = sale.pools[item]['free'], [u[item]['total'] for u in units]
        if free + sum(logs) != total:
            problems.append(f'item {item}: {free} in the pool and {logs} at the members are not {total}')
    return results, units, problems


def summarise(parts, sale, waves, people, charged):
    told = [w.finish(check=False) for w in waves]
    results, units, problems = audit(parts, sale, waves, people)
    http = people.finish(5)

    def sum_of(kind, item=None):
        return sum(i[kind] for u in units for n, i in u.items() if item in (None, n))

    free = {item: pool['free'] + sum_of('available', item) for item, pool in sale.pools.items()}
    # at each member: refused after its own last unit had come back
    wanting = {int(i['item']): min(t['items'][n]['wanting'] for t in told) for n, i in enumerate(told[0]['items'])}
    return {
        'audit': 'pass' if not problems and all(r['audit'] == 'pass' for r in results) else 'fail', 'problems': problems,
        'members': len(parts.members), 'units': sum(parts.totals.values()), 'sold': sum_of('sold'), 'left': sum(free.values()),
        'hot': {'total': parts.totals[HOT], 'sold': [u[HOT]['sold'] for u in units]},
        'oversold': sum(r['oversold'] for r in results), 'unsold_while_wanted': sum(min(n, wanting[item]) for item, n in free.items()),
        'acknowledged': sum(r['client']['acknowledged'] for r in results), 'in_log': sum(r['log']['orders'] for r in results),
        'in_redis': sum(r['redis']['orders'] for r in results),
        'contradictions': sum(t['contradictions'] for t in told) + http['contradictions'], 'http': http,
        'requests': sum(t['orders'] for t in told) + http['requests'], 'swaps': sale.swaps, 'outages_seconds': sale.outages,
        'paid_units': charged['charged_units'] - charged['refunded_units'], 'refunds': charged['refunds'],
        'charges': charged['charges'], 'charged_twice': charged['charged_twice'],
        'payments_open': sum(charged['payments'][s] for s in ('taken', 'charged', 'declined')),
    }


def failures(s):
    checks = [
        (s['audit'] == 'pass', 'the audit failed'),
        (s['oversold'] == 0, f'{s["oversold"]} units oversold'),
        (s['unsold_while_wanted'] == 0, f'{s["unsold_while_wanted"]} units unsold while wanted'),
        (sum(s['hot']['sold']) == s['hot']['total'], f'{sum(s["hot"]["sold"])} of {s["hot"]["total"]} units of the hot item sold'),
        (min(s['hot']['sold']) > 0, 'one member sold nothing of the hot item'),
        (s['acknowledged'] == s['in_log'] == s['in_redis'], 'acknowledged, logged and replicated orders differ'),
        (s['contradictions'] == 0, f'{s["contradictions"]} answers contradict the protocol or an earlier answer'),
        (s['http']['given_up'] == 0, f'{s["http"]["given_up"]} orders over HTTPS had no answer'),
        (s['http']['told'].get('SOLD', 0) > 0, 'nothing was sold over HTTPS'),
        (s['paid_units'] == s['sold'], f'{s["paid_units"]} units are paid, {s["sold"]} sold'),
        (s['charged_twice'] == 0, f'{s["charged_twice"]} orders were charged twice'),
        (s['payments_open'] == 0, f'{s["payments_open"]} payments are still under way'),
    ]
    return [text for good, text in checks if not good]


def show(s, wrong):
    each = ' + '.join(f'{n:,d}' for n in s['hot']['sold'])
    rows = [
        ('units', f'{s["units"]:,d} of {1 + len(LESSER)} items: {s["sold"]:,d} sold, {s["left"]:,d} left'),
        ('hot item', f'{sum(s["hot"]["sold"]):,d} of {s["hot"]["total"]:,d} sold: members {each}'),
        ('oversold', s['oversold']),
        ('unsold while wanted', s['unsold_while_wanted']),
        ('orders', f'{s["acknowledged"]:,d} acknowledged = {s["in_log"]:,d} in the logs = {s["in_redis"]:,d} in Redis'),
        ('payments', f'{s["paid_units"]:,d} units paid = {s["sold"]:,d} sold; {s["refunds"]:,d} charges refunded'),
        ('HTTPS', f'{s["http"]["requests"]:,d} requests of {s["http"]["shoppers"]:,d} shoppers; '
                  f'{s["http"]["told"].get("SOLD", 0):,d} orders sold'),
        ('member killed', f'sells again {s["outages_seconds"]["member"]:.1f} s after its start'),
        ("etcd's leader killed", f'the pool changes again after {s["outages_seconds"]["etcd"]:.1f} s'),
        ('pool', f'{s["swaps"]:,d} transactions for {s["requests"]:,d} requests'),
        ('audit', s['audit'] + (': logs, pool, Redis, shoppers and payments agree' if s['audit'] == 'pass' else '')),
    ]
    print()
    for name, text in rows:
        print(f'{name:>20}  {text}')
    for text in s['problems'][:20] + wrong:
        print(f'{"WRONG":>20}  {text}')


def main():
    o = options()
    fgtest.handle_signals()
    print(f'demo: {o.fleet} members, etcd, Redis, PostgreSQL, nginx, order services,\n'
          f'      {SHOPPERS * o.fleet:,d} shoppers by packets and {WEB_SHOPPERS} over HTTPS', flush=True)
    with fgtest.Lab(keep=o.keep) as lab:
        try:
            parts = Parts(lab, o)
            sale = Sale(parts)
            ended = sale.run(o.seed)
            print('demo: comparing the logs with the pool, Redis and what the shoppers were told', flush=True)
            summary = summarise(parts, sale, *ended)
        except (Exception, SystemExit):
            print(lab.logs(), file=sys.stderr)
            raise
        wrong = summary['failures'] = failures(summary)
        show(summary, wrong)
        if o.json:
            demo.write_json(o.json, summary)
        if o.keep:
            print(f'{"kept":>20}  {lab.dir}')
    return 1 if wrong else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except fgtest.Skip as reason:
        sys.exit(f'demo: {reason}')
