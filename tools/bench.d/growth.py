# SPDX-License-Identifier: BSD-3-Clause
"""What a packet costs with 1 to 10,000 items, and with 10 thousand to 10 million users and orders.

One worker, saturated over memif: ns a packet is the time between answers, all of the packet path included. Rejections
of sold-out items, and repeats of accepted orders (each found among all orders, and answered from its state). Every
packet of a case is of another user; items are alike popular. --scale makes the tables smaller, for tests.
"""

import fgtest
from fgbench import Row

RUNS = 3
ITEMS = (1, 100, 10000)
ORDERS = (10000, 1000000, 10000000)
FLOOD = 65536          # requests of the cases of items, sent in turn
HOT, GONE = 1, 2       # items of the cases of orders: one to fill the tables, one that is sold out


def name(number):
    return f'{number // 1000000}M' if number >= 1000000 else f'{number // 1000}k' if number >= 1000 else str(number)


def of_items(number):
    return f'rejected, {name(number)} items'


def of_orders(what, number):
    return f'{what}, {name(number)} users and orders'


def growth(case, sizes):
    return Row(f'{case(sizes[-1])} : {name(sizes[0])}', 'ratio', 'lower', 1.5,
               derive=lambda v: v[case(sizes[-1])] / v[case(sizes[0])])


def rejected(number):
    return of_orders('rejected', number)


def repeated(number):
    return of_orders('repeated', number)


ROWS = [*(Row(case(n), 'ns', 'lower') for case, sizes in ((of_items, ITEMS), (rejected, ORDERS), (repeated, ORDERS))
          for n in sizes),
        growth(of_items, ITEMS), growth(rejected, ORDERS), growth(repeated, ORDERS)]


def gate_for(bench, items, orders):
    return bench.daemon(limits__items_max=max(items, 64), limits__orders_max=orders + orders // 8,
                        limits__users_max=orders + orders // 8, log__durability='memory',
                        log__snapshot_records=0).start()


def settled(gate):
    """The threads behind the worker have done what the preparation left them: nothing disturbs what is measured."""
    fgtest.wait_until(lambda: (s := gate.get('/v1/status'))['ledger']['seq'] >= s['log']['durable_seq'], 120,
                      'the ledger has read the log', step=0.1)


def flood(bench, gate, status, **options):
    """ns a packet, when nearly all are answered with the status."""
    found = bench.blast(gate.keys, **options)
    if found['wrong_tags'] or found['answers'] < 0.99 * found['packets']:
        raise RuntimeError(f'{found["packets"]} packets, {found["answers"]} answers')
    if found['status'].get(status, 0) < 0.95 * found['answers']:
        raise RuntimeError(f'not the flood of {status} that is to be measured: {found["status"]}')
    return 1e9 / found['answers_per_s']


def items(number):
    def measure(bench):
        count = max(1, int(number * bench.scale))
        gate = gate_for(bench, count, FLOOD)
        path = bench.lab.unique('items.csv')
        with open(path, 'w', encoding='ascii') as f:
            f.write('item,total,hold_ms\n')
            f.writelines(f'{item},0,3600000\n' for item in range(1, count + 1))
        gate.fgctl('item', 'import', path)
        settled(gate)
        found = flood(bench, gate, 'SOLD_OUT', flat=FLOOD, shoppers=FLOOD, items=f'1-{count}' if count > 1 else 1)
        gate.stop()
        return {of_items(number): found}
    return measure


def orders(number):
    def measure(bench):
        count = max(1000, int(number * bench.scale))
        gate = gate_for(bench, 2, count)
        gate.fgctl('item', 'add', HOT, '--total', count, '--hold', '24h')
        gate.fgctl('item', 'add', GONE, '--total', 0)
        # a request of the fill may be lost; the first repeats sell what it left
        same = {'flat': count, 'shoppers': count, 'nonce': 1, 'items': HOT}
        bench.blast(gate.keys, packets=count, seconds=60, **same)
        settled(gate)
        again = flood(bench, gate, 'RESERVED', **same)
        settled(gate)
        over = flood(bench, gate, 'SOLD_OUT', flat=count, shoppers=count, nonce=2, items=GONE)
        gate.stop()
        return {repeated(number): again, rejected(number): over}
    return measure


CONTENDERS = [*((of_items(n), items(n)) for n in ITEMS), *((f'{name(n)} orders', orders(n)) for n in ORDERS)]
