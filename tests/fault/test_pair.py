#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A pair in mid-sale: the leader dies or stalls, the standby dies, the arbiter is away, one hands over to the other. No
acknowledged order is lost, none is oversold, and the sale continues. Shoppers know both boxes; the audit compares both
logs, the servers, and what each shopper was told."""

import contextlib
import glob
import json
import os
import secrets
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgtest  # noqa: E402
from fgpair import TAKE_OVER, Pair, PairSale, decided  # noqa: E402
from fgsinkpostgres import backend  # noqa: E402

DEPOSED = 75    # exit code: start it again
BURST = 64      # frames
RECORD, TYPE_AT, BATCH, EPOCH = 64, 16, 1, 16  # of a log
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


def wait_for_swap(pair, since, node):
    """Until etcd tells, of itself, that this node leads alone: a poll would learn it late."""
    etcd = pair.etcd
    argv = [*etcd.ns.enter(), 'env', 'ETCDCTL_API=3', 'etcdctl', f'--endpoints={etcd.endpoints.replace(" ", "")}', 'watch',
            f'--rev={since}', 'floodgate/pair/register']
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as watch:
        try:
            for line in watch.stdout:
                if f'leader {node} mode solo' in line:
                    return
        finally:
            watch.kill()
    raise fgtest.Timeout('etcdctl ended: etcd lost its leader')


def has_led(box, seq):
    """Whether its log has, behind this record, an epoch and a decision of its own; seen in the file, as that costs nothing."""
    path = sorted(glob.glob(f'{box.gate.log_dir}/*.fgj'))[-1]
    with open(path, 'rb', buffering=0) as f:
        f.seek(RECORD * (seq - int(os.path.basename(path)[:20]) + 2))  # behind the header
        tail = f.read(1 << 20)
    types = list(tail[TYPE_AT::RECORD])
    return EPOCH in types and any(t not in (0, BATCH, EPOCH) for t in types[types.index(EPOCH):])


@fgtest.timeout(180)
def test_two_deaths(lab):
    """the leader dies with records that only it has, and the next one as soon as it has records of its own: one history"""
    sale = PairSale(lab, settings=PATIENT)
    sale.shop(seconds=6)
    sale.sells(300)
    old = sale.pair.leader()
    new = sale.pair.other(old)
    revision = json.loads(sale.pair.etcd.ctl('get', 'floodgate/pair/register', '-w', 'json'))['header']['revision']
    seq = new.gate.get('/v1/status')['log']['durable_seq']
    die_with_a_tail(sale, old)
    wait_for_swap(sale.pair, revision, new.node)
    led = time.monotonic()
    fgtest.wait_until(lambda: has_led(new, seq), TAKE_OVER, 'it has records of its own', 0.0005)
    new.gate.kill()
    print(f'# killed {1000 * (time.monotonic() - led):.0f} ms after it won')
    old.start()
    fgtest.wait_until(lambda: old.view().get('arbiter', {}).get('reachable'), 20, 'the first one has asked who leads')
    new.start()
    fgtest.wait_until(new.leads, 20, 'the one that the register names leads')
    sale.pair.published()
    assert sale.pair.leader() is new and 'were never committed and are cut off' in old.gate.output()
    sale.finish()


@fgtest.timeout(180)
def test_sinks_die_too(lab):
    """Redis and PostgreSQL die in the moment of a take-over, and come back later: both have every order once"""
    redis, postgres = lab.redis(persist=True), lab.postgres(durable=True)
    backend(postgres)
    sale = PairSale(lab, redis=redis, postgres=postgres)
    sale.shop(seconds=6)
    sale.sells(300)
    old = sale.pair.leader()

    def all_die():
        redis.kill()
        postgres.kill()
        old.gate.kill()
    new = outage(sale, old, all_die)
    postgres.start()
    redis.start()
    for sink in ('redis', 'postgres'):
        fgtest.wait_until(lambda s=sink: new.gate.sink(s)['state'] == 'live', 20, f'{sink} is found again')
    sale.pair.join(old)
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
    assert 'did not take over' not in new.gate.output(), 'a stop hands over before it ends'
    fgtest.wait_until(old.leads, TAKE_OVER, 'the other one leads')
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
    alone = lambda: 'lead alone' in leader.view().get('state', '')  # noqa: E731
    fgtest.wait_until(alone, 5, 'it cannot go on alone')
    seen = []

    def quiet():
        seen.append(leader.gate.get('/v1/items/1'))
        return seen[-2:-1] == seen[-1:]
    fgtest.wait_until(quiet, 5, 'the ledger has all that was committed', 0.2)
    fgtest.pause(1, 'the time in which nothing may be sold')
    assert leader.gate.get('/v1/items/1') == seen[-1], 'nothing is committed'
    fgtest.wait_until(alone, 5, 'it still cannot')
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
    fgtest.wait_until(lambda: redis.command('GET', LEADER) == str(new.view().get('epoch')), 10, 'Redis knows the epoch')
    fgtest.wait_until(lambda: redis.command('XPENDING', COMMANDS, 'floodgate')[0] == 0, 10, 'each is acknowledged')
    redis.command('SET', LEADER, 1000)
    command(1)
    fgtest.wait_until(lambda: sale.gate.get('/v1/status')['inbound']['state'] == 'refused', 20, 'it refuses')
    assert redis.command('XLEN', COMMANDS) == 1, 'it acknowledges nothing under a later epoch'
    assert LEADER in sale.gate.get('/v1/status')['inbound']['error']


def ask_control(gate, method, path, body):
    """Sends a request to its control socket, and does not wait. The connection."""
    s, text = socket.socket(socket.AF_UNIX), json.dumps(body)
    s.settimeout(10)
    s.connect(gate.socket)
    s.sendall(f'{method} {path} HTTP/1.1\r\nHost: floodgate\r\nContent-Type: application/json\r\n'
              f'Content-Length: {len(text)}\r\n\r\n{text}'.encode())
    return s


@fgtest.timeout(120)
def test_deposed_leader_asked(lab):
    """questions that wait for a stopped leader about an order of the next one, by packet, by inbound command and by an
    operator: none is answered UNKNOWN_ORDER, or done, when it is continued"""
    redis = lab.redis(persist=True)
    sale = PairSale(lab, redis=redis, settings={'redis.commands': 'yes'}, hold_ms=600000, start=False)
    old, new = sale.pair.boxes
    late = f'{redis.dir}/late'  # the next leader finds Redis later: until then it is the stopped one's turn
    new.gate.settings['redis.address'] = f'unix:{late}'
    new.gate.write_config()
    sale.begin()
    user, order = 7, secrets.token_bytes(16)
    secrets_of = old.gate.keys.secrets
    fgtest.wait_until(lambda: old.gate.get('/v1/status')['inbound']['state'] == 'live', 10, 'it takes commands')
    old.gate.process.signal(signal.SIGSTOP)
    command = redis.command('XADD', COMMANDS, '*', 'op', 'confirm', 'user', user, 'order', order.hex())
    print(f'# {redis.command("XPENDING", COMMANDS, "floodgate")[0]} commands wait in its connection')
    fgtest.wait_until(new.leads, TAKE_OVER, 'the standby leads', 0.005)
    with sale.pair.shop.inside(), fgclient.Client(new.ip, 1, secrets_of[1], patience=20) as shop:
        reply = decided(lambda: shop.reserve(user, 1, 1, order))
        assert reply.status == 'RESERVED', reply
    with sale.pair.shop.socket() as asker:
        asker.connect((old.ip, fgclient.PORT))
        for op, key in (('QUERY', 1), ('CONFIRM', 2), ('REFUND', 2)):  # of the shop, of the backend
            asker.send(fgclient.request(key, secrets_of[key], op, order, user))
        operator = [ask_control(old.gate, 'POST', f'/v1/orders/{user}/{order.hex()}/refund', {'restock': True}),
                    ask_control(old.gate, 'POST', '/v1/items/1/stock', {'add': 1})]
        old.gate.process.signal(signal.SIGCONT)
        assert old.gate.process.wait(10) == DEPOSED, old.gate.output()[-2000:]
        asker.setblocking(False)
        try:
            raise AssertionError(f'it answers {asker.recv(2048).hex()}')
        except BlockingIOError:
            pass
    for s in operator:
        with contextlib.suppress(ConnectionResetError):  # it ends with a question that it has not read
            answer = s.recv(4096).decode()
            assert not answer or ' 503 ' in answer, answer
        s.close()
    assert redis.command('XLEN', RESULTS) == 0, redis.command('XRANGE', RESULTS, '-', '+')
    os.symlink(redis.socket, late)
    fgtest.wait_until(lambda: redis.command('XLEN', RESULTS), 20, 'the command is answered')
    (_, flat), = redis.command('XRANGE', RESULTS, '-', '+')
    assert flat[1] == command and 'SOLD' in flat, flat
    assert new.gate.get('/v1/items/1')['total'] == sale.totals[1]


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
        assert decided(lambda: shop.query(4, orders[4])).status == 'RESERVED'
        reply = shop.wait(5, 1, 1, orders[5])
        assert (reply.status, reply.ticket, reply.left) == ('WAITING', 3, 0), reply
        assert shop.cancel(2, orders[2]).status == 'CANCELLED'
        fgtest.wait_until(lambda: shop.query(5, orders[5]).status == 'RESERVED', 10, 'it is offered the unit')
        assert shop.reserve(6, 1, 1, secrets.token_bytes(16)).status == 'SOLD_OUT'


@fgtest.timeout(60)
def test_lists(lab):
    """sources that the leader blocks, by hand or as a penalty, are blocked at its standby and stay so when that leads; a standby
    takes no changes; a box that comes back has the lists of the one that leads"""
    by_hand, offender = '198.18.0.66', '198.18.0.67'
    pair = Pair(lab, settings={'penalty.http': 1})
    pair.shop.ip('addr', 'add', f'{by_hand}/24', 'dev', 'fgb0')
    pair.start()
    old = pair.leader()
    new = pair.other(old)

    def listed(box, name='block'):
        return {e['prefix']: e.get('reason') for e in box.gate.get(f'/v1/filter/{name}')['prefixes']}

    def drops(box):
        """A request of the blocked source is dropped."""
        before = box.gate.get('/v1/stats')['filter']['blocked']
        with pair.shop.inside(), fgclient.Client(box.ip, 1, old.gate.keys.secrets[1], source=by_hand) as shop:
            shop.socket.send(fgclient.request(1, old.gate.keys.secrets[1], 'STOCK', bytes(16), item=1))
            fgtest.wait_until(lambda: box.gate.get('/v1/stats')['filter']['blocked'] > before, 5, 'its request is dropped')
    old.gate.fgctl('block', 'add', by_hand)
    old.gate.fgctl('allow', 'add', '198.18.77.0/24')
    assert old.gate.api('POST', '/v1/filter/penalties', {'source': offender})[0] == 200
    blocked = {by_hand: None, offender: 'penalty 1: http'}
    fgtest.wait_until(lambda: listed(new) == blocked and '198.18.77.0/24' in listed(new, 'allow'), 10, 'the standby has the lists')
    drops(new)
    for verb in ('add', 'del'):
        code, _, said = new.gate.fgctl('block', verb, by_hand, check=False)
        assert code and 'does not lead its pair' in said, said
    old.gate.kill()
    fgtest.wait_until(new.leads, TAKE_OVER, 'the standby leads', 0.005)
    assert listed(new) == blocked
    drops(new)
    fgtest.wait_until(lambda: [(p['source'], p['level']) for p in new.gate.get('/v1/filter/penalties')['penalties']] ==
                      [(offender, 1)], 10, 'it knows the penalty')
    fgtest.wait_until(lambda: new.gate.api('GET', '/leader')[0] == 200, 5, 'it takes changes')
    new.gate.fgctl('block', 'add', '198.18.0.68')
    new.gate.fgctl('penalty', 'release', offender)
    pair.join(old)
    fgtest.wait_until(lambda: listed(old) == {by_hand: None, '198.18.0.68': None}, 10, 'the other one has its lists')


@fgtest.timeout(170)
def test_demo(lab):
    """tools/demo --pair tells of three take-overs and a passed audit"""
    demo = lab.start(os.path.join(fgtest.ROOT, 'tools', 'demo'), '--pair', '--no-setup', '--json', f'{lab.dir}/demo.json')
    try:
        assert demo.wait(140) == 0, demo.output()
    finally:
        demo.terminate(20)  # it removes what it made
    with open(f'{lab.dir}/demo.json', encoding='utf-8') as f:
        summary = json.load(f)
    assert len(summary['outages_seconds']) == 3 and summary['audit'] == 'pass' and summary['orders_sold'] > 1000, summary


if __name__ == '__main__':
    fgtest.main()
