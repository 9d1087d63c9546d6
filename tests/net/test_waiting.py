#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Waiting lists as a black box: a unit that comes back goes to who has waited longest (docs/waiting.md)."""

import json
import random
import secrets
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgtest  # noqa: E402
from fgprocess import program  # noqa: E402
from fgshop import ITEM, Shop  # noqa: E402

MANY = 2000
LONG = {'claim_ms': 3600000, 'wait_ttl_ms': 3600000}  # longer than the test


class Line:
    """A shop whose item has a waiting list and no unit left; user 1 holds the first, and so on."""

    def __init__(self, lab, units=2, workers=2, item=None, **settings):
        self.shop = Shop(lab, {'total': units, 'hold_ms': 3600000, 'waitlist': 1000, **LONG, **(item or {})}, workers=workers,
                         **{'filter.order_rate': 0, **settings})
        self.gate, self.orders = self.shop.gate, {}
        for user in range(1, units + 1):
            status, self.orders[user] = self.shop.reserve(user)
            assert status == 'RESERVED', status

    def wait(self, user, quantity=1, order=None):
        """One WAIT of the user's order; a new user gets an order."""
        order = order or self.orders.setdefault(user, secrets.token_bytes(16))
        return self.shop.shop.wait(user, ITEM, quantity, order)

    def waits(self, *users):
        for user in users:
            reply = self.wait(user)
            assert reply.status == 'WAITING', (user, reply)

    def status(self, user):
        return self.shop.backend.query(user, self.orders[user]).status

    def becomes(self, user, status, seconds=10):
        fgtest.wait_until(lambda: self.status(user) == status, seconds, f'user {user} is {status}')

    def give_back(self, user):
        assert self.shop.shop.cancel(user, self.orders[user]).status == 'CANCELLED'

    def sold_out(self):
        """(ticket that comes next, length of the line)"""
        reply = self.shop.shop.stock(ITEM)
        assert reply.status == 'SOLD_OUT', reply
        return reply.ticket, reply.waiting

    def audit(self, lab):
        self.shop.audit(lab)


def test_line(lab):
    """places and their repeats, an offer with its claim window, the next one after it; nobody jumps; fgctl shows it"""
    s = Line(lab, item={'claim_ms': 2000})
    for n, user in enumerate((11, 12, 13), 1):
        for _ in range(2):  # a repeat keeps the place
            reply = s.wait(user)
            assert (reply.status, reply.ticket, reply.left, reply.quantity) == ('WAITING', n, n - 1, 1), reply
            assert 0 < reply.retry_ms <= LONG['wait_ttl_ms'] + 16, reply
    assert s.sold_out() == (1, 3)
    assert s.shop.reserve(20)[0] == 'SOLD_OUT'
    assert s.shop.backend.confirm(11, s.orders[11]).status == 'WAITING'
    assert [o.status for o in s.shop.shop.orders(11)] == ['WAITING']
    fgtest.wait_until(lambda: s.gate.get(f'/v1/items/{ITEM}')['waiting'] == 3, 5, 'the ledger follows')
    line = s.gate.fgctl('wait', 'list', ITEM, '--limit', 2)
    assert [(w['ticket'], w['user']) for w in line['waiting']] == [(1, '11'), (2, '12')] and line['count'] == 3, line
    assert s.gate.fgctl('wait', 'show', 13)['waiting'][0]['ahead'] == 2
    status, metrics = s.gate.api('GET', '/metrics')
    assert status == 200 and f'floodgate_item_waiting{{item="{ITEM}"}} 3' in metrics, metrics
    s.give_back(1)
    s.becomes(11, 'RESERVED')
    s.shop.change(claim_ms=LONG['claim_ms'])  # of the next offer
    assert s.shop.reserve(20)[0] == 'SOLD_OUT', 'the unit was never for others'
    s.becomes(12, 'RESERVED')  # the first did not claim
    assert s.status(11) == 'EXPIRED'
    assert s.shop.backend.confirm(12, s.orders[12]).status == 'SOLD'
    assert s.sold_out() == (3, 1) and s.wait(13).left == 0
    counts = lambda: [s.shop.stock(f'line_{what}') for what in ('joined', 'offered', 'claimed', 'skipped')]  # noqa: E731
    fgtest.wait_until(lambda: counts() == [3, 2, 1, 0] and s.shop.stock('waited_ms')['count'] == 2, 5, 'it is counted')
    assert s.shop.shop.cancel(13, s.orders[13]).status == 'CANCELLED'
    s.give_back(2)
    fgtest.wait_until(lambda: s.shop.reserve(21)[0] == 'RESERVED', 10, 'nobody waits: who comes may buy')
    s.audit(lab)


def test_head_never_comes_back(lab):
    """the first of the line went home: at the turn the order ends at once, and the next one has the unit"""
    s = Line(lab, item={'wait_ttl_ms': 2000})
    s.waits(11, 12, 13)
    until = time.monotonic() + 2.3
    while time.monotonic() < until:  # 12 and 13 are heard of, 11 is not
        s.waits(12, 13)
        fgtest.pause(0.1, 'the interval between two WAIT')
    s.give_back(1)
    s.becomes(12, 'RESERVED')
    assert s.status(11) == 'CANCELLED' and s.wait(11).status == 'CANCELLED'
    fgtest.pause(2.3, 'user 13 is not heard of')
    s.waits(13)  # was absent, and is back before the turn
    s.give_back(2)
    s.becomes(13, 'RESERVED')
    s.audit(lab)


def test_one_place(lab):
    """one place for each user and item, by whichever order id and client; the line has a length; one unit only"""
    s = Line(lab, item={'waitlist': 2, 'one_unit': True})
    s.waits(11)
    for _ in range(2):
        reply = s.wait(11, order=secrets.token_bytes(16))
        assert (reply.status, reply.left) == ('USER_LIMIT', 0), reply
    assert s.wait(11).ticket == 1
    assert s.wait(12, quantity=2).status == 'BAD_QUANTITY'
    del s.orders[12]
    s.waits(12)
    assert s.wait(13).status == 'SOLD_OUT', 'the line is full'
    assert s.shop.monitor.ask('WAIT', secrets.token_bytes(16), user=14, item=ITEM, quantity=1).status == 'DENIED'
    s.shop.create(8, total=0)
    assert s.shop.shop.wait(15, 8).status == 'SOLD_OUT', 'no waiting list'
    status, answer = s.gate.api('PATCH', '/v1/items/8', {'waitlist': 10**6})
    assert status == 409 and 'waiting_max = 100000' in answer['error']['message'], answer
    s.audit(lab)


def test_judged_again(lab):
    """who was denied, or has reached the limit, or whose sale has ended meanwhile gets no offer"""
    s = Line(lab, units=3, item={'user_limit': 2})
    s.waits(11, 12, 13)
    assert s.wait(12).status == 'WAITING'
    s.gate.fgctl('user', 'deny', 11)
    s.give_back(1)
    s.becomes(12, 'RESERVED')
    assert s.status(11) == 'CANCELLED'
    assert s.wait(14, quantity=2).status == 'WAITING'
    s.waits(15)
    s.shop.change(user_limit=1)
    s.give_back(2)
    s.becomes(13, 'RESERVED')
    s.give_back(3)
    s.give_back(12)
    s.becomes(15, 'RESERVED')
    assert s.status(14) == 'CANCELLED', 'two units are above the limit now'
    fgtest.wait_until(lambda: s.shop.reserve(30)[0] == 'RESERVED', 10, 'nobody waits any more')
    s.waits(16)
    s.shop.change('/close', method='POST')
    s.give_back(13)
    s.becomes(16, 'CANCELLED')
    s.audit(lab)


def test_flood(lab):
    """others ask without end while the line is not empty: no unit is theirs"""
    s = Line(lab, units=8)
    users = range(11, 19)
    s.waits(*users)
    for n, user in enumerate(users):
        for _ in range(200):
            s.shop.shop.send('RESERVE', secrets.token_bytes(16), user=random.randrange(1000, 9000), item=ITEM, quantity=1)
        s.give_back(1 + n)
        for _ in range(200):
            s.shop.shop.send('RESERVE', secrets.token_bytes(16), user=random.randrange(1000, 9000), item=ITEM, quantity=1)
        s.becomes(user, 'RESERVED')
    s.shop.settle(8, 0, 8, 0)
    for user in range(1, 9):
        assert s.status(user) == 'CANCELLED'
    s.audit(lab)


def test_several_units(lab):
    """the head wants three, units come back one by one, the next wants one: strict order, until the head has left"""
    s = Line(lab, units=4)
    assert s.wait(11, quantity=3).status == 'WAITING'
    s.waits(12)
    s.give_back(1)
    s.give_back(2)
    fgtest.wait_until(lambda: s.shop.totals() == (4, 2, 2, 0), 5, 'two came back')
    assert (s.status(11), s.status(12)) == ('WAITING', 'WAITING') and s.shop.reserve(20)[0] == 'SOLD_OUT'
    s.give_back(3)
    s.becomes(11, 'RESERVED')
    assert s.status(12) == 'WAITING'
    assert s.wait(13, quantity=3).status == 'WAITING'
    s.waits(14)
    s.give_back(4)
    s.becomes(12, 'RESERVED')
    s.give_back(12)
    fgtest.wait_until(lambda: s.shop.totals() == (4, 1, 3, 0), 5, 'one is too little for the head')
    s.give_back(13)
    s.becomes(14, 'RESERVED')
    s.audit(lab)


def test_operator(lab):
    """pause and resume, stock added and removed, a cleared line, a line that shrinks to nothing"""
    s = Line(lab)
    s.waits(11, 12, 13, 14)
    s.shop.change('/pause', method='POST')
    s.give_back(1)
    fgtest.wait_until(lambda: s.shop.totals() == (2, 1, 1, 0), 5, 'it came back')
    assert s.status(11) == 'WAITING', 'a paused item makes no offers'
    s.gate.fgctl('stock', 'remove', ITEM, 1)
    s.shop.change('/resume', method='POST')
    assert s.status(11) == 'WAITING'
    s.shop.settle(1, 0, 1, 0)
    s.gate.fgctl('stock', 'add', ITEM, 1)
    s.becomes(11, 'RESERVED')
    s.shop.change(waitlist=0)
    assert s.wait(15).status == 'SOLD_OUT' and s.wait(12).status == 'WAITING'
    assert s.gate.fgctl('wait', 'clear', ITEM)['cleared'] == 3
    for user in (12, 13, 14):
        s.becomes(user, 'CANCELLED')
    s.give_back(2)
    fgtest.wait_until(lambda: s.shop.reserve(20)[0] == 'RESERVED', 10, 'the line is empty')
    assert s.gate.fgctl('wait', 'clear', ITEM)['cleared'] == 0
    s.audit(lab)


def test_clear_is_durable(lab):
    """a cleared line has ended in the log when the command answers: kill -9 at that moment brings nobody back"""
    s = Line(lab, item={'waitlist': MANY})
    users = range(1000, 1000 + MANY)
    s.waits(*users)
    assert s.gate.api('POST', f'/v1/items/{ITEM}/waiting/clear', None) == (200, {'item': str(ITEM), 'cleared': MANY})
    assert s.gate.get(f'/v1/items/{ITEM}')['waiting'] == 0
    s.gate.kill()
    s.gate.start()
    assert s.gate.get(f'/v1/items/{ITEM}')['waiting'] == 0
    assert {s.status(user) for user in users[::20]} == {'CANCELLED'}
    s.audit(lab)


def test_cancel_meets_the_offer(lab):
    """users leave at the very moment of their offer, many times: the unit is neither lost nor taken twice"""
    s = Line(lab, units=1, workers=2)
    holder = 1
    for n in range(60):
        leaver, user = 1000 + 2 * n, 1001 + 2 * n
        s.waits(leaver, user)
        s.shop.shop.send('CANCEL', s.orders[holder], user=holder)
        s.shop.shop.send('CANCEL', s.orders[leaver], user=leaver)
        s.becomes(leaver, 'CANCELLED')
        s.becomes(user, 'RESERVED')
        holder = user
    s.shop.settle(1, 0, 1, 0)
    s.audit(lab)


def offers(gate):
    """Users in the order of their offers, by the log."""
    done = subprocess.run([program('fglog'), gate.log_dir, '--json'], capture_output=True, text=True, check=True, timeout=60)
    return [int(r['user']) for r in map(json.loads, done.stdout.splitlines()) if r['type'] == 'offered']


def test_crash(lab):
    """kill -9 at a release, an offer, a WAIT: no place is lost, offers go by tickets, over other numbers of workers"""
    s = Line(lab, units=6, workers=2)
    users = list(range(11, 31))
    tickets = {}
    s.waits(*users[:10])
    for n, workers in enumerate((3, 1, 2, 4, 2, 2)):
        s.shop.shop.send('CANCEL', s.orders[n + 1], user=n + 1)  # at once behind it: killed
        for user in users[10:]:
            s.shop.shop.send('WAIT', s.orders.setdefault(user, secrets.token_bytes(16)), user=user, item=ITEM, quantity=1)
        if n % 2:
            s.becomes(users[n], 'RESERVED')
        s.gate.kill()
        s.gate.settings['workers.count'] = workers
        s.gate.write_config()
        s.gate.start()
        s.shop.shop.cancel(n + 1, s.orders[n + 1])
        s.becomes(users[n], 'RESERVED')
        for user in users[n + 1:10]:
            reply = s.wait(user)
            assert reply.status == 'WAITING' and reply.ticket == tickets.setdefault(user, reply.ticket), reply
        for user in users[10:]:
            reply = s.wait(user)
            assert reply.status == 'WAITING' and reply.ticket == tickets.setdefault(user, reply.ticket), reply
    assert len(set(tickets.values())) == len(tickets)
    order = [u for u in offers(s.gate) if u in users]
    assert order == users[:6], order
    s.shop.settle(6, 0, 6, 0)
    s.audit(lab)


def drawn_order(gate):
    """Users in the order of the draw, as the auditor finds it from the log alone."""
    done = subprocess.run([program('fgaudit'), '--log', gate.log_dir, f'--lottery={ITEM}'], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stdout
    return [int(line.split()[3]) for line in done.stdout.splitlines() if line.startswith('  ticket ')]


def test_draw(lab):
    """a draw at the opening: entries over a kill -9 and other numbers of workers, the order that the auditor finds, nobody calls it off"""
    redis = lab.redis()
    s = Line(lab, units=0, workers=2, redis=redis)

    def enters(user):
        try:
            return s.wait(user).status == 'WAITING'
        except fgclient.NoReply:  # NOT_OPEN until the log has the commitment
            return False

    s.gate.fgctl('stock', 'add', ITEM, 3)
    s.gate.fgctl('item', 'set', ITEM, '--opens', '+1h', '--lottery', 'yes')
    assert s.gate.get(f'/v1/items/{ITEM}')['lottery'] is True
    fgtest.wait_until(lambda: enters(11), 10, 'the log has the commitment')
    s.waits(*range(12, 31))
    for n, workers in enumerate((3, 1)):
        s.gate.kill()
        s.gate.settings['workers.count'] = workers
        s.gate.write_config()
        s.gate.start()
        fgtest.wait_until(lambda n=n: enters(31 + n), 10, 'a new commitment')
        for user in range(11, 32 + n):
            reply = s.wait(user)
            assert (reply.status, reply.ticket, reply.left) == ('WAITING', 0, 0) and reply.expected_ms > 3000000, reply
    status, answer = s.gate.api('PATCH', f'/v1/items/{ITEM}', {'lottery': False})
    assert status == 409 and 'called off' in answer['error']['message'], answer
    try:
        s.shop.shop.stock(ITEM)
        raise AssertionError('open')
    except fgclient.NoReply:
        reply = s.shop.shop.last
    assert (reply.status, reply.ticket, reply.waiting) == ('NOT_OPEN', 0xffffffff, 22), reply
    assert s.shop.shop.cancel(30, s.orders[30]).status == 'CANCELLED'
    s.gate.fgctl('item', 'set', ITEM, '--opens', 'now')
    fgtest.wait_until(lambda: [s.status(u) for u in s.orders].count('RESERVED') == 3, 10, 'three have been drawn')
    order = drawn_order(s.gate)
    assert sorted(order) == sorted(set(s.orders) - {30}), order
    assert order[:3] == offers(s.gate), (order, offers(s.gate))
    for n, user in enumerate(order[3:]):
        reply = s.wait(user)
        assert (reply.status, reply.left) == ('WAITING', n), (user, reply)
    assert s.shop.reserve(99)[0] == 'SOLD_OUT'
    s.waits(40)
    s.give_back(order[0])
    s.becomes(order[3], 'RESERVED')
    assert s.gate.get(f'/v1/items/{ITEM}')['lottery'] is False
    status, answer = s.gate.api('PATCH', f'/v1/items/{ITEM}', {'opens': int(time.time() * 1000) + 3600000, 'lottery': True})
    assert status == 409 and 'users wait already' in answer['error']['message'], answer
    s.gate.kill()
    s.gate.settings['workers.count'] = 2
    s.gate.write_config()
    s.gate.start()
    assert [s.wait(u).left for u in order[4:] + [40]] == list(range(len(order) - 4 + 1))
    s.shop.settle(3, 0, 3, 0)
    assert s.gate.stop() == 0
    code, text = lab.audit(log=s.gate.log_dir, redis=redis.address)  # its events as well
    assert code == 0, text


def test_a_position_never_grows(lab):
    """a hundred wait, some leave, some are offered: nobody's number of users ahead grows"""
    s = Line(lab, units=40, workers=2)
    chance = random.Random(5)
    users, ahead, holders = list(range(101, 201)), {}, list(range(1, 41))
    s.waits(*users)
    for _ in range(40):
        s.give_back(holders.pop(chance.randrange(len(holders))))
        leaver = users.pop(chance.randrange(len(users)))
        s.shop.shop.cancel(leaver, s.orders[leaver])
        for user in users:
            reply = s.wait(user)
            left = reply.left if reply.status == 'WAITING' else -1
            assert left <= ahead.get(user, 1000), (user, reply, ahead[user])
            ahead[user] = left
    assert min(ahead.values()) == -1
    s.audit(lab)


if __name__ == '__main__':
    fgtest.main()
