#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Members of a fleet with a real etcd: they sell one item exactly; a member dies, etcd is away, a person
decides. tests/fault/test_member.py has the members that must not sell."""

import contextlib
import io
import json
import os
import shutil
import subprocess
import sys
import types

sys.path.insert(0, f'{sys.path[0]}/../harness')
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'runner'))
sys.dont_write_bytecode = True
import fgtest  # noqa: E402
import fleet as fleet_demo  # noqa: E402
from fgfleet import ENDED, ITEM, SHARDS, Buyer, Fleet  # noqa: E402
from fgprometheus import Prometheus  # noqa: E402

DONE = ('SOLD_OUT', 'INSUFFICIENT')


def sell_out(fleet, buyers, quantity=1):
    """Shoppers of all members in turn, until each member says that there are not so many left."""
    for n in range(10000):
        answers = [buyer.buy(quantity) for buyer in buyers]
        assert set(answers) <= {'RESERVED', *DONE}, (n, answers)
        if 'RESERVED' not in answers:
            return answers
    raise AssertionError('there is no end of it')


def sold_exactly(fleet, buyers, total):
    assert sum(b.bought for b in buyers) == total, [b.bought for b in buyers]
    fleet.settle(total, total)
    fleet.audit()


@fgtest.timeout(120)
def test_sells_exactly(lab):
    """three members and three etcds: one member's stock is sold by all, large requests too, and what comes back anywhere"""
    fleet = Fleet(lab, count=3, total=121, etcds=3)
    buyers = [Buyer(m) for m in fleet.members]
    sell_out(fleet, buyers, 7)
    assert 121 - sum(b.bought for b in buyers) < 7, 'nobody sold what another member could use'
    assert min(b.bought for b in buyers) > 0
    answers = sell_out(fleet, buyers)
    assert answers == ['SOLD_OUT'] * 3, answers
    user, order = buyers[0].orders[0]
    assert fleet.members[0].client('backend').cancel(user, order).status == 'CANCELLED'
    buyers[0].bought -= 7
    fgtest.wait_until(lambda: buyers[2].buy(7) == 'RESERVED', 10, 'what was cancelled at member 0 is sold at member 2')
    fleet.members[1].gate.fgctl('stock', 'add', ITEM, 2)
    fgtest.wait_until(lambda: buyers[0].buy(2) == 'RESERVED', 10, 'stock of member 1 is sold at member 0')
    sell_out(fleet, buyers)
    assert not fleet.members[0].gate.metrics_missing('floodgate_fleet_')
    sold_exactly(fleet, buyers, 123)


@fgtest.timeout(60)
def test_no_total_is_set(lab):
    """units of a member are in the pool: a total, or a file with totals, is refused there, else they would be added again"""
    fleet = Fleet(lab, total=30)
    first, last = fleet.members
    fgtest.wait_until(lambda: fleet.pool()['free'] == 30 and first.units() == (0, 0, 0), 10, 'all units are in the pool')
    for method, path in (('PATCH', f'/v1/items/{ITEM}'), ('POST', f'/v1/items/{ITEM}/stock')):
        status, answer = first.gate.api(method, path, {'total': 30})
        assert status == 409 and 'add or remove units instead' in answer['error']['message'], (path, status, answer)
    path = lab.unique('items.csv')
    for member in fleet.members:
        with open(path, 'w', encoding='utf-8') as f:
            f.write(f'item,total\n{ITEM},30\n')
        code, _, said = member.gate.fgctl('item', 'import', path, check=False)
        assert code == 6 and 'is a member of a fleet' in said and 'nothing was sent' in said, (code, said)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(f'item,user_limit\n{ITEM},9\n')
        member.gate.fgctl('item', 'import', path)
    first.gate.fgctl('stock', 'add', ITEM, 3)
    fgtest.wait_until(lambda: fleet.pool(at=last.number)['free'] == 33, 10, 'the other one has read the pool')
    last.gate.fgctl('stock', 'remove', ITEM, 31)
    buyers = [Buyer(m) for m in fleet.members]
    sell_out(fleet, buyers)
    sold_exactly(fleet, buyers, 2)


@fgtest.timeout(120)
def test_many_shoppers(lab):
    """two members of two workers each, and shoppers by the thousand at both: sold exactly, few swaps"""
    total = 1500
    fleet = Fleet(lab, total=total, workers=2)
    waves = []
    for m in fleet.members:
        m.gate.fgctl('pause', ITEM)
        m.link.route_to_b('198.19.0.0/16')
        waves.append(lab.blast(m.link.b, m.gate.keys, interface=m.link.b_if, server=m.link.a_ip, server_mac=m.link.a_mac,
                               source_base='198.19.0.1', sources=500, shoppers=4000, rate=1000, window=2000, seconds=4,
                               items=ITEM, user_base=1 + 1000000 * m.number, seed=1 + m.number, confirm=1.0,
                               confirm_delay_ms=100, timeout_ms=150, retries=60, drain_seconds=30, no_huge=True,
                               members=fleet.count, member=m.number).start())
    fgtest.wait_until(lambda: all(m.gate.get('/v1/stats')['answers']['PAUSED'] for m in fleet.members), 30, 'shoppers are at both')
    for m in fleet.members:
        m.gate.fgctl('resume', ITEM)
    for wave in waves:
        summary = wave.finish(90, check=False)
        assert summary['contradictions'] == 0, (summary['wrong'], summary['examples'])
    buyers = [Buyer(m) for m in fleet.members]
    sell_out(fleet, buyers)
    fleet.settle(total, total)
    sold = [sum(m.units()[1:]) for m in fleet.members]
    swaps = [m.view()['counters']['swaps'] for m in fleet.members]
    print(f'# sold {sold}, swaps {swaps}')
    assert min(sold) > 40 and max(swaps) < 200
    fleet.audit()


@fgtest.timeout(120)
def test_member_killed(lab):
    """kill -9 of a member that holds units: the others sell the rest, and say BUSY, not sold out; it comes back with its
    units"""
    fleet = Fleet(lab, total=150)
    buyers = [Buyer(m) for m in fleet.members]
    for _ in range(5):
        assert [b.buy(2) for b in buyers] == ['RESERVED', 'RESERVED']
    fleet.members[1].gate.kill()
    for _ in range(200):
        status = buyers[0].once(4)
        if status != 'RESERVED':
            break
    assert status == 'BUSY', status
    fgtest.wait_until(lambda: fleet.members[0].view()['silent'] == [1], 10, 'member 1 is silent')
    fleet.members[0].raises('warning')
    fleet.members[1].start()
    buyers[1] = Buyer(fleet.members[1])
    buyers[1].bought = 10
    sell_out(fleet, buyers)
    fgtest.wait_until(lambda: fleet.members[0].view()['silent'] == [], 10, 'member 1 is back')
    sold_exactly(fleet, buyers, 150)


@fgtest.timeout(120)
def test_etcd_away(lab):
    """without etcd the members sell what they hold, then say BUSY; one that starts sells nothing until etcd answers"""
    fleet = Fleet(lab, total=150)
    buyers = [Buyer(m) for m in fleet.members]
    fgtest.wait_until(lambda: fleet.pool()['free'] == 150, 10, 'all stock is in the pool')
    assert [b.buy() for b in buyers] == ['RESERVED', 'RESERVED']
    first, last = fleet.members
    fgtest.wait_until(lambda: sum(m.units()[0] for m in fleet.members) > 0, 10, 'a lease takes more than what is asked for')
    fleet.etcd.members[0].kill()
    fgtest.wait_until(lambda: first.view()['away'] and last.view()['away'], 10, 'etcd is away')
    for m, b in zip(fleet.members, buyers):
        free, bought = m.units()[0], b.bought
        assert next(s for s in iter(b.once, None) if s != 'RESERVED') == 'BUSY'
        assert b.bought - bought >= free, (free, b.bought - bought)
    first.raises('warning')
    last.gate.kill()
    last.gate.start(ready=False)
    last.raises('alarm')
    assert Buyer(last).once() == 'UNAVAILABLE'
    assert not last.gate.healthy()
    fleet.etcd.members[0].start()
    fgtest.wait_until(last.gate.healthy, 30, 'etcd was read')
    fgtest.wait_until(lambda: not first.view()['away'], 10, 'etcd answers')
    first.gate.alarm_clears('fleet')
    bought = buyers[1].bought
    buyers[1] = Buyer(last)
    buyers[1].bought = bought
    sell_out(fleet, buyers)
    sold_exactly(fleet, buyers, 150)


def old_log(fleet, member):
    """A copy of its log that lacks one lease, as a crash may, and sales from before that: it must not sell."""
    gate, kept, buyer = member.gate, fleet.lab.unique('kept'), Buyer(member)
    while member.units()[0] == 0:  # it shall sell something before it leases
        assert buyer.buy() == 'RESERVED'
    gate.stop()
    shutil.copytree(gate.log_dir, kept)
    gate.start()
    leases, buyer = member.view()['counters']['leases'], Buyer(member)
    while member.view()['counters']['leases'] == leases:
        assert buyer.buy() == 'RESERVED'
    gate.stop()
    shutil.move(gate.log_dir, f'{kept}.real')
    shutil.copytree(kept, gate.log_dir)
    gate.start(ready=False)
    assert gate.process.wait(20) == ENDED and 'the log of this member is older' in gate.output(), gate.output()
    shutil.rmtree(gate.log_dir)
    shutil.move(f'{kept}.real', gate.log_dir)


@fgtest.timeout(240)
def test_operator(lab):
    """without a map nothing is sold; fgctl begins a fleet once, freezes and thaws it, and shows it; a member with
    another map ends"""
    fleet = Fleet(lab, start=False)
    member = fleet.members[0]
    member.gate.settings['metrics.listen'] = '127.0.0.1:9460'
    member.gate.write_config()
    member.gate.start(ready=False)
    member.raises('alarm')
    fgtest.wait_until(lambda: member.view()['reason'] == 'etcd has no map of the fleet', 10, 'it has read etcd')
    assert 'there is no' not in fleet.init()
    fgtest.wait_until(member.gate.healthy, 10, 'it sells')
    assert member.view()['reason'] == '' and member.view()['may_sell']
    again = subprocess.run([*fleet.net.enter(), fgtest.program('fgctl'), 'fleet', 'init', '--config', member.gate.config],
                           capture_output=True, text=True, timeout=30, check=False)
    assert again.returncode == 1 and 'there is a map already, of version 1' in again.stderr, again
    fleet.members[1].start()
    for m in fleet.members:  # only the first one: a member keeps what it has while the pool has some
        m.item(total=0 if m.number else 80)
    fgtest.wait_until(lambda: fleet.pool()['free'] == 80, 10, 'all stock is in the pool')
    assert json.loads(fleet.fgctl('fleet', 'freeze', '--json'))['frozen']
    fgtest.wait_until(lambda: all(m.view()['frozen'] for m in fleet.members), 10, 'the fleet is frozen')
    assert Buyer(member).once() == 'BUSY'
    member.raises('warning')
    fleet.fgctl('fleet', 'thaw')
    fgtest.wait_until(lambda: not member.view()['frozen'], 10, 'the fleet is thawed')
    assert Buyer(fleet.members[1]).buy(3) == 'RESERVED'
    assert member.gate.fgctl('fleet', 'status')['members'] == 2
    fgtest.wait_until(lambda: member.gate.fgctl('fleet', 'status')['items'][0]['members'][1]['held'] >= 3, 10,
                      'member 0 shows what member 1 holds')
    Prometheus(lab, member.link.a).panels_have_data(lambda query: 'floodgate_fleet_' in query)
    last = fleet.members[1].gate
    old_log(fleet, fleet.members[1])
    last.settings['fleet.shards'] = SHARDS - 1
    last.write_config()
    last.start(ready=False)
    assert last.process.wait(20) == ENDED and 'the map in etcd is not the configured one' in last.output(), last.output()
    for m in fleet.etcd.members:
        m.kill()
    gone = subprocess.run([*fleet.net.enter(), fgtest.program('fgctl'), 'fleet', 'thaw', '--config', member.gate.config],
                          capture_output=True, text=True, timeout=30, check=False)
    assert gone.returncode == 4, gone


def test_demo_view():
    """tools/demo --fleet tells how the sale goes, also before a member has listed the pools"""
    sale = fleet_demo.Sale(types.SimpleNamespace(fleet=None, members=[0, 1]))
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        sale.show('it begins')
        sale.pools = {fleet_demo.HOT: {'free': 4000}}
        sale.show('it begins')
    assert 'pool    -, members   -   -' in said.getvalue() and 'pool 4000, ' in said.getvalue(), said.getvalue()


@fgtest.timeout(250)  # the demo waits up to 90 s for one thing, and tells what it was
def test_demo(lab):
    """tools/demo --fleet sells every unit of the hot item over both members, although one and etcd's leader die"""
    demo = lab.start(os.path.join(fgtest.ROOT, 'tools', 'demo'), '--fleet', '2', '--no-setup', '--json', f'{lab.dir}/demo.json')
    try:
        assert demo.wait(220) == 0, demo.output()
    finally:
        demo.terminate(20)  # it removes what it made
    with open(f'{lab.dir}/demo.json', encoding='utf-8') as f:
        s = json.load(f)
    assert s['failures'] == [] and s['audit'] == 'pass' and s['oversold'] == 0, s
    assert sum(s['hot']['sold']) == s['hot']['total'] == 4500 and min(s['hot']['sold']) > 0, s
    assert sorted(s['outages_seconds']) == ['etcd', 'member'] and s['acknowledged'] > 5000, s
    wrong = [{'audit': 'fail'}, {'oversold': 1}, {'unsold_while_wanted': 1}, {'hot': {'total': 4500, 'sold': [3000, 1499]}},
             {'hot': {'total': 4500, 'sold': [4500, 0]}}, {'in_log': s['in_log'] + 1}, {'in_redis': 0}, {'contradictions': 1},
             {'http': {**s['http'], 'given_up': 1}}, {'http': {**s['http'], 'told': {'SOLD_OUT': 5}}},
             {'paid_units': s['sold'] - 1}, {'charged_twice': 1}, {'payments_open': 1}]
    for change in wrong:
        assert fleet_demo.failures({**s, **change}), change


def backend_init(fleet):
    """With the configuration of the first member; the tables are of all."""
    fgtest.command(fgtest.program('fgctl'), 'backend', 'init', '--config', fleet.members[0].gate.config)


@fgtest.timeout(120)
def test_shared_sinks(lab):
    """two members write into one Redis and one PostgreSQL: readers see the sums, and a command goes to the user's member"""
    redis, postgres = lab.redis(), lab.postgres()
    fleet = Fleet(lab, start=False)
    fleet.init()
    for m in fleet.members:
        m.gate.settings.update({'redis.address': redis.address, 'redis.commands': 'yes', 'postgres.conninfo': postgres.conninfo})
        m.gate.write_config()
        if m.number == 0:
            backend_init(fleet)
        m.start()
        m.item(total=0 if m.number else 60)
    buyers = [Buyer(m) for m in fleet.members]
    for b in buyers:
        fgtest.wait_until(lambda: b.buy(3) == 'RESERVED', 10, 'it leases')  # pylint: disable=cell-var-from-loop
        user, order = b.orders[0]
        redis.command('XADD', f'{{floodgate}}:member:{b.member.number}:commands', '*', 'op', 'confirm', 'user', user,
                      'order', order.hex())
    fgtest.wait_until(lambda: sum(m.units()[2] for m in fleet.members) == 6, 10, 'both orders are sold')

    def units():
        """In the sums of Redis and of PostgreSQL, and their own."""
        hashed, own = redis.hash(f'{{floodgate}}:item:{ITEM}'), [m.units() for m in fleet.members]
        rows = postgres.sql(f'SELECT available, reserved, sold, pool, added FROM floodgate.inventory WHERE item = {ITEM}')
        return (tuple(int(hashed.get(f, -1)) for f in ('available', 'reserved', 'sold')), tuple(map(int, rows[0])) if rows else (),
                tuple(map(sum, zip(*own))))

    def same():
        in_redis, in_postgres, own = units()
        return in_redis == in_postgres[:3] == own and own[2] == 6 and sum(own) + in_postgres[3] == 60 == in_postgres[4]
    fgtest.wait_until(same, 20, f'the sums are right: {units()}')
    rows = postgres.sql("SELECT member, user_id FROM floodgate.orders WHERE state = 'sold' ORDER BY member")
    assert rows == [[str(b.member.number), str(b.orders[0][0])] for b in buyers], rows
    for m in fleet.members:
        m.gate.stop()
        code, text = lab.audit(log=m.gate.log_dir, redis=redis.address, redis_member=m.number, postgres=postgres.conninfo,
                               postgres_schema=f'floodgate_member_{m.number}')
        assert code == 0, text


if __name__ == '__main__':
    fgtest.main()
