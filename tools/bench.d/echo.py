# SPDX-License-Identifier: BSD-3-Clause
"""Orders that one worker answers, next to testpmd's echo of the same frames.

Both sit at the server's end of a memif on one CPU; the same generator sends the same signed requests for one hot
item from another CPU, with a bounded number in flight. 100 units are sold at once: what is measured is the flood
of rejections that follows, each parsed, authenticated, decided and signed. testpmd only swaps addresses and ports.
"""

from fgbench import Row

ITEM, UNITS, REQUESTS, WINDOW = 7, 100, 16384, 512

FLOODGATE = 'answered orders, one worker'
TESTPMD = 'testpmd 5tswap echo'

ROWS = [
    Row(FLOODGATE, 'orders/s', 'higher'),
    Row(TESTPMD, 'frames/s', 'higher'),
    Row('orders : echo', 'ratio', 'higher', 0.6, derive=lambda v: v[FLOODGATE] / v[TESTPMD]),
    Row('p99 of the orders', 'us', 'lower'),
]


def load(bench, keys, **options):
    found = bench.blast(keys, flat=REQUESTS, shoppers=REQUESTS, window=WINDOW, items=ITEM, **options)
    if not found['answers'] or found['lost'] > 0.01 * found['packets']:
        raise RuntimeError(f'{found["lost"]} of {found["packets"]} packets were not answered')
    return found


def floodgate(bench):
    gate = bench.daemon().start()
    gate.fgctl('item', 'add', ITEM, '--total', UNITS, '--hold', '1h')
    found = load(bench, gate.keys)
    gate.stop()
    if found['wrong_tags']:
        raise RuntimeError(f'{found["wrong_tags"]} of {found["checked"]} answers have a wrong tag')
    if found['status'].get('SOLD_OUT', 0) < 0.9 * found['answers']:
        raise RuntimeError(f'not the flood of rejections that is to be measured: {found["status"]}')
    return {FLOODGATE: found['answers_per_s'], 'p99 of the orders': found['latency_us']['sampled']['p99']}


def testpmd(bench):
    bench.testpmd('5tswap')
    return {TESTPMD: load(bench, bench.keys(), echo=True)['answers_per_s']}


CONTENDERS = [('floodgate', floodgate), ('testpmd', testpmd)]
