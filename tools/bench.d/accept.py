# SPDX-License-Identifier: BSD-3-Clause
"""Orders that one worker accepts, each durable on disk before its answer leaves.

There is plenty of stock, so every request of the generator (fgblast --crowd, another CPU, over memif) is an order of its
own that becomes a record of the log. Journal and ledger threads share the generator's CPU. Every answer is checked.
"""

from fgbench import Row

ITEMS, UNITS, USERS, LIMIT = 1000, 1_000_000_000, 16_000_000, 1000
WINDOW, RING_BITS = 16384, 14  # in flight: what is accepted while the disk syncs
ORDERS_MAX = 4_000_000         # a second

ACCEPTED = 'orders accepted, durable on disk'

ROWS = [
    Row(ACCEPTED, 'orders/s', 'higher', 2e6),
    Row('accepted in, p50', 'us', 'lower'),
    Row('accepted in, p99', 'us', 'lower'),
    Row('records of one sync', 'records', 'lower'),
    Row('refused as BUSY', 'orders', 'lower'),
]


def accept(bench):
    orders = ORDERS_MAX * bench.seconds
    gate = bench.daemon(limits__items_max=ITEMS, limits__orders_max=orders, limits__users_max=orders)
    gate.ports['shop']['descriptors'] = 8192
    gate.write_config()
    gate.start()
    for item in range(1, ITEMS + 1):
        status, answer = gate.api('POST', '/v1/items',
                                  {'item': item, 'total': UNITS, 'hold_ms': 86400000, 'user_limit': LIMIT})
        if status != 201:
            raise RuntimeError(f'item {item}: {status} {answer}')
    found = bench.blast(gate.keys, device=bench.memif('client', RING_BITS), crowd=True, shoppers=USERS, window=WINDOW,
                        descriptors=4096, items=f'1-{ITEMS}', zipf=1, confirm=0, drain_seconds=0, timeout_ms=2000)
    stats, log = gate.get('/v1/stats'), gate.get('/v1/status')['log']
    gate.stop(60)
    accepted = found['status'].get('RESERVED', 0)
    if found['contradictions'] or accepted < 0.9 * found['answers']:
        raise RuntimeError(f'not all were accepted: {found["status"]}, {found["wrong"]}')
    if not found['orders_reserved'] <= stats['stock']['reserved'] <= found['orders_reserved'] + found['unanswered']:
        raise RuntimeError(f'{found["orders_reserved"]} acknowledged, {stats["stock"]["reserved"]} decided')
    times = found['latency_us']['accepted']
    return {ACCEPTED: accepted / found['seconds'], 'accepted in, p50': times['p50'], 'accepted in, p99': times['p99'],
            'records of one sync': log['records'] / log['commits'],
            'refused as BUSY': found['status'].get('BUSY', 0)}


CONTENDERS = [('floodgate', accept)]
