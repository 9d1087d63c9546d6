#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The gateway: real nginx with our module, a real appliance, orders over HTTP."""

import concurrent.futures
import contextlib
import json
import os
import re
import signal
import socket
import sys
import time
import uuid

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fggateway  # noqa: E402
import fgtest  # noqa: E402
from fggateway import Gateway, Relay  # noqa: E402
from fgshop import ITEM, SMALL, Shop  # noqa: E402

PROBLEM = 'urn:floodgate:problem:'


def open_shop(lab, item=None, workers=1, settings=None, **options):
    shop = Shop(lab, item=item, **(settings or {}))
    return shop, Gateway(lab, shop.link.b, shop.link.a_ip, shop.gate.keys, workers, **options).start()


def said(answer, status, code=None):
    """The answer has this HTTP status, and this code of a problem; its JSON."""
    assert answer.status == status, answer
    if status >= 400:
        assert answer.type == 'application/problem+json' and answer.json['status'] == status, answer
        assert answer.json['type'].startswith(PROBLEM) and answer.json['title'], answer
    if code:
        assert answer.json.get('code') == code, answer
    assert answer.headers['cache-control'] == 'no-store', answer
    return answer.json


def test_an_order_over_http(lab):
    """reserve, repeat, ask, confirm, too late to cancel; another is cancelled; a third key is in conflict"""
    shop, web = open_shop(lab, item={'total': 3, 'user_limit': 3})
    key, other = str(uuid.uuid4()), 'order 17 of Anna'.replace(' ', '-')
    got = said(web.reserve(1, key, quantity=2), 200)
    assert (got['order'], got['state'], got['item'], got['quantity']) == (key, 'RESERVED', str(ITEM), 2), got
    assert 0 < got.get('left_ms', 1) <= 60000 and re.fullmatch(r'20\d\d-\d\d-\d\dT[\d:.]+Z', got['deadline']), got
    again = said(web.reserve(1, f'"{key}"', quantity=2), 200)
    assert again['deadline'] == got['deadline'], 'the same order, quoted as the header field says'
    assert said(web.reserve(1, key.replace('-', '').upper(), quantity=2), 200)['deadline'] == got['deadline']
    said(web.reserve(1, key, quantity=1), 422, 'CONFLICT')
    assert said(web.order(1, key), 200)['state'] == 'RESERVED'
    said(web.order(2, key), 404, 'UNKNOWN_ORDER')
    until = int(time.time() * 1000) + 120000
    longer = said(web.backend('extend', 1, key, until_ms=str(until)), 200)
    assert longer['deadline'] > got['deadline'], longer
    for number, why in ((until // 1000 + 9000, 'looks like seconds; Unix milliseconds are meant: '),
                        (until * 1000, 'looks like microseconds'), (until * 10**6, 'looks like nanoseconds'),
                        (60000, 'is not a time from 2000 to 9999'), (946684800000 - 1, '2000'), (253402300799999 + 1, '9999')):
        wrong = web.backend('extend', 1, key, until_ms=str(number))
        assert wrong.status == 400 and wrong.type == 'application/problem+json' and why in wrong.json['detail'], wrong
    for number in (946684800000, until):  # long ago, and again: nothing is gained
        assert said(web.backend('extend', 1, key, until_ms=str(number)), 200)['deadline'] == longer['deadline']
    assert said(web.backend('confirm', 1, key), 200)['state'] == 'SOLD'
    assert said(web.reserve(1, key, quantity=2), 200)['state'] == 'SOLD'
    said(web.cancel(1, key), 409, 'SOLD')
    said(web.reserve(2, quantity=2), 409, 'INSUFFICIENT')
    assert said(web.reserve(2, other), 200)['state'] == 'RESERVED'
    out = said(web.reserve(3), 409, 'SOLD_OUT')
    assert out['retry_ms'] > 0 and out['item'] == str(ITEM), out
    assert said(web.cancel(2, other), 200)['state'] == 'CANCELLED'
    said(web.reserve(2, other), 409, 'CANCELLED')
    fgtest.wait_until(lambda: web.reserve(3, 'three').status == 200, 5, 'the unit is on sale again')
    assert said(web.backend('cancel', 3, 'three'), 200)['state'] == 'CANCELLED'
    said(web.reserve(4, item=99), 404, 'UNKNOWN_ITEM')
    said(web.backend('confirm', 9, key), 404, 'UNKNOWN_ORDER')
    assert shop.shop.query(1, uuid.UUID(key).bytes).status == 'SOLD', 'the order id is the key'
    assert not web.bad_lines(), web.bad_lines()


def test_retry_hints(lab):
    """NOT_OPEN, PAUSED and CLOSED say whether and when to come back, with jitter and in whole seconds"""
    shop, web = open_shop(lab)
    shop.change(opens=int(time.time() * 1000) + 30000)
    waits = set()
    for user in range(12):
        answer = web.reserve(user)
        told = said(answer, 409, 'NOT_OPEN')
        waits.add(told['retry_ms'])
        assert 25000 < told['retry_ms'] < 31100, told
        assert int(answer.headers['retry-after']) == -(-told['retry_ms'] // 1000), answer
    assert max(waits) - min(waits) > 100, waits
    shop.change(opens=0)
    shop.change(paused=True)
    assert said(web.reserve(1), 409, 'PAUSED')['retry_ms'] > 0
    shop.change(paused=False)
    shop.change(closes=int(time.time() * 1000) - 1000)
    assert 'retry_ms' not in said(web.reserve(1), 409, 'CLOSED')


def test_one_key_on_50_connections(lab):
    """the same key at once on 50 connections over 4 nginx workers: one order, 50 equal answers"""
    shop, web = open_shop(lab, workers=4, item={'total': 100})
    fgtest.wait_until(lambda: len(web.worker_pids()) == 4, 10, 'four workers')
    connections = [web.connection() for _ in range(50)]
    with concurrent.futures.ThreadPoolExecutor(50) as pool:
        for round_number in range(5):
            key = str(uuid.uuid4())
            answers = list(pool.map(lambda c, k=key: web.reserve(7, k, connection=c), connections))
            assert {a.status for a in answers} == {200}, answers
            assert len({(a.json['order'], a.json['deadline'], a.json['state']) for a in answers}) == 1, answers
            assert shop.shop.stock(ITEM).left == 100 - (round_number + 1)
    assert not web.bad_lines(), web.bad_lines()


@fgtest.timeout(180)
def test_loss_both_ways(lab):
    """30 % of all packets are lost both ways: every order is answered, none twice, none for another user"""
    shop = Shop(lab, item={'total': 1000, 'user_limit': 10})
    with Relay(shop.link.b, shop.link.a_ip, 0.3) as relay:
        web = Gateway(lab, shop.link.b, f'127.0.0.1:{relay.port}', shop.gate.keys, workers=2,
                      http='floodgate_patience 60s;').start()
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            # one key for all users: only the cookie tells their answers apart
            answers = dict(zip(range(200), pool.map(lambda u: web.reserve(u, 'mine', quantity=1 + u % 5), range(200))))
        assert relay.lost > 100, relay.lost
        for user, answer in answers.items():
            assert said(answer, 200)['quantity'] == 1 + user % 5, (user, answer)
        assert web.metric('packets_repeated_total') > 50
    assert shop.shop.stock(ITEM).left == 1000 - sum(1 + u % 5 for u in range(200))


def orders_together(lab, link, port, turns=25, clients=40):
    """Orders that come to nginx at once, again and again; its metrics: offloaded batches, repeats."""
    gate = lab.daemon(link.a, ports={'shop': port}, settings=SMALL)
    gate.start()
    gate.fgctl('item', 'add', ITEM, '--total', 5000)
    web = Gateway(lab, link.b, link.a_ip, gate.keys).start()
    worker = web.worker_pids()[0]
    with contextlib.ExitStack() as stack:
        pipes = [stack.enter_context(contextlib.closing(link.b.socket(socket.SOCK_STREAM))) for _ in range(clients)]
        for s in pipes:
            s.settimeout(20)
            s.connect(('127.0.0.1', fggateway.PORT))
        for turn in range(turns):
            os.kill(worker, signal.SIGSTOP)  # until all have come
            for n, s in enumerate(pipes):
                s.sendall(order_text(1000 * turn + n))
            os.kill(worker, signal.SIGCONT)
            for s in pipes:
                assert s.recv(4096).startswith(b'HTTP/1.1 200 ')
    fgtest.wait_until(lambda: gate.get('/v1/items')['items'][0]['reserved'] == turns * clients, 5, 'every order once')
    assert not web.bad_lines(), web.bad_lines()
    return web.metric('batches_offloaded_total'), web.metric('packets_repeated_total')


def test_batches_are_offloaded(lab):
    """orders that come together leave as one datagram, which the kernel cuts in front of the appliance"""
    link = lab.pair()
    offloaded, repeats = orders_together(lab, link, {'interface': link.a_if})
    assert offloaded > 10, (offloaded, repeats)


def test_offloaded_batches_that_are_not_cut(lab):
    """af_packet takes such a datagram as it is and drops it: all orders are answered, and it is tried seldom"""
    link = lab.pair(neighbours=False)
    link.a.ip('addr', 'flush', 'dev', link.a_if)  # no address: this kernel answers nothing
    offloaded, repeats = orders_together(lab, link, {'device': f'net_af_packet0,iface={link.a_if}', 'address': link.a_ip})
    assert 1 <= offloaded < 8 and repeats >= 1, (offloaded, repeats)  # one of the two may be a question of the client itself


def order_text(user):
    body = f'{{"item":"{ITEM}","quantity":1}}'
    return (f'POST /v1/orders HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-User: {user}\r\n'
            f'Idempotency-Key: order-{user}\r\nContent-Length: {len(body)}\r\n\r\n{body}').encode()


RELOAD_S = 60 if fgtest.LONG else 16


@fgtest.timeout(120 + RELOAD_S)
def test_reload_with_requests_under_way(lab):
    """nginx reloads each second while orders and long polls are under way: nothing is lost or doubled, old workers end"""
    shop = Shop(lab, item={'total': 15000, 'user_limit': 10000, 'hold_ms': 3600000})
    with Relay(shop.link.b, shop.link.a_ip, 0.3) as relay:  # so that questions last
        web = Gateway(lab, shop.link.b, f'127.0.0.1:{relay.port}', shop.gate.keys, workers=2,
                      http='floodgate_patience 60s;').start()
        first = set(web.worker_pids())
        key = str(uuid.uuid4())
        with concurrent.futures.ThreadPoolExecutor(18) as pool:
            said(web.reserve(1, key), 200)
            ends = time.monotonic() + RELOAD_S

            def poll():
                count = 0
                while time.monotonic() < ends:
                    assert said(web.order(1, key, '?wait=20'), 200)['state'] == 'RESERVED'
                    count += 1
                return count

            def buy(user):
                keys, count = [], 0
                while time.monotonic() < ends:
                    keys.append(str(uuid.uuid4()))
                    assert said(web.reserve(user, keys[-1]), 200)['order'] == keys[-1]
                    count += 1
                return count

            buyers = [pool.submit(buy, 100 + user) for user in range(16)]
            polls = [pool.submit(poll) for _ in range(2)]
            reloads = 0
            while time.monotonic() < ends:
                fgtest.pause(1, 'a reload each second')
                web.reload()
                reloads += 1
            bought = sum(b.result() for b in buyers)
            assert reloads >= RELOAD_S / 2 and min(p.result() for p in polls) >= 1
        fgtest.wait_until(lambda: len(web.worker_pids()) == 2, 40, 'the old workers have ended')
        assert not first & set(web.worker_pids())
    assert shop.shop.stock(ITEM).left == 15000 - 1 - bought, bought
    assert bought > 50 and not web.bad_lines(), (bought, web.bad_lines())


@fgtest.timeout(120)
def test_appliance_killed_in_mid_request(lab):
    """the appliance is killed and started again: requests under way get their order, once; then 504 without it"""
    shop, web = open_shop(lab, item={'total': 500, 'user_limit': 10}, workers=2, http='floodgate_patience 50s;')
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        shop.gate.kill()
        orders = [pool.submit(web.reserve, user, 'one') for user in range(20)]
        fgtest.wait_until(lambda: web.metric('packets_sent_total') >= 20, 10, 'all have asked')
        shop.gate.start()
        for order in orders:
            assert said(order.result(), 200)['state'] == 'RESERVED'
    assert shop.shop.stock(ITEM).left == 480
    shop.gate.stop()
    web.http = 'floodgate_patience 1s;'
    web.write_config()
    patient = set(web.worker_pids())
    web.reload()
    fgtest.wait_until(lambda: not patient & set(web.worker_pids()), 20, 'the patient workers have ended')
    answer = web.reserve(30, 'lost')
    assert said(answer, 504)['type'] == PROBLEM + 'unknown-outcome' and answer.headers['retry-after'], answer
    assert web.metric('silent_total') >= 1


def test_long_poll(lab):
    """?wait= answers when the order's state changes, or when the time is over"""
    shop, web = open_shop(lab)
    said(web.reserve(1, 'a'), 200)
    began = time.monotonic()
    assert said(web.order(1, 'a', '?wait=1'), 200)['state'] == 'RESERVED'
    assert 0.9 < time.monotonic() - began
    fgtest.soon(began, 3, 'the time is over')
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        poll = pool.submit(web.order, 1, 'a', '?wait=30')
        fgtest.wait_until(lambda: web.metric('replies_total', status='RESERVED') >= 3, 10, 'the poll has asked')
        said(web.backend('confirm', 1, 'a'), 200)
        assert said(poll.result(timeout=20), 200)['state'] == 'SOLD'
    for bad in ('61', '-1', '1e1', 'x', ''):
        said(web.order(1, 'a', f'?wait={bad}'), 400)
    assert shop.gate.running()


LINE = {'total': 1, 'waitlist': 100, 'claim_ms': 60000, 'wait_ttl_ms': 2000}


def draws(shop, web, item=8):
    """Before the opening wait enters the draw, which item, stream and order tell; at the opening a ticket comes."""
    shop.create(item, **LINE)
    shop.gate.fgctl('item', 'set', item, '--opens', '+1h', '--lottery', 'yes')
    told = fgtest.wait_until(lambda: (j := web.get(f'/v1/items/{item}').json).get('draw') and j, 5, 'the log has the commitment')
    assert (told['state'], told['draw'], told['waiting']) == ('NOT_OPEN', True, 0) and 'serving' not in told, told
    said(web.reserve(1, 'd', item), 409, 'NOT_OPEN')
    entry = said(web.reserve(1, 'd', item, wait=True), 202)
    assert (entry['state'], entry['draw']) == ('WAITING', True) and not {'ticket', 'ahead'} & entry.keys(), entry
    assert 3500000 < entry['expected_ms'] <= 3600000, entry
    said(web.reserve(2, 'e', item, wait=True), 202)
    assert said(web.order(2, 'e'), 200)['draw'] is True
    with web.events(f'?items={item}') as following:
        while (told := following())['waiting'] != 2:
            pass
        assert (told['state'], told['draw']) == ('NOT_OPEN', True), told
        with web.events(path='/v1/orders/d/events', X_User=1) as first, web.events(path='/v1/orders/e/events', X_User=2) as second:
            assert first()['draw'] is second()['draw'] is True
            shop.gate.fgctl('item', 'set', item, '--opens', 'now')
            for order in (first, second):
                while (drawn := order())['state'] != 'RESERVED' and 'ticket' not in drawn:
                    assert drawn['draw'] is True, drawn
        while told['state'] != 'SOLD_OUT' or 'draw' in told:
            told = following()
    won, next_one = sorted((said(web.order(user, key), 200) for user, key in ((1, 'd'), (2, 'e'))), key=lambda j: j['state'])
    assert (won['state'], next_one['state'], next_one['ahead']) == ('RESERVED', 'WAITING', 0), (won, next_one)
    assert next_one['ticket'] == 4 and 'draw' not in next_one, 'behind the two of the entries'


def test_waiting_list(lab):
    """wait joins the line, and a repeat keeps the place; items and streams tell the ticket that comes next; DELETE leaves; a draw"""
    shop, web = open_shop(lab, item=LINE)
    assert said(web.reserve(1, 'a', wait=True), 200)['state'] == 'RESERVED', 'while there are units, it is a reservation'
    said(web.reserve(2, 'b'), 409, 'SOLD_OUT')
    place = said(web.reserve(2, 'b', wait=True), 202)
    assert (place['state'], place['ticket'], place['ahead']) == ('WAITING', 1, 0) and 0 < place['repeat_ms'] <= 2100, place  # a tick more
    assert said(web.reserve(3, 'c', wait=True), 202)['ahead'] == 1
    again = said(web.reserve(3, 'c', wait=True), 202)
    assert (again['ticket'], again['ahead']) == (2, 1), again
    assert said(web.order(3, 'c'), 200)['ticket'] == 2 and said(web.get('/v1/orders', X_User=3), 200)['orders'][0]['ahead'] == 1
    said(web.reserve(3, 'other', wait=True), 409, 'USER_LIMIT')
    said(web.backend('confirm', 3, 'c'), 409, 'WAITING')
    with web.events(f'?items={ITEM}') as following:
        told = following()
        assert (told['state'], told['serving'], told['waiting']) == ('SOLD_OUT', 1, 2), told
        assert web.get(f'/v1/items/{ITEM}').json['serving'] == 1
        assert said(web.cancel(2, 'b'), 200)['state'] == 'CANCELLED'
        said(web.reserve(3, 'c', wait=True), 202)  # is heard of
        said(web.cancel(1, 'a'), 200)
        fgtest.wait_until(lambda: said(web.order(3, 'c'), 200)['state'] == 'RESERVED', 5, 'the offer')
        while told['serving'] != 3:
            told = following()
    for wrong in ('yes', 1, None):
        said(web.request('POST', '/v1/orders', {'item': ITEM, 'quantity': 1, 'wait': wrong}, X_User=9, Idempotency_Key='k'), 400)
    draws(shop, web)
    assert not web.bad_lines(), web.bad_lines()
    shop.audit(lab)


def test_one_place_through_two_gateways(lab):
    """a user who waits with two keys, through two gateways, at one moment too, has one place; a repeat at the other gateway keeps it"""
    shop, web = open_shop(lab, item=LINE)
    other = Gateway(lab, shop.link.b, shop.link.a_ip, shop.gate.keys, port=8081).start()
    said(web.reserve(1, 'a', wait=True), 200)
    place = said(web.reserve(2, 'b', wait=True), 202)
    said(other.reserve(2, 'another', wait=True), 409, 'USER_LIMIT')
    again = said(other.reserve(2, 'b', wait=True), 202)
    assert (again['ticket'], again['ahead']) == (place['ticket'], place['ahead']) == (1, 0), (place, again)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for user in range(3, 13):
            asked = [pool.submit(gateway.reserve, user, key, wait=True) for gateway, key in ((web, 'x'), (other, 'y'))]
            assert sorted(a.result(timeout=20).status for a in asked) == [202, 409], [a.result() for a in asked]
    fgtest.wait_until(lambda: web.get(f'/v1/items/{ITEM}').json['waiting'] == 11, 10, 'eleven wait')
    assert not web.bad_lines() + other.bad_lines(), web.bad_lines() + other.bad_lines()
    shop.audit(lab)


def test_long_poll_of_a_waiting_order(lab):
    """who is connected stays in the line without a packet every two seconds, and hears of the offer at once"""
    shop, web = open_shop(lab, item={**LINE, 'wait_ttl_ms': 4000})
    said(web.reserve(1, 'a', wait=True), 200)
    said(web.reserve(2, 'b', wait=True), 202)
    said(web.reserve(3, 'away', wait=True), 202)
    said(web.reserve(4, 'd', wait=True), 202)
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        polls = [pool.submit(web.order, user, key, '?wait=30') for user, key in ((2, 'b'), (4, 'd'))]
        fgtest.wait_until(lambda: web.metric('replies_total', status='WAITING') >= 11, 25, 'WAIT is repeated, and the ttl is over')
        assert not polls[0].done() and not polls[1].done()
        began = time.monotonic()
        said(web.cancel(1, 'a'), 200)
        assert said(polls[0].result(timeout=10), 200)['state'] == 'RESERVED'
        fgtest.soon(began, 1.5, 'it hears of the offer, not at the next repeat')
        said(web.cancel(2, 'b'), 200)
        assert said(polls[1].result(timeout=10), 200)['state'] == 'RESERVED'
    assert said(web.order(3, 'away'), 200)['state'] == 'CANCELLED', 'nobody repeated for this one'
    said(web.reserve(5, 'e', wait=True), 202)
    began = time.monotonic()
    assert said(web.order(5, 'e', '?wait=1'), 200)['state'] == 'WAITING'
    assert 0.9 < time.monotonic() - began
    fgtest.soon(began, 3, 'the time is over')
    with concurrent.futures.ThreadPoolExecutor(1) as pool:
        poll = pool.submit(web.order, 5, 'e', '?wait=60')
        before = web.metric('replies_total', status='WAITING')
        fgtest.wait_until(lambda: web.metric('replies_total', status='WAITING') > before, 10, 'the poll has asked')
        old = set(web.worker_pids())
        web.reload()
        assert said(poll.result(timeout=20), 200)['state'] == 'WAITING', 'a worker that shuts down answers'
        fgtest.wait_until(lambda: not old & set(web.worker_pids()), 20, 'the old worker has ended')
    assert shop.gate.running() and not web.bad_lines(), web.bad_lines()


def test_stream_of_one_order(lab):
    """its events tell the place, the offer and the payment, and end with the order; it holds the place in the line"""
    shop, web = open_shop(lab, item={**LINE, 'wait_ttl_ms': 3000})
    said(web.reserve(1, 'a'), 200)
    said(web.reserve(2, 'b', wait=True), 202)
    said(web.reserve(3, 'c', wait=True), 202)
    with web.events(path='/v1/orders/b/events', X_User=2) as second, web.events(path='/v1/orders/c/events', X_User=3) as third:
        assert [(e['state'], e['ahead']) for e in (second(), third())] == [('WAITING', 0), ('WAITING', 1)]
        fgtest.wait_until(lambda: web.metric('replies_total', status='WAITING') >= 12, 25, 'WAIT is repeated, and the ttl is over')
        said(web.cancel(1, 'a'), 200)
        assert second()['state'] == 'RESERVED'
        assert third()['ahead'] == 0, 'the position is told, too'
        said(web.backend('confirm', 2, 'b'), 200)
        assert second()['state'] == 'SOLD' and second() is None, 'the end'
        said(web.cancel(3, 'c'), 200)
        assert third()['state'] == 'CANCELLED' and third() is None
    with web.events(path='/v1/orders/b/events', X_User=2) as ended:
        assert ended()['state'] == 'SOLD' and ended() is None
    said(web.get('/v1/orders/none/events', X_User=2), 404, 'UNKNOWN_ORDER')
    said(web.get('/v1/orders/b/events'), 401)
    said(web.reserve(4, 'd', wait=True), 202)
    with web.events(path='/v1/orders/d/events', X_User=4) as fourth:
        assert fourth()['state'] == 'WAITING'
        old = set(web.worker_pids())
        web.reload()
        assert fourth() is None, 'the stream ends'
        fgtest.wait_until(lambda: not old & set(web.worker_pids()), 20, 'the old worker has ended')
    with web.events(path='/v1/orders/d/events', seconds=40, X_User=4) as last:  # a question's patience, and more
        assert last()['state'] == 'WAITING'
        old = set(web.worker_pids())
        shop.gate.kill()
        web.reload()
        assert last() is None, 'it ends, too, when the appliance does not answer'
        fgtest.wait_until(lambda: not old & set(web.worker_pids()), 30, 'the old worker has ended')
    assert not web.bad_lines(), web.bad_lines()


def test_client_that_leaves(lab):
    """a client that leaves cancels nothing; the same key finds its order"""
    shop = Shop(lab)
    with Relay(shop.link.b, shop.link.a_ip, 0) as relay:
        web = Gateway(lab, shop.link.b, f'127.0.0.1:{relay.port}', shop.gate.keys).start()
        relay.loss = 1.0
        left = web.connection()
        left.request('POST', '/v1/orders', f'{{"item":{ITEM},"quantity":1}}',
                     {'Content-Type': 'application/json', 'Idempotency-Key': 'k', 'X-User': '5'})
        fgtest.wait_until(lambda: relay.lost, 5, 'the order was sent')
        left.close()
        fgtest.wait_until(lambda: web.metric('gone_total') == 1, 5, 'nginx has noticed')
        relay.loss = 0
        assert said(web.reserve(5, 'k'), 200)['state'] == 'RESERVED'
        assert said(web.order(5, 'k'), 200)['state'] == 'RESERVED'
    assert not web.bad_lines()


def test_hostile_input(lab):
    """bodies, keys, headers and paths that are not what they should be are refused, and nothing is sold"""
    shop, web = open_shop(lab)

    def post(body, key='k', status=400, **headers):
        answer = web.request('POST', '/v1/orders', body, **{'X_User': '1', 'Idempotency_Key': key, **headers})
        said(answer, status)

    post('{"item":7,"quantity":1}', key=None)
    for key in ('', ' ', 'a b', 'ä'.encode().decode('latin-1'), 'x' * 256, '"', '""'):
        post('{"item":7,"quantity":1}', key=key)
    numbers = ('1e3', '1.0', '-0', '-1', '01', '+1', '0x1', '9007199254740993', '18446744073709551616', 'null', 'true',
               '[]', '{}', '"1e3"', '"-0"', '"01"', '"18446744073709551616"', '" 1"', '""', 'NaN')
    for number in numbers:
        post(f'{{"item":{number},"quantity":1}}')
        post(f'{{"item":7,"quantity":{number}}}')
    for quantity in ('0', '65536', '4294967297', '"65537"'):
        post(f'{{"item":7,"quantity":{quantity}}}', status=422)
    for body in ('', '{', '[]', 'null', '"x"', '{"item":7}', '{"quantity":1}', '{"item":7,"quantity":1,"x":1}',
                 '{"item":7,"item":7,"quantity":1}', '{"item":7,"quantity":1}{}', '{"item":7,"quantity":1},',
                 '{"item":7,"quantity":1,}', '{item:7,"quantity":1}', "{'item':7,'quantity':1}",
                 b'{"item":7,"quantity":1}\0', b'{"it\0em":7,"quantity":1}', '{"it\\u0000em":7,"quantity":1}',
                 '{"\\ud800":7,"quantity":1}', '{"\\udc00\\ud800":7,"quantity":1}', b'{"\xff":7,"quantity":1}',
                 b'\xef\xbb\xbf{"item":7,"quantity":1}', '{"item":7,"quantity":1}' + ' ' * 3 + 'x'):
        post(body)
    post('{"item":7,"quantity":1}' + ' ' * 5000, status=413)
    for content in ('text/plain', 'application/x-www-form-urlencoded', 'application/jsonx', 'multipart/form-data'):
        post('{"item":7,"quantity":1}', status=415, Content_Type=content)
    for path in ('/v1/orders/', '/v1/orders/a/b%0a', '/v1/ordersx', '/v1/orders/%00', '/v1/orders/a%20b'):
        answer = web.get(path, X_User='1')
        assert answer.status in (400, 404), (path, answer)
    for method in ('PUT', 'PATCH', 'POST'):
        said(web.request(method, '/v1/orders/k', X_User='1'), 405)
    said(web.request('POST', '/v1/orders', '{"item":7,"quantity":1}', Idempotency_Key='k'), 401)
    said(web.request('POST', '/v1/orders', '{"item":7,"quantity":1}', Idempotency_Key='k', X_User='anna'), 401)
    said(web.request('POST', '/v1/orders', '{"item":7,"quantity":1}', Idempotency_Key='k', X_User='1', Early_Data='1'),
         425)
    said(web.backend('steal', 1, 'k'), 404)
    said(web.request('POST', '/v1/backend/orders/k/confirm', '{}'), 400)
    said(web.request('POST', '/v1/backend/orders/k/confirm', '{"user":"x"}'), 400)
    assert shop.shop.stock(ITEM).left == 100, (shop.gate.get('/v1/items'), web.get('/metrics').text)
    assert web.metric('packets_sent_total') <= 1, 'nothing was asked but for the number of order ports'
    assert said(web.reserve(1), 200)
    bad = [line for line in web.bad_lines() if 'is not a number' not in line]
    assert not bad, bad


def test_hostile_connections(lab):
    """two key headers, a smuggled second request, a slow chunked body: one answer each, and one order at most"""
    shop, web = open_shop(lab)
    body = b'{"item":7,"quantity":1}'
    head = b'POST /v1/orders HTTP/1.1\r\nHost: x\r\nX-User: 1\r\nContent-Type: application/json\r\n'

    def status(data):
        got = web.raw(data)
        return [int(s) for s in re.findall(rb'HTTP/1.1 (\d\d\d) ', got)]

    length = b'Content-Length: %d\r\n\r\n' % len(body) + body
    assert status(head + b'Idempotency-Key: a\r\nIdempotency-Key: b\r\n' + length) == [400]
    assert status(head + b'Idempotency-Key: a\r\nIDEMPOTENCY-KEY: a\r\n' + length) == [400]
    # an answer before the body was read: its rest must not become a request
    smuggled = b'DELETE /v1/orders/a HTTP/1.1\r\nHost: x\r\nX-User: 1\r\n\r\n'
    assert status(head + b'Content-Length: %d\r\n\r\n' % len(smuggled) + smuggled) == [400]
    both = b'Idempotency-Key: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\n'
    assert status(head + both + b'0\r\n\r\n' + smuggled) == [400]
    chunks = b''.join(b'1\r\n%c\r\n' % byte for byte in body) + b'0\r\n\r\n'
    assert status(head + b'Idempotency-Key: c\r\nTransfer-Encoding: chunked\r\n\r\n' + chunks) == [200]
    huge = b'2000\r\n' + b' ' * 0x2000 + b'\r\n0\r\n\r\n'
    assert status(head + b'Idempotency-Key: d\r\nTransfer-Encoding: chunked\r\n\r\n' + huge) == [413]
    # requests in a row on one connection, in order
    row = head + b'Idempotency-Key: e\r\n' + length
    assert status(row + row.replace(b'"quantity":1', b'"quantity":2') + row) == [200, 422, 200]
    assert shop.shop.stock(ITEM).left == 98


def test_users(lab):
    """users by hash and by session cookie: the same number each time, another user's order is not found"""
    locations = '''
location /v1/orders { floodgate orders; floodgate_user $floodgate_session_user; }
location /v1/backend/orders { floodgate backend; }
location /v1/login { floodgate login; }
location /metrics { floodgate metrics; }
'''
    shop, web = open_shop(lab, locations=locations, kind='hash')

    def login(user):
        answer = web.request('POST', '/v1/login', {'user': user})
        assert answer.status == 200, answer
        assert 'HttpOnly' in answer.headers['set-cookie'] and 'SameSite=Lax' in answer.headers['set-cookie']
        return answer.headers['set-cookie'].split(';')[0]

    anna, bert = login('anna@example.org'), login('bört')
    order = {'item': ITEM, 'quantity': 1}
    said(web.request('POST', '/v1/orders', order, Idempotency_Key='k', Cookie=f'a=b; {anna}; c=d'), 200)
    assert said(web.get('/v1/orders/k', Cookie=anna), 200)['state'] == 'RESERVED'
    said(web.get('/v1/orders/k', Cookie=bert), 404, 'UNKNOWN_ORDER')
    said(web.get('/v1/orders/k'), 401)
    for forged in (anna[:-1] + ('0' if anna[-1] != '0' else '1'), anna.replace('.', '.9', 1), anna + '0', 'floodgate_session=',
                   'floodgate_session=..', bert.split('.', 1)[0] + '.' + anna.split('.', 1)[1]):
        said(web.get('/v1/orders/k', Cookie=forged), 401)
    assert said(web.backend('confirm', 'anna@example.org', 'k'), 200)['state'] == 'SOLD'
    import hashlib
    import hmac
    with open(web.path('user'), 'rb') as f:
        number = hmac.new(f.read().strip(), b'anna@example.org', hashlib.sha256).digest()[:8]
    found = shop.shop.query(int.from_bytes(number, 'big'), hashlib.sha256(b'k').digest()[:16])
    assert found.status == 'SOLD', 'user and key as the page says'


def test_items(lab):
    """stock for all workers by few packets: state, left, opening time, ETag; unknown items are not found"""
    shop, web = open_shop(lab, workers=2)
    shop.create(8, name='hat', total=5, opens=(int(time.time()) + 3600) * 1000)
    got = web.get(f'/v1/items/{ITEM}')
    assert got.status == 200 and got.json == {'item': str(ITEM), 'state': 'ON_SALE', 'left': 100}, got
    assert 'max-age' in got.headers['cache-control']
    same = web.get(f'/v1/items/{ITEM}', If_None_Match=got.headers['etag'])
    assert same.status == 304 and not same.text, same
    listed = web.get('/v1/items')
    assert [i['item'] for i in listed.json['items']] == [str(ITEM), '8'], listed
    assert listed.json['items'][1]['state'] == 'NOT_OPEN' and listed.json['items'][1]['opens'].endswith('00Z') or \
        re.fullmatch(r'20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ', listed.json['items'][1]['opens']), listed
    for path in ('/v1/items/9', '/v1/items/10', '/v1/items/x', '/v1/items/07', '/v1/items/', '/v1/itemsx'):
        assert web.get(path).status == 404, path
    said(web.reserve(1), 200)
    fgtest.wait_until(lambda: web.get(f'/v1/items/{ITEM}').json['left'] == 99, 5, 'the new number is shown')
    before, began = web.metric('packets_sent_total'), time.monotonic()
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: web.get(f'/v1/items/{ITEM}'), range(300)))
    packets = web.metric('packets_sent_total') - before
    assert packets <= (time.monotonic() - began) / 0.2 + 2, packets


def test_events(lab):
    """changes of stock are pushed: left, sold out, open again; 300 clients cost no more packets; a reload ends the streams"""
    shop, web = open_shop(lab, item={'total': 3})

    def until(following, state, left):
        """Numbers in between may be seen, but not many."""
        seen = []
        while not seen or (seen[-1]['state'], seen[-1]['left']) != (state, left):
            seen.append(following())
            assert seen[-1] and len(seen) < 5, seen

    with contextlib.ExitStack() as stack:
        streams = [stack.enter_context(web.events()) for _ in range(300)]
        for following in streams:
            assert following() == {'item': str(ITEM), 'state': 'ON_SALE', 'left': 3}
        before, began = web.metric('packets_sent_total'), time.monotonic()
        said(web.reserve(1, 'a', quantity=3), 200)
        said(web.reserve(2, 'b'), 409, 'SOLD_OUT')
        for following in streams:
            until(following, 'SOLD_OUT', 0)
        said(web.cancel(1, 'a'), 200)
        for following in streams:
            until(following, 'ON_SALE', 3)
        packets = web.metric('packets_sent_total') - before
        assert packets <= 6 + 3 * ((time.monotonic() - began) / 0.2 + 1), packets  # three orders; and each item at once
        old = set(web.worker_pids())
        web.reload()
        assert streams[0]() is None, 'the stream ends'
        fgtest.wait_until(lambda: not old & set(web.worker_pids()), 20, 'the old worker has ended')
    assert shop.gate.running() and not web.bad_lines(), web.bad_lines()


def test_events_of_chosen_items(lab):
    """?items= chooses: a stream tells of its items alone; one that is not shown is not found"""
    shop, web = open_shop(lab, item={'total': 3})
    shop.create(8, name='hat', total=5, user_limit=5)
    with web.events() as every, web.events('?items=8') as hats, web.events(f'?items=8%2C{ITEM},8') as both:
        for following, items in ((every, {str(ITEM), '8', '9'}), (both, {str(ITEM), '8'}), (hats, {'8'})):
            assert {following()['item'] for _ in items} == items  # of 9 it is told that the appliance does not know it
        said(web.reserve(1, quantity=2), 200)
        for following in (every, both):
            told = following()
            assert (told['item'], told['left']) == (str(ITEM), 1), told
        said(web.reserve(1, item=8, quantity=4), 200)
        for following in (every, both, hats):
            told = following()
            assert (told['item'], told['left']) == ('8', 1), told  # of the hats' stream the first since it began
    for wrong in ('', '10', '8,', ',8', '8,10', '08', 'x', '8;7', '%00'):
        assert said(web.get(f'/v1/events?items={wrong}'), 404)['type'] == PROBLEM + 'not-found', wrong
    for damaged in ('8%2', '8%', '8%zz', '8%2C7%2', '%'):
        assert said(web.get(f'/v1/events?items={damaged}'), 400)['type'] == PROBLEM + 'bad-request', damaged


def test_refund(lab):
    """only a sold order is refunded, once, with or without its units back on sale; the answer stays the same"""
    shop, web = open_shop(lab, item={'total': 3, 'user_limit': 3})
    said(web.reserve(1, 'a', quantity=2), 200)
    assert said(web.backend('refund', 1, 'a'), 409, 'RESERVED')['type'] == PROBLEM + 'reserved'
    said(web.backend('confirm', 1, 'a'), 200)
    back = said(web.backend('refund', 1, 'a', restock=True), 200)
    assert (back['state'], back['item'], back['quantity']) == ('REFUNDED', str(ITEM), 2), back
    fgtest.wait_until(lambda: shop.shop.stock(ITEM).left == 3, 5, 'two units are on sale again')
    for again in ({'restock': True}, {'restock': False}, {}):
        assert said(web.backend('refund', 1, 'a', **again), 200) == back, again
    assert shop.shop.stock(ITEM).left == 3, 'they came back once'
    said(web.backend('confirm', 1, 'a'), 409, 'REFUNDED')
    assert said(web.order(1, 'a'), 200)['state'] == 'REFUNDED'
    said(web.reserve(1, 'a', quantity=2), 409, 'REFUNDED')
    said(web.reserve(2, 'b'), 200)
    said(web.backend('confirm', 2, 'b'), 200)
    assert said(web.backend('refund', 2, 'b'), 200)['state'] == 'REFUNDED'
    fgtest.wait_until(lambda: shop.gate.get(f'/v1/items/{ITEM}')['refunded'] == 1, 5, 'the unit stays away from the sale')
    assert shop.shop.stock(ITEM).left == 2
    said(web.backend('refund', 3, 'b'), 404, 'UNKNOWN_ORDER')
    for bad in ({'restock': 1}, {'restock': 'true'}, {'restock': None}, {'quantity': 1}):
        said(web.backend('refund', 2, 'b', **bad), 400)
    assert not web.bad_lines(), web.bad_lines()


def test_orders_of_a_shopper(lab):
    """GET /v1/orders lists the shopper's own orders in their states, up to 100, and nothing of another shopper"""
    shop, web = open_shop(lab, item={'total': 200, 'user_limit': 200}, workers=2)
    assert said(web.get('/v1/orders', X_User=1), 200) == {'orders': []}
    keys = [str(uuid.uuid4()) for _ in range(4)]
    for quantity, key in enumerate(keys, 1):
        said(web.reserve(1, key, quantity=quantity), 200)
    said(web.backend('confirm', 1, keys[1]), 200)
    said(web.cancel(1, keys[2]), 200)
    said(web.backend('confirm', 1, keys[3]), 200)
    said(web.backend('refund', 1, keys[3]), 200)
    said(web.reserve(2, keys[0]), 200)  # the same key of another shopper is another order
    listed = said(web.get('/v1/orders', X_User=1), 200)['orders']
    states = ('RESERVED', 'SOLD', 'CANCELLED', 'REFUNDED')
    assert sorted((o['order'], o['state'], o['quantity'], o['item']) for o in listed) == \
        sorted((key, state, n, str(ITEM)) for n, (key, state) in enumerate(zip(keys, states), 1)), listed
    for one in listed:
        asked = said(web.order(1, one['order']), 200)
        assert {**asked, 'left_ms': 0} == {**one, 'left_ms': 0}, 'as its own answer says it'
    assert [(o['order'], o['quantity']) for o in said(web.get('/v1/orders', X_User=2), 200)['orders']] == [(keys[0], 1)]
    for n in range(101):
        said(web.reserve(3, f'order-{n}'), 200)
    many = said(web.get('/v1/orders', X_User=3), 200)['orders']
    assert len(many) == 100 and len({o['order'] for o in many}) == 100, len(many)
    said(web.get('/v1/orders'), 401)
    assert shop.gate.running() and not web.bad_lines(), web.bad_lines()


def test_origins(lab):
    """pages of an allowed origin may call, others get no such header"""
    _, web = open_shop(lab, http='floodgate_origins https://shop.example http://localhost:3000;')
    before = web.request('OPTIONS', '/v1/orders', Origin='https://shop.example',
                         Access_Control_Request_Method='POST')
    assert before.status == 204 and before.headers['access-control-allow-origin'] == 'https://shop.example', before
    assert 'Idempotency-Key' in before.headers['access-control-allow-headers'], before
    answer = web.reserve(1, Origin='http://localhost:3000')
    assert answer.status == 200 and answer.headers['access-control-allow-origin'] == 'http://localhost:3000', answer
    for origin in ('https://shop.example.evil', 'null', 'https://SHOP.example'):
        answer = web.reserve(1, Origin=origin)
        assert 'access-control-allow-origin' not in answer.headers and answer.headers['vary'] == 'Origin', answer


def test_wrong_role(lab):
    """a key that may not do the operation is the operator's error: 500 and a line in the log"""
    shop = Shop(lab)
    web = Gateway(lab, shop.link.b, shop.link.a_ip, shop.gate.keys).start()
    with open(shop.gate.keys.path) as f:
        text = f.read()
    with open(shop.gate.keys.path, 'w') as f:  # the appliance's roles change, those of the gateway stay
        f.write(text.replace('1 shop', '1 monitor'))
    status, told = shop.gate.api('POST', '/v1/keys/reload')
    assert status == 200, told
    said(web.reserve(1), 500, 'DENIED')
    assert re.search(r'key 1 may not do RESERVE', web.errors()), web.errors()


def test_configuration(lab):
    """nginx -t names file and line of what is wrong"""
    shop = lab.pair()
    gate = lab.daemon(shop.a, interface=shop.a_if)
    good = Gateway(lab, shop.b, '198.18.0.1', gate.keys)
    assert good.check()[0] == 0, good.check()

    def bad(text, **options):
        web = Gateway(lab, shop.b, options.pop('servers', '198.18.0.1'), gate.keys, **options)
        code, told = web.check()
        assert code == 1 and text in told and re.search(r'nginx\.conf:\d+', told), (text, told)

    bad('accepted: IP, IP:PORT', servers='localhost')
    bad('accepted: IP, IP:PORT', servers='198.18.0.1:0')
    bad('accepted: IP, IP:PORT', servers='198.18.0.300')
    bad('too many addresses', servers=' '.join(['198.18.0.1'] * 33))
    bad('too many members', members=['198.18.0.1'] * 17)
    bad('too many addresses', members=['198.18.0.1,198.18.0.2,198.18.0.3'] * 11)
    bad('accepted: IP, IP:PORT', members=['198.18.0.1,', '198.18.0.2'])
    bad('"floodgate_members" has the addresses', members=['198.18.0.1'], http='floodgate_servers 198.18.0.1;')
    bad('unknown route', locations='location /a { floodgate order; }')
    bad('needs "floodgate_user"', locations='location /a { floodgate orders; }')
    bad('not a prefix', locations='location ~ /a { floodgate metrics; }')
    bad('accepted: 1s to 60s', http='floodgate_patience 2m;')
    bad('must be', http='floodgate_outstanding 0;')
    bad('accepted: https://HOST', http='floodgate_origins shop.example;')
    web = Gateway(lab, shop.b, '198.18.0.1', gate.keys)
    os.chmod(web.path('user'), 0o604)
    code, told = web.check()
    assert code == 1 and 'can be read or written by others' in told, told
    os.chmod(gate.keys.path, 0o644)
    code, told = good.check()
    assert code == 1 and 'can be read or written by others' in told and 'nginx.conf:' in told, told
    os.chmod(gate.keys.path, 0o600)
    with open(gate.keys.path, 'w') as f:
        f.write('1 shop,backend 000102030405060708090a0b0c0d0e0f\n')
    code, told = good.check()
    assert code == 1 and 'no key with the role shop' in told, told
    with open(gate.keys.path, 'w') as f:
        f.write('1 shop 000102030405060708090a0b0c0d0e0f\n')
    code, told = good.check()
    assert code == 1 and 'needs a key with the role backend' in told, told


def test_two_servers(lab):
    """a silent server is left for the one that answers, and stays left"""
    shop = Shop(lab)
    web = Gateway(lab, shop.link.b, ['127.0.0.1:4699', shop.link.a_ip], shop.gate.keys).start()
    assert said(web.reserve(1), 200)
    # the order, and the client's own question for the number of ports
    moved = fgtest.wait_until(lambda: web.metric('moved_total') >= 2 and web.metric('moved_total'), 5, 'both have moved')
    for user in range(2, 10):
        assert said(web.reserve(user), 200)
    assert web.metric('moved_total') == moved
    assert fgclient.owner(1, 1) == 0


def test_members_of_a_fleet(lab):
    """each user's member is asked; one that sends the gateway elsewhere is believed, for the whole shard"""
    shop = Shop(lab)
    users = range(1, 60)
    with fggateway.OtherMember(shop.link.b, shop.gate.keys, owner=1) as other:
        web = Gateway(lab, shop.link.b, '', shop.gate.keys,
                      members=[other.address, f'127.0.0.1:4699,{shop.link.a_ip}']).start()  # a pair; one is silent
        for user in users:
            assert said(web.reserve(user), 200)
        first = {fgclient.shard(user, 256): user for user in reversed(users)}
        sent_on = {user for shard, user in first.items() if shard % 2 == 0}
        assert set(other.users) == sent_on and 10 < len(sent_on) < 50, (other.users, sent_on)
        before, moved = len(other.users), web.metric('moved_total')
        for user in users:
            assert len(said(web.get('/v1/orders', X_User=user), 200)['orders']) == 1
        assert len(other.users) == before and web.metric('moved_total') == moved, other.users
    shop.settle(100, 41, 59, 0)


# ---- the page and the OpenAPI file --------------------------------------------------------------


def read(*path):
    with open(os.path.join(fgtest.ROOT, *path), encoding='utf-8') as f:
        return f.read()


def fits(value, schema, api, where='answer'):
    """A small judge of JSON Schema: what docs/openapi.json uses of it."""
    if '$ref' in schema:
        return fits(value, api['components']['schemas'][schema['$ref'].rsplit('/', 1)[1]], api, where)
    kinds = {'object': dict, 'array': list, 'string': str, 'integer': int, 'boolean': bool}
    assert isinstance(value, kinds[schema['type']]), (where, value, schema)
    assert value in schema.get('enum', [value]), (where, value, schema['enum'])
    assert re.search(schema.get('pattern', ''), str(value)), (where, value)
    if schema['type'] == 'integer':
        assert schema.get('minimum', value) <= value <= schema.get('maximum', value), (where, value)
    if schema['type'] == 'array':
        for one in value:
            fits(one, schema['items'], api, where + '[]')
    if schema['type'] == 'object':
        assert set(schema.get('required', ())) <= set(value), (where, value)
        assert set(value) <= set(schema['properties']), (where, value)
        for name, one in value.items():
            fits(one, schema['properties'][name], api, f'{where}.{name}')
    return True


def test_openapi(lab):
    """docs/openapi.json names every route, and what the module answers fits it"""
    api, seen = json.loads(read('docs', 'openapi.json')), set()
    shop, web = open_shop(lab, item={'total': 10, 'hold_ms': 60000})

    def call(method, path, body=None, real=None, **headers):
        seen.add((method.lower(), path))
        answer = web.request(method, real or path, body, **headers)
        told = api['paths'][path][method.lower()]['responses'].get(str(answer.status))
        assert told, (method, path, answer)
        if answer.status != 304:
            kind = answer.type
            assert kind in told['content'], (method, path, answer)
            fits(answer.json, told['content'][kind]['schema'], api)
        return answer

    orders, one, backend = '/v1/orders', '/v1/orders/{KEY}', '/v1/backend/orders/{KEY}/'
    order = {'item': str(ITEM), 'quantity': 1}
    user = {'X_User': '1'}
    assert call('POST', orders, order, Idempotency_Key='a', **user).status == 200
    for body, headers in ((order, user), ({}, {**user, 'Idempotency_Key': 'b'}), (order, {'Idempotency_Key': 'b'}),
                          ({**order, 'item': 99}, {**user, 'Idempotency_Key': 'b'}),
                          ({**order, 'quantity': 11}, {**user, 'Idempotency_Key': 'b'}),
                          ({**order, 'quantity': 9}, {**user, 'Idempotency_Key': 'a'})):
        assert call('POST', orders, body, **headers).status >= 400
    call('GET', orders, **user)
    assert call('GET', one, real='/v1/orders/a', **user).status == 200
    assert call('GET', one, real='/v1/orders/none', **user).status == 404
    assert call('DELETE', one, real='/v1/orders/none', **user).status == 404
    for operation, more, status in (('extend', {'until_ms': 946684800000}, 200), ('extend', {'until_ms': 1}, 400), ('refund', {}, 409), ('confirm', {}, 200),
                                    ('cancel', {}, 409), ('refund', {'restock': False}, 200), ('confirm', {}, 409)):
        answer = call('POST', backend + operation, {'user': '1', **more}, real=f'/v1/backend/orders/a/{operation}')
        assert answer.status == status, answer
    assert call('GET', orders, **user).json['orders'][0]['state'] == 'REFUNDED'
    shop.create(8, name='hat', total=1, waitlist=10)
    hat = {'item': '8', 'quantity': 1, 'wait': True}
    assert call('POST', orders, hat, Idempotency_Key='first', **user).status == 200
    assert call('POST', orders, hat, X_User=2, Idempotency_Key='second').status == 202
    assert call('GET', one, real='/v1/orders/second', X_User=2).json['state'] == 'WAITING'
    call('GET', orders, X_User=2)
    assert call('GET', one + '/events', real='/v1/orders/none/events', **user).status == 404
    with web.events(path='/v1/orders/second/events', X_User=2) as following:
        assert fits(following(), {'$ref': '#/components/schemas/Order'}, api)
    call('GET', '/v1/items')
    tag = call('GET', '/v1/items/{ITEM}', real=f'/v1/items/{ITEM}').headers['etag']
    assert call('GET', '/v1/items/{ITEM}', real='/v1/items/12').status == 404
    call('GET', '/v1/items/{ITEM}', real=f'/v1/items/{ITEM}', If_None_Match=tag)
    with web.events() as following:
        assert fits(following(), {'$ref': '#/components/schemas/Item'}, api)
        seen.add(('get', '/v1/events'))
    assert seen == {(method, path) for path, methods in api['paths'].items() for method in methods}, seen
    assert shop.gate.running() and not web.bad_lines(), web.bad_lines()


def test_page():
    """docs/gateway.md has every directive, route, problem and metric of the module"""
    page, source = read('docs', 'gateway.md'), read('app', 'gateway', 'module.c')
    directives = re.findall(r'ngx_string\("(floodgate\w*)"\)', source)
    assert len(directives) >= 11, directives
    assert set(directives) == set(re.findall(r'^\| `(floodgate\w*)', page, re.M))
    problems = set(re.findall(r'X\(\w+, "([\w-]+)", \d{3},', read('app', 'gateway', 'answer.h')))
    problems |= {name.lower().replace('_', '-') for name in
                 re.findall(r'\[FG_PACKET_STATUS_(\w+)\] = \{\d', read('app', 'gateway', 'answer.c'))}
    table = page.split('## Problems')[1].split('## ')[0]
    assert problems == set(re.findall(r'`([a-z-]+)`', ''.join(row.split('|')[2] for row in table.splitlines()
                                                              if re.match(r'\| [\d, ]+ \|', row)))), problems
    types = json.loads(read('docs', 'openapi.json'))['components']['schemas']['Problem']['properties']['type']['enum']
    assert {PROBLEM + p for p in problems} == set(types)
    for name in re.findall(r'(?:head|counter)\(p, "(\w+)"', read('app', 'gateway', 'metrics.c')):
        assert name in page, name


def test_sample_configuration(lab):
    """config/nginx-gateway.conf is accepted by nginx -t, with the paths of this machine"""
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if)
    web = Gateway(lab, link.b, '198.18.0.1', gate.keys)
    text = read('config', 'nginx-gateway.conf')
    fgtest.command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes',
                   '-subj', '/CN=shop.example', '-keyout', web.path('key.pem'), '-out', web.path('cert.pem'))
    for old, new in (('modules/ngx_http_floodgate_module.so', fggateway.MODULE), ('user www-data;', 'user root;'),
                     ('/etc/floodgate/gateway-keys', gate.keys.path), ('/etc/floodgate/user-secret', web.path('user')),
                     ('/etc/floodgate/session-secret', web.path('session')), ('/etc/floodgate/tls', web.folder),
                     ('/run/nginx.pid', web.path('pid')), ('/var/log/nginx', web.folder)):
        assert old in text, old
        text = text.replace(old, new)
    with open(web.path('nginx.conf'), 'w', encoding='utf-8') as f:
        f.write(text)
    code, told = web.check()
    assert code == 0, told


if __name__ == '__main__':
    fgtest.main()
