# SPDX-License-Identifier: BSD-3-Clause
"""How long Prometheus waits for a scrape of 1,000 items, and what a scrape each second costs the worker.

A worker rejects a flood over memif on one CPU; the generator, and the scrapes, are on the other one. In one and the same
flood, seconds with a scrape and without take turns (without, with, with, without are a round): two floods differ by more than
what is sought. The figure is the upper end of the 95 % interval of the mean loss over the rounds.
"""

import statistics
import time

import fgbench
import fgtest
from fgbench import Row
from fgdaemon import _UnixConnection

import echo

RUNS, ITEMS, SCRAPES = 20, 1000, 20
TURN, TURN_S, SETTLE_S, SLACK_S = (False, True, True, False), 1, 2, 30
KEPT_S = 0.12  # the viewer shows a page again for 100 ms

WAIT = Row('a scrape of 1,000 items', 'ms', 'lower', 20)
LONGEST = Row('a scrape of 1,000 items, the longest of 20', 'ms', 'lower')
WITHOUT = Row('rejections, nobody scrapes', 'orders/s', 'higher')
LOST = Row('a scrape each second: lost', '%', 'lower')
BOUND = Row('a scrape each second: lost, upper 95 % bound', '%', 'lower', 2.0)


def scrape(path):
    """Milliseconds of one, over a connection of its own, as Prometheus makes it."""
    began = time.monotonic()
    connection = _UnixConnection(path, 30)
    connection.request('GET', '/metrics')
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    took = 1000 * (time.monotonic() - began)
    if answer.status != 200 or text.count(b'floodgate_item_info{') < ITEMS:
        raise RuntimeError(f'a scrape answered {answer.status} with {text.count(b"floodgate_item_info{")} items')
    return took


def rejected(gate, path, scraped):
    """Rejections a second of one turn, which a scrape begins or not."""
    before, began = gate.get('/v1/stats')['workers'][0]['orders'], time.monotonic()
    if scraped:
        scrape(path)
    time.sleep(max(0, began + TURN_S - time.monotonic()))
    now = gate.get('/v1/stats')['workers'][0]['orders']
    return (now - before) / (time.monotonic() - began)


def measure(runs):
    with fgtest.Lab() as lab:
        bench = fgbench.Bench(lab, 0)
        path = f'{lab.dir}/viewer.sock'
        gate = bench.daemon(limits__items_max=ITEMS + 1, api__viewer=path)
        gate.start()
        for item in range(1, ITEMS + 1):
            status, answer = gate.api('POST', '/v1/items', {'item': item, 'name': f'item {item}'})
            if status != 201:
                raise RuntimeError(f'item {item}: {answer}')
        waits = []
        for _ in range(SCRAPES):
            waits.append(scrape(path))
            time.sleep(KEPT_S)
        flood = bench.generator(gate.keys, flat=echo.REQUESTS, shoppers=echo.REQUESTS, window=echo.WINDOW, items=echo.ITEM,
                                audit=None, seconds=runs * len(TURN) * TURN_S + SLACK_S).start()
        fgtest.wait_until(lambda: gate.get('/v1/stats')['workers'][0]['orders'] > 0, 30, 'the flood has begun')
        time.sleep(SETTLE_S)
        without, lost = [], []
        for _ in range(runs):
            values = {False: 0, True: 0}
            for scraped in TURN:
                values[scraped] += rejected(gate, path, scraped) / TURN.count(scraped)
            without.append(values[False])
            lost.append(100 * (1 - values[True] / values[False]))
        if not flood.process.running():
            raise RuntimeError('the flood ended too early')
        flood.process.kill()
    return [WAIT.result('scrape', [statistics.median(waits)]), LONGEST.result('scrape', [max(waits)]),
            WITHOUT.result('scrape', without), LOST.result('scrape', lost), BOUND.result('scrape', [fgbench.upper_bound(lost)])]
