# SPDX-License-Identifier: BSD-3-Clause
"""A retailer's sale day on one worker: 600 million requests, 10 million orders, durable on disk, and its audit.

1,000 items of Zipf popularity (exponent 1). Every request is signed by the generator and checked by the worker, every
answer signed by the worker and checked by the generator (fgblast --crowd). 80 % of the accepted orders are paid,
10 % cancelled, 10 % left to expire; units that come back are sold again. When all is over, somebody asks for each item
until he is told that there is none: what is left then was wanted by nobody. The auditor compares the log with what the
shoppers were told. --scale 0.05 makes a sale of 30 million requests.
"""

import json
import os
import subprocess
import sys
import time

import fgbench
import fgtest
from fgbench import Row

REQUESTS, ITEMS, UNITS = 600_000_000, 1000, 8_300
SECONDS_MAX = 90
CONFIRM, CANCEL, DUPLICATES = 0.8, 0.1, 0.005
HOLD_MS, PAY_MS = 4_000, 1_000
SHOPPERS, WINDOW, RING_BITS = 16_000_000, 8192, 13  # a window that the rings hold: no answer is lost
SLACK = 120  # seconds beyond the bar before the run is given up
MB = 1 << 20


def rows(scale):
    full = scale == 1
    return [
        Row('the sale, from first to last packet', 's', 'lower', SECONDS_MAX if full else None),
        Row('requests', 'packets', 'higher'),
        Row('answers', 'packets', 'higher'),
        Row('answers per second', 'orders/s', 'higher'),
        Row('orders accepted', 'orders', 'higher', 10e6 if full else None),
        Row('orders accepted per second, until 90 % were', 'orders/s', 'higher'),
        Row('confirmed', 'orders', 'higher'),
        Row('cancelled', 'orders', 'higher'),
        Row('expired', 'orders', 'higher'),
        Row('of the confirmed, after they had expired', 'orders', 'higher'),
        Row('duplicates sent', 'packets', 'higher'),
        Row('rejected in, p50', 'us', 'lower'),
        Row('rejected in, p99', 'us', 'lower'),
        Row('accepted in, p50', 'us', 'lower'),
        Row('accepted in, p99', 'us', 'lower'),
        Row('wrong answers', 'answers', 'lower', 0),
        Row('requests never answered', 'requests', 'lower', 0),
        Row('oversold', 'orders', 'lower', 0),
        Row('unsold while wanted', 'units', 'lower', 0),
        Row('differences that the audit found', 'differences', 'lower', 0),
        Row('log', 'MiB', 'lower'),
        Row('memory of the daemon, RSS and hugepages', 'MiB', 'lower', 2048 if full else None),
        Row('time of the audit', 's', 'lower'),
    ]


def create_items(gate, units):
    for item in range(1, ITEMS + 1):
        status, answer = gate.api('POST', '/v1/items', {'item': item, 'total': units, 'hold_ms': HOLD_MS, 'user_limit': 4})
        if status != 201:
            raise RuntimeError(f'item {item}: {status} {answer}')


def memory_mb(pid):
    """Peak of the resident memory, and hugepages, of a process."""
    with open(f'/proc/{pid}/status') as f:
        found = dict(line.split(':', 1) for line in f)
    return sum(int(found[name].split()[0]) for name in ('VmHWM', 'HugetlbPages')) / 1024


def watch(blast, seconds):
    """Until the generator ends: shows its progress, and returns (time, orders accepted) of every second."""
    seen, end = [], time.monotonic() + seconds
    with open(blast.process.log_path, errors='replace') as log:
        while True:
            running = blast.process.running()
            for line in log:
                if line.startswith('{"t"') and line.endswith('\n'):
                    p = json.loads(line)
                    seen.append((p['t'], p['units_reserved']))
                    if sys.stderr.isatty():
                        print(f'\r\x1b[Ksale-600m: {p["t"]:.0f} s, {p["sent"] / 1e6:.0f} M requests, '
                              f'{p["answers_per_s"] / 1e6:.2f} M answers/s, {p["units_reserved"] / 1e6:.2f} M accepted, '
                              f'{p["units_sold"] / 1e6:.2f} M paid', end='', file=sys.stderr, flush=True)
            if not running:
                if sys.stderr.isatty():
                    print('\r\x1b[K', end='', file=sys.stderr, flush=True)
                return seen
            if time.monotonic() > end:
                raise RuntimeError(f'the sale does not end within {seconds} s:\n{blast.process.output()[-2000:]}')
            time.sleep(0.2)


def pace(seen, total):
    """Orders accepted per second while there was stock."""
    for at, accepted in seen:
        if accepted >= 0.9 * total:
            return accepted / at
    return total / seen[-1][0] if seen else 0


def left_while_wanted(gate, summary):
    """Free units of items that somebody still wanted at the end."""
    wanted = {i['item'] for i in summary['items'] if i['wanting']}
    free, items = 0, []
    while len(items) < ITEMS:
        found = gate.get(f'/v1/items?offset={len(items)}&limit=1000')['items']
        if not found:
            break
        items += found
    for item in items:
        if item['item'] in wanted:
            free += item['available']
    return free


def folder_mb(path):
    total = 0
    for name in os.listdir(path):
        try:
            total += os.stat(os.path.join(path, name)).st_blocks * 512
        except FileNotFoundError:  # the daemon retires segments and renames snapshots
            pass
    return total / MB


def audit(bench, gate, blast):
    """(seconds, its JSON)."""
    path, began = bench.lab.unique('audit.json'), time.monotonic()
    done = subprocess.run([fgtest.program('fgaudit'), '--log', gate.log_dir, '--client', blast.audit,
                           '--client-complete', '--json', path], stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                          text=True)
    if done.returncode == 2:
        raise RuntimeError(f'fgaudit: {done.stdout}')
    with open(path) as f:
        found = json.load(f)
    if done.returncode:
        print(done.stdout[-4000:], file=sys.stderr)
    return time.monotonic() - began, found


def sale(bench, scale):
    orders = int(12_000_000 * scale) + 10_000
    gate = bench.daemon(limits__items_max=ITEMS, limits__orders_max=orders, limits__users_max=orders)
    gate.ports['shop']['descriptors'] = WINDOW
    gate.write_config()
    gate.start()
    create_items(gate, max(1, int(UNITS * scale)))
    blast = bench.generator(gate.keys, device=bench.memif('client', RING_BITS), crowd=True, progress_json=True, packets=int(REQUESTS * scale), shoppers=SHOPPERS, window=WINDOW, descriptors=4096, items=f'1-{ITEMS}',
                        zipf=1, confirm=CONFIRM, cancel=CANCEL, late=0.1, duplicates=DUPLICATES, confirm_delay_ms=PAY_MS).start()
    seen = watch(blast, SECONDS_MAX + SLACK)
    summary = blast.finish(1, check=False)
    unsold = left_while_wanted(gate, summary)
    memory = memory_mb(gate.process.pid)
    stock = gate.get('/v1/stats')['stock']
    gate.stop(60)
    took, found = audit(bench, gate, blast)
    latency = summary['latency_us']
    if not summary['finished']:
        raise RuntimeError(f'the sale was not over in time: {summary}')
    return {
        'the sale, from first to last packet': summary['seconds'],
        'requests': summary['packets'], 'answers': summary['answers'],
        'answers per second': summary['answers'] / summary['seconds'],
        'orders accepted': summary['orders_reserved'],
        'orders accepted per second, until 90 % were': pace(seen, summary['orders_reserved']),
        'confirmed': stock['sold'], 'cancelled': stock['cancelled'], 'expired': stock['expired'],
        'of the confirmed, after they had expired': stock['sold_late'],
        'duplicates sent': summary['sent']['duplicate'],
        'rejected in, p50': latency['rejected']['p50'], 'rejected in, p99': latency['rejected']['p99'],
        'accepted in, p50': latency['accepted']['p50'], 'accepted in, p99': latency['accepted']['p99'],
        'wrong answers': summary['contradictions'], 'requests never answered': summary['unanswered'],
        'oversold': found['oversold'], 'unsold while wanted': unsold,
        'differences that the audit found': sum(found['problem_counts'].values()),
        'log': folder_mb(gate.log_dir), 'memory of the daemon, RSS and hugepages': memory, 'time of the audit': took,
    }


def measure_scaled(scale):
    with fgtest.Lab() as lab:
        bench = fgbench.Bench(lab, SECONDS_MAX)
        try:
            values = sale(bench, scale)
        except Exception:
            print(lab.logs(), file=sys.stderr)
            raise
    return [row.result('sale-600m', [values[row.case]]) for row in rows(scale)]
