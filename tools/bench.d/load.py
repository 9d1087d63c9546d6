# SPDX-License-Identifier: BSD-3-Clause
"""Offered against answered rate, from a tenth to three times what one worker can do, and how long answers take.

First its capacity: a flood of rejections over memif with 512 in flight, or with --port af_xdp over a veth with 256. Then the
same flood at fixed rates, whatever is answered; what the receive queue has no room for is dropped. In all of it one packet in
2,000, or 200, is a new order of another item with plenty of stock: these acceptances wait for the disk, and must not starve.
The worker's CPU is that of the whole appliance: journal, ledger and the kernel's threads of the disk included.
"""

import fgbench
import fgtest
from fgbench import Row

import echo

RUNS = 3
SHARES = (10, 25, 50, 75, 90, 100, 150, 200, 300)  # per cent of the capacity
REQUESTS = 262144  # different ones, in turn: an answer comes long before its request is sent again
PLENTY = 8
FRESH_USERS = 1 << 22  # orders and users that the new orders may come to

CAPACITY = 'capacity'


def at(share, what):
    return f'{share} % offered: {what}'


def rows_of(share):
    unit = (('offered', 'packets/s', 'higher'), ('answered', 'orders/s', 'higher'), ('dropped', 'share', 'lower'),
            ('rejected, p50', 'us', 'lower'), ('rejected, p99', 'us', 'lower'), ('rejected, p99.9', 'us', 'lower'),
            ('accepted', 'orders/s', 'higher'), ('new orders among the answers', 'share', 'higher'),
            ('accepted, p50', 'us', 'lower'), ('accepted, p99', 'us', 'lower'), ('accepted, p99.9', 'us', 'lower'))
    return [Row(at(share, case), *rest) for case, *rest in unit]


ROWS = [Row(CAPACITY, 'orders/s', 'higher'), *(row for share in SHARES for row in rows_of(share)),
        Row('answered at 300 % : capacity', 'ratio', 'higher', derive=lambda v: v[at(300, 'answered')] / v[CAPACITY])]


class Memif:
    """A worker and a generator at the two ends of a memif."""
    every, window = 2000, echo.WINDOW

    def __init__(self, bench):
        self.daemon, self.blast = bench.daemon, bench.blast


class Veth(fgbench.Veth):
    every, window = 200, 256  # a window that a veth's queue has room for


WAYS = dict(zip(fgbench.PORTS, (Memif, Veth)))


def flood(way, gate, number, **pace):
    found = way.blast(gate.keys, flat=REQUESTS, shoppers=REQUESTS, items=echo.ITEM, fresh_every=way.every, fresh_item=PLENTY,
                      user_base=(number + 1) << 40, nonce=number + 1, **pace)
    if found['wrong_tags'] or not found['answers']:
        raise RuntimeError(f'{found["wrong_tags"]} answers of {found["answers"]} have a wrong tag')
    return found


def figures(share, every, found):
    seconds, sent = found['seconds'], found['packets']
    rejected, accepted = found['latency_us']['sampled'], found['latency_us']['fresh']
    told = found['fresh_accepted']
    return {at(share, 'offered'): sent / seconds, at(share, 'answered'): found['answers'] / seconds,
            at(share, 'dropped'): 1 - found['answers'] / sent,
            **{at(share, f'rejected, {name}'): rejected[key] for name, key in (('p50', 'p50'), ('p99', 'p99'), ('p99.9', 'p999'))},
            at(share, 'accepted'): told / seconds,
            at(share, 'new orders among the answers'): told * every / found['answers'],
            **{at(share, f'accepted, {name}'): accepted[key] for name, key in (('p50', 'p50'), ('p99', 'p99'), ('p99.9', 'p999'))}}


def sweep(bench):
    way = WAYS[bench.port](bench)
    gate = way.daemon(limits__orders_max=FRESH_USERS, limits__users_max=FRESH_USERS, log__snapshot_records=0,
                      workers__idle='yield')
    with bench.one_cpu():  # the log's threads and the kernel's of the disk share the worker's CPU, not the generator's
        gate.start()
    gate.fgctl('item', 'add', echo.ITEM, '--total', 0)  # no answer of the flood waits for the disk
    gate.fgctl('item', 'add', PLENTY, '--total', FRESH_USERS, '--hold', '24h')
    full = flood(way, gate, 0, window=way.window)
    found = {CAPACITY: full['answers_per_s']}
    for number, share in enumerate(SHARES, 1):
        rate = max(1000, int(found[CAPACITY] * share / 100))
        found.update(figures(share, way.every, flood(way, gate, number, open=True, rate=rate)))
        fgtest.wait_until(lambda: gate.get('/v1/stats')['workers'][0]['answers_deferred'] == 0, 30, 'the disk has caught up')
    return found


CONTENDERS = [('sweep', sweep)]
