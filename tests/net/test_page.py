#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The page of the read-only listener in a real browser: Chromium in the namespace of the daemon."""

import json
import os
import re
import secrets
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgbrowser import Browser, axe  # noqa: E402
from fgshop import Shop  # noqa: E402

LISTEN = '127.0.0.1:9460'
URL = f'http://{LISTEN}/'
MOST = 60 * 1024
NUMBERS = '''[...document.querySelectorAll("[data-stat]")].map(e => [e.dataset.stat, Number(e.textContent.replace(/\\D/g, ""))])'''


def later():
    return (int(time.time()) + 3600) * 1000


def headers(ns):
    """{name in small letters: value} of the page, and its size."""
    said = subprocess.run([*ns.enter(), 'curl', '-s', '-m', '10', '-D', '-', URL], capture_output=True, check=True, timeout=30)
    head, _, body = said.stdout.partition(b'\r\n\r\n')
    return dict(line.lower().split(': ', 1) for line in head.decode().split('\r\n')[1:]), len(body)


class Page:
    """A shop with the listener, and the page of it in a browser."""

    def __init__(self, lab, item=None, redis=None):
        self.shop = Shop(lab, item=item, redis=redis, **{'metrics.listen': LISTEN})
        self.gate, self.shots = self.shop.gate, os.environ.get('FG_SCREENSHOTS') or lab.dir
        self.browser = Browser(lab, self.gate.ns)
        self.browser.open(URL)
        self.browser.wait_for('document.body?.dataset.views > 0')

    def answers(self, text, seconds=30):
        self.browser.wait_for(f'document.getElementById("answer").textContent.startsWith({json.dumps(text)})', seconds)

    def stats(self):
        """Whether every counter that the page shows is what fgctl says."""
        said = self.gate.fgctl('stats')
        shown = self.browser.evaluate(NUMBERS)
        if len(shown) < 6:
            return False
        for path, number in shown:
            value = said
            for key in path.split('.'):
                value = value[int(key)] if isinstance(value, list) else value[key]
            if value != number:
                return False
        return [path for path, _ in shown]

    def row(self, item):
        """Left, held and sold of an item."""
        return self.browser.evaluate(f'[...document.querySelectorAll("#items tr[data-key=\\"{item}\\"] .n")].slice(0, 3)'
                                     '.map(e => Number(e.textContent.replace(/\\D/g, "")))')

    def look(self, name, axe_core=None):
        """Screenshots; nothing is wider than the window, nor a barrier by axe-core, if its source is given."""
        for width in (360, 1280) if axe_core else (360, 1280, 2560):
            for dark in (False, True):
                self.browser.look(os.path.join(self.shots, f'{name}-{width}{"-dark" if dark else ""}.png'), width, dark)
                wide = self.browser.evaluate('document.documentElement.scrollWidth')
                assert wide <= width, (name, width, wide)
                found = self.browser.barriers(axe_core) if axe_core else []
                assert not found, (name, width, dark, found)

    def done(self):
        assert not self.browser.complaints(), self.browser.complaints()
        asked = [e['params']['request']['url'] for e in self.browser.events if e.get('method') == 'Network.requestWillBeSent']
        assert URL in asked and not [u for u in asked if not u.startswith((URL, 'data:'))], asked


def misbehave(s, packets):
    """Packets with a wrong tag, which get no answer."""
    for _ in range(packets):
        packet = bytearray(s.shop.packet('RESERVE', secrets.token_bytes(16), item=7, user=1, quantity=1))
        packet[-1] ^= 1
        s.shop.socket.send(packet)


@fgtest.timeout(180)
def test_numbers_are_those_of_fgctl(lab):
    """items, counters and totals of the page are those of fgctl; one small file, that asks for nothing else"""
    page = Page(lab, item={'total': 40, 'name': 'Sneaker "Aurora"'}, redis=lab.redis())
    s = page.shop
    s.create(8, name='Jacket', total=2, hold_ms=60000)
    s.create(9, name='Poster <b>signed</b>', total=500, hold_ms=60000, opens=later())
    page.answers('The sale is running')
    orders = [s.reserve(user)[1] for user in range(1, 31)]
    for user in range(1, 21):
        assert s.backend.confirm(user, orders[user - 1]).status == 'SOLD'
    assert [s.reserve(user, item=8)[0] for user in range(40, 44)] == ['RESERVED', 'RESERVED', 'SOLD_OUT', 'SOLD_OUT']
    misbehave(s, 30)
    fgtest.wait_until(lambda: page.row(7) == [10, 10, 20] and page.row(8) == [0, 2, 0], 10, 'the items as they are')
    paths = fgtest.wait_until(page.stats, 20, 'the page shows what fgctl says')
    assert {'stock.reserved', 'stock.sold', 'stock.sold_out', 'drops.tag', 'sinks.0.lag', 'log.records'} <= set(paths), paths
    figure = 'document.querySelector("#figure-%s .figure").textContent'
    assert [page.browser.evaluate(figure % name) for name in ('left', 'held', 'sold')] == ['510', '12', '20']
    assert page.browser.evaluate('document.querySelector("#items").textContent.includes("Poster <b>signed</b>")')
    fgtest.wait_until(lambda: '198.18.' in page.browser.evaluate('document.getElementById("sources").textContent'), 10,
                      'the source that misbehaves is named')
    page.look('page-open')
    head, size = headers(page.gate.ns)
    assert 0 < size <= MOST, size
    policy = head['content-security-policy']
    assert re.match(r"default-src 'none'; script-src 'sha256-\S+'; style-src 'sha256-\S+'; connect-src 'self'; img-src data:; ",
                    policy), policy
    page.done()
    s.audit(lab)


@fgtest.timeout(180)
def test_states(lab):
    """nothing on sale, before the opening, running, paused, all held, sold out, over: each has its sentence"""
    page = Page(lab, item={'total': 1, 'opens': later()})
    s = page.shop
    page.answers('The sale opens in ')
    shown = page.browser.evaluate('["sinks", "sources"].map(id => document.getElementById(id).textContent)')
    assert 'No sink: orders are in the log alone.' in shown[0] and 'No source misbehaves.' in shown[1], shown
    page.look('page-before')
    s.change('/open', method='POST')
    page.answers('The sale is running')
    s.change('/pause', method='POST')
    page.answers('The sale is paused')
    s.change('/resume', method='POST')
    _, order = s.reserve(1)
    page.answers('All is sold or held')
    assert s.backend.confirm(1, order).status == 'SOLD'
    page.answers('Sold out')
    page.look('page-sold-out')
    s.change('/close', method='POST')
    page.answers('The sale is over')
    page.done()
    s.audit(lab)


@fgtest.timeout(180)
def test_alarm_and_lost_connection(lab):
    """a warning comes with its remedy; a stopped appliance is told at once, and the page is back by itself"""
    redis = lab.redis()
    page = Page(lab, redis=redis)
    page.answers('The sale is running')
    redis.kill()
    page.answers('The sale runs, with 1 warning')
    warned = page.browser.evaluate('document.querySelector("[data-alarm=sink]").textContent')
    assert 'Warning sink: redis: ' in warned and 'To do: away: bring it back' in warned, warned
    page.look('page-warning')
    assert page.gate.stop() == 0
    page.browser.wait_for('!document.getElementById("line").hidden')
    assert 'No answer from the appliance since ' in page.browser.evaluate('document.getElementById("line").textContent')
    page.browser.wait_for('document.getElementById("clock").textContent.endsWith(" s old")')
    page.look('page-lost')
    redis.start()
    page.gate.start()
    page.browser.wait_for('document.getElementById("line").hidden')
    page.answers('The sale is running')
    assert not page.browser.complaints(), page.browser.complaints()
    page.shop.audit(lab)


@fgtest.timeout(120)
def test_no_barriers(lab):
    """axe-core finds nothing that keeps a person out: running, with an alarm, without an answer; light and dark, 360 px and wide"""
    source, redis = axe(), lab.redis()
    page = Page(lab, item={'name': 'Sneaker'}, redis=redis)
    page.answers('The sale is running')
    misbehave(page.shop, 30)
    fgtest.wait_until(lambda: '198.18.' in page.browser.evaluate('document.getElementById("sources").textContent'), 10, 'a source')
    page.look('page-axe-open', source)
    redis.kill()
    page.answers('The sale runs, with 1 warning')
    page.look('page-axe-warning', source)
    assert page.gate.stop() == 0
    page.browser.wait_for('!document.getElementById("line").hidden')
    page.look('page-axe-lost', source)


if __name__ == '__main__':
    fgtest.main()
