#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""lib/member: processes with a bank and a log of their own, and a real etcd. They sell one item exactly, whatever dies; the
processes that must not sell end."""

import json
import os
import random
import shutil
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgprocess  # noqa: E402
import fgtest  # noqa: E402
from fgetcd import ADDRESS, Etcd, Proxy  # noqa: E402

DRIVER = os.path.join(fgtest.BUILD, 'tests/fault/member_driver')
MAP, ENDED, LOG = 'floodgate/fleet/map', 78, 1000


def map_text(members, mode='running', shards=16):
    owners = ''.join(f'{shard % members:x}' for shard in range(shards))
    return f'floodgate-fleet 1 version 1 {mode} members {members} retired - shards {shards} {owners}'


class Member:
    """A member_driver. Its log stays over kill() and start()."""

    def __init__(self, fleet, number):
        self.fleet, self.number, self.process = fleet, number, None
        self.folder = fleet.lab.unique(f'member{number}')
        os.mkdir(self.folder)

    def start(self, **words):
        words = {'dir': self.folder, 'etcd': self.fleet.etcd.endpoints, 'member': self.number,
                 'members': len(self.fleet.members), 'shards': 16, 'log': LOG + self.number, **words}
        self.diagnostics = self.fleet.lab.unique(f'member{self.number}.txt')
        with open(self.diagnostics, 'w', encoding='utf-8') as f:
            self.process = subprocess.Popen([*self.fleet.etcd.ns.enter(), DRIVER, *(f'{k}={v}' for k, v in words.items())],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=f, text=True)
        self.fleet.processes.append(self.process)
        return self

    def sells(self):
        fgtest.wait_until(lambda: self.ask('view')['may_sell'], 20, f'member {self.number} sells')
        return self

    def send(self, *words):
        print(*words, file=self.process.stdin, flush=True)

    def answer(self):
        line = self.process.stdout.readline()
        assert line, f'member {self.number} ended with {self.process.wait(10)}: {self.said()}'
        return json.loads(line)

    def ask(self, *words):
        self.send(*words)
        return self.answer()

    def buy(self, units=1):
        return self.ask('buy', units)['status']

    def buys(self, units, seconds=20):
        """BUSY: ask again, as while another member was silent just now."""
        status = fgtest.wait_until(lambda: (s := self.buy(units)) != 'BUSY' and s, seconds, f'{units} units are decided')
        assert status == 'RESERVED', status

    def said(self):
        with open(self.diagnostics, encoding='utf-8') as f:
            return f.read()[-2000:]

    def seen(self):
        """The highest revision of etcd that it keeps in its file."""
        path = os.path.join(self.folder, 'fleet.seen')
        if not os.path.exists(path):
            return 0
        with open(path, encoding='utf-8') as f:
            return int(f.read().split()[-1])

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def ends(self, reason):
        assert self.process.wait(20) == ENDED, self.said()
        assert reason in self.said(), self.said()


class Fleet:
    def __init__(self, lab, count=2, etcds=1, begin=True):
        self.lab, self.processes, self.members = lab, [], []
        self.etcd = Etcd(lab, members=etcds, quick=True)
        self.members.extend(Member(self, number) for number in range(count))
        if begin:
            self.map()
            for m in self.members:
                m.start().sells()

    def map(self, mode='running'):
        self.etcd.ctl('put', MAP, map_text(len(self.members), mode))

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for p in self.processes:
            p.kill()
            p.wait(10)
            p.stdin.close()
            p.stdout.close()

    def sell_out(self, units=1, seed=1):
        """Until all members say that there are none left. BUSY: ask again, as while one was silent just now."""
        chance, over = random.Random(seed), set()
        while len(over) < len(self.members):
            m = chance.choice(self.members)
            status = m.buy(units)
            assert status in ('RESERVED', 'SOLD_OUT', 'INSUFFICIENT', 'BUSY'), status
            over = over | {m} if status in ('SOLD_OUT', 'INSUFFICIENT') else set()

    def taken(self):
        return [m.ask('view')['taken'] for m in self.members]


@fgtest.timeout(60)
def test_sells_exactly(lab):
    """three members sell the stock of one, and what comes back at another; the last units serve whole requests"""
    with Fleet(lab, 3, etcds=3) as fleet:
        first, _, last = fleet.members
        first.ask('stock', 300)
        fleet.sell_out(7)
        assert 300 - sum(fleet.taken()) < 7, fleet.taken()
        fleet.sell_out()
        assert sum(fleet.taken()) == 300 and min(fleet.taken()) > 0, fleet.taken()
        first.ask('give', 5)
        fgtest.wait_until(lambda: last.buy(5) == 'RESERVED', 10, 'what came back at one is sold at another')
        fleet.sell_out()
        assert sum(fleet.taken()) == 300
        assert last.ask('view')['swaps'] < 100
        fleet.etcd.ctl('del', 'floodgate/fleet/pool/7')
        first.ask('give', 1)
        fgtest.wait_until(lambda: first.ask('view')['damaged'] == 1, 10, 'it cannot return that unit, and says why')
        assert first.buy(2) == 'BUSY'


def watches(member, watched=True):
    fgtest.wait_until(lambda: member.ask('view')['watched'] == watched, 60, f'member {member.number} watches: {watched}')


@fgtest.timeout(200)
def test_watch(lab):
    """a watch that stalls is not believed, and another one begins; reads find what it keeps back; etcd's end and a compaction"""
    with Fleet(lab, begin=False) as fleet:
        server = fleet.etcd.members[0].client
        proxy = Proxy(fleet.etcd.ns, server, b'/v3/watch')
        proxy.open.set()
        fleet.map()
        first, last = fleet.members
        first.start(etcd=f'{ADDRESS}:{proxy.port}').sells()
        last.start().sells()
        watches(first)
        watches(last)
        proxy.open.clear()
        last.ask('stock', 5)
        first.buys(5, 60)
        watches(first, False)
        proxy.open.set()
        watches(first)
        fleet.etcd.ctl('compact', str(last.ask('view')['revision']))
        fleet.etcd.members[0].kill()
        watches(first, False)
        fleet.etcd.members[0].start()
        last.ask('stock', 5)
        first.buys(5, 60)
        watches(first)
        watches(last)
        proxy.close()


@fgtest.timeout(200)
def test_stalled_watch_is_renewed(lab):
    """a watch that does not keep up for a second is begun again, at the next endpoint"""
    with Fleet(lab, begin=False) as fleet:
        proxy = Proxy(fleet.etcd.ns, fleet.etcd.members[0].client, b'/v3/watch')
        proxy.open.set()
        fleet.map()
        first, last = fleet.members
        first.start(etcd=f'{ADDRESS}:{proxy.port},{fleet.etcd.endpoints}').sells()
        last.start().sells()
        watches(first)
        proxy.open.clear()
        last.ask('stock', 5)
        first.buys(5, 60)
        watches(first)
        proxy.close()


@fgtest.timeout(60)
def test_kills(lab):
    """kill -9 of a member between its swap and its LEASE, and of the one that holds units: none is lost, none is twice"""
    with Fleet(lab) as fleet:
        first, last = fleet.members
        first.ask('stock', 200)
        last.buys(3)
        assert last.ask('view')['free'] > 0, 'a lease takes more than what is asked for'
        last.ask('no-lease')
        last.send('buy', 50)
        fgtest.wait_until(lambda: first.ask('view')['pool'] <= 150 - 3, 10, 'the swap took place')
        last.kill()
        assert next(status for status in iter(lambda: first.buy(5), None) if status != 'RESERVED') == 'BUSY'
        assert first.ask('view')['silent'] == 2, 'member 1 is silent'
        last.start().sells()
        fleet.sell_out()
        assert sum(fleet.taken()) == 200, fleet.taken()


@fgtest.timeout(60)
def test_etcd_away(lab):
    """without etcd a member sells what it holds, then says BUSY, and starts to sell only when etcd answers; frozen likewise"""
    with Fleet(lab) as fleet:
        first, last = fleet.members
        first.ask('stock', 200)
        last.buys(2)
        held = last.ask('view')['free']
        fleet.map('frozen')
        fgtest.wait_until(lambda: last.ask('view')['frozen'], 10, 'the fleet is frozen')
        assert last.buy(held + 1) == 'BUSY'
        fleet.map()
        fgtest.wait_until(lambda: not last.ask('view')['frozen'], 10, 'the fleet is thawed')
        fleet.etcd.members[0].kill()
        fgtest.wait_until(lambda: last.ask('view')['away'], 10, 'etcd is away')
        assert last.buy(held) == 'RESERVED' and last.buy() == 'BUSY'
        last.kill()
        last.start()
        fgtest.wait_until(lambda: not last.ask('view')['etcd_ok'] and last.ask('view')['etcd_error'], 10, 'it asks in vain')
        assert last.buy() == 'UNAVAILABLE'
        fleet.etcd.members[0].start()
        last.sells()
        fgtest.wait_until(lambda: not first.ask('view')['away'], 10, 'etcd answers')
        fleet.sell_out()
        assert sum(fleet.taken()) == 200, fleet.taken()


@fgtest.timeout(60)
def test_must_not_sell(lab):
    """another map, log or process, an older log: each ends its process; a restored etcd is noticed"""
    with Fleet(lab, begin=False) as fleet:
        first, last = fleet.members
        first.start()
        fgtest.wait_until(lambda: first.ask('view')['reason'] == 'etcd has no map of the fleet', 10, 'it has read etcd')
        assert first.buy() == 'UNAVAILABLE'
        fleet.map()
        first.sells()
        last.start(shards=17).ends('the map in etcd is not the configured one')
        last.start().sells()
        last.kill()
        last.start(log=1).ends('etcd knows this member by another log: floodgate-member 1 member 1 log 00000000000003e9')
        last.start().sells()
        older = Member(fleet, 1)
        shutil.copytree(last.folder, older.folder, dirs_exist_ok=True)
        older.start().sells()
        last.ends('another process is this member of the fleet')
        first.ask('stock', 100)
        for _ in range(5):
            older.buys(10)
        last.start().ends('the log of this member is older than what etcd knows of it')
        last.start(shards=17).ends('the map in etcd is not the configured one')
        for _ in range(2):
            older.buys(10)  # these two did not claim its register
        with open(os.path.join(fgprocess.ROOT, 'config/floodgate.service'), encoding='utf-8') as f:
            assert f'RestartPreventExitStatus={ENDED}\n' in f.read(), 'systemd leaves it at that'
        older.kill()
        fgtest.wait_until(lambda: first.seen() == first.ask('view')['revision'] > 10, 10, 'it remembers the revision')
        blocked = os.path.join(first.folder, 'fleet.seen.new')
        os.mkdir(blocked)
        fleet.map()
        fgtest.wait_until(lambda: 'fleet.seen: Is a directory' in first.ask('view')['seen_error'], 10, 'it cannot write the file')
        assert not first.ask('view')['etcd_error'], 'that is no error of etcd'
        assert first.seen() < first.ask('view')['revision']
        os.rmdir(blocked)
        fgtest.wait_until(lambda: first.seen() == first.ask('view')['revision'], 10, 'it tries again')
        fgtest.wait_until(lambda: not first.ask('view')['seen_error'], 10, 'and says no more that it cannot')
        assert 'warning' in first.said(), first.said()
        etcd = fleet.etcd.members[0]
        etcd.kill()
        shutil.rmtree(etcd.folder)
        etcd.start()
        fgtest.wait_until(etcd.health, 30, 'etcd serves')
        fleet.map()
        fgtest.wait_until(lambda: first.ask('view')['reason'] == 'etcd was restored from a copy', 10, 'it is noticed')
        first.kill()
        first.start()
        fgtest.wait_until(lambda: first.ask('view')['reason'] == 'etcd was restored from a copy', 10, 'by the next one, too')
        assert first.buy() == 'UNAVAILABLE'


if __name__ == '__main__':
    fgtest.main()
