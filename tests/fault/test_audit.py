#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The auditor: true stories pass, and each way in which log, Redis and clients can differ is found and named.

An auditor that finds nothing proves nothing: every test here but the first few is a canary.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import uuid
import threading

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgprocess import program  # noqa: E402
from fgsink import Log  # noqa: E402
from fgsinkredis import Redis  # noqa: E402
from fgstory import LINE, START, STORY, left, make_log, offered, oid, order, reserved, waiting  # noqa: E402

RECORD, HEADER = 64, 64
STATES = ('reserved', 'sold', 'cancelled', 'expired')
TOLD = [f'{oid(1)} 101 1 1 SOLD', f'{oid(2)} 102 1 1 CANCELLED', f'{oid(3)} 103 1 1 EXPIRED',
        f'{oid(4)} 104 1 1 RESERVED', f'{oid(5)} 105 1 1 SOLD_OUT', f'{oid(6)} 106 1 1 NONE']


def client_file(lab, lines, header='# fgblast 1'):
    path = lab.unique('client')
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join([header, *lines]) + '\n')
    return path


def audit(lab, folder, **options):
    """(exit code, result, error text)"""
    path = lab.unique('audit.json')
    code, text = fgtest.audit(lab, log=folder, json=path, **options)
    if code == 2:
        return code, None, text
    with open(path, encoding='utf-8') as f:
        result = json.load(f)
    assert (code == 0) == (result['audit'] == 'pass') == (not result['problem_counts']), (code, result)
    return code, result, text


def passes(lab, lines, told=None, **options):
    if told is not None:
        options['client'] = client_file(lab, told)
    code, result, text = audit(lab, make_log(lab, lines), **options)
    assert code == 0, text
    return result


def fails(lab, lines, kind, *words, told=None, count=1, **options):
    """The only problem is of that kind, and its text holds the words."""
    if told is not None:
        options['client'] = client_file(lab, told)
    code, result, text = audit(lab, make_log(lab, lines), **options)
    found(code, result, text, kind, *words, count=count)
    return result


def found(code, result, text, kind, *words, count=1):
    assert code == 1, text
    assert result['problem_counts'] == {kind: count}, (result['problem_counts'], text)
    for word in words:
        assert any(word in p['text'] for p in result['problems']), (word, result['problems'])
    return result


# ---- true stories ----------------------------------------------------------------------------------------


def test_true_story(lab):
    """a true story passes, and the result counts what is in it"""
    result = passes(lab, STORY, TOLD)
    assert result['oversold'] == 0 and result['problems'] == []
    assert result['items'] == [{'item': '1', 'total': 10, 'available': 8, 'reserved': 1, 'sold': 1,
                                'refunded': 0, 'late': 0, 'restocked': 0, 'expired': 1, 'cancelled': 1}]
    log, client = result['log'], result['client']
    assert (log['last_seq'], log['commits'], log['records'], log['orders'], log['torn_records']) == (12, 3, 9, 4, 0)
    assert [log[s] for s in STATES] == [1, 1, 1, 1] and log['refunded'] == 0
    assert (client['orders'], client['acknowledged'], client['rejected'], client['unanswered']) == (6, 4, 1, 1)
    assert client['unnamed'] == 0 and client['told']['SOLD_OUT'] == 1 and result['redis'] is None


def test_empty_log(lab):
    """a log without a record passes"""
    assert passes(lab, [])['log']['last_seq'] == 0


def test_many_segments(lab):
    """a story over many segments, with items and users that need all 64 bits"""
    big = 2**64 - 1
    lines = [f'item {big} 0 9 1000', f'stock {big} 5', 'commit', reserved(1, item=big, user=big), 'item 1 0 9 1000',
             'stock 1 20000', 'many 5000 1 2']
    result = passes(lab, lines, [f'{oid(1)} {big} {big} 1 RESERVED'])
    assert result['log']['segments'] > 8
    assert result['items'][0] == {'item': str(big), 'total': 5, 'available': 4, 'reserved': 1, 'sold': 0,
                                  'refunded': 0, 'late': 0, 'restocked': 0, 'expired': 0, 'cancelled': 0}
    assert result['items'][1]['sold'] == 10000


def test_json_on_standard_output(lab):
    """--json - gives nothing but JSON on standard output, the text goes to stderr"""
    done = subprocess.run([fgtest.program('fgaudit'), '--log', make_log(lab, STORY), '--json', '-'],
                          capture_output=True, text=True, check=True, timeout=30)
    assert json.loads(done.stdout)['audit'] == 'pass' and 'PASS' in done.stderr


def test_log_that_grows(lab):
    """a log whose writer runs can be audited at any moment"""
    growing = Log(lab)
    stop = threading.Event()

    def load():
        while not stop.is_set():
            growing.load(1, 400)
            fgtest.pause(0.002, 'the pace of the writer')
    loader = threading.Thread(target=load)
    loader.start()
    try:
        for _ in range(10):
            code, _, text = audit(lab, growing.log_dir)
            assert code == 0, text
    finally:
        stop.set()
        loader.join()


def test_torn_tail(lab):
    """a commit that a crash tore is reported and is no difference"""
    folder = make_log(lab, STORY)
    path = os.path.join(folder, f'{1:020}.fgj')
    with open(path, 'r+b') as f:
        f.seek(HEADER + 12 * RECORD)
        f.write(b'\x01' * (3 * RECORD - 7))
    code, result, text = audit(lab, folder)
    assert code == 0 and result['log']['torn_records'] == 3 and 'torn tail: 3' in text, text
    with open(path, 'r+b') as f:  # and one torn in its own middle: its beginning is part of the log
        f.seek(HEADER + 11 * RECORD + 40)
        f.write(b'\xff')
    code, result, text = audit(lab, folder)
    assert code == 0 and result['log']['last_seq'] == 11 and result['log']['expired'] == 0, text


# ---- waiting lists ---------------------------------------------------------------------------------------


def test_waiting_list(lab):
    """a line whose orders are offered units, leave, and wait on; what the clients were told"""
    result = passes(lab, LINE + [left(2, 2, time=3000), offered(3, time=3001), left(5, time=3002), 'commit'],
                    [f'{oid(2)} 102 1 1 CANCELLED', f'{oid(3)} 103 1 1 WAITING', f'{oid(4)} 104 1 1 WAITING',
                     f'{oid(5)} 105 1 1 CANCELLED', f'{oid(1)} 101 1 10 CANCELLED'])
    item, log = result['items'][0], result['log']
    assert item['line'] == {'tickets': 4, 'gaps': 0, 'waiting': 1, 'offered': 1, 'left': 2}, item
    assert (item['available'], item['reserved'], item['cancelled'], log['waiting'], log['reserved']) == (9, 1, 10, 1, 1), result
    fails(lab, LINE, 'client-state', 'it is waiting', told=[f'{oid(2)} 102 1 1 RESERVED'])
    fails(lab, LINE, 'client-missing', told=[f'{oid(9)} 109 1 1 WAITING'])
    fails(lab, LINE, 'client-rejected', told=[f'{oid(2)} 102 1 1 SOLD_OUT'])


SEED = bytes(range(16))


def sha(*parts):
    return hashlib.sha256(b''.join(parts)).digest()


def drawn_by(seed, users):
    """The users in the order of a draw, as docs/waiting.md has it."""
    total = sum(int.from_bytes(sha(u.to_bytes(8, 'little')), 'little') for u in users) % 2**256
    key = sha(seed, total.to_bytes(32, 'little'))[:16]
    return sorted(users, key=lambda u: int.from_bytes(sha(key, u.to_bytes(8, 'little'))[:8], 'little'))


def commitment(seed, time_ms=2000):
    c = sha(seed)
    words = [int.from_bytes(c[at:at + 8], 'little') for at in (16, 24)]
    return f'lottery 1 {words[0]} {c[:16].hex()} 0 {time_ms} {words[1]}'


def draw(committed=SEED, orders=4, renewed=()):
    """Orders 2 to 5 wait for two units, and are drawn."""
    return ['item 1 0 10 1000 2500', 'line 1 100 5000 30000 2', 'stock 1 2', 'commit',
            commitment(committed), 'commit', *(waiting(n, n - 1) for n in (2, 3, 4, 5)), 'commit', *renewed,
            f'drawn 1 {orders} {SEED.hex()} 0 3000 4', 'commit']


def test_draws_are_held_again(lab):
    """a draw gives the order that its seed says; another seed than the one of the commitment, other entries, other turns are found"""
    turns = [u - 100 for u in drawn_by(SEED, [102, 103, 104, 105])]
    passes(lab, draw() + [offered(turns[0], time=3001), offered(turns[1], time=9000)])
    folder = make_log(lab, draw() + [offered(turns[0], time=3001)])
    done = subprocess.run([program('fgaudit'), '--log', folder, '--lottery'], capture_output=True, text=True, check=True, timeout=60)
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith('  ticket ')]
    assert [(int(r[1]), int(r[3])) for r in rows] == [(5 + i, 100 + n) for i, n in enumerate(turns)], done.stdout
    assert rows[0][6] == 'reserved' and f'seed {SEED.hex()}, commitment in record' in done.stdout, done.stdout
    folder = make_log(lab, draw(committed=b'lost', renewed=[commitment(b'lost, too', 2499), commitment(SEED, 2500)]))
    done = subprocess.run([program('fgaudit'), '--log', folder, '--lottery'], capture_output=True, text=True, check=True, timeout=60)
    assert '(renewed 2 times, 1 of them after the opening, 4 waited before it)' in done.stdout, done.stdout
    fails(lab, draw() + [offered(turns[3], time=3001), offered(turns[2], time=9000)], 'turn', 'ticket 5')
    fails(lab, draw(committed=bytes(16)), 'lottery', 'is not the one of record')
    fails(lab, draw(orders=3), 'lottery', '4 wait')
    fails(lab, draw() + [f'drawn 1 4 {SEED.hex()} 0 4000 8'], 'lottery', 'has no lottery', count=2)


def test_draws_are_not_repeated(lab):
    """a draw that was set while users waited is found; one that a restart committed to anew, and one after the line was empty, are none"""
    drawn, again = draw(), ['line 1 100 5000 30000 2', 'commit']
    commitment, turns = drawn[4], [u - 100 for u in drawn_by(SEED, [102, 103, 104, 105])]
    fails(lab, drawn + again + [commitment, 'commit'], 'lottery', 'was set while ticket 5 waited')
    passes(lab, drawn[:-2] + again + [commitment] + drawn[-2:])
    passes(lab, drawn + [left(n, time=9000 + n) for n in turns] + ['commit'] + again + [commitment, waiting(6, 9), 'commit'])


def test_offers_follow_the_tickets(lab):
    """two workers may write two turns in another order, and a crash lose one: nobody is passed over twice"""
    passes(lab, LINE + [offered(3, time=3000), offered(2, time=3001)])
    passes(lab, LINE + [offered(4, time=3000), offered(3, time=3900), left(2, 3, time=5000)])
    after = LINE + [offered(3, time=3000), 'commit']  # and a crash took the turn of order 2
    passes(lab, after + [offered(2, time=9000)])
    fails(lab, after + [offered(4, time=9000)], 'turn', 'offered to ticket 3, while ticket 1 was first', 'at 3000 ms')
    passes(lab, after + [left(2, time=8000), 'commit', offered(4, time=9000)])
    passes(lab, LINE + [offered(5, time=3000), offered(2, time=3001), offered(4, time=3002), offered(3, time=3003)])
    fails(lab, LINE + [offered(5, time=3000), offered(4, time=3002)], 'turn', 'offered to ticket 3', settle_ms=1)


def test_nobody_jumps_the_line(lab):
    """units go to others only for a moment after the line began, and again when it is empty"""
    passes(lab, LINE + [reserved(9, time=3900)])
    fails(lab, LINE + [reserved(9, time=4001)], 'turn', 'reserved while 4 orders waited, since 2000 ms', 'ticket 1')
    late = START + [reserved(1), 'commit', order('expired', 1, time=9000), waiting(2, 1, time=9000), 'commit']
    fails(lab, late + [order('sold-late', 1, time=12000)], 'turn', 'sold-late while 1 orders waited')
    passes(lab, LINE + [left(n, time=3000) for n in (2, 3, 4, 5)] + ['commit', reserved(9, time=8000)])


def test_tickets(lab):
    """each order has a ticket of its own; one whose record a crash took leaves a gap"""
    fails(lab, LINE + [waiting(9, 4)], 'ticket', 'ticket 4, the largest is 4')
    fails(lab, LINE + [left(2), waiting(9, 1)], 'ticket', 'ticket 1')
    fails(lab, LINE + [waiting(9, 0)], 'ticket', 'ticket 0')
    fails(lab, LINE + [waiting(9, 2**32)], 'ticket')
    assert passes(lab, LINE + [waiting(9, 7)])['items'][0]['line']['gaps'] == 2
    assert passes(lab, LINE + [waiting(9, 6), waiting(8, 5)])['items'][0]['line']['gaps'] == 0


def test_every_illegal_step_of_a_waiting_order(lab):
    """a waiting order is offered units or leaves, once; no other order is or does"""
    passes(lab, LINE + [offered(2, time=3000), 'commit', order('sold', 2, time=3000)])
    for step in ('sold', 'cancelled', 'expired', 'refunded', 'closed', 'sold-late'):
        fails(lab, LINE + [order(step, 2, time=9000)], 'step', 'from waiting to')
    for after in (offered(2, time=3001), left(2)):
        fails(lab, LINE + [offered(2, time=3000), after], 'step', 'from reserved to')
        fails(lab, LINE + [left(2), after], 'step', 'from cancelled to')
        fails(lab, START + [after], 'step', 'from absent to')
    fails(lab, LINE + [waiting(2, 9)], 'order-twice', 'it is waiting')
    fails(lab, LINE + [offered(2, quantity=2, time=3000)], 'fields', 'quantity 2')
    fails(lab, LINE + [left(2, 9)], 'log', 'no known reason: 9')
    fails(lab, LINE + ['user 102 1 1000', 'commit', offered(2, time=9000)], 'user-denied')
    fails(lab, START + ['item 1 2 3 1000', reserved(1, user=5), waiting(2, 1, user=5, quantity=2)], 'user-limit', 'has 3')
    code, result, text = audit(lab, make_log(lab, LINE + ['stock 1 -10', 'commit', offered(2, time=3000)]))
    assert code == 1 and result['problem_counts'] == {'oversold': 1, 'conservation': 1}, text
    fails(lab, LINE[:-1] + [offered(2, time=3000)], 'reused', '1 units taken')


# ---- canaries: units -------------------------------------------------------------------------------------


def test_oversold(lab):
    """more units sold than there are, at any prefix"""
    code, result, text = audit(lab, make_log(lab, [
        'item 1 0 9 1000', 'stock 1 5', 'commit', reserved(1, quantity=3), reserved(2, quantity=4)]))
    assert code == 1 and result['oversold'] == 2, text
    assert result['problem_counts'] == {'oversold': 1, 'conservation': 1}, text
    assert 'record 6: item 1: total 5, reserved 7, sold 0, refunded 0: 2 more' in result['problems'][0]['text'], text


def test_oversold_for_a_moment(lab):
    """a prefix that sold more than there was is found although the end is right"""
    result = fails(lab, ['item 1 0 9 1000', 'stock 1 1', 'commit', reserved(1), reserved(2), 'commit',
                         order('cancelled', 2)], 'oversold', '1 more')
    assert result['oversold'] == 1 and result['items'][0]['available'] == 0


def test_stock_taken_below_what_is_sold(lab):
    """stock removed although its units are reserved"""
    code, result, text = audit(lab, make_log(lab, START + [reserved(1), 'commit', 'stock 1 -10']))
    assert code == 1 and result['oversold'] == 1 and 'oversold' in result['problem_counts'], text


def test_leases_and_returns(lab):
    """units of a fleet: they count as stock, and cumulative numbers that do not add up are found"""
    story = ['item 1 0 9 1000', 'stock 1 2', 'lease 1 5 1 5', 'commit', reserved(1, quantity=4), 'commit', 'return 1 3 1 3']
    result = passes(lab, story)
    assert {k: result['items'][0][k] for k in ('total', 'added', 'leased', 'leases', 'returned', 'returns')} == {
        'total': 4, 'added': 2, 'leased': 5, 'leases': 1, 'returned': 3, 'returns': 1}, result['items']
    code, result, text = audit(lab, make_log(lab, story + ['commit', 'return 1 1 2 4']))
    assert code == 1 and result['oversold'] == 1 and 'oversold' in result['problem_counts'], text
    for wrong in ('lease 1 5 1 5', 'lease 1 2 3 7', 'lease 1 2 2 8', 'return 1 0 2 3'):
        fails(lab, story[:-1] + ['return 1 2 1 2', 'commit', wrong], 'log', 'units makes')


def test_reused_before_durable(lab):
    """a unit that was released and sold again within one commit"""
    lines = ['item 1 0 9 1000', 'stock 1 1', 'commit', reserved(1), 'commit', order('cancelled', 1)]
    passes(lab, lines + ['commit', reserved(2)])
    fails(lab, lines + [reserved(2)], 'reused', '1 units taken')
    fails(lab, lines + [reserved(2), 'commit', order('sold', 2), 'stock 1 3', reserved(3)], 'reused', count=2)


# ---- canaries: orders ------------------------------------------------------------------------------------


def test_order_twice(lab):
    """an order accepted twice, live or finished"""
    fails(lab, STORY + [reserved(4)], 'order-twice', oid(4), 'it is reserved')
    fails(lab, STORY + [reserved(2)], 'order-twice', oid(2), 'it is cancelled')
    passes(lab, STORY + [reserved(4, user=999)])  # another user's order may have the same id


def test_every_illegal_step(lab):
    """every step out of every state: only those of docs/log.md are legal"""
    done = {'reserved': [], 'sold': [order('sold', 7)], 'cancelled': [order('cancelled', 7)],
            'expired': [order('expired', 7, time=9000)],
            'refunded': [order('sold', 7), 'commit', order('refunded', 7)]}
    becomes = {'sold': 'sold', 'cancelled': 'cancelled', 'expired': 'expired', 'sold-late': 'sold',
               'closed': 'cancelled', 'refunded': 'refunded'}
    legal = {'reserved': ('sold', 'cancelled', 'expired'), 'expired': ('sold-late', 'closed'), 'sold': ('refunded',)}
    for state, lines in done.items():
        for step, after in becomes.items():
            story = START + [reserved(7), 'commit', *lines, 'commit', order(step, 7, time=9000)]
            if step in legal.get(state, ()):
                passes(lab, story)
            else:
                fails(lab, story, 'step', f'from {state} to {after}')
    for step, after in becomes.items():
        fails(lab, START + [order(step, 7)], 'step', f'from absent to {after}')


def test_late_payments(lab):
    """an expired order takes units again: not more than there are, nor than its user may have"""
    ended = START + [reserved(1), 'commit', order('expired', 1, time=9000), 'commit']
    late = order('sold-late', 1, time=9001)
    result = passes(lab, ended + [late], told=[f'{oid(1)} 101 1 1 SOLD'])
    assert result['items'][0]['sold'] == 1 and result['log']['sold'] == 1 and result['log']['expired'] == 0, result
    code, result, text = audit(lab, make_log(lab, ended + ['stock 1 -10', 'commit', late]))
    assert code == 1 and result['problem_counts'] == {'oversold': 1, 'conservation': 1}, text
    fails(lab, START + [reserved(1, quantity=2), 'commit', order('expired', 1, quantity=2, time=9000), 'commit',
                        reserved(2, user=101, time=9000), 'commit', order('sold-late', 1, quantity=2, time=9001)],
          'user-limit', 'now has 3')
    fails(lab, ended + ['user 101 1 1000', 'commit', late], 'user-denied')


def test_refunds(lab):
    """a refund frees the user's limit; its units go back on sale, or stay out of it"""
    bought = START + [reserved(1, quantity=2), 'commit', order('sold', 1, quantity=2), 'commit']
    for restocked in (0, 1):
        again = [order('refunded', 1, quantity=2, deadline=restocked), 'commit', reserved(2, user=101, quantity=2)]
        item = passes(lab, bought + again)['items'][0]
        assert item == {'item': '1', 'total': 10, 'available': 8 if restocked else 6, 'reserved': 2, 'sold': 0,
                        'refunded': 0 if restocked else 2, 'late': 0, 'restocked': 2 if restocked else 0, 'expired': 0,
                        'cancelled': 0}, item
    fails(lab, bought + [order('refunded', 1, quantity=2, deadline=2)], 'log', 'neither restocked nor not')
    code, result, text = audit(lab, make_log(lab, bought + [order('refunded', 1, quantity=2, deadline=0), 'commit',
                                                            'stock 1 -9']))
    assert code == 1 and result['problem_counts'] == {'oversold': 1, 'conservation': 1}, text


def test_fields_of_a_step(lab):
    """a step with another item or quantity than its order"""
    fails(lab, START + ['item 2 2 3 1000', reserved(1), 'commit', order('sold', 1, quantity=2)], 'fields', 'quantity 2')
    fails(lab, START + ['item 2 2 3 1000', reserved(1), 'commit', order('sold', 1, item=2)], 'fields', 'item 2')


def test_early_expiry(lab):
    """an order that expired before its deadline"""
    fails(lab, START + [reserved(1), 'commit', order('expired', 1, time=8999)], 'early-expiry', '8999', '9000')
    passes(lab, START + [reserved(1), 'commit', order('expired', 1, time=9000)])


def extended(n, deadline, time=3000, **fields):
    return order('extended', n, time=time, deadline=deadline, **fields)


def test_extension(lab):
    """a hold may be extended, and then expires later; never shortened, nor out of another state"""
    held = START + [reserved(1), 'commit']
    passes(lab, held + [extended(1, 12000)], [f'{oid(1)} 101 1 1 RESERVED'])
    passes(lab, held + [extended(1, 12000), extended(1, 12001), 'commit', order('expired', 1, time=12001)])
    passes(lab, held + [extended(1, 12000), 'commit', order('sold', 1, time=11000)])
    fails(lab, held + [extended(1, 12000), 'commit', order('expired', 1, time=11999)], 'early-expiry', '11999', '12000')
    for deadline in (9000, 8999, 0):
        fails(lab, held + [extended(1, deadline)], 'step', f'extended to {deadline} ms', 'deadline 9000')
    for state in STATES[1:]:
        fails(lab, held + [order(state, 1, time=9000), 'commit', extended(1, 12000)], 'step', f'it was {state}')
    fails(lab, START + [extended(1, 12000)], 'step', 'it was absent')
    fails(lab, held + [extended(1, 12000, user=5)], 'step', 'it was absent')
    fails(lab, held + [extended(1, 12000, quantity=2)], 'fields', 'quantity 2')


def test_denied_users(lab):
    """denied users come and go; an order of one is a problem, unless it was judged before"""
    passes(lab, START + ['user 101 1 1500', 'user 5 1 1500', 'user 5 1 1600', 'user 6 0 1600', 'commit', reserved(2)])
    denied = START + [reserved(1), 'user 101 1 2000', 'commit']
    passes(lab, denied + [order('sold', 1, time=9000)])
    passes(lab, denied + [reserved(2, user=101, time=4000)])
    fails(lab, denied + [reserved(2, user=101, time=4001)], 'user-denied', 'denied since 2000', 'user 101')
    fails(lab, denied + ['user 101 1 4000', reserved(2, user=101, time=4001)], 'user-denied', 'denied since 2000')
    fails(lab, denied + [reserved(2, user=101, time=2001)], 'user-denied', settle_ms=0)
    passes(lab, denied + ['user 101 0 3000', 'commit', reserved(2, user=101, time=9000)])
    again = denied + ['user 101 0 3000', 'user 101 1 8000', 'commit']
    passes(lab, again + [reserved(2, user=101, time=9000)])
    fails(lab, again + [reserved(2, user=101, time=10001)], 'user-denied', 'denied since 8000')
    many = [f'user {n} 1 1000' for n in range(1000)] + ['commit'] + [f'user {n} 0 1500' for n in range(0, 1000, 2)]
    fails(lab, START + many + ['commit', *[reserved(n, user=n, time=9000) for n in range(6)]], 'user-denied', count=3)
    fails(lab, START + ['user 5 2 1500'], 'log', 'neither denied nor allowed')


def test_user_limit(lab):
    """a user above the limit: reserved and sold count, cancelled and expired do not"""
    mine = {'user': 5}
    two = START + [reserved(1, **mine), reserved(2, **mine), 'commit']
    passes(lab, two)
    fails(lab, two + [reserved(3, **mine)], 'user-limit', 'the user now has 3 units, the limit is 2')
    fails(lab, two + [order('sold', 1, **mine), reserved(3, **mine)], 'user-limit')
    passes(lab, two + [order('cancelled', 1, **mine), 'commit', reserved(3, **mine)])
    passes(lab, two + [order('expired', 1, time=9000, **mine), 'commit', reserved(3, **mine)])
    fails(lab, START + [reserved(1, quantity=3)], 'user-limit', 'has 3 units')
    passes(lab, two + ['item 2 2 3 1000', 'stock 2 5', 'commit', reserved(3, item=2, **mine)])  # of each item apart


def test_limit_changed_in_mid_sale(lab):
    """the limit in force counts: raised at once, lowered after a moment, and who has more keeps it"""
    mine = {'user': 5}
    two = START + [reserved(1, **mine), reserved(2, **mine), 'commit']
    passes(lab, two + ['item 1 3 3 3000', 'commit', reserved(3, time=3001, **mine)])
    passes(lab, two + ['item 1 0 3 3000', 'commit'] + [reserved(n, time=3001, **mine) for n in range(3, 9)])
    lowered = START + [reserved(1, **mine), 'commit', 'item 1 1 3 3000', 'commit']
    passes(lab, lowered)
    passes(lab, lowered + [reserved(2, time=5000, **mine)])
    fails(lab, lowered + [reserved(2, time=5001, **mine)], 'user-limit', 'the limit is 1')
    fails(lab, lowered + [reserved(2, time=5000, **mine)], 'user-limit', settle_ms=1999)
    twice = lowered + ['item 1 1 3 4000', 'commit']
    passes(lab, twice + [reserved(2, time=5000, **mine)])
    passes(lab, two + ['item 1 1 3 3000', 'commit', order('sold', 1, **mine)])


def test_order_max(lab):
    """an order of no unit, or of more than one order may have"""
    lines = ['item 1 0 3 1000', 'stock 1 10', 'commit']
    fails(lab, lines + [reserved(1, quantity=4)], 'order-max', 'quantity 4, accepted are 1..3')
    fails(lab, lines + [reserved(1, quantity=0)], 'order-max', 'quantity 0')
    passes(lab, lines + ['item 1 0 2 1500', 'commit', reserved(1, quantity=3)])
    fails(lab, lines + ['item 1 0 2 1500', 'commit', reserved(1, quantity=3, time=4000)], 'order-max')


def test_unknown_item(lab):
    """records of an item that was never defined"""
    fails(lab, START + [reserved(1, item=7)], 'unknown-item', 'item 7')
    fails(lab, START + ['stock 7 1'], 'unknown-item', 'item 7')


# ---- canaries: the log -----------------------------------------------------------------------------------

LONG = START + [line for n in range(1, 9) for line in (reserved(n), 'commit')]


def test_damage_in_the_middle(lab):
    """a flipped bit before the end: a later commit proves that the record was durable"""
    for place, record in ((5, 6), (0, 1), (9, 10)):
        folder = make_log(lab, LONG)
        with open(os.path.join(folder, f'{1:020}.fgj'), 'r+b') as f:
            f.seek(HEADER + place * RECORD + 33)
            byte = f.read(1)[0]
            f.seek(-1, 1)
            f.write(bytes([byte ^ 4]))
        found(*audit(lab, folder), 'log', f'record {record} is not valid', f'offset {HEADER + place * RECORD}')


def test_missing_segment(lab):
    """a segment that is gone, first or in the middle"""
    lines = ['item 1 0 3 1000', 'stock 1 100000', 'many 3000 1 1']
    folder = make_log(lab, lines)
    names = sorted(n for n in os.listdir(folder) if n.endswith('.fgj'))
    os.unlink(os.path.join(folder, names[2]))
    code, result, text = audit(lab, folder)
    assert code == 1 and 'log' in result['problem_counts'] and 'but there is a later segment' in text, text
    os.unlink(os.path.join(folder, names[0]))
    code, _, text = audit(lab, folder)
    assert code == 2 and 'the log begins at record' in text and 'no good snapshot reaches it' in text, text


def test_a_segment_that_goes_meanwhile(lab):
    """the oldest segment was retired after the audit had listed it: the log begins with the next"""
    folder = make_log(lab, START)
    os.replace(os.path.join(folder, f'{1:020}.fgj'), os.path.join(folder, f'{2:020}.fgj'))
    os.symlink('nowhere', os.path.join(folder, f'{1:020}.fgj'))  # is listed, and cannot be opened
    code, _, text = audit(lab, folder)
    assert code == 2 and f'{2:020}.fgj: segment header and file name differ' in text, text
    os.unlink(os.path.join(folder, f'{2:020}.fgj'))
    code, _, text = audit(lab, folder)
    assert code == 2 and f'{1:020}.fgj: No such file' in text, text


def test_segment_of_another_appliance(lab):
    """a segment of another log in the middle"""
    lines = ['item 1 0 3 1000', 'stock 1 100000', 'many 3000 1 1']
    one, two = make_log(lab, lines), make_log(lab, lines)
    name = sorted(n for n in os.listdir(one) if n.endswith('.fgj'))[1]
    os.replace(os.path.join(two, name), os.path.join(one, name))
    code, result, text = audit(lab, one)
    assert code == 1 and result['problem_counts'] == {'log': 1} and 'another appliance' in text, text


def test_unknown_record_type(lab):
    """a record of a type that does not exist"""
    fails(lab, START + ['type 77'], 'log', 'unknown type 77')


def test_unreadable_log(lab):
    """no folder, no log in it, a damaged header, another version: exit 2 and the reason"""
    empty, folder = lab.unique('empty'), make_log(lab, STORY)
    os.mkdir(empty)
    for path, word in (('/nonexistent/log', 'No such file'), (empty, 'no log here')):
        code, _, text = audit(lab, path)
        assert code == 2 and word in text and path in text, text
    for offset, word in ((0, 'magic'), (8, 'version'), (40, 'CRC')):
        damaged = make_log(lab, STORY)
        with open(os.path.join(damaged, f'{1:020}.fgj'), 'r+b') as f:
            f.seek(offset)
            f.write(b'\x77')
        code, _, text = audit(lab, damaged)
        assert code == 2 and word in text, text
    assert audit(lab, folder)[0] == 0


# ---- canaries: the client --------------------------------------------------------------------------------

STATUSES = ('NONE RESERVED SOLD CANCELLED EXPIRED SOLD_OUT INSUFFICIENT USER_LIMIT BAD_QUANTITY NOT_OPEN CLOSED PAUSED '
            'UNKNOWN_ITEM UNKNOWN_ORDER DENIED BUSY FULL UNAVAILABLE USER_RATE USER_DENIED REFUNDED').split()
PROTOCOL_STATES = {'RESERVED': 'reserved', 'SOLD': 'sold', 'CANCELLED': 'cancelled', 'EXPIRED': 'expired',
                   'REFUNDED': 'refunded'}


def legal(status, pending, state):
    """docs/audit.md, as a person would write it down."""
    if status == 'NONE':
        return True
    if status == 'RESERVED':
        return state in ('reserved', 'expired') or (pending and state in ('sold', 'cancelled'))
    if status == 'EXPIRED' and pending:
        return state in ('expired', 'sold', 'cancelled')
    if status in PROTOCOL_STATES:
        return state == PROTOCOL_STATES[status]
    return pending or state == 'absent'


@fgtest.timeout(120)
def test_every_status_and_state(lab):
    """each status, with and without +, against each state in the log"""
    folder = make_log(lab, STORY)
    numbers = {'sold': 1, 'cancelled': 2, 'expired': 3, 'reserved': 4, 'absent': 5}
    for status in STATUSES:
        for pending in (False, True):
            told = [f'{oid(n)} {100 + n} 1 1 {status}{"+" if pending else ""}' for n in numbers.values()]
            bad = [s for s in numbers if not legal(status, pending, s)]
            code, result, text = audit(lab, folder, client=client_file(lab, told))
            assert code == (1 if bad else 0), (status, pending, text)
            assert sum(result['problem_counts'].values()) == len(bad), (status, pending, bad, text)
            for state in bad:
                assert any(oid(numbers[state]) in p['text'] for p in result['problems']), (status, state, text)


def test_acknowledged_order_is_missing(lab):
    """an order that a client was told to have, and that the log does not know"""
    fails(lab, STORY, 'client-missing', oid(9), 'last told SOLD', 'absent', told=TOLD + [f'{oid(9)} 109 1 1 SOLD'])
    fails(lab, STORY, 'client-missing', 'user 105', told=[f'{oid(1)} 105 1 1 RESERVED'])


def test_client_was_told_otherwise(lab):
    """sold, the client was told; cancelled, says the log; and a rejected order that is in the log"""
    fails(lab, STORY, 'client-state', 'last told SOLD, in the log it is cancelled', told=[f'{oid(2)} 102 1 1 SOLD'])
    fails(lab, STORY, 'client-rejected', 'last told BUSY', told=[f'{oid(4)} 104 1 1 BUSY'])


def test_client_fields(lab):
    """another item or quantity than the client asked for; CONFLICT is right about another order's id"""
    fails(lab, STORY, 'client-fields', 'sent item 1, quantity 2', told=[f'{oid(1)} 101 1 2 SOLD'])
    fails(lab, STORY, 'client-fields', 'sent item 2', told=[f'{oid(1)} 101 2 1 SOLD'])
    passes(lab, STORY, [f'{oid(1)} 101 1 2 CONFLICT'])
    fails(lab, STORY, 'client-rejected', told=[f'{oid(1)} 101 1 1 CONFLICT'])


def test_unnamed_orders(lab):
    """orders of the log that no client file names: counted, a problem with --client-complete"""
    assert passes(lab, STORY, TOLD[:3])['client']['unnamed'] == 1
    fails(lab, STORY, 'client-unnamed', oid(4), told=TOLD[:3], client_complete=True)
    passes(lab, STORY, TOLD, client_complete=True)


def test_several_client_files(lab):
    """several files, with comments, are one client; order ids may be UUIDs with dashes"""
    dashed = [f'{uuid.UUID(line[:32])}{line[32:]}' for line in TOLD[:2]]
    files = [client_file(lab, dashed), client_file(lab, ['# a comment', *TOLD[2:]])]
    assert audit(lab, make_log(lab, STORY), client=files, client_complete=True)[1]['client']['orders'] == 6
    dashed = f'{uuid.UUID(oid(2))} 102 1 1 SOLD'
    fails(lab, STORY, 'client-state', f'order {oid(2)} of user 102, item 1: last told SOLD', told=[dashed])


def test_malformed_client_files(lab):
    """a client file that is not of the format: exit 2, with file, line, value and what is accepted"""
    folder, good = make_log(lab, STORY), TOLD[0]
    for line, *words in (
            ('x', 'five fields'), (good + ' x', 'five fields'), (good.replace(' ', '  ', 1), 'five fields'),
            (good.replace('101', ''), "user ''", 'accepted'),
            (good[1:], "order '", '32 hex digits, or a UUID'), ('G' + good[1:], '32 hex digits'), (good.replace('101', '-1'), "user '-1'"),
            (good.replace('101', str(2**64)), f'0..{2**64 - 1}'), (good.replace(' 1 1 ', ' 1 65536 '), '0..65535'),
            (good.replace('SOLD', 'sold'), "status 'sold'"), (good.replace('SOLD', 'SOLD++'), "status 'SOLD++'"),
            (good.replace('SOLD', 'ON_SALE'), 'ON_SALE'), (good.replace('SOLD', ''), "status ''"), ('', 'five fields')):
        path = client_file(lab, [TOLD[1], line])
        code, _, text = audit(lab, folder, client=path)
        assert code == 2 and f'{path}:3: ' in text and all(w in text for w in words), (line, text)
    wrong = client_file(lab, TOLD, header='# fgblast 2')
    cut = lab.unique('cut')
    for path, content in ((cut, '# fgblast 1\n' + good), (lab.unique('none'), '')):
        with open(path, 'w', encoding='utf-8') as f:
            f.write(content)
        assert audit(lab, folder, client=path)[0] == 2, content
    assert audit(lab, folder, client=wrong)[0] == 2
    assert audit(lab, folder, client='/nonexistent/file')[0] == 2


# ---- canaries: Redis -------------------------------------------------------------------------------------


def filled(lab):
    """A Redis that holds a log: log, server, options of the audit."""
    server, log = Redis(lab), Log(lab)
    log.load(10)
    server.follow(log)
    log.caught_up()
    while not server.redis.command('SCARD', '{t}:denied'):  # chance may leave nobody denied
        log.load(1)
        log.caught_up()
    log.stop()
    return log, server, {'redis': server.redis.address, 'redis_prefix': server.SPACE, 'redis_wait_ms': 0}


def some_order(redis, state):
    for key in redis.command('KEYS', '{t}:order:*'):
        if redis.command('HGET', key, 'state') == state:
            return key
    raise AssertionError(f'no order is {state}')


def tamper_field(field, value, key):
    return lambda redis: redis.command('HSET', key(redis), field, value)


def item_1(_redis):
    return '{t}:item:1'


def sold_order(redis):
    return some_order(redis, 'sold')


# name, what is done to Redis, kind of the one problem, words in its text
TAMPERED = [
    ('counter', lambda r: r.command('HINCRBY', '{t}:item:2', 'sold', 1), 'redis-counter', '{t}:item:2: sold is'),
    ('counter gone', lambda r: r.command('HDEL', '{t}:item:2', 'available'), 'redis-counter', 'available is missing'),
    ('setting', tamper_field('hold_ms', 1, item_1), 'redis-item', 'hold_ms is \'1\''),
    ('item name', tamper_field('name', 'x', item_1), 'redis-item', 'name is \'x\''),
    ('item field', tamper_field('colour', 'red', item_1), 'redis-item', "unknown field 'colour'"),
    ('item gone', lambda r: r.command('DEL', '{t}:item:3'), 'redis-item', '{t}:item:3 is missing'),
    ('item unknown', lambda r: r.command('HSET', '{t}:item:99', 'total', 1), 'redis-item', '{t}:item:99: not in the log'),
    ('set of items', lambda r: r.command('SREM', '{t}:items', 4), 'redis-item', '4 of 5 items'),
    ('set of items, too many', lambda r: r.command('SADD', '{t}:items', 'x'), 'redis-item', "'x' is not in the log"),
    ('order state', tamper_field('state', 'reserved', sold_order), 'redis-order', "state is 'reserved', the log has 'sold'"),
    ('order quantity', tamper_field('quantity', 77, sold_order), 'redis-order', "quantity is '77'"),
    ('order gone', lambda r: r.command('DEL', sold_order(r)), 'redis-order', 'is missing, the log has it sold'),
    ('order unknown', lambda r: r.command('HSET', '{t}:order:5:' + 'a' * 32, 'state', 'sold'), 'redis-order',
     'not in the log'),
    ('order misnamed', lambda r: r.command('RENAME', sold_order(r), '{t}:order:x'), 'redis-order', None),
    ('denied user gone', lambda r: r.command('SREM', '{t}:denied', r.command('SRANDMEMBER', '{t}:denied')), 'redis-user',
     'is missing'),
    ('denied users, one more', lambda r: r.command('SADD', '{t}:denied', 2**64 - 1), 'redis-user',
     f"'{2**64 - 1}' is not denied"),
    ('denied users, nonsense', lambda r: r.command('SADD', '{t}:denied', 'x'), 'redis-user', "'x' is not denied"),
    ('event gone', lambda r: r.command('XDEL', '{t}:events', '20-0'), 'redis-event', 'event 20-0'),
    ('last event gone', lambda r: r.command('XDEL', '{t}:events', r.command(
        'XREVRANGE', '{t}:events', '+', '-', 'COUNT', 1)[0][0]), 'redis-event', 'is missing'),
    ('event unknown', lambda r: r.command('XADD', '{t}:events', '999999-0', 'seq', 1), 'redis-event',
     'event 999999-0: the log has no such record'),
    ('event of another form', lambda r: r.command('XADD', '{t}:events', '999999-5', 'seq', 1), 'redis-event',
     'not of the form'),
    ('stream gone', lambda r: r.command('DEL', '{t}:events'), 'redis-event', 'is missing'),
    ('foreign key', lambda r: r.command('SET', '{t}:note', 'x'), 'redis-key', '{t}:note'),
    ('cursor gone', lambda r: r.command('DEL', '{t}:cursor'), 'redis-cursor', 'is missing'),
    ('cursor ahead', lambda r: r.command('HINCRBY', '{t}:cursor', 'seq', 1), 'redis-cursor', 'ahead of the log'),
    ('cursor of another record', lambda r: r.command('HSET', '{t}:cursor', 'crc', '0badcafe'), 'redis-cursor',
     'with CRC 0badcafe'),
    ('other appliance', lambda r: r.command('HSET', '{t}:cursor', 'appliance', '1' * 16), 'redis-cursor', 'of appliance'),
    ('other format', lambda r: r.command('HSET', '{t}:cursor', 'format', 2), 'redis-cursor', 'format'),
]


@fgtest.timeout(120)
def test_tampered_redis(lab):
    """each way of changing Redis behind the sink's back is found and named"""
    log, server, options = filled(lab)
    assert audit(lab, log.log_dir, **options)[0] == 0
    server.redis.command('SAVE')
    for name, tamper, kind, words in TAMPERED:
        tamper(server.redis)
        code, result, text = audit(lab, log.log_dir, **options)
        assert code == 1 and set(result['problem_counts']) == {kind}, (name, text)
        assert words is None or words in text, (name, words, text)
        server.kill()
        server.start()  # with the snapshot from before
    assert audit(lab, log.log_dir, **options)[0] == 0


def test_event_with_other_fields(lab):
    """an event that stands in the stream with another content"""
    log, server, options = filled(lab)
    entries = server.redis.command('XRANGE', '{t}:events', '-', '+')
    server.redis.command('DEL', '{t}:events')
    for identity, fields in entries:
        if identity == '20-0':
            fields[fields.index('item') + 1] = '12345'
        server.redis.command('XADD', '{t}:events', identity, *fields)
    found(*audit(lab, log.log_dir, **options), 'redis-event', "event 20-0: item is '12345'")


def test_redis_behind(lab):
    """Redis behind the log: told, with how far, and compared with the log up to its cursor"""
    log, server, options = filled(lab)
    log.load(10)
    code, result, text = audit(lab, log.log_dir, **options)
    found(code, result, text, 'redis-cursor', 'records behind the log')
    assert result['redis']['behind'] == result['log']['last_seq'] - result['redis']['cursor'] > 0
    server.redis.command('HINCRBY', '{t}:item:1', 'available', 1)
    code, result, text = audit(lab, log.log_dir, **options)
    assert result['problem_counts'] == {'redis-cursor': 1, 'redis-counter': 1}, text


def test_redis_catches_up_while_audited(lab):
    """the daemon runs and Redis lags a little: the audit waits for it"""
    log, server, options = filled(lab)
    log.load(200, 200)
    server.follow(log, batch=20)
    code, _, text = audit(lab, log.log_dir, **{**options, 'redis_wait_ms': 20000})
    assert code == 0, text
    log.stop()


def test_empty_redis(lab):
    """an emptied Redis is no cursor, and not a hundred missing orders"""
    log, server, options = filled(lab)
    server.resolve()
    found(*audit(lab, log.log_dir, **options), 'redis-cursor', 'is missing')


def test_unreachable_redis(lab):
    """no Redis, a wrong password, a wrong address: exit 2 and the reason"""
    folder, redis = make_log(lab, STORY), lab.redis(password='secret')
    for address, word in (('unix:/nonexistent/s', 'No such file'), (redis.address, 'NOAUTH'), ('nowhere', 'has no port')):
        code, _, text = audit(lab, folder, redis=address)
        assert code == 2 and word in text, text
    path = lab.unique('password')
    with open(path, 'w', encoding='utf-8') as f:
        f.write('wrong\n')
    code, _, text = audit(lab, folder, redis=redis.address, redis_password_file=path)
    assert code == 2 and 'WRONGPASS' in text, text


# ---- the two logs of a pair -------------------------------------------------------------------------------


def more(folder, *lines):
    fgtest.command(os.path.join(fgtest.BUILD, 'tests', 'fault', 'log_maker'), folder,
                   stdin=''.join(line + '\n' for line in lines))


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


def copied(lab, folder):
    copy = lab.unique('peer')
    shutil.copytree(folder, copy)
    return copy


def pair(lab, *lines):
    """Two logs of one id: 12 records of the story, then an epoch (records 13 and 14), and the lines."""
    leader = make_log(lab, STORY)
    more(leader, 'epoch 1', *lines)
    return leader, copied(lab, leader)


def test_logs_of_a_pair(lab):
    """a standby that is behind, level or ahead is the beginning of its peer, or the other way round"""
    leader, standby = pair(lab)
    more(leader, reserved(5), 'commit', reserved(6))
    code, result, text = audit(lab, leader, peer=standby)
    assert code == 0 and 'the same from record 1 to 14 (the log ends with 18)' in text, text
    peer = result['peer']
    assert (peer['first_seq'], peer['last_seq'], peer['from_seq'], peer['same_seq'], peer['epoch']) == (1, 14, 1, 14, 1)
    code, result, text = audit(lab, standby, peer=leader)
    assert code == 0 and result['peer']['last_seq'] == 18 and result['peer']['same_seq'] == 14, text
    code, result, text = audit(lab, leader, peer=copied(lab, leader))
    assert code == 0 and result['peer']['same_seq'] == 18, text
    assert passes(lab, STORY)['peer'] is None


def test_batch_records_of_a_pair_differ(lab):
    """what each says was durable there is no difference; everything else is"""
    leader, standby = pair(lab, reserved(5))
    segment = os.path.join(standby, f'{1:020}.fgj')
    with open(segment, 'r+b') as f:  # record 15 begins a commit: as a standby seals it again
        f.seek(HEADER + 14 * RECORD)
        record = bytearray(f.read(RECORD))
        assert record[16] == 1
        record[24:32], record[56:64] = (9).to_bytes(8, 'little'), (11).to_bytes(8, 'little')
        record[20:24] = crc32c(bytes(record[:20] + record[24:])).to_bytes(4, 'little')
        f.seek(-RECORD, 1)
        f.write(record)
    code, result, text = audit(lab, leader, peer=standby)
    assert code == 0 and result['peer']['same_seq'] == 16, text
    with open(segment, 'r+b') as f:  # record 16, the order: another user
        f.seek(HEADER + 15 * RECORD)
        record = bytearray(f.read(RECORD))
        record[48] ^= 1
        record[20:24] = crc32c(bytes(record[:20] + record[24:])).to_bytes(4, 'little')
        f.seek(-RECORD, 1)
        f.write(record)
    found(*audit(lab, leader, peer=standby), 'peer', 'record 16: reserved in', 'reserved in')


def test_logs_of_a_pair_that_went_apart(lab):
    """a deposed leader's tail: the first difference is told, and under which epochs the logs go on"""
    leader, deposed = pair(lab)
    more(deposed, reserved(5), 'commit', reserved(6), 'commit')
    more(leader, 'epoch 2', reserved(7), 'commit')
    result = found(*audit(lab, leader, peer=deposed), 'peer', f'record 15: batch in {leader}',
                   'goes on to record 18 and epoch 2', f'batch in {deposed}', 'goes on to record 18 and epoch 1')
    assert result['peer']['same_seq'] == 14 and result['peer']['epoch'] == 1, result['peer']


def test_logs_of_a_pair_without_the_first_segments(lab):
    """segments that one of them has removed are not compared; the epoch before them is"""
    leader, standby = pair(lab, 'item 2 0 9 1000', 'stock 2 9999', 'many 1500 2 1')
    os.remove(os.path.join(standby, f'{1:020}.fgj'))
    result = audit(lab, leader, peer=standby)
    assert result[0] == 0 and result[1]['peer']['from_seq'] == result[1]['peer']['first_seq'] > 1000, result[2]
    path = os.path.join(standby, f'{result[1]["peer"]["first_seq"]:020}.fgj')
    with open(path, 'r+b') as f:
        header = bytearray(f.read(HEADER))
        header[48:64] = (5).to_bytes(8, 'little') + (3).to_bytes(8, 'little')
        header[12:16] = bytes(4)
        header[12:16] = crc32c(bytes(header)).to_bytes(4, 'little')
        f.seek(0)
        f.write(header)
    code, result, text = audit(lab, leader, peer=standby)
    assert code == 1 and set(result['problem_counts']) == {'epoch'}, text
    assert f'epoch 1 since record 13 in {leader}, epoch 5 since record 3 in {standby}' in text, text


def test_logs_that_are_no_pair(lab):
    """another id, nothing in common, a damaged peer, a folder without a log"""
    leader, standby = pair(lab, 'item 2 0 9 1000', 'stock 2 9999', 'many 1500 2 1')
    found(*audit(lab, leader, peer=make_log(lab, STORY)), 'peer', 'not the logs of a pair')
    code, text = fgtest.audit(lab, log=leader, peer=lab.unique('nothing'))
    assert code == 2 and 'nothing' in text
    with open(os.path.join(standby, f'{1:020}.fgj'), 'r+b') as f:
        f.seek(HEADER + 99 * RECORD + 40)
        f.write(b'\xff')
    found(*audit(lab, leader, peer=standby), 'log', 'record 100 is not valid')
    os.remove(os.path.join(standby, f'{1:020}.fgj'))
    cut = make_log(lab, STORY)
    found(*audit(lab, cut, peer=standby), 'peer', 'not the logs of a pair')


def test_epochs_of_a_log(lab):
    """epochs grow, begin a commit, and are in the header of the next segment"""
    result = passes(lab, STORY + ['epoch 3', 'epoch 7', 'item 2 0 9 1000', 'stock 2 9999', 'many 1500 2 1'])
    assert result['log']['segments'] > 2
    code, result, text = audit(lab, make_log(lab, STORY + ['type 16', 'type 16']))
    assert code == 1 and result['problem_counts'] == {'epoch': 2}, text
    assert 'record 15: epoch 1 does not begin a commit' in text and 'epoch 1 comes after epoch 1' in text, text


# ---- options ---------------------------------------------------------------------------------------------


def test_limited_lists(lab):
    """--limit-lists bounds what is listed, not what is counted"""
    lines = ['item 1 0 3 1000', 'stock 1 100', 'commit', *[order('sold', n) for n in range(50)]]
    for limit in (0, 7, 1000):
        code, result, text = audit(lab, make_log(lab, lines), limit_lists=limit)
        assert code == 1 and result['problem_counts'] == {'step': 50} and len(result['problems']) == min(limit, 50)
        assert ('and 43 more' in text) == (limit == 7), text


def test_wrong_options(lab):
    """wrong options: exit 2, the value and what is accepted"""
    log = make_log(lab, STORY)
    for words, expected in ((['--limit-lists', 'x'], "--limit-lists 'x': accepted is 0.."), (['--nonsense'], 'Usage'),
                            (['extra'], "'extra'"), (['--redis', 'h:1', '--redis-prefix', 'a*'], 'prefix'),
                            (['--redis', 'h:1', '--redis-user', 'x'], 'password'), (['--settle-ms', '-1'], 'settle-ms'),
                            (['--client-complete'], '--client'), (['--json', '/nonexistent/x'], '/nonexistent/x')):
        code, text = fgtest.audit(lab, *words, log=log)
        assert code == 2 and expected in text, (words, text)
    code, text = fgtest.audit(lab)
    assert code == 2 and '--log DIR is missing' in text
    assert fgtest.audit(lab, '--help')[0] == 0


if __name__ == '__main__':
    fgtest.main()
