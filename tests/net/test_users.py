#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Holds, users and limits as a black box: extension, deny list, rate of a user, changed limits, full memory, alarms."""

import json
import os
import re
import secrets
import subprocess
import sys
import time
from uuid import UUID

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgdisk  # noqa: E402
import fgtest  # noqa: E402
from fgshop import ITEM, SMALL, Shop  # noqa: E402


def shop(lab, item=None, **options):
    """A shop without a rate for each source, because all shoppers of this file have one address."""
    return Shop(lab, item, **{'filter.order_rate': 0, **options})


def now_ms():
    return int(time.time() * 1000)


# ---- holds -----------------------------------------------------------------------------------------------


def test_extend(lab):
    """EXTEND keeps a hold beyond its first deadline, over kill -9 and another number of workers; then it expires"""
    s = shop(lab, item={'hold_ms': 3000, 'total': 4}, workers=2)
    (_, kept), (_, paid), (_, left) = (s.reserve(user) for user in (1, 2, 3))
    until = now_ms() + 9000
    assert s.shop.extend(1, kept, until).status == 'DENIED', 'only a backend may'
    for user, order in ((1, kept), (2, paid)):
        reply = s.backend.extend(user, order, until)
        assert (reply.status, reply.deadline_ms) == ('RESERVED', until), reply
        again = s.backend.extend(user, order, until - 3000)
        assert (again.status, again.deadline_ms) == ('RESERVED', until), 'never shorter'
    assert s.backend.extend(1, left, until).status == 'UNKNOWN_ORDER', 'of another user'
    s.gate.settings['workers.count'] = 3
    s.gate.write_config()
    s.gate.restart(kill=True)
    s.settle(4, 2, 2, 0, seconds=8)  # the one that was not extended expired
    assert s.backend.query(3, left).status == 'EXPIRED'
    assert s.backend.extend(3, left, until).status == 'EXPIRED', 'over is over'
    reply = s.backend.query(1, kept)
    assert (reply.status, reply.deadline_ms) == ('RESERVED', until), reply
    assert s.backend.confirm(2, paid).status == 'SOLD'
    assert s.backend.extend(2, paid, until + 1000).status == 'SOLD'
    s.settle(4, 3, 0, 1, seconds=12)
    late = s.backend.confirm(1, kept)
    assert now_ms() >= until and (late.status, late.flags) == ('SOLD', 1), late
    far = s.reserve(9)[1]
    cut = s.backend.extend(9, far, now_ms() + 90 * 86400000)
    assert cut.status == 'RESERVED' and abs(cut.deadline_ms - now_ms() - 49 * 86400000) < 10000, 'cut to 49 days from now'
    s.audit(lab)


# ---- users -----------------------------------------------------------------------------------------------


def test_denied_user(lab):
    """a denied user reserves nothing, keeps what he has, over restarts; Redis has the set; allowed again he buys"""
    redis = lab.redis(persist=True)
    s = shop(lab, redis=redis, workers=2)
    order = s.reserve(5)[1]
    assert s.gate.fgctl('user', 'deny', 5, 2**64 - 1, 11) == {'denied': 3}
    assert s.reserve(5)[0] == 'USER_DENIED' and s.reserve(2**64 - 1)[0] == 'USER_DENIED'
    assert s.reserve(6)[0] == 'RESERVED', 'others are not touched'
    assert s.reserve(5, order=order)[0] == 'RESERVED', 'a repeat is answered from memory'
    assert s.gate.fgctl('user', 'allow', 11) == {'allowed': 1}
    assert s.gate.fgctl('user', 'denied') == ['5', str(2**64 - 1)]
    for workers, kill in ((1, True), (3, False)):
        s.gate.settings['workers.count'] = workers
        s.gate.write_config()
        s.gate.restart(kill=kill)
        assert s.reserve(5)[0] == 'USER_DENIED' and s.reserve(11)[0] == 'RESERVED'
        assert s.gate.fgctl('user', 'denied') == ['5', str(2**64 - 1)]
    fgtest.wait_until(lambda: s.gate.sink('redis')['lag'] == 0, 10, 'Redis follows')
    assert set(redis.command('SMEMBERS', '{floodgate}:denied')) == {'5', str(2**64 - 1)}
    assert s.backend.confirm(5, order).status == 'SOLD'
    assert s.stock('user_denied') == 1
    assert s.gate.fgctl('user', 'allow', 5) == {'allowed': 1}
    assert s.reserve(5)[0] == 'RESERVED'
    code, _, error = s.gate.fgctl('user', 'deny', 'bob', check=False)
    assert code == 2 and 'bob' in error
    assert s.gate.stop() == 0
    assert set(redis.command('SMEMBERS', '{floodgate}:denied')) == {str(2**64 - 1)}
    code, text = fgtest.audit(lab, log=s.gate.log_dir, redis=redis.address)
    assert code == 0, text


def test_rate_of_a_user(lab):
    """a robot is refused for its rate and named by `fgctl user worst`; others, and its repeats, are served"""
    s = shop(lab, item={'total': 1000}, workers=2, **{'limits.user_rate': 1, 'limits.user_burst': 5})
    robot, order = 424242, secrets.token_bytes(16)
    assert s.reserve(robot, order=order)[0] == 'RESERVED'
    for _ in range(60):
        s.shop.send('RESERVE', secrets.token_bytes(16), user=robot, item=ITEM, quantity=1)
    fgtest.wait_until(lambda: s.stock('user_rate') >= 50, 5, 'the robot is refused')
    status, reply = s.shop.once('RESERVE', secrets.token_bytes(16), user=robot, item=ITEM, quantity=1)
    assert status == 'USER_RATE' and 1 <= reply.retry_ms <= 1000, reply
    assert s.reserve(robot, order=order)[0] == 'RESERVED', 'a repeat of a known order is no attempt'
    assert s.backend.confirm(robot, order).status == 'SOLD'
    assert all(s.reserve(user)[0] == 'RESERVED' for user in range(1, 30)), 'others are not touched'
    worst = s.gate.fgctl('user', 'worst', '--limit', 5)
    assert [w['user'] for w in worst] == [str(robot)] and 50 <= worst[0]['refused'] <= 61, worst
    assert s.reserve(robot)[0] == 'RESERVED', 'and after some repeats it may again'
    s.audit(lab)


# ---- limits and stock, changed live ----------------------------------------------------------------------


def test_limits_changed_live(lab):
    """limits per user and order and the hold time are raised and lowered live; who has more keeps it"""
    s = shop(lab, item={'user_limit': 2, 'order_max': 2}, workers=2)
    assert [s.reserve(1)[0] for _ in range(3)] == ['RESERVED', 'RESERVED', 'USER_LIMIT']
    s.change(user_limit=3)
    assert [s.reserve(1)[0] for _ in range(2)] == ['RESERVED', 'USER_LIMIT']
    s.change(user_limit=1)
    assert s.reserve(1)[0] == 'USER_LIMIT'
    fgtest.wait_until(lambda: s.totals()[2] == 3, 5, 'the ledger follows')
    assert [s.reserve(2)[0] for _ in range(2)] == ['RESERVED', 'USER_LIMIT']
    s.change(user_limit=0)
    assert s.reserve(1)[0] == 'RESERVED' and s.reserve(3, quantity=3)[0] == 'BAD_QUANTITY'
    s.change(order_max=3, hold_ms=5000)
    reply = s.shop.reserve(3, ITEM, 3)
    assert reply.status == 'RESERVED' and reply.deadline_ms - now_ms() < 5100, reply
    s.change(order_max=1)
    assert s.reserve(3, quantity=2)[0] == 'BAD_QUANTITY' and s.reserve(3)[0] == 'RESERVED'
    s.audit(lab)


def test_end_of_a_sale(lab):
    """after `close` nothing is reserved; open holds are confirmed, extended or cancelled as before"""
    s = shop(lab, item={'total': 10}, workers=2)
    orders = {user: s.reserve(user)[1] for user in range(1, 6)}
    s.change('/close', 'POST')
    assert s.reserve(6)[0] == 'CLOSED'
    assert s.backend.extend(1, orders[1], now_ms() + 90000).status == 'RESERVED'
    assert s.backend.confirm(1, orders[1]).status == 'SOLD'
    assert s.backend.confirm(2, orders[2]).status == 'SOLD'
    assert s.shop.cancel(3, orders[3]).status == 'CANCELLED'
    assert s.reserve(7)[0] == 'CLOSED', 'what comes back is not sold'
    s.gate.restart(kill=True)
    assert s.reserve(7)[0] == 'CLOSED' and s.backend.confirm(4, orders[4]).status == 'SOLD'
    s.settle(10, 6, 1, 3)
    s.audit(lab)


def test_an_operator_refunds(lab):
    """`order refund` undoes a sale once: the buyer's limit is free again, the units are back when told so"""
    s = shop(lab, item={'total': 3, 'user_limit': 1}, workers=2)
    orders = {user: s.reserve(user)[1] for user in (1, 2, 3)}
    for user, order in orders.items():
        assert s.backend.confirm(user, order).status == 'SOLD'
    assert s.reserve(1)[0] in ('USER_LIMIT', 'SOLD_OUT')
    uuid = str(UUID(bytes=orders[1]))
    text = fgctl_text(s.gate, 'order', 'refund', '1', uuid, '--restock')
    assert 'refunded; its 1 units are back on sale' in text, text
    assert s.shop.query(1, orders[1]).status == 'REFUNDED'
    again = s.reserve(1)
    assert again[0] == 'RESERVED', 'the unit and the limit are free'
    assert 'not put back' in fgctl_text(s.gate, 'order', 'refund', '2', orders[2].hex())
    assert s.reserve(2)[0] == 'SOLD_OUT', 'the unit of this one is gone'
    status, answer = s.gate.api('POST', f'/v1/orders/1/{again[1].hex()}/refund', {'restock': True})
    assert status == 409 and 'the order is reserved, not sold' in answer['error']['message'], answer
    status, answer = s.gate.api('POST', f'/v1/orders/9/{uuid}/refund', {'restock': True})
    assert status == 404 and 'no such order of this user' in answer['error']['message'], answer
    listed = s.gate.get('/v1/orders/1')['orders']
    assert [(o['order'], o['state']) for o in listed] == [(orders[1].hex(), 'refunded'), (again[1].hex(), 'reserved')]
    item = s.gate.get(f'/v1/items/{ITEM}')
    assert [item[k] for k in ('total', 'available', 'reserved', 'sold', 'refunded')] == [3, 0, 1, 1, 1], item
    s.audit(lab)


def test_retired_item(lab):
    """a retired item is not listed and sells nothing; its orders stay, over kill -9; back again it can be opened"""
    s = shop(lab, item={'total': 10}, workers=2)
    _, held = s.reserve(1)
    s.change(retired=True)
    assert s.reserve(2)[0] == 'CLOSED' and s.shop.stock(ITEM).status == 'CLOSED'
    assert s.gate.get('/v1/items')['items'] == []
    s.gate.restart(kill=True)
    assert s.gate.get(f'/v1/items/{ITEM}')['state'] == 'retired' and s.reserve(2)[0] == 'CLOSED'
    assert s.gate.get('/v1/items')['count'] == 0 and s.gate.get('/v1/items?retired=true')['count'] == 1
    assert s.backend.confirm(1, held).status == 'SOLD'
    status, answer = s.gate.api('POST', f'/v1/items/{ITEM}/open')
    assert status == 409 and 'is retired' in answer['error']['message'], answer
    s.change(retired=False)
    s.change('/open', 'POST')
    assert s.reserve(2)[0] == 'RESERVED'
    s.settle(10, 8, 1, 1)
    s.audit(lab)


def test_holds_of_days(lab):
    """a hold of ten days, as for a bank transfer: the packet says it, and it stands after a restart"""
    days = 10 * 86400000
    s = shop(lab, item={'hold_ms': days})
    order = secrets.token_bytes(16)
    reply = s.shop.reserve(1, ITEM, 1, order)
    assert reply.status == 'RESERVED' and days - 10000 < reply.retry_ms <= days, reply
    s.gate.restart(kill=True)
    later = s.shop.query(1, order)
    assert (later.status, later.deadline_ms) == ('RESERVED', reply.deadline_ms) and later.retry_ms < reply.retry_ms, later
    status, answer = s.gate.api('PATCH', f'/v1/items/{ITEM}', {'hold_ms': 49 * 86400000 + 1})
    assert status == 400 and 'from 100 to 4233600000' in answer['error']['message'], answer
    s.audit(lab)


def test_drill_by_packet(lab):
    """`order reserve`, `confirm`, `cancel` by packet: what a shop would see, with exit codes for scripts"""
    s = shop(lab, item={'total': 4, 'user_limit': 3})
    keys = s.gate.keys.path

    def drill(code, *words, keys=keys, server=s.link.a_ip):
        argv = (*s.link.b.enter(), fgtest.program('fgctl'), 'order', *map(str, words),
                '--keys', keys, '--server', server, '--timeout', '2s')
        run = subprocess.run(argv, capture_output=True, text=True, timeout=30, check=False)
        assert run.returncode == code, (argv, run)
        return run

    uuid = '00112233-4455-6677-8899-aabbccddeeff'
    told = drill(0, 'reserve', 5, ITEM, 2, '--order', uuid).stdout
    assert f'order {UUID(uuid).hex} of user 5: RESERVED, 2 of item {ITEM}, held for ' in told, told
    assert s.shop.query(5, UUID(uuid).bytes).status == 'RESERVED'
    assert 'USER_LIMIT' in drill(1, 'reserve', 5, ITEM, 2).stderr
    assert ': SOLD' in drill(0, 'confirm', 5, uuid).stdout
    assert ': SOLD' in drill(1, 'cancel', 5, uuid).stdout, 'too late: it stays sold'
    made = json.loads(drill(0, 'reserve', 6, ITEM, '--json').stdout)
    assert (made['status'], made['user'], made['quantity']) == ('RESERVED', '6', 1) and made['retry_ms'] > 50000, made
    assert ': CANCELLED' in drill(0, 'cancel', 6, made['order']).stdout
    assert ': UNKNOWN_ORDER' in drill(1, 'confirm', 7, uuid).stdout
    s.change('/pause', 'POST')
    assert ': PAUSED' in drill(4, 'reserve', 7, ITEM).stdout
    assert 'does not answer' in drill(3, 'reserve', 7, ITEM, server=f'{s.link.a_ip}:4999').stderr
    assert 'RESERVED' not in drill(1, 'confirm', 7, uuid, '--json').stdout
    assert '--server: ' in drill(2, 'reserve', 7, ITEM, server='nowhere').stderr
    assert 'from 1 to 65535' in drill(2, 'reserve', 7, ITEM, 65536).stderr
    assert 'is not 32 hex digits, or a UUID' in drill(2, 'confirm', 7, 'abc').stderr
    assert 'No such file' in drill(6, 'reserve', 7, ITEM, keys='/nonexistent').stderr
    assert 'no key 77' in drill(6, 'reserve', 7, ITEM, '--key', 77).stderr
    s.audit(lab)


def test_removal_of_unsold_units(lab):
    """unsold units are taken back from the slices of two workers, all or none; later ones can be added"""
    s = shop(lab, item={'total': 1000}, workers=2)
    for user in range(60):
        assert s.reserve(user)[0] == 'RESERVED'
    assert min(w['orders_in_memory'] for w in s.gate.get('/v1/stats')['workers']) > 10, 'both workers sold'
    status, answer = s.gate.api('POST', f'/v1/items/{ITEM}/stock', {'remove': 941})
    assert status == 409 and 'only 940 units are free' in answer['error']['message'], answer
    s.settle(1000, 940, 60, 0)  # nothing was changed
    s.change('/stock', 'POST', remove=930)
    assert [s.reserve(user)[0] for user in range(100, 112)] == ['RESERVED'] * 10 + ['SOLD_OUT'] * 2
    s.settle(70, 0, 70, 0)
    status, answer = s.gate.api('POST', f'/v1/items/{ITEM}/stock', {'remove': 1})
    assert status == 409 and 'only 0 units are free' in answer['error']['message'], answer
    s.change('/stock', 'POST', add=2)
    assert [s.reserve(user)[0] for user in range(200, 203)] == ['RESERVED'] * 2 + ['SOLD_OUT']
    s.audit(lab)


# ---- full memory and alarms ------------------------------------------------------------------------------


def fgctl_text(gate, *words):
    return subprocess.run([fgtest.program('fgctl'), '--socket', gate.socket, *words], capture_output=True, text=True,
                          check=True, timeout=30).stdout


def test_orders_max(lab):
    """orders_max reached: FULL, counted, an alarm; known orders and other answers go on; raised, it sells again"""
    s = shop(lab, **{'limits.orders_max': 64})
    s.create(8, total=0)
    assert s.reserve(70, item=8)[0] == 'SOLD_OUT'
    orders = {user: s.reserve(user)[1] for user in range(57)}
    fgtest.pause(0.3, 'several polls of the alarms')
    assert s.alarms() == {}
    orders.update({user: s.reserve(user)[1] for user in range(57, 60)})
    fgtest.wait_until(lambda: s.alarms() == {'orders': 'warning'}, 3, 'a warning from 90 %')
    orders.update({user: s.reserve(user)[1] for user in range(60, 64)})
    s.gate.alarm_fires('orders', 'alarm')
    fgtest.wait_until(lambda: s.alarms() == {'orders': 'alarm'}, 10, 'no other alarm')
    assert [s.reserve(user)[0] for user in (64, 65)] == ['FULL', 'FULL'] and s.stock('full') == 2
    s.gate.alarm_fires('full', 'alarm')
    fgtest.wait_until(lambda: s.alarms() == {'orders': 'alarm', 'full': 'alarm'}, 10, 'no other alarm')
    assert re.search(r'^ALARM +orders +worker 0: 64 of 64 orders \(\[limits\] orders_max\)$',
                     fgctl_text(s.gate, 'status'), re.M)
    assert 'ALARM    full' in fgctl_text(s.gate, 'top', '--count', '1')
    metrics = s.gate.get('/metrics')
    assert 'floodgate_alarm_level{alarm="orders"} 2\n' in metrics and 'floodgate_alarm_level{alarm="log"} 0\n' in metrics
    assert s.gate.healthy(), 'a limit is no illness'
    assert s.reserve(70, item=8)[0] == 'SOLD_OUT'
    assert s.backend.confirm(0, orders[0]).status == 'SOLD' and s.shop.cancel(1, orders[1]).status == 'CANCELLED'
    assert s.backend.extend(2, orders[2], now_ms() + 90000).status == 'RESERVED'
    assert s.reserve(3, order=orders[3])[0] == 'RESERVED' and s.shop.stock(ITEM).status == 'ON_SALE'
    assert s.reserve(71)[0] == 'FULL', 'finished orders are remembered'
    s.gate.alarm_clears('full')
    lines = [' '.join(words) for words in re.findall(r'Z (\w+) +alarm (orders|full): (over)?', s.gate.output())]
    assert [line.strip() for line in lines] == ['warning orders', 'error orders', 'error full', 'notice full over'], lines
    s.gate.settings['limits.orders_max'] = 1000
    s.gate.write_config()
    s.gate.restart()
    s.gate.alarm_clears('orders')
    assert s.reserve(64)[0] == 'RESERVED'
    fgtest.wait_until(lambda: s.alarms() == {}, 10, 'no alarm')
    s.gate.settings['limits.orders_max'] = 64
    s.gate.write_config()
    s.gate.stop()
    s.gate.start(ready=False)
    assert s.gate.process.wait(20) == 1 and 'orders_max is too small for the log' in s.gate.output()


def test_users_max(lab):
    """users_max reached: who is new is FULL at items with a limit, and only there"""
    s = shop(lab, item={'user_limit': 2}, **{'limits.users_max': 64})
    s.create(8, total=10)
    assert all(s.reserve(user)[0] == 'RESERVED' for user in range(64))
    s.gate.alarm_fires('users', 'alarm')
    fgtest.wait_until(lambda: s.alarms() == {'users': 'alarm'}, 10, 'no other alarm')
    assert s.reserve(64)[0] == 'FULL' and s.reserve(5)[0] == 'RESERVED', 'who is known may have his second'
    assert [s.reserve(user, item=8)[0] for user in range(70, 75)] == ['RESERVED'] * 5, 'no limit, no need for room'
    s.change(user_limit=0)
    assert s.stock('full') == 1 and s.reserve(64)[0] == 'RESERVED'
    s.gate.restart()
    s.gate.alarm_clears('users')  # what the log has always fits
    fgtest.wait_until(lambda: s.alarms() == {}, 10, 'no alarm')
    assert s.reserve(65)[0] == 'RESERVED'
    s.audit(lab)


def test_one_user_does_not_stop_the_sale(lab):
    """one user reserves and cancels without end: refused after unsold_max orders; others buy; held and late ones are paid"""
    s = shop(lab, item={'total': 100, 'hold_ms': 300}, **{'limits.orders_max': 200, 'limits.unsold_max': None})
    late = s.reserve(1)[1]
    fgtest.wait_until(lambda: s.shop.query(1, late).status == 'EXPIRED', 5, 'the first hold ends')
    s.change(hold_ms=60000)
    held = s.reserve(1)[1]
    for _ in range(31):
        status, order = s.reserve(1)
        assert status == 'RESERVED' and s.shop.cancel(1, order).status == 'CANCELLED'
    for _ in range(300):
        status, reply = s.shop.once('RESERVE', secrets.token_bytes(16), user=1, item=ITEM, quantity=1)
        assert status == 'USER_LIMIT' and reply.left == 0, (status, reply)
    assert all(s.reserve(user)[0] == 'RESERVED' for user in range(2, 82)), 'others buy, and nothing is FULL'
    assert s.backend.confirm(1, held).status == 'SOLD', 'what is held is paid'
    assert s.backend.confirm(1, late).status == 'SOLD', 'and what expired is paid late'
    status, order = s.reserve(1)
    assert status == 'RESERVED' and s.shop.cancel(1, order).status == 'CANCELLED', 'which makes room for one more'
    s.gate.restart(kill=True)
    assert s.reserve(1)[0] == 'USER_LIMIT', 'a restart remembers'
    assert s.reserve(1, order=order)[0] == 'CANCELLED', 'no order is forgotten'
    s.audit(lab)


def test_alarm_of_a_full_log(lab):
    """no room for the log is an alarm, and over when there is room again"""
    with fgdisk.tmpfs(lab, '1m') as disk:
        s = shop(lab, item={'total': 3000}, **{'log.dir': f'{disk}/log', 'log.segment_bytes': '64k'})
        fgdisk.fill(f'{disk}/filler')
        statuses = []
        while 'BUSY' not in statuses and len(statuses) < 2000:  # what was under way as it became full is not answered
            statuses.append(s.shop.once('RESERVE', secrets.token_bytes(16), user=len(statuses), item=ITEM, quantity=1)[0])
        assert statuses[-1] == 'BUSY' and set(statuses[:-1]) <= {'RESERVED', None}, statuses[-3:]
        s.gate.alarm_fires('log', 'alarm')
        fgtest.wait_until(lambda: s.alarms() == {'log': 'alarm'}, 10, 'no other alarm')
        os.unlink(f'{disk}/filler')
        s.gate.alarm_clears('log')
        assert s.reserve(5000)[0] == 'RESERVED' and s.gate.stop() == 0


@fgtest.timeout(120)
def test_items_max(lab):
    """items_max reached: 409 that says so, an alarm; the others sell"""
    s = shop(lab, **{'limits.items_max': 2})
    s.create(8, total=10)
    status, answer = s.gate.api('POST', '/v1/items', {'item': 9})
    assert status == 409 and 'items_max' in answer['error']['message'], answer
    s.gate.alarm_fires('items', 'alarm')
    fgtest.wait_until(lambda: s.alarms() == {'items': 'alarm'}, 10, 'no other alarm')
    assert s.reserve(1, item=8)[0] == 'RESERVED'
    s.gate.settings['limits.items_max'] = 3
    s.gate.write_config()
    s.gate.restart()
    s.create(9, total=10)
    s.gate.alarm_fires('items', 'alarm')
    s.gate.settings['limits.items_max'] = 30
    s.gate.write_config()
    s.gate.restart()
    s.gate.alarm_clears('items')
    s.create(10, total=10)


def test_alarm_of_a_sink(lab):
    """Redis away is a warning, which is over 5 s after it is back; one line each in the log"""
    redis = lab.redis(persist=True)
    s = shop(lab, redis=redis, **{'redis.timeout_ms': '200ms', 'redis.retry_ms_max': '200ms'})
    fgtest.wait_until(lambda: s.gate.sink('redis')['state'] == 'live', 5, 'Redis is there')
    redis.kill()
    assert s.reserve(1)[0] == 'RESERVED'
    s.gate.alarm_fires('sink', 'warning')
    fgtest.wait_until(lambda: s.alarms() == {'sink': 'warning'}, 10, 'no other alarm')
    redis.start()
    s.gate.alarm_clears('sink')
    fgtest.wait_until(lambda: [s.gate.output().count(line) for line in ('warning alarm sink: redis: away', 'alarm sink: over')] ==
                      [1, 1], 5, 'one line each')


def test_every_alarm_is_documented(lab):
    """each alarm that there is stands in docs/operation.md"""
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048})
    gate.start()
    with open(os.path.join(fgtest.ROOT, 'docs', 'operation.md'), encoding='utf-8') as f:
        table = f.read().split('\n### Alarms\n')[1].split('\n## ')[0]
    names = gate.get('/v1/stats')['alarm_levels']
    assert len(names) > 8 and sorted(names) == sorted(re.findall(r'^\| `([a-z]+)` \|', table, re.M)), names


def test_two_operators_at_once(lab):
    """`item set --total` and `item import` by two operators at the same time: never added up, and who lost is told"""
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048})
    gate.start()
    sheet = os.path.join(lab.dir, 'items.csv')

    def at_once(*words):
        """Exit codes of two fgctl that run together."""
        both = [lab.start(fgtest.program('fgctl'), '--socket', gate.socket, *words, name=f'fgctl{n}') for n in range(2)]
        return sorted(process.wait(30) for process in both)

    lost = 0
    for number in range(1, 13):
        gate.fgctl('item', 'add', number, '--total', 100)
        assert at_once('item', 'set', str(number), '--total', '200') == [0, 0]
        assert gate.get(f'/v1/items/{number}')['total'] == 200
        with open(sheet, 'w', encoding='utf-8') as f:
            f.write(f'item,total,order_max\n{number},300,7\n')
        codes = at_once('item', 'import', sheet)
        assert codes in ([0, 0], [0, 7]), codes
        lost += codes[1] == 7
        item = gate.get(f'/v1/items/{number}')
        assert (item['total'], item['order_max']) == (300, 7), item
    print(f'# {lost} of 12 imports lost their race, and said so')


def test_memory_of_the_limits(lab):
    """--check prints what the limits need, and more for larger ones"""
    gate = lab.daemon(device='net_null0', settings=SMALL)

    def engines(**limits):
        gate.settings.update({f'limits.{k}': v for k, v in limits.items()})
        gate.write_config()
        code, text = gate.check()
        assert code == 0, text
        return float(re.search(r'^ +engines \(limits\) +([0-9.]+) MiB$', text, re.M)[1])

    def lists():
        return float(re.search(r'^ +of that, waiting lists +([0-9.]+) MiB$', gate.check()[1], re.M)[1])

    base = engines(items_max=1000, orders_max=20000, users_max=20000)
    more = engines(orders_max=1020000)
    assert 60 < more - base < 120, 'a million orders'
    assert engines(users_max=1020000) == more, 'users have their place beside the orders'
    assert engines(items_max=101000) - more > 10
    base = engines(items_max=1000, waiting_max=0)
    assert lists() == 0
    more = engines(waiting_max=1000000)
    assert 26 < lists() < 40 and abs(more - base - lists()) < 0.2, (base, more, lists())
    _, text = gate.check()
    assert '\norders_max = 1020000: room for the orders of 31875 users who each let unsold_max = 32 orders' in text, text


if __name__ == '__main__':
    fgtest.main()
