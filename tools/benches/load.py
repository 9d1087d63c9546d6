# SPDX-License-Identifier: BSD-3-Clause
"""Offered against answered rate, from a tenth to three times what one worker can do, and how long answers take.

First its capacity: a flood of rejections over memif with 512 in flight. Then the same flood at fixed rates, whatever
is answered; what the memif's ring has no room for is dropped, as at the receive queue of a NIC. One packet in 2,000 is a
new order of another item with plenty of stock: these acceptances wait for the disk, and must not starve.
"""

import fgtest
from fgbench import Row

import echo

RUNS = 3
SHARES = (10, 25, 50, 75, 90, 100, 150, 200, 300)  # per cent of the capacity
REQUESTS = 262144  # different ones, in turn: an answer comes long before its request is sent again
PLENTY, EVERY = 8, 2000
FRESH_USERS = 1 << 22  # orders and users that the new orders may come to

CAPACITY = 'capacity'


def at(share, what):
    return f'{share} % offered: {what}'


def rows_of(share):
    unit = (('offered', 'packets/s', 'higher'), ('answered', 'orders/s', 'higher'), ('dropped', 'share', 'lower'),
            ('rejected, p50', 'us', 'lower'), ('rejected, p99', 'us', 'lower'), ('rejected, p99.9', 'us', 'lower'),
            ('accepted', 'orders/s', 'higher'), ('accepted of those not dropped', 'share', 'higher'),
            ('accepted, p50', 'us', 'lower'), ('accepted, p99', 'us', 'lower'), ('accepted, p99.9', 'us', 'lower'))
    return [Row(at(share, case), *rest) for case, *rest in unit]


ROWS = [Row(CAPACITY, 'orders/s', 'higher'), *(row for share in SHARES for row in rows_of(share)),
        Row('answered at 300 % : capacity', 'ratio', 'higher', derive=lambda v: v[at(300, 'answered')] / v[CAPACITY])]


def offer(bench, gate, rate, nonce):
    found = bench.blast(gate.keys, flat=REQUESTS, shoppers=REQUESTS, items=echo.ITEM, open=True, rate=max(1000, int(rate)),
                        fresh_every=EVERY, fresh_item=PLENTY, user_base=nonce << 40, nonce=nonce)
    if found['wrong_tags'] or not found['answers']:
        raise RuntimeError(f'{found["wrong_tags"]} answers of {found["answers"]} have a wrong tag')
    return found


def figures(share, found):
    seconds, sent = found['seconds'], found['packets']
    rejected, accepted = found['latency_us']['sampled'], found['latency_us']['fresh']
    told = found['fresh_accepted']
    return {at(share, 'offered'): sent / seconds, at(share, 'answered'): found['answers'] / seconds,
            at(share, 'dropped'): 1 - found['answers'] / sent,
            **{at(share, f'rejected, {name}'): rejected[key] for name, key in (('p50', 'p50'), ('p99', 'p99'), ('p99.9', 'p999'))},
            at(share, 'accepted'): told / seconds,
            at(share, 'accepted of those not dropped'): told * EVERY / max(1, sent - found['dropped']),
            **{at(share, f'accepted, {name}'): accepted[key] for name, key in (('p50', 'p50'), ('p99', 'p99'), ('p99.9', 'p999'))}}


def sweep(bench):
    gate = bench.daemon(limits__orders_max=FRESH_USERS, limits__users_max=FRESH_USERS, log__snapshot_records=0,
                        workers__idle='yield').start()
    gate.fgctl('item', 'add', echo.ITEM, '--total', 0)  # no answer of the flood waits for the disk
    gate.fgctl('item', 'add', PLENTY, '--total', FRESH_USERS, '--hold', '24h')
    found = {CAPACITY: echo.load(bench, gate.keys)['answers_per_s']}
    for number, share in enumerate(SHARES, 1):
        found.update(figures(share, offer(bench, gate, found[CAPACITY] * share / 100, number)))
        fgtest.wait_until(lambda: gate.get('/v1/stats')['workers'][0]['held'] == 0, 30, 'the disk has caught up')
    return found


CONTENDERS = [('sweep', sweep)]
