#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A pair in mid-sale: the leader dies or stalls, the standby dies, the arbiter is away, one hands over to the other. No
acknowledged order is lost, none is oversold, and the sale continues. Shoppers know both boxes; the audit compares both
logs, the servers, and what each shopper was told."""

import glob
import json
import os
import secrets
import signal
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgtest  # noqa: E402
from fgpair import TAKE_OVER, Pair, PairSale  # noqa: E402
from fgsinkpostgres import backend  # noqa: E402

DEPOSED = 75    # exit code: start it again
BURST = 64      # frames
PATIENT = {'pair.suspect_ms': '3s', 'pair.drop_ms': '3s'}
COMMANDS, RESULTS, LEADER = '{floodgate}:commands', '{floodgate}:results', '{floodgate}:leader'


def outage(sale, old, end):
    """end() ends the leadership of `old`; then the other box leads, and sells. It."""
    new, led, sold = sale.take_over(old, end)
    print(f'# box {new.node} leads after {led:.2f} s, and has decided 50 orders after {sold:.2f} s')
    return new


@fgtest.timeout(180)
def test_leader_killed(lab):
    """kill -9 of the leader in mid-sale: the standby sells on, the dead one comes back as its standby"""
    redis = lab.redis(persist=True)
    sale = PairSale(lab, redis=redis)
    sale.shop(seconds=8)
    sale.sells(1000)
    old = sale.pair.leader()
    outage(sale, old, old.gate.kill)
    sale.sells()
    sale.pair.join(old)
    sale.sells()
    sale.finish()
    assert sale.counts['orders_reserved'] > 500


@fgtest.timeout(180)
def test_leader_stalled(lab):
    """the leader is stopped in the middle of a burst, and continued after the take-over: it answers nothing and ends"""
    sale = PairSale(lab)
    sale.shop(seconds=8)
    sale.sells(1000)
    old = sale.pair.leader()
    outage(sale, old, lambda: old.gate.process.signal(signal.SIGSTOP))
    sale.sells()
    before = old.ns.counters('fga0')['tx']['packets']
    old.gate.process.signal(signal.SIGCONT)
    assert old.gate.process.wait(10) == DEPOSED, old.gate.output()[-2000:]
    said = old.ns.counters('fga0')['tx']['packets'] - before
    print(f'# it sent {said} frames when it was continued')
    assert said <= BURST, 'replies that lay in the ring of the port when it stopped, and no others'
    sale.pair.join(old)
    sale.sells()
    sale.finish()


def die_with_a_tail(sale, old):
    """The leader dies with records that its standby never had. They are patient, so that it could not lead alone before."""
    durable = lambda: old.gate.get('/v1/status')['log']['durable_seq']  # noqa: E731
    standby = sale.pair.other(old).ns
    sale.pair.controls.unplug(standby, 'fgc0')
    before = durable()
    fgtest.wait_until(lambda: durable() > before + 20, 2, 'records that are durable at the leader only', 0.005)
    old.gate.kill()
    sale.pair.controls.unplug(standby, 'fgc0', back=True)


@fgtest.timeout(180)
def test_tail_cut(lab):
    """the leader dies with records that its standby never had: it cuts them off while it runs, and follows"""
    sale = PairSale(lab, settings=PATIENT)
    sale.shop(seconds=8)
    sale.sells(500)
    old = sale.pair.leader()
    outage(sale, old, lambda: die_with_a_tail(sale, old))
    sale.sells()
    sale.pair.join(old)
    assert 'were never committed and are cut off' in old.gate.output()
    assert glob.glob(f'{old.gate.log_dir}/*.fgd')
    sale.sells()
    new = sale.pair.other(old)
    outage(sale, new, new.gate.stop)  # it sells from what it followed
    sale.pair.join(new)
    sale.finish()


@fgtest.timeout(180)
def test_standby_dies(lab):
    """the standby dies: the leader sells alone within a second, and takes it on again"""
    sale = PairSale(lab)
    sale.shop(seconds=8)
    sale.sells(500)
    leader = sale.pair.leader()
    standby = sale.pair.other(leader)
    began = time.monotonic()
    standby.gate.kill()
    leader.wait('solo')
    print(f'# alone after {time.monotonic() - began:.2f} s')
    sale.sells()
    sale.pair.join(standby)
    assert sale.pair.leader() is leader
    sale.sells()
    sale.finish()


@fgtest.timeout(240)
def test_switch(lab):
    """planned switches, by command and by SIGTERM; PostgreSQL has every order once"""
    postgres = lab.postgres()
    backend(postgres)
    sale = PairSale(lab, postgres=postgres)
    sale.shop(seconds=10)
    sale.sells(500)
    old = sale.pair.leader()
    new = outage(sale, old, lambda: old.gate.fgctl('pair', 'switch'))
    assert old.gate.process.wait(10) == DEPOSED
    sale.sells()
    sale.pair.join(old)
    sale.sells()
    began = time.monotonic()
    new.gate.stop()
    assert old.leads(), 'a stop hands over before it ends'
    print(f'# the stop of a leader took {time.monotonic() - began:.2f} s')
    sale.sells()
    sale.pair.join(new)
    sale.finish()


@fgtest.timeout(180)
def test_taken_on(lab):
    """an appliance that sells alone takes a standby on, which has no log, and dies: nothing is lost"""
    sale = PairSale(lab, alone=True)
    first, second = sale.pair.boxes
    sale.shop(seconds=10)
    sale.sells(1000)
    sale.pair.join(second)
    sale.sells()
    outage(sale, first, first.gate.kill)
    sale.sells()
    sale.wave_done()
    sale.pair.join(first)
    sale.finish()


@fgtest.timeout(180)
def test_arbiter_away(lab):
    """the arbiter is away: the pair sells on. The standby dies as well: nothing is sold until the arbiter is back"""
    sale = PairSale(lab)
    sale.shop(seconds=14)
    sale.sells(500)
    leader = sale.pair.leader()
    for member in sale.pair.etcd.members:
        member.process.signal(signal.SIGSTOP)
    sale.goes_on(3)
    sale.pair.other(leader).gate.kill()
    fgtest.wait_until(lambda: 'lead alone' in leader.view()['state'], 5, 'it cannot go on alone')
    sold = leader.gate.get('/v1/items/1')
    fgtest.pause(1, 'the time in which nothing may be sold')
    assert 'lead alone' in leader.view()['state'] and leader.gate.get('/v1/items/1') == sold, 'nothing is committed'
    for member in sale.pair.etcd.members:
        member.process.signal(signal.SIGCONT)
    leader.wait('solo')
    sale.sells()
    sale.pair.join(sale.pair.other(leader))
    sale.finish()


@fgtest.timeout(240)
def test_both_restarted(lab):
    """kill -9 of both in mid-sale, and a start in either order; then both are stopped and started"""
    sale = PairSale(lab)
    sale.shop(seconds=20)
    for order in ((0, 1), (1, 0)):
        sale.sells(500)
        boxes = [sale.pair.boxes[i] for i in order]
        for box in boxes:
            box.gate.kill()
        for box in boxes:
            box.start()
        sale.pair.published()
    sale.sells()
    sale.pair.stop()
    for box in sale.pair.boxes:
        box.start()
    sale.pair.published()
    sale.sells()
    sale.finish()


@fgtest.timeout(120)
def test_commands(lab):
    """inbound commands: those that a dead leader had read are answered by the next one; a later epoch stops them"""
    redis = lab.redis(persist=True)
    sale = PairSale(lab, redis=redis, settings={'redis.commands': 'yes'}, hold_ms=600000)
    keys, old = sale.gate.keys, sale.pair.leader()
    with sale.pair.shop.inside(), fgclient.Client(old.ip, 1, keys.secrets[1], patience=20) as shop:
        orders = [shop.reserve(user, 1, 1, secrets.token_bytes(16)).order_id.hex() for user in range(1, 41)]

    def command(user):
        return redis.command('XADD', COMMANDS, '*', 'op', 'confirm', 'user', user, 'order', orders[user - 1])

    def results():
        return {flat[1] for _, flat in redis.command('XRANGE', RESULTS, '-', '+') or [] if 'SOLD' in flat}
    asked = {command(user) for user in range(1, 21)}
    sale.pair.etcd.members[0].kill()
    old.gate.kill()
    asked |= {command(user) for user in range(21, 41)}
    fgtest.wait_until(lambda: results() >= asked, 20, 'every command is answered')
    new = sale.pair.other(old)
    assert redis.command('GET', LEADER) == str(new.view()['epoch'])
    assert redis.command('XPENDING', COMMANDS, 'floodgate')[0] == 0
    redis.command('SET', LEADER, 1000)
    command(1)
    fgtest.wait_until(lambda: sale.gate.get('/v1/status')['inbound']['state'] == 'refused', 20, 'it refuses')
    assert redis.command('XLEN', COMMANDS) == 1, 'it acknowledges nothing under a later epoch'
    assert LEADER in sale.gate.get('/v1/status')['inbound']['error']


@fgtest.timeout(120)
def test_waiting_list(lab):
    """users in a waiting list keep their places at the next leader; a unit that comes back is for the first of them"""
    pair = Pair(lab)
    pair.start()
    old = pair.leader()
    status, answer = old.gate.api('POST', '/v1/items', {
        'item': 1, 'name': 'scarce', 'total': 2, 'hold_ms': 3600000, 'waitlist': 10, 'claim_ms': 3600000,
        'wait_ttl_ms': 3600000})
    assert status == 201, answer
    orders = {user: secrets.token_bytes(16) for user in range(1, 6)}

    def client(box):
        return fgclient.Client(box.ip, 1, old.gate.keys.secrets[1], patience=20)
    with pair.shop.inside(), client(old) as shop:
        assert [shop.wait(user, 1, 1, orders[user]).status for user in orders] == 2 * ['RESERVED'] + 3 * ['WAITING']
        assert shop.cancel(3, orders[3]).status == 'CANCELLED'
        assert shop.cancel(1, orders[1]).status == 'CANCELLED'
        fgtest.wait_until(lambda: shop.query(4, orders[4]).status == 'RESERVED', 10, 'it is offered')
    old.gate.kill()
    new = pair.other(old)
    fgtest.wait_until(new.leads, TAKE_OVER, 'the standby leads', 0.005)
    with pair.shop.inside(), client(new) as shop:
        assert shop.query(4, orders[4]).status == 'RESERVED'
        reply = shop.wait(5, 1, 1, orders[5])
        assert (reply.status, reply.ticket, reply.left) == ('WAITING', 3, 0), reply
        assert shop.cancel(2, orders[2]).status == 'CANCELLED'
        fgtest.wait_until(lambda: shop.query(5, orders[5]).status == 'RESERVED', 10, 'it is offered the unit')
        assert shop.reserve(6, 1, 1, secrets.token_bytes(16)).status == 'SOLD_OUT'


@fgtest.timeout(150)
def test_demo(lab):
    """tools/demo --pair tells of three take-overs and a passed audit"""
    demo = lab.start(os.path.join(fgtest.ROOT, 'tools', 'demo'), '--pair', '--no-setup', '--json', f'{lab.dir}/demo.json')
    assert demo.wait(140) == 0, demo.output()
    with open(f'{lab.dir}/demo.json', encoding='utf-8') as f:
        summary = json.load(f)
    assert len(summary['outages_seconds']) == 3 and summary['audit'] == 'pass' and summary['orders_sold'] > 1000, summary


if __name__ == '__main__':
    fgtest.main()
