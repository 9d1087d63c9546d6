#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""Confirmations and cancellations that arrive on a Redis stream, while the appliance or Redis is killed, emptied, frozen.

Each test ends in the audit, and with the answer to every command.
"""

import os
import random
import secrets
import signal
import sys
import threading
import time
import uuid

sys.path.insert(0, f'{sys.path[0]}/../harness')
from fgsale import HOT, Sale, fgtest  # noqa: E402
from fgtest import wait_until  # noqa: E402

COMMANDS, DEAD, RESULTS = '{floodgate}:commands', '{floodgate}:commands:dead', '{floodgate}:results'
GROUP = 'floodgate'
ON = {'redis.commands': 'yes', 'limits.user_rate': 0}


def fields(flat):
    return dict(zip(flat[::2], flat[1::2]))


class Desk(Sale):
    """A sale with shoppers of its own and an order service that talks through Redis."""

    def __init__(self, lab, redis, units=100000, hold_ms=600000, settings=None):
        super().__init__(lab, lesser=0, redis=redis, desk=True, start=False, settings={**ON, **(settings or {})})
        self.hold_ms = hold_ms
        self.gate.start()
        self.open_items(units, 0)
        self.orders = []  # (user, order id)

    def reserve(self, n):
        """n orders, each of a user of its own; the ones made now."""
        first, made = len(self.orders) + 1, []
        with self.client('shop', patience=20) as shop:
            for user in range(first, first + n):
                reply = shop.reserve(user, HOT, 1, secrets.token_bytes(16))
                assert reply.status == 'RESERVED', reply
                made.append((user, reply.order_id.hex()))
        self.orders += made
        return made

    def command(self, op, user, order, **more):
        words = [w for pair in more.items() for w in pair]
        return self.redis.command('XADD', COMMANDS, '*', 'op', op, 'user', user, 'order', order, *words)

    def results(self):
        """{id of the command: fields of its last result}"""
        found = {}
        for _, flat in self.redis.command('XRANGE', RESULTS, '-', '+') or []:
            one = fields(flat)
            found[one['command']] = one
        return found

    def status(self):
        return self.gate.get('/v1/status')['inbound']

    def state(self, order):
        user, name = order
        return self.redis.command('HGET', f'{{floodgate}}:order:{user}:{name}', 'state')

    def answered(self, commands, seconds=30):  # pylint: disable=arguments-differ
        """Waits until each of them has a result, and nothing is left in the stream or pending."""
        def all_there():
            have = self.results()
            return have if all(c in have for c in commands) else None
        try:
            have = wait_until(all_there, seconds, 'every command has its result')
        except fgtest.Timeout:
            missing = [c for c in commands if c not in self.results()]
            raise fgtest.Timeout(f'{len(missing)} of {len(commands)} commands have no result: {missing[:3]}, '
                                 f'{self.status()}, log {self.gate.get("/v1/status")["log"]}') from None
        assert self.redis.command('XLEN', COMMANDS) == 0
        assert self.redis.command('XPENDING', COMMANDS, GROUP)[0] == 0
        return have

    def in_state(self, state, seconds=20):
        return wait_until(lambda: self.status() if self.status()['state'] == state else None, seconds, state)

    def replicated(self, seconds=20):
        goal = self.gate.get('/v1/status')['log']['durable_seq']
        wait_until(lambda: self.gate.sink('redis')['cursor'] >= goal, seconds, 'Redis follows')


@fgtest.timeout(90)
def test_what_an_order_service_asks_for(lab):
    """confirm, cancel, extend by stream and by packets of role backend: the same answers, once and for all"""
    sale = Desk(lab, lab.redis())
    orders = sale.reserve(40)
    until = int(time.time() * 1000) + 3600000
    confirmed = {sale.command('confirm', *o): o for o in orders[:10]}
    cancelled = {sale.command('cancel', *o, invoice='77'): o for o in orders[10:20]}
    extended = {sale.command('extend', *o, until_ms=until): o for o in orders[20:30]}
    unknown = sale.command('confirm', 999999, '00' * 16)
    upper = sale.command('confirm', orders[30][0], orders[30][1].upper())
    late = sale.command('cancel', *orders[0])
    have = sale.answered([*confirmed, *cancelled, *extended, unknown, upper, late])
    for ids, status in ((confirmed, 'SOLD'), (cancelled, 'CANCELLED'), (extended, 'RESERVED')):
        for command, (user, order) in ids.items():
            one = have[command]
            assert (one['status'], one['user'], one['order'], one['item'], one['quantity']) == (
                status, str(user), order, str(HOT), '1'), one
            assert one['deadline_ms'] == (str(until) if status == 'RESERVED' else '0'), one
    assert have[unknown]['status'] == 'UNKNOWN_ORDER' and have[upper]['status'] == 'SOLD'
    assert have[late]['status'] in ('SOLD', 'CANCELLED')  # whichever of the two came first to the engine
    with sale.client('backend') as backend:
        for user, order in orders[:10]:
            told = have[late]['status'] if order == orders[0][1] else 'SOLD'
            assert backend.confirm(user, bytes.fromhex(order)).status == told
        assert backend.confirm(orders[10][0], bytes.fromhex(orders[10][1])).status == 'CANCELLED'
        assert backend.confirm(orders[31][0], bytes.fromhex(orders[31][1])).status == 'SOLD'
        assert backend.cancel(orders[32][0], bytes.fromhex(orders[32][1])).status == 'CANCELLED'
        assert backend.extend(orders[33][0], bytes.fromhex(orders[33][1]), until).deadline_ms == until
        refunds = {sale.command('refund', user, str(uuid.UUID(order)), restock=restock, ref=f'r{restock}'): restock
                   for (user, order), restock in zip(orders[1:3], (0, 1))}
        told = sale.answered(refunds)
        assert all((told[c]['status'], told[c]['ref']) == ('REFUNDED', f'r{r}') for c, r in refunds.items()), told
    again = [sale.command(op, *o) for o, op in ((orders[31], 'confirm'), (orders[32], 'cancel'), (orders[33], 'cancel'))]
    have = sale.answered(again)
    assert [have[c]['status'] for c in again] == ['SOLD', 'CANCELLED', 'CANCELLED']
    status = wait_until(lambda: (s := sale.status())['acknowledged'] == 38 and s['backlog'] == 0 and s, 10, 'it knows of all')
    assert (status['state'], status['dead'], status['error']) == ('live', 0, ''), status
    assert status['taken'] == len(sale.results()) == 38
    assert sum(status['results'].values()) == 38
    text = sale.gate.api('GET', '/metrics')[1]
    assert 'floodgate_inbound_results_total' in text and 'status="SOLD"' in text, text[:2000]
    sale.finish()


@fgtest.timeout(60)
def test_expired_is_told(lab):
    """a confirmation that comes too late is sold late; or, of a denied user, EXPIRED: cancelled, then refunded"""
    sale = Desk(lab, lab.redis(), hold_ms=1000)
    paid, denied = sale.reserve(2)
    wait_until(lambda: {sale.state(paid), sale.state(denied)} == {'expired'}, 15, 'the holds end')
    assert sale.gate.api('POST', '/v1/users/denied', {'user': denied[0]})[0] == 200
    ids = [sale.command('confirm', *order) for order in (paid, denied)]
    ids += [sale.command('cancel', *denied)]
    results = sale.answered(ids)
    assert [results[i]['status'] for i in ids] == ['SOLD', 'EXPIRED', 'CANCELLED'], results
    late = sale.command('confirm', *denied)
    assert sale.answered([late])[late]['status'] == 'CANCELLED'
    sale.finish()


@fgtest.timeout(60)
def test_poison(lab):
    """commands that make no sense are set aside with a reason and do not hold up the others"""
    sale = Desk(lab, lab.redis())
    (user, order), = sale.reserve(1)
    bad = {
        "op 'confrm'; accepted: confirm, cancel, extend, refund": ('op', 'confrm', 'user', user, 'order', order),
        'op is missing': ('user', user, 'order', order),
        'user is missing': ('op', 'confirm', 'order', order),
        "user '-1'; accepted: 0..18446744073709551615": ('op', 'confirm', 'user', '-1', 'order', order),
        "user '18446744073709551616'": ('op', 'confirm', 'user', 1 << 64, 'order', order),
        'order is missing': ('op', 'confirm', 'user', user),
        f"order '{order[:-1]}'; accepted: 32 hex digits, or a UUID with dashes": ('op', 'cancel', 'user', user, 'order', order[:-1]),
        f"order '{order[:-1]}g'": ('op', 'cancel', 'user', user, 'order', order[:-1] + 'g'),
        'until_ms is missing': ('op', 'extend', 'user', user, 'order', order),
        "until_ms 'soon'": ('op', 'extend', 'user', user, 'order', order, 'until_ms', 'soon'),
        'until_ms is for extend only': ('op', 'confirm', 'user', user, 'order', order, 'until_ms', 5),
        'user is given twice': ('op', 'confirm', 'user', user, 'user', 7, 'order', order),
        'op is missing;': ('x' * 5000, 'y' * 5000),
    }
    ids = {}
    for reason, words in bad.items():
        ids[sale.redis.command('XADD', COMMANDS, '*', *words)] = (reason, words)
    named = sale.redis.command('XADD', COMMANDS, '*', 'op', 'confrm', 'user', user, 'order', order, 'ref', 'invoice 7')
    ids[named] = ("op 'confrm'", ('op', 'confrm'))
    ids[sale.redis.command('XADD', COMMANDS, '*', 'op', '\x1b[31mred', 'user', 1, 'order', order)] = (
        "op '?[31mred'", ('op', '\x1b[31mred'))
    good = sale.command('confirm', user, order)
    alarm = wait_until(lambda: [a['text'] for a in sale.gate.get('/v1/status')['alarms'] if a['name'] == 'dead'], 10, 'the alarm')
    assert 'were not done: ' in alarm[0], alarm
    sale.gate.alarm_fires('dead', 'alarm')
    have = sale.answered([good, *ids])
    assert have[good]['status'] == 'SOLD' and len(have) == 1 + len(ids)
    assert have[named]['ref'] == 'invoice 7', have[named]
    for command, (reason, _) in ids.items():
        assert have[command]['status'] == 'BAD_COMMAND' and reason in have[command]['reason'], have[command]
    dead = {}
    for _, flat in sale.redis.command('XRANGE', DEAD, '-', '+'):
        one = fields(flat[:4])
        dead[one['command']] = (one['reason'], flat[4:])
    assert dead.keys() == ids.keys()
    for command, (reason, words) in ids.items():
        assert reason in dead[command][0], (reason, dead[command])
        assert len(dead[command][1]) >= len(words), (words, dead[command])
        for sent, kept in zip(words, dead[command][1]):
            assert str(sent)[:256] == kept, (sent, kept)
    wait_until(lambda: sale.status()['dead'] == len(ids), 10, 'it knows of all')
    sale.gate.alarm_clears('dead')
    sale.finish()


def trimmed(sale):
    """The alarm, or None."""
    return next((a for a in sale.gate.get('/v1/status')['alarms'] if a['name'] == 'trimmed'), None)


@fgtest.timeout(120)
def test_a_trimmed_stream(lab):
    """commands that another program removes before they are done: an alarm that ends, each counted once, over restarts"""
    sale = Desk(lab, lab.redis())
    orders = sale.reserve(30)
    sale.in_state('live')
    add = lambda orders, *more: [sale.redis.command('XADD', COMMANDS, *more, '*', 'op', 'confirm', 'user', u, 'order', o)
                                 for u, o in orders]

    def lost(n):
        wait_until(lambda: sale.status()['trimmed'] == n, 10, f'{n} are missed')
        alarm = wait_until(lambda: trimmed(sale), 10, 'the alarm')
        assert f'(XADD with MAXLEN, XTRIM, XDEL): {n}' in alarm['text'], alarm
        sale.gate.alarm_fires('trimmed', 'alarm')

    sale.answered(add(orders[:2], 'MAXLEN', 5))  # nothing is lost, although a length is given
    assert sale.status()['trimmed'] == 0 and not trimmed(sale), sale.status()
    sale.redis.command('MULTI')  # in one step: no reader is quick enough
    add(orders[2:12], 'MAXLEN', 3)
    sale.answered(sale.redis.command('EXEC')[-3:])
    lost(7)
    sale.gate.alarm_clears('trimmed')
    sale.answered(add(orders[12:14]))
    sale.gate.stop()
    add(orders[14:20], 'MAXLEN', 2)  # while it is away
    sale.gate.start()
    lost(4)
    sale.gate.kill()
    kept = add(orders[20:26])
    sale.redis.command('XTRIM', COMMANDS, 'MAXLEN', 1)
    sale.gate.start()
    lost(5)
    sale.answered(kept[-1:])
    sale.gate.stop()
    sale.gate.start()  # it does not miss them again
    sale.answered(add(orders[26:27]))
    assert sale.status()['trimmed'] == 0 and not trimmed(sale), sale.status()
    sale.finish()


@fgtest.timeout(60)
def test_trimmed_before_the_first_read(lab):
    """an appliance that never read a command misses those that are removed before; also one that it read and did not answer"""
    sale = Desk(lab, lab.redis())
    order, = sale.reserve(1)
    sale.in_state('live')
    sale.gate.stop()
    kept, = [sale.redis.command('XADD', COMMANDS, 'MAXLEN', 1, '*', 'op', 'confirm', 'user', u, 'order', order[1])
             for u in (77, 78, order[0])][-1:]
    sale.gate.start()
    assert sale.answered([kept])[kept]['status'] == 'SOLD'
    wait_until(lambda: sale.status()['trimmed'] == 2 and trimmed(sale), 10, 'two are missed')
    sale.gate.stop()
    taken = sale.redis.command('XADD', COMMANDS, '*', 'op', 'confirm', 'user', order[0], 'order', order[1])
    sale.redis.command('XREADGROUP', 'GROUP', GROUP, 'another', 'STREAMS', COMMANDS, '>')
    sale.redis.command('XDEL', COMMANDS, taken)  # it is pending, and gone
    sale.gate.start()
    wait_until(lambda: sale.status()['trimmed'] == 1 and trimmed(sale), 10, 'one is missed')
    sale.finish()


@fgtest.timeout(180)
def test_many_at_once(lab):
    """more at once than the engine can hold answers for: BUSY is asked again, nothing is lost"""
    sale = Desk(lab, lab.redis(), settings={'limits.deferred_max': 64})
    orders = sale.reserve(1500)
    commands = add_many(sale, 'confirm', orders)
    have = sale.answered(commands, 120)  # a busy disk makes it slow: 64 of a worker at a time
    assert {have[c]['status'] for c in commands} == {'SOLD'}
    assert sale.status()['retries'] > 0, sale.status()
    sale.finish()


def add_many(sale, op, orders, batch=200):
    """Commands in transactions of some; their ids."""
    ids = []
    for at in range(0, len(orders), batch):
        sale.redis.command('MULTI')
        for user, order in orders[at:at + batch]:
            sale.redis.command('XADD', COMMANDS, '*', 'op', op, 'user', user, 'order', order)
        ids += sale.redis.command('EXEC')
    return ids


@fgtest.timeout(90)
def test_rate(lab):
    """50,000 commands that wait are answered in some seconds; the rate is printed"""
    sale = Desk(lab, lab.redis())
    orders = sale.reserve(500)
    sale.in_state('live')
    sale.gate.process.signal(signal.SIGSTOP)
    ids = add_many(sale, 'confirm', orders) + add_many(sale, 'confirm', [(u, 'ab' * 16) for u in range(1, 49501)], 1000)
    sale.gate.process.signal(signal.SIGCONT)
    began = time.monotonic()
    wait_until(lambda: sale.redis.command('XLEN', COMMANDS) == 0, 60, 'all are answered')
    took = time.monotonic() - began
    have = sale.answered(ids)
    assert [have[c]['status'] for c in ids[:500]] == ['SOLD'] * 500
    assert {have[c]['status'] for c in ids[500:]} == {'UNKNOWN_ORDER'}
    print(f'# {len(ids)} commands in {took:.2f} s: {len(ids) / took:.0f}/s')
    sale.finish()


class Clerk:
    """An order service that confirms or cancels one order after the other, whatever happens to Redis meanwhile."""

    def __init__(self, sale, orders, seed, pause=0.002):
        self.sale, self.orders, self.chance, self.pause = sale, list(orders), random.Random(seed), pause
        self.sent, self.error, self.quit = {}, None, False
        self.redis = fgtest.Redis(sale.lab)  # a connection of its own to the same server
        self.redis.socket, self.redis.address = sale.redis.socket, sale.redis.address
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self):
        for user, order in self.orders:
            op = self.chance.choice(('confirm', 'cancel'))
            while not self.quit:
                try:
                    command = self.redis.command('XADD', COMMANDS, '*', 'op', op, 'user', user, 'order', order)
                    self.sent[command] = (user, order, op)
                    break
                except (OSError, fgtest.RedisError):
                    fgtest.pause(0.01, 'before it tries again')
            fgtest.pause(self.chance.choice((0, 0, 0, self.pause)), 'the pace of the service')

    def carries_on(self):
        """It is in the midst of the work: some more commands were sent."""
        sent = len(self.sent)
        wait_until(lambda: len(self.sent) > sent + 20, 20, 'the service sends commands')

    def done(self):
        self.thread.join(60)
        assert not self.thread.is_alive()
        return self.sent


def finish(sale, sent):
    """Every command that Redis took was answered with what was asked for, and log and Redis agree."""
    assert sent, 'not one command was sent'
    have = sale.answered(sent, 40)
    wanted = {'confirm': 'SOLD', 'cancel': 'CANCELLED'}
    states = {}
    for command, (user, order, op) in sent.items():
        if (user, order) in states:  # its answer was lost with the connection, and it was sent again: the same
            assert states[user, order] == op
        states[user, order] = op
        assert have[command]['status'] == wanted[op], (have[command], op)
    sale.replicated()
    for order, op in states.items():
        assert sale.state(order) == {'confirm': 'sold', 'cancel': 'cancelled'}[op], (order, op)
    print(f'# {len(sent)} commands, {sale.status()}')
    sale.finish()


@fgtest.timeout(150)
def test_daemon_killed(lab):
    """kill -9 of the appliance at random moments of the work: what it left pending is answered by the next"""
    seed = int(os.environ.get('FG_SEED', random.randrange(1 << 32)))
    print(f'# seed {seed}')
    sale, chance = Desk(lab, lab.redis(persist=True)), random.Random(seed)
    clerk = Clerk(sale, sale.reserve(3000), seed, 0.015)
    for _ in range(6):
        fgtest.pause(chance.uniform(0.02, 0.3), 'the random moment of the kill')
        sale.gate.kill()
        sale.gate.start()
        print(f'# claimed from the one before: {sale.status()["claimed"]}')
    finish(sale, clerk.done())


@fgtest.timeout(150)
def test_daemon_stopped(lab):
    """SIGTERM in the midst of the work: what is under way is finished, the rest stays in the stream for the next"""
    sale = Desk(lab, lab.redis(persist=True))
    clerk = Clerk(sale, sale.reserve(3000), 1, 0.015)
    for _ in range(4):
        clerk.carries_on()
        sale.gate.stop()
        assert sale.redis.command('XPENDING', COMMANDS, GROUP)[0] == 0, 'nothing is under way'
        sale.gate.start()
    finish(sale, clerk.done())


@fgtest.timeout(150)
def test_redis_killed(lab):
    """kill -9 of a Redis that keeps its data: every command it took is answered"""
    seed = int(os.environ.get('FG_SEED', random.randrange(1 << 32)))
    print(f'# seed {seed}')
    sale, chance = Desk(lab, lab.redis(persist=True)), random.Random(seed)
    clerk = Clerk(sale, sale.reserve(3000), seed)
    for _ in range(8):
        fgtest.pause(chance.uniform(0.02, 0.3), 'the random moment of the kill')
        sale.redis.kill()
        fgtest.pause(chance.uniform(0, 0.3), 'a random outage')
        sale.redis.start()
    sent = clerk.done()
    assert sale.in_state('live')['reconnects'] > 0
    finish(sale, sent)


@fgtest.timeout(90)
def test_redis_stands_still(lab):
    """SIGSTOP of Redis beyond the timeout: away, then everything is answered"""
    sale = Desk(lab, lab.redis(persist=True), settings={'redis.timeout_ms': '300ms'})
    clerk = Clerk(sale, sale.reserve(2000), 3)
    clerk.carries_on()
    sale.redis.process.signal(signal.SIGSTOP)
    try:
        assert 'no answer' in sale.in_state('away')['error']
        sale.gate.alarm_fires('inbound', 'warning')
        assert sale.gate.healthy()
    finally:
        sale.redis.process.signal(signal.SIGCONT)
    sale.in_state('live')
    sale.gate.alarm_clears('inbound')
    finish(sale, clerk.done())


@fgtest.timeout(90)
def test_emptied(lab):
    """FLUSHALL and a group that was destroyed: made again, what comes afterwards or was still there is answered"""
    sale = Desk(lab, lab.redis())
    orders = sale.reserve(60)
    sale.answered([sale.command('confirm', *o) for o in orders[:20]])
    sale.redis.command('FLUSHALL')
    have = sale.answered([sale.command('confirm', *o) for o in orders[:20]])  # the service asks again: no harm
    assert {one['status'] for one in have.values()} == {'SOLD'}
    sale.redis.command('XGROUP', 'DESTROY', COMMANDS, GROUP)
    have = sale.answered([sale.command('cancel', *o) for o in orders[20:40]])
    sale.redis.kill()
    sale.redis.start()
    commands = [sale.command('confirm', *o) for o in orders[40:]]
    have = sale.answered(commands)
    assert {have[c]['status'] for c in commands} == {'SOLD'}
    sale.finish()


@fgtest.timeout(90)
def test_refused(lab):
    """commands beside another appliance's keys, or ahead of the log, or a key of a wrong type: nothing is touched"""
    sale = Desk(lab, lab.redis())
    order, = sale.reserve(1)
    sale.replicated()
    sale.in_state('live')
    right = sale.redis.hash('{floodgate}:cursor')

    def refused(text):
        sale.redis.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
        wait_until(lambda: sale.status()['state'] == 'refused' and text in sale.status()['error'], 20, text)
        command = sale.command('confirm', *order)
        fgtest.pause(1.5, 'several polls of a reader that is not refused')
        assert sale.redis.command('XLEN', COMMANDS) == 1
        results = sale.redis.command('TYPE', RESULTS)
        assert results == ('string' if text == 'WRONGTYPE' else 'none'), results
        return command

    sale.redis.command('HSET', '{floodgate}:cursor', 'appliance', '00000000000000ff')
    first = refused('of log')
    sale.redis.command('XDEL', COMMANDS, first)
    sale.redis.command('HSET', '{floodgate}:cursor', 'appliance', right['appliance'], 'seq', 10 ** 9)
    first = refused('ahead of the log')
    sale.redis.command('XDEL', COMMANDS, first)
    sale.redis.command('HSET', '{floodgate}:cursor', 'seq', right['seq'])
    sale.redis.command('SET', RESULTS, 'not a stream')
    last = refused('WRONGTYPE')
    sale.redis.command('DEL', RESULTS)
    assert sale.answered([last])[last]['status'] == 'SOLD'
    sale.finish()


@fgtest.timeout(90)
def test_acl_user(lab):
    """the rights that docs/redis.md names are enough for inbound commands, too"""
    redis = lab.redis()
    redis.command('ACL', 'SETUSER', 'gate', 'on', '>secret', '~{floodgate}:*', '-@all', '+@hash', '+@set', '+@stream',
                  '+@transaction', '+scan', '+del', '+ping', '+select', '+auth')
    sale = Desk(lab, redis, settings={'redis.user': 'gate', 'redis.password': 'secret'})
    order, = sale.reserve(1)
    command = sale.command('confirm', *order)
    assert sale.answered([command])[command]['status'] == 'SOLD'
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
