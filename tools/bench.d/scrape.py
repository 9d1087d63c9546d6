# SPDX-License-Identifier: BSD-3-Clause
"""How long Prometheus waits for a scrape of 1,000 items, and what a scrape each second costs the worker.

A worker rejects a flood over memif on one CPU; the generator, and the scrapes, are on the other one. Rounds with a scrape
each second and without take turns; the figure is the upper end of the 95 % interval of the mean loss over the rounds.
"""

import statistics
import threading
import time

import fgbench
import fgtest
from fgbench import Row
from fgdaemon import _UnixConnection

import echo

RUNS, SECONDS, ITEMS, SCRAPES = 20, 3, 1000, 20
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


class Scraper(threading.Thread):
    """Scrapes each second until it is stopped."""

    def __init__(self, path):
        super().__init__()
        self.path, self.done, self.count = path, threading.Event(), 0

    def run(self):
        while not self.done.is_set():
            scrape(self.path)
            self.count += 1
            self.done.wait(1)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.done.set()
        self.join()


def rejected(bench, gate, number):
    """Rejections a second."""
    found = bench.blast(gate.keys, flat=echo.REQUESTS, shoppers=echo.REQUESTS, window=echo.WINDOW, items=echo.ITEM,
                        user_base=(number + 1) << 40, nonce=number + 1)
    return found['answers'] / found['seconds']


def measure(runs):
    with fgtest.Lab() as lab:
        bench = fgbench.Bench(lab, SECONDS)
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
        without, lost = [], []
        for n in range(runs):
            values = {}
            for scraped in ((False, True), (True, False))[n % 2]:
                if not scraped:
                    values[scraped] = rejected(bench, gate, 2 * n)
                    continue
                with Scraper(path) as scraper:
                    values[scraped] = rejected(bench, gate, 2 * n + 1)
                if scraper.count < SECONDS:
                    raise RuntimeError(f'{scraper.count} scrapes in {SECONDS} s')
            without.append(values[False])
            lost.append(100 * (1 - values[True] / values[False]))
    return [WAIT.result('scrape', [statistics.median(waits)]), LONGEST.result('scrape', [max(waits)]),
            WITHOUT.result('scrape', without), LOST.result('scrape', lost), BOUND.result('scrape', [fgbench.upper_bound(lost)])]
