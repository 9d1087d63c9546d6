#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""Logs and snapshots that earlier versions wrote (tests/fault/golden/VERSION): this version reads them.

FG_UPDATE=1 in front of it first makes those of this version, when there are none.
"""

import glob
import json
import os
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgclient import NoReply  # noqa: E402
from fgshop import ITEM, SMALL, NsClient, Shop, audited  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
GOLDEN = os.path.join(HERE, 'golden')
YEAR_2025 = 1735689600  # seconds
SHORT, LINE, DRAW = 8, 9, 10  # items: with short holds, with a waiting list, with a draw
HOLD_MS = 2000


def run(name, *words):
    done = subprocess.run([fgtest.program(name), *words], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, (name, words, done.stderr)
    return done.stdout


def listed(log):
    """Each record, as fglog shows it."""
    return [json.loads(line) for line in run('fglog', log, '--json').splitlines()]


def counted(lab, log):
    """Each item, as the auditor counts it."""
    path = lab.unique('audit.json')
    code, text = lab.audit(log=log, json=path)
    assert code == 0, text
    with open(path, encoding='utf-8') as f:
        return json.load(f)['items']


def sale(lab):
    """A sale with each type of record that one appliance writes, and a snapshot in its middle."""
    s = Shop(lab, {'total': 20, 'hold_ms': 3600000, 'user_limit': 3}, **{'log.segment_bytes': '64k', 'filter.order_rate': 0})
    s.orders, shop, backend = {}, s.shop, s.backend

    def ends(user, *statuses):
        wanted = fgtest.wait_until(lambda: backend.query(user, s.orders[user]).status in statuses, 20, f'user {user}: {statuses}')
        assert wanted

    def reserve(user, quantity=1, item=ITEM):
        status, s.orders[user] = s.reserve(user, quantity, item)
        assert status == 'RESERVED', (user, status)

    def wait(user, item):
        def waits():
            try:
                return shop.wait(user, item, 1, s.orders[user]).status == 'WAITING'
            except NoReply:  # NOT_OPEN until the log has the commitment of the draw
                return False
        s.orders[user] = os.urandom(16)
        fgtest.wait_until(waits, 10, f'user {user} waits')

    s.create(SHORT, name='short "hold"', total=5, hold_ms=HOLD_MS)
    s.create(LINE, name='queue', total=1, hold_ms=3600000, waitlist=10, claim_ms=HOLD_MS, wait_ttl_ms=HOLD_MS * 10)
    for user in range(1, 6):
        reserve(user, 1 + user % 2)
    for user in (1, 2, 3):
        assert backend.confirm(user, s.orders[user]).status == 'SOLD'
    assert shop.cancel(4, s.orders[4]).status == 'CANCELLED'
    assert backend.refund(2, s.orders[2], restock=True).status == 'REFUNDED'
    assert backend.refund(3, s.orders[3]).status == 'REFUNDED'
    for user in (21, 22, 23):
        reserve(user, item=SHORT)
    for user in (21, 22, 23):
        ends(user, 'EXPIRED')
    s.gate.fgctl('log', 'snapshot')
    assert backend.confirm(21, s.orders[21]).status == 'SOLD', 'late'
    assert shop.cancel(22, s.orders[22]).status == 'CANCELLED', 'closed'
    deadline = backend.query(5, s.orders[5]).deadline_ms
    assert backend.extend(5, s.orders[5], deadline + 1000).status == 'RESERVED'
    s.gate.fgctl('stock', 'add', ITEM, 3)
    s.gate.fgctl('stock', 'remove', ITEM, 1)
    s.gate.fgctl('user', 'deny', 98)
    s.gate.fgctl('user', 'deny', 99)
    s.gate.fgctl('user', 'allow', 98)
    reserve(31, item=LINE)
    for user in (32, 33, 34):
        wait(user, LINE)
    assert shop.cancel(33, s.orders[33]).status == 'CANCELLED'
    assert shop.cancel(31, s.orders[31]).status == 'CANCELLED'
    ends(32, 'RESERVED')
    assert backend.confirm(32, s.orders[32]).status == 'SOLD'
    s.create(DRAW, name='draw', total=3, hold_ms=3600000, waitlist=10, claim_ms=HOLD_MS * 10, wait_ttl_ms=HOLD_MS * 10)
    s.gate.fgctl('item', 'set', DRAW, '--opens', '+1h', '--lottery', 'yes')
    for user in (41, 42, 43):
        wait(user, DRAW)
    s.gate.fgctl('item', 'set', DRAW, '--opens', 'now')
    fgtest.wait_until(lambda: [backend.query(u, s.orders[u]).status for u in (41, 42, 43)].count('RESERVED') == 3, 20, 'the draw')
    return s


def long_ago(lab):
    """What the programs of the sale inherit: a wall clock of the year 2025, so that its holds are over on any machine."""
    library, offset = lab.unique('clockshift.so'), lab.unique('offset')
    fgtest.command('cc', '-shared', '-fPIC', '-o', library, os.path.join(HERE, 'clockshift.c'), '-ldl')
    with open(offset, 'w', encoding='ascii') as f:
        f.write(str(YEAR_2025 - int(time.time())))
    return {'LD_PRELOAD': library, 'FG_CLOCK': offset}


def make(lab, folder):
    os.environ.update(ago := long_ago(lab))
    try:
        s = sale(lab)
    finally:
        for name in ago:
            del os.environ[name]
    told = {'orders': {user: [order.hex(), s.backend.query(user, order).status] for user, order in s.orders.items()}}
    assert s.gate.stop() == 0
    os.makedirs(f'{folder}/log')
    for path in glob.glob(f'{s.gate.log_dir}/*.fg[js]'):
        shutil.copy(path, f'{folder}/log')
    told['items'] = counted(lab, f'{folder}/log')
    told['records'] = listed(f'{folder}/log')
    with open(f'{folder}/told.json', 'w', encoding='ascii') as f:
        rows = ',\n'.join(json.dumps(record) for record in told.pop('records'))
        f.write(f'{json.dumps(told)[:-1]},\n"records": [\n{rows}]}}\n')


def versions(lab):
    """{version: what it told of its log}"""
    if os.environ.get('FG_UPDATE'):
        now = re.search(r'\d+\.\d+\.\d+', run('fgctl', '--version'))[0]
        if not os.path.exists(f'{GOLDEN}/{now}'):
            make(lab, f'{GOLDEN}/{now}')
    found = {}
    for path in sorted(glob.glob(f'{GOLDEN}/*/told.json')):
        with open(path, encoding='ascii') as f:
            found[path.split('/')[-2]] = json.load(f)
    assert found, f'nothing in {GOLDEN}'
    return found


def within(told, now):
    """What was told is still told; a later version may add to it."""
    if isinstance(told, dict):
        return isinstance(now, dict) and all(key in now and within(value, now[key]) for key, value in told.items())
    if isinstance(told, list):
        return isinstance(now, list) and len(told) == len(now) and all(within(*pair) for pair in zip(told, now))
    return told == now


@fgtest.timeout(120)
def test_tools(lab):
    """fglog and fgaudit tell of the log of an earlier version what that version told"""
    for version, told in versions(lab).items():
        log = f'{GOLDEN}/{version}/log'
        records = listed(log)
        assert len(records) == len(told['records']), (version, len(records))
        for record, now in zip(told['records'], records):
            assert within(record, now), (version, record, now)
        types = {record['type'] for record in told['records']}
        assert types >= {'batch', 'reserved', 'sold', 'cancelled', 'expired', 'item-set', 'item-name', 'extended', 'user', 'stock',
                         'sold-late', 'closed', 'refunded', 'waiting', 'offered', 'left', 'line-set', 'lottery', 'drawn'}, types
        items = counted(lab, log)
        assert within(told['items'], items), (version, items)


def expected(item):
    """All holds of the log ended long ago; the rest is as it was."""
    return {**{key: item[key] for key in ('item', 'total', 'sold', 'refunded')}, 'available': item['available'] + item['reserved'],
            'reserved': 0}


@fgtest.timeout(120)
def test_daemon(lab):
    """the daemon loads the log of an earlier version, with its snapshot and without, and sells on"""
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if, settings={**SMALL, 'log.segment_bytes': '64k', 'filter.order_rate': 0})
    gate.log_begun = True
    for version, told in versions(lab).items():
        for kinds in ('js', 'j'):
            shutil.rmtree(gate.log_dir, ignore_errors=True)
            shutil.copytree(f'{GOLDEN}/{version}/log', gate.log_dir, ignore=lambda _, names, k=kinds: [
                name for name in names if name[-1] not in k])
            gate.start()
            wanted = [expected(item) for item in told['items']]
            fgtest.wait_until(lambda w=wanted: within(w, gate.get('/v1/items')['items']), 20, f'items: {wanted}')
            backend = NsClient(link.b, link.a_ip, gate.keys, 'backend')
            for user, (order, status) in told['orders'].items():
                now = backend.query(int(user), bytes.fromhex(order)).status
                after = {'RESERVED': ('EXPIRED',), 'WAITING': ('WAITING', 'CANCELLED')}.get(status, (status,))
                assert now in after, (version, user, status, now)
            shop = NsClient(link.b, link.a_ip, gate.keys)
            statuses = [shop.reserve(user, ITEM, 1).status for user in (98, 99)]
            assert statuses == ['RESERVED', 'USER_DENIED'], statuses
            snapshot = max(int(os.path.basename(path)[:20]) for path in glob.glob(f'{GOLDEN}/{version}/log/*.fgs'))
            assert f'(snapshot of record {snapshot if "s" in kinds else 0})' in gate.output(), gate.output()
            audited(lab, gate)


if __name__ == '__main__':
    fgtest.main()
