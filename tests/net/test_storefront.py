#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The storefront in a real browser: Chromium, nginx with the module, an appliance."""

import json
import os
import re
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgbrowser import Browser, axe  # noqa: E402
from fggateway import PORT, Gateway  # noqa: E402
from fgshop import ITEM, Shop  # noqa: E402

STOREFRONT = os.path.join(fgtest.ROOT, 'app', 'storefront')
POLICY = ("default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; "
          "form-action 'none'; frame-ancestors 'none'")
LOCATIONS = f'''
location / {{ root {STOREFRONT}; index index.html; default_type text/html;
  types {{ text/html html; text/css css; text/javascript js; application/json json; }}
  add_header Content-Security-Policy "{POLICY}"; add_header Cache-Control no-cache; }}
location /v1/orders {{ floodgate orders; floodgate_user $floodgate_session_user; }}
location /v1/items {{ floodgate items; }}
location /v1/login {{ floodgate login; }}
location /pay {{ proxy_pass http://127.0.0.1:8081; proxy_set_header X-User $floodgate_session_user; }}
location /v1/backend/orders {{ floodgate backend; allow 127.0.0.1; deny all; }}
location /metrics {{ floodgate metrics; }}
'''
FIGURE = 'document.getElementById("figure")?.textContent'


class Page:
    """The shop, open in a browser, with a shopper who has a name."""

    def __init__(self, lab, item=None):
        self.lab = lab
        self.shop = Shop(lab, item={'total': 3, **(item or {})})
        self.web = Gateway(lab, self.shop.link.b, self.shop.link.a_ip, self.shop.gate.keys, locations=LOCATIONS, kind='hash')
        self.web.start()
        self.shop.link.b.start(os.path.join(STOREFRONT, 'payment-stub'), '8081', f'http://127.0.0.1:{PORT}', name='payment')
        self.browser = Browser(lab, self.shop.link.b)
        self.shots = os.environ.get('FG_SCREENSHOTS') or lab.dir
        self.axe = None

    def look(self, name):
        """Screenshots of a state; nothing is wider than the window; nothing keeps a shopper out, if `axe` is set."""
        for width in (360, 1280):
            for dark in (False, True):
                self.browser.look(os.path.join(self.shots, f'{name}-{width}{"-dark" if dark else ""}.png'), width, dark)
                wide = self.browser.evaluate('document.documentElement.scrollWidth')
                assert wide <= width, (name, width, wide)
                found = self.axe and self.browser.barriers(self.axe)
                assert not found, (name, width, dark, found)

    def go(self, where):
        self.browser.open(f'http://127.0.0.1:{PORT}/#/{where}')

    def enter(self, shows=' left'):
        b = self.browser
        self.go(f'item/{ITEM}')
        b.wait_for('document.getElementById("name")')
        b.evaluate('document.getElementById("name").value = "Anna"; document.querySelector("form").requestSubmit()')
        self.shows(shows)
        return self

    def shows(self, text, seconds=30):
        self.browser.wait_for(f'{FIGURE}?.includes({json.dumps(text)})', seconds)

    def press(self, text):
        """Presses the button that says so, when it is on."""
        self.browser.wait_for(f'[...document.querySelectorAll("button")].some(b => !b.disabled && '
                              f'b.textContent.startsWith({json.dumps(text)}) && (b.click(), true))')

    def left(self):
        return self.shop.shop.stock(ITEM).left

    def done(self):
        assert not self.browser.complaints(), self.browser.complaints()
        assert not self.web.bad_lines(), self.web.bad_lines()


@fgtest.timeout(180)
def test_buy_and_pay(lab):
    """two hundred clicks are one order; a reload finds it; it is paid; the next one is given back"""
    page = Page(lab).enter()
    b = page.browser
    page.look('open')
    b.evaluate('for (let i = 0; i < 200; i++) document.querySelector("button.main").click()')
    page.shows('It is yours for')
    page.look('held')
    assert page.left() == 2
    b.call('Page.reload')
    page.shows('It is yours for')
    assert page.left() == 2, 'the same order'
    page.press('Pay ')
    page.shows('Paid. It is yours.')
    page.look('paid')
    page.press('Buy again')
    page.press('Reserve one')
    page.shows('It is yours for')
    assert page.left() == 1
    page.press('Give it back')
    page.shows('You gave it back')
    fgtest.wait_until(lambda: page.left() == 2, 5, 'the unit is on sale again')
    assert page.shop.gate.get('/v1/items')['items'][0]['sold'] == 1
    page.done()


@fgtest.timeout(180)
def test_sold_out_and_open_again(lab):
    """sold out: the button is off; it works again by itself when a unit comes back"""
    page = Page(lab, item={'total': 1}).enter()
    order = page.shop.shop.reserve(99, ITEM, 1)
    assert order.status == 'RESERVED'
    page.shows('Sold out')
    assert page.browser.evaluate('document.querySelector("button.main").disabled') is True
    page.look('sold-out')
    assert page.shop.shop.cancel(99, order.order_id).status == 'CANCELLED'
    page.shows('1 left')
    page.press('Reserve one')
    page.shows('It is yours for')
    page.press('Let the payment fail')
    page.shows('You gave it back')
    page.done()


def draws(page, item=8):
    """Enter the draw, see that and when it is, also after a reload; be served at the opening."""
    page.shop.create(item, total=1, waitlist=50)
    page.shop.gate.fgctl('item', 'set', item, '--opens', '+1h', '--lottery', 'yes')
    page.go(f'item/{item}')
    page.press('Enter the draw')
    page.shows('You take part in the draw')
    assert 'The draw is in ' in page.browser.evaluate('document.getElementById("why").textContent')
    page.browser.call('Page.reload')
    page.shows('You take part in the draw')
    page.look('entered')
    page.shop.gate.fgctl('item', 'set', item, '--opens', 'now')
    page.shows('It is yours for')


@fgtest.timeout(240)
def test_waiting_list(lab):
    """sold out with a line: join, see the position, be offered a unit with sound and countdown, buy it; skipped, left, a draw"""
    page = Page(lab, item={'total': 1, 'waitlist': 50, 'claim_ms': 60000, 'wait_ttl_ms': 20000, 'hold_ms': 600000})
    page.axe, b, shop = axe(), page.browser, page.shop.shop
    first = shop.reserve(90, ITEM, 1)
    page.enter('Sold out')
    b.evaluate('window.rung = []; window.AudioContext = class { currentTime = 0; resume() {} '
               'createGain() { return {gain: {setValueAtTime() {}, exponentialRampToValueAtTime() {}}, connect: (to) => to}; } '
               'createOscillator() { return {frequency: {}, connect: (to) => to, start: (t) => window.rung.push(t), stop() {}}; } };')
    page.look('sold-out-line')
    waiter = shop.wait(91, ITEM, 1)
    assert (waiter.status, waiter.ticket) == ('WAITING', 1), waiter
    page.press('Join the waiting list')
    page.shows('One ahead of you')
    page.look('waiting')
    b.evaluate('document.getElementById("language").click()')
    page.shows('Noch eine Person vor Ihnen')
    page.look('waiting-german')
    b.evaluate('document.getElementById("language").click()')
    page.shows('One ahead of you')
    assert shop.cancel(91, waiter.order_id).status == 'CANCELLED'
    assert shop.cancel(90, first.order_id).status == 'CANCELLED'
    page.shows('It is yours for', 15)
    assert 'Your turn has come' in b.evaluate('document.getElementById("why").textContent')
    assert b.evaluate('document.getElementById("said").textContent').startswith('It is yours for'), 'it is announced'
    assert b.evaluate('rung.length') == 2 and b.evaluate('document.title').startswith('★'), b.evaluate('document.title')
    page.look('offered')
    page.press('Pay ')
    page.shows('Paid. It is yours.')
    page.press('Buy again')
    page.press('Join the waiting list')
    page.shows('You are next')
    page.press('Leave the line')
    page.shows('You left the line')
    page.press('Buy again')
    page.press('Join the waiting list')
    page.shows('One ahead of you')  # who left stays an entry until the turn
    b.call('Page.reload')
    page.shows('One ahead of you')
    assert page.shop.gate.api('POST', f'/v1/items/{ITEM}/waiting/clear', None)[0] == 200
    page.shows('Your place in the line is gone')
    page.look('skipped')
    draws(page)
    page.done()
    page.shop.audit(lab)


@fgtest.timeout(180)
def test_network_is_cut(lab):
    """the network is cut when the order was sent: the page says so, and finds the order afterwards"""
    page = Page(lab).enter()
    page.browser.offline(True)
    page.press('Reserve one')
    page.browser.wait_for('!document.getElementById("line").hidden')
    page.look('offline')
    page.browser.offline(False)
    page.shows('It is yours for')
    assert page.left() == 2
    page.browser.wait_for('document.getElementById("line").hidden')
    page.done()


@fgtest.timeout(300)
def test_each_state(lab):
    """each state says what it means, has no barrier that axe-core knows, light and dark, at 360 and 1280 px"""
    page = Page(lab, item={'total': 5, 'user_limit': 1})
    page.axe, b, change = axe(), page.browser, page.shop.change
    page.shop.create(8, name='hat', total=5, hold_ms=3000)
    page.go('')
    b.wait_for('document.getElementById("name")')
    page.look('login')
    page.enter()
    page.go('')
    b.wait_for('document.querySelectorAll(".list a").length == 3 && document.body.textContent.includes("5 left")')
    page.look('list')
    page.go('item/99')
    b.wait_for('document.querySelector("h1").textContent.includes("no such product")')
    page.look('gone')
    page.go(f'item/{ITEM}')
    for name, text, fields, back in (
            ('not-open', 'The sale begins in 59:', {'opens': int(time.time() * 1000) + 3600000}, {'opens': 0}),
            ('paused', 'The sale pauses', {'paused': True}, {'paused': False})):
        change(**fields)
        page.shows(text)
        assert b.evaluate('document.querySelector("button.main").disabled') is True
        page.look(name)
        change(**back)
        page.shows('5 left')
    page.press('Reserve one')
    page.shows('It is yours for')
    page.press('Give it back')
    page.shows('You gave it back')
    page.look('given-back')
    b.call('Page.reload')
    page.shows('You gave it back')  # as before the reload, and no error
    page.press('Buy again')
    page.press('Reserve one')
    page.press('Pay ')
    page.shows('Paid. It is yours.')
    order = b.evaluate(f'JSON.parse(sessionStorage.getItem("order {ITEM}")).key')
    assert page.web.backend('refund', 'Anna', order).status == 200
    b.call('Page.reload')
    page.shows('Your money comes back')
    page.look('refunded')
    page.press('Buy again')
    change(paused=True)
    page.shows('The sale pauses')
    change(paused=False, closes=int(time.time() * 1000) - 1000)
    page.shows('The sale has ended')
    page.look('closed')
    page.go('item/8')
    page.press('Reserve one')
    page.shows('The time is over')
    page.look('expired')
    b.call('Page.reload')
    page.shows('The time is over')
    page.done()


@fgtest.timeout(180)
def test_limit_is_told(lab):
    """a shopper who may buy no more is told so"""
    page = Page(lab, item={'total': 5, 'user_limit': 1}).enter()
    page.axe = axe()
    page.press('Reserve one')
    page.press('Pay ')
    page.shows('Paid. It is yours.')
    page.press('Buy again')
    page.press('Reserve one')
    page.shows('You have as many as one person may buy')
    page.look('limit')
    page.done()


@fgtest.timeout(180)
def test_keyboard(lab):
    """without a mouse: log in, reserve, pay; the focus is seen, and is not lost when a button goes"""
    page = Page(lab)
    b = page.browser
    focus = 'document.activeElement'

    def tab_to(text):
        """Tab, until the focus is on what says so."""
        for _ in range(12):
            if b.evaluate(f'{focus}.textContent').startswith(text):
                style = b.evaluate(f'JSON.stringify([getComputedStyle({focus}).outlineStyle, getComputedStyle({focus}).outlineWidth])')
                assert json.loads(style) == ['solid', '3px'], style
                return
            b.key('Tab')
        raise AssertionError(f'Tab does not come to {text}')

    page.go(f'item/{ITEM}')
    b.wait_for('document.getElementById("name")')
    assert b.evaluate(f'{focus}.id') == 'name', 'the only field has the focus'
    b.call('Input.insertText', text='Anna')
    b.key('Enter')
    page.shows(' left')
    tab_to('Reserve one')
    b.key('Enter')
    page.shows('It is yours for')
    b.wait_for(f'{focus}.textContent.startsWith("Pay ")', 5)  # the focus went to the button that took the place
    page.look('keyboard')
    b.key(' ')
    page.shows('Paid. It is yours.')
    said = 'document.getElementById("said").textContent'
    assert b.evaluate(said) == 'Paid. It is yours.', b.evaluate(said)
    tab_to('All products')
    b.key('Enter')
    b.wait_for('document.querySelectorAll(".list a").length == 3')
    page.done()


def test_strings():
    """both languages have the same texts with the same values, and the page uses all of them"""
    def texts(language):
        with open(os.path.join(STOREFRONT, f'strings.{language}.js'), encoding='utf-8') as f:
            return {name: sorted(re.findall(r'\{\w+\}', text)) for name, text in
                    re.findall(r"^    (\w+): '(.*)',$", f.read(), re.M)}

    assert texts('en') == texts('de') and len(texts('en')) > 30
    source = ''
    for name in ('shop.js', 'index.html'):
        with open(os.path.join(STOREFRONT, name), encoding='utf-8') as f:
            source += f.read()
    used = set(re.findall(r"say\('(\w+)'", source)) | set(re.findall(r'data-text="(\w+)"', source))
    assert used <= set(texts('en')), used - set(texts('en'))


if __name__ == '__main__':
    fgtest.main()
