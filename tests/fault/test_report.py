#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""After the sale: `fgctl report` counts what fgaudit counts, `fglog timeline` tells when it happened."""

import csv
import io
import json
import os
import secrets
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgshop import Shop  # noqa: E402
from fgstory import LINE, START, left, make_log, offered, order, reserved  # noqa: E402

SAME = {'added': 'total', 'sold': 'sold', 'late': 'late', 'refunded': 'refunded', 'restocked': 'restocked', 'expired': 'expired',
        'cancelled': 'cancelled', 'held': 'reserved', 'unsold': 'available'}  # of the report, of fgaudit
# Item 1 has 10 units: of 1 each, one of each end. Item 9 has a name that needs quotes.
STORY = START + [
    reserved(1, time=2000), reserved(2, time=2100), reserved(3, time=2200), reserved(4, time=3000), reserved(5, time=3000),
    reserved(6, quantity=1, time=3000), 'commit',
    order('sold', 1, time=4000), order('cancelled', 2, time=4100), order('expired', 3, time=9000),
    order('sold', 4, time=9000), order('expired', 6, time=9000), 'commit',
    order('refunded', 1, deadline=1, time=9500), order('sold-late', 6, time=9600), 'commit',
    order('refunded', 4, deadline=0, time=9700), 'commit']


def run(name, *argv):
    done = subprocess.run([fgtest.program(name), *argv], capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout


def audited(lab, folder):
    """What fgaudit counts of each item."""
    path = lab.unique('audit.json')
    code, text = fgtest.audit(lab, log=folder, json=path)
    assert code == 0, text
    with open(path, encoding='utf-8') as file:
        return json.load(file)['items']


def reported(folder):
    return list(csv.DictReader(io.StringIO(run('fgctl', 'report', '--dir', folder))))


def same(rows, items):
    assert len(rows) == len(items) > 0
    for row, item in zip(rows, items):
        assert row['item'] == item['item']
        assert {key: int(row[key]) for key in SAME} == {key: item[of] for key, of in SAME.items()}, (row, item)
        assert int(row['added']) == sum(int(row[key]) for key in ('sold', 'refunded', 'held', 'unsold')), row


def test_report_is_what_the_auditor_counts(lab):
    """each end of an order is in its column, in CSV and JSON"""
    folder = make_log(lab, STORY)
    rows = reported(folder)
    same(rows, audited(lab, folder))
    assert rows[0] == {'item': '1', 'name': rows[0]['name'], 'added': '10', 'sold': '1', 'late': '1', 'refunded': '1',
                       'restocked': '1', 'expired': '1', 'cancelled': '1', 'held': '1', 'unsold': '7'}, rows[0]
    listed = json.loads(run('fgctl', '--json', 'report', '--dir', folder))
    assert [{key: str(value) for key, value in row.items()} for row in listed] == rows


def test_timeline(lab):
    """units by second; an item is sold out from its last unit to the next one that comes back"""
    folder = make_log(lab, START + [
        reserved(1, quantity=2, time=10000), reserved(2, user=102, quantity=2, time=10900), 'commit', 'stock 1 -6', 'commit',
        order('sold', 1, quantity=2, time=12000), 'commit', order('expired', 2, user=102, quantity=2, time=13500), 'commit'])
    lines = [json.loads(line) for line in run('fglog', 'timeline', folder, '--json').splitlines()]
    seconds = [(line['second'][17:19], line['held'], line['sold'], line['expired']) for line in lines if 'second' in line]
    assert seconds == [('10', 4, 0, 0), ('12', 0, 2, 0), ('13', 0, 0, 2)], lines
    ends = [line for line in lines if 'item' in line]
    assert len(ends) == 1 and ends[0]['times'] == 1 and ends[0]['still'] is False, ends
    assert 0 < ends[0]['sold_out_ms'] <= 13500, ends
    text = run('fglog', 'timeline', folder)
    assert 'held=4 sold=0 expired=0' in text and 'item 1: sold out for ' in text, text


def test_timeline_of_a_waiting_list(lab):
    """while anyone waits, an item is sold out; the log shows tickets, and why orders left"""
    folder = make_log(lab, LINE + [offered(2, time=5000), left(3, 2, time=5100), left(4, time=6000), left(5, time=6000), 'commit'])
    lines = [json.loads(line) for line in run('fglog', 'timeline', folder, '--json').splitlines()]
    seconds = [(line['second'][17:19], line['held'], line.get('joined', 0), line.get('left', 0)) for line in lines
               if 'second' in line]
    assert seconds == [('02', 10, 0, 0), ('02', 0, 4, 0), ('05', 1, 0, 1), ('06', 0, 0, 2)], lines
    assert [line['sold_out_ms'] for line in lines if 'item' in line] == [4000], lines
    assert 'held=0 sold=0 expired=0 joined=0 left=2' in run('fglog', 'timeline', folder)
    text = run('fglog', folder)
    for words in ('line_max=100 claim_ms=5000 wait_ttl_ms=30000 one_unit=false', 'quantity=1 ticket=4', 'quantity=1 why=absent'):
        assert words in text, text
    assert reported(folder)[0]['cancelled'] == '10', 'those who left had no units'


def test_after_a_sale(lab):
    """a sale of a daemon, with a snapshot: report and auditor agree, also while it runs"""
    s = Shop(lab, item={'total': 3, 'name': 'Shoe, "red"'})
    order_id = secrets.token_bytes(16)
    assert s.shop.reserve(1, 7, 2, order_id).status == 'RESERVED'
    s.gate.fgctl('log', 'snapshot')
    assert s.backend.confirm(1, order_id).status == 'SOLD'
    assert s.reserve(2)[0] == 'RESERVED' and s.reserve(3)[0] == 'SOLD_OUT'
    s.settle(3, 0, 1, 2)
    rows = reported(s.gate.log_dir)
    assert rows[0]['name'] == 'Shoe, "red"' and (rows[0]['sold'], rows[0]['held'], rows[0]['unsold']) == ('2', '1', '0'), rows
    assert 'held=' in run('fglog', 'timeline', s.gate.log_dir)
    s.audit(lab)
    same(reported(s.gate.log_dir), audited(lab, s.gate.log_dir))
    assert 'also at the end' in run('fglog', 'timeline', s.gate.log_dir)


def test_order_trace(lab):
    """each step of an order with its time, and which sinks have it: live, behind, and without a daemon"""
    redis = lab.redis()
    s = Shop(lab, redis=redis)
    order_id = secrets.token_bytes(16)
    assert s.shop.reserve(1, 7, 2, order_id).status == 'RESERVED'
    assert s.reserve(2)[0] == 'RESERVED'

    def traced():
        return s.gate.fgctl('order', 'trace', '1', order_id.hex(), '--dir', s.gate.log_dir)

    fgtest.wait_until(lambda: traced()['sinks'] and traced()['sinks'][0]['has_it'], 10, 'Redis has it')
    step = traced()['records']
    assert [(r['step'], r['item'], r['quantity']) for r in step] == [('reserved', '7', 2)], step
    assert step[0]['deadline_ms'] - step[0]['time_ms'] == 60000 and step[0]['time'].startswith('20'), step
    redis.kill()
    assert s.backend.confirm(1, order_id).status == 'SOLD'
    fgtest.wait_until(lambda: len(traced()['records']) == 2, 10, 'the log has the second step')
    found = traced()
    assert [r['step'] for r in found['records']] == ['reserved', 'sold'], found
    assert [(sink['sink'], sink['has_it']) for sink in found['sinks']] == [('redis', False)], found
    code, _, text = s.gate.fgctl('order', 'trace', '2', order_id.hex(), '--dir', s.gate.log_dir, check=False)
    assert code != 0 and 'no such order of this user' in text, text
    s.audit(lab)
    text = run('fgctl', '--socket', s.gate.socket, 'order', 'trace', '1', order_id.hex(), '--dir', s.gate.log_dir)
    assert ' reserved ' in text and ' sold ' in text and 'no daemon answers' in text, text


def test_order_steps(lab):
    """of a traced order every step from the packet to the answer; of others the share that is traced"""
    s = Shop(lab, workers=2, **{'orders.trace': 1000000})

    def steps(user, order, check=True):
        return s.gate.fgctl('order', 'trace', user, order.hex(), '--dir', s.gate.log_dir, check=check)

    for user in range(1, 9):  # of both workers
        before = time.time_ns()
        order = s.reserve(user)[1]
        assert s.backend.confirm(user, order).status == 'SOLD'
        found = steps(user, order)['steps']
        assert [(r['op'], r['status']) for r in found['requests']] == [('RESERVE', 'RESERVED'), ('CONFIRM', 'SOLD')], found
        for r in found['requests']:
            # the appliance's clock follows that of the machine
            assert before - 10**9 < r['received_ns'] < time.time_ns() + 10**9, (r, before)
            assert 0 < r['decided_ns'] <= r['durable_ns'] <= r['sent_ns'] < 10 * 10**9, r
            assert (r['handed_over_ns'] is not None) == (r['worker'] != r['receiver']), r
    rejected = secrets.token_bytes(16)
    assert s.shop.reserve(9, 7, 101, rejected).status != 'RESERVED'
    found = steps(9, rejected)
    assert not found['records'] and len(found['steps']['requests']) == 1, found
    text = run('fgctl', '--socket', s.gate.socket, 'order', 'trace', '8', order.hex(), '--dir', s.gate.log_dir)
    assert 'HANDED' in text and ' CONFIRM ' in text and ' us' in text, text
    s.gate.settings['orders.trace'] = 0
    s.gate.write_config()
    s.gate.restart()
    assert s.reserve(20)[0] == 'RESERVED'
    assert steps(8, order)['steps'] == {'share': 0, 'requests': []}
    text = run('fgctl', '--socket', s.gate.socket, 'order', 'trace', '8', order.hex(), '--dir', s.gate.log_dir)
    assert 'traces none' in text, text
    s.audit(lab)


def test_no_log(lab):
    """a folder without a log is named"""
    folder = lab.unique('empty')
    os.mkdir(folder)
    for argv in (['fgctl', 'report', '--dir', folder], ['fglog', 'timeline', folder]):
        done = subprocess.run([fgtest.program(argv[0]), *argv[1:]], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode != 0 and folder in done.stderr, (argv, done.stderr)


if __name__ == '__main__':
    fgtest.main()
