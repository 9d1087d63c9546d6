#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A fleet under load: etcd's leader dies again and again, its quorum is away, a member is cut off, stock is removed that another
member holds."""

import os
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgfleet import ITEM, Buyer, Churn, Fleet, kill_etcd_leader  # noqa: E402

DONE = ('SOLD_OUT', 'INSUFFICIENT')
KILLS = int(os.environ.get('FG_KILLS', 100 if fgtest.LONG else 3))
UNITS, MOST = 12, 8


def sell_out(buyers):
    """Until each member says that there is none left; the units that were bought."""
    for _ in range(1000):
        answers = [buyer.buy() for buyer in buyers]
        assert set(answers) <= {'RESERVED', *DONE}, answers
        if 'RESERVED' not in answers:
            return sum(b.bought for b in buyers)
    raise AssertionError('there is no end of it')


def in_pool(fleet, units):
    """Every member has read it: one that has not takes the pool for empty."""
    fgtest.wait_until(lambda: all(fleet.pool(at=m.number)['free'] == units for m in fleet.members), 10, f'{units} units are in the pool')


def free_after(member, bought):
    """Units that nobody ordered there, when its ledger has the orders."""
    return fgtest.wait_until(lambda: member.units()[1] == bought and member.units(), 10, f'{bought} units are reserved')[0]


@fgtest.timeout(120 + 10 * KILLS)
def test_etcd_leader_killed(lab):
    """etcd's leader is killed again and again while units move at every order: leased again, none lost, none twice"""
    fleet = Fleet(lab, total=UNITS, etcds=3)
    in_pool(fleet, UNITS)
    churns = [Churn(m, MOST) for m in fleet.members]
    for c in churns:
        c.start()
    took = [kill_etcd_leader(fleet, churns) for _ in range(KILLS)]
    for c in churns:
        c.stop()
    print(f'# leases again after {", ".join(f"{1000 * t:.0f}" for t in took)} ms; orders {[c.sold for c in churns]}')
    assert min(c.sold for c in churns) > 0
    assert sell_out([Buyer(m, patience=20) for m in fleet.members]) == UNITS
    fleet.settle(UNITS, UNITS)
    fleet.audit()


@fgtest.timeout(120)
def test_quorum_away(lab):
    """two of three etcds die: members sell what they hold, then say BUSY; with the quorum all is sold, and nothing twice"""
    fleet = Fleet(lab, total=150, etcds=3)
    in_pool(fleet, 150)
    buyers = [Buyer(m, patience=20) for m in fleet.members]
    assert [b.buy() for b in buyers] == ['RESERVED', 'RESERVED']
    gone = fleet.etcd.members[:2]
    for m in gone:
        m.kill()
    fgtest.wait_until(lambda: all(m.view()['away'] for m in fleet.members), 10, 'etcd is away')
    held = [free_after(m, 1) for m in fleet.members]
    assert held[1] > 0, 'a lease takes more than what is asked for'
    for b, free in zip(buyers, held):
        assert [b.once() for _ in range(free)] == ['RESERVED'] * free
        assert b.once() == 'BUSY'
    for m in gone:
        m.start()
    fgtest.wait_until(lambda: not any(m.view()['away'] for m in fleet.members), 30, 'etcd answers')
    assert sell_out(buyers) == 150
    fleet.settle(150, 150)
    fleet.audit()


@fgtest.timeout(120)
def test_cut_off(lab):
    """a member without its link to etcd sells what it holds, then says BUSY; the others sell the rest, and say BUSY for what
    it holds; then it comes back"""
    fleet = Fleet(lab, count=3, total=150)
    in_pool(fleet, 150)
    buyers = [Buyer(m, patience=20) for m in fleet.members]
    assert [b.buy() for b in buyers] == ['RESERVED'] * 3
    lost, others = fleet.members[2], fleet.members[:2]
    fleet.controls.unplug(lost.link.a, 'fgc0')
    fgtest.wait_until(lambda: lost.view()['away'], 10, 'it does not reach etcd')
    free = free_after(lost, 1)
    assert free > 2, 'a lease takes more than what is asked for'
    lost_buyer = buyers[2]
    assert lost_buyer.once(free - 1) == 'RESERVED'
    rest = 150 - 1 - free

    def others_sold():
        status = buyers[0].once()
        assert status in ('RESERVED', 'BUSY'), status
        return status == 'BUSY' and buyers[0].bought + buyers[1].bought == rest
    fgtest.wait_until(others_sold, 60, 'the others sold the rest')
    fgtest.wait_until(lambda: others[0].view()['silent'] == [2] and not others[0].view()['away'], 10, 'the others know who is silent')
    assert fleet.pool()['free'] == 0
    assert lost_buyer.once(2) == 'BUSY'
    assert lost_buyer.once() == 'RESERVED'
    assert lost_buyer.once() == 'BUSY', 'it cannot know whether there are any'
    assert sum(b.bought for b in buyers) == 150
    fleet.controls.unplug(lost.link.a, 'fgc0', back=True)
    fgtest.wait_until(lambda: not lost.view()['away'], 20, 'it reaches etcd')
    assert sell_out(buyers) == 150
    fgtest.wait_until(lambda: others[0].view()['silent'] == [], 10, 'it is back')
    fleet.settle(150, 150)
    fleet.audit()


@fgtest.timeout(120)
def test_stock_removed(lab):
    """stock is removed at one member while another one holds it: units in no order come back for it, those in orders do not"""
    fleet = Fleet(lab, total=100)
    in_pool(fleet, 100)
    first, last = fleet.members
    buyers = [Buyer(m, patience=20) for m in fleet.members]
    assert buyers[1].buy(3) == 'RESERVED'
    held = free_after(last, 3)
    assert held > 5, 'a lease takes more than what is asked for'

    def remove(units):
        """The exit code, once it is not that of BUSY: a member may not answer for a moment."""
        codes = []

        def answered():
            codes.append(first.gate.fgctl('stock', 'remove', ITEM, units, check=False)[0])
            return codes[-1] != 4
        fgtest.wait_until(answered, 20, f'{units} units are removed, or refused')
        return codes[-1]

    assert remove(95) == 0
    assert last.units()[0] < held
    assert remove(3) == 1
    assert sell_out(buyers) == 5
    fleet.settle(5, 5)
    fleet.audit()


if __name__ == '__main__':
    fgtest.main()
