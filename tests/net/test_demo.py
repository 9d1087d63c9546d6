#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The demo as a newcomer runs it, and that it would not be content with a sale that went wrong."""

import json
import os
import re
import shutil
import signal
import ssl
import subprocess
import sys
import urllib.request
import uuid

sys.path.insert(0, f'{sys.path[0]}/../harness')
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'runner'))
sys.dont_write_bytecode = True
import demo  # noqa: E402
import fgtest  # noqa: E402

_summary = {}


def buy_by_hand(url):
    """As a person with a browser does while it is served: the page, login, an order, the payment page; the state."""
    trust = ssl.create_default_context()
    trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE  # the certificate was made for this demo
    cookie = ''

    def ask(method, path, body=None, **headers):
        nonlocal cookie
        headers = {name.replace('_', '-'): value for name, value in headers.items()}
        request = urllib.request.Request(url + path, body and json.dumps(body).encode(), method=method,
                                         headers={'Content-Type': 'application/json', 'Cookie': cookie, **headers})
        with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
            text, kind = answer.read(), answer.headers['Content-Type']
            cookie = cookie or (answer.headers['Set-Cookie'] or '').split(';')[0]
            return json.loads(text) if 'json' in kind else text.decode()

    assert 'shop.js' in ask('GET', '')
    product = ask('GET', 'catalogue.json')['products'][0]['item']
    assert product in [i['item'] for i in ask('GET', 'v1/items')['items']]
    ask('POST', 'v1/login', {'user': 'Bert'})
    key = str(uuid.uuid4())
    assert ask('POST', 'v1/orders', {'item': product, 'quantity': 1}, Idempotency_Key=key)['state'] == 'RESERVED'
    return ask('POST', 'pay', {'order': key, 'item': product, 'outcome': 'paid'})['state']


@fgtest.timeout(400)
def test_demo(lab):
    """tools/demo --serve sells every unit of the hot item, oversells none, its audit passes; then a person buys, and Ctrl-C ends it"""
    report = lab.unique('demo.json')
    lab.detached = True
    demo_program = fgtest.Process(lab, [os.path.join(fgtest.ROOT, 'tools', 'demo'), '--no-setup', '--serve', '--json', report])

    def serves():
        assert demo_program.running(), demo_program.output()
        return 'Ctrl-C ends it' in demo_program.output()

    fgtest.wait_until(serves, 350, 'the sale is over', step=0.2)
    said = demo_program.output()
    with open(report) as f:
        _summary.update(json.load(f))
    s = _summary
    assert s['failures'] == [], said
    assert s['audit'] == 'pass' and s['oversold'] == 0 and s['unsold_while_wanted'] == 0
    assert s['hot']['sold'] == 1000
    assert s['packets'] >= 500000
    assert s['acknowledged'] == s['in_log'] == s['in_redis'] == s['in_postgres'] > 8500  # units that came back were sold again
    assert s['confirmed_units'] == s['paid_units'] == s['sold_in_log'] and s['charged_twice'] == 0
    assert s['charges'] > 8000 and s['payments']['cancelled'] > 100 and s['payments']['lapsed'] > 100
    assert s['redis_away_s'] > 1 and s['redis_lag_max'] > 0
    assert s['http']['told']['SOLD'] > 100 and s['http']['contradictions'] == s['by_hand'] == 0, s['http']
    assert s['browser'] == ('bought' if shutil.which('chromium') else 'not installed'), s['browser']
    for text in ('hot:', 'Redis is stopped', 'Redis is back', 'oversold', 'accepted in', 'HTTPS'):
        assert text in said, text
    url = re.search(r'the shop is at (https://\S+)', said)[1]
    assert buy_by_hand(url) == 'SOLD'
    os.killpg(demo_program.pid, signal.SIGINT)  # as a terminal does it
    code, said = demo_program.wait(60), demo_program.output()
    assert code == 0 and f'{s["in_log"] + 1:,d} orders in log, Redis and PostgreSQL: audit pass' in said, said
    left = [mark for mark in fgtest.marks() if f'fg{demo_program.pid}-' in mark]
    assert not left, left


def test_verdict():
    """every way in which the demo's sale can go wrong makes it fail"""
    if not _summary:
        raise fgtest.Skip('the demo did not run')
    assert demo.failures(_summary) == []
    wrong = [{'audit': 'fail'}, {'oversold': 1}, {'unsold_while_wanted': 1}, {'hot': {**_summary['hot'], 'sold': 999}},
             {'in_log': _summary['in_log'] + 1}, {'in_redis': 0}, {'contradictions': 1}, {'packets': 499999},
             {'in_postgres': 0}, {'sold_in_postgres': 0}, {'orders_unlike_payments': 1}, {'payments_open': 1}, {'confirmed_units': 8499}, {'paid_units': 8501}, {'charged_twice': 1},
             {'http': {**_summary['http'], 'contradictions': 1}}, {'http': {**_summary['http'], 'given_up': 1}},
             {'http': {**_summary['http'], 'told': {'SOLD_OUT': 5}}}, {'browser': 'failed: no answer'}, {'by_hand': 1},
             {'payments': {**_summary['payments'], 'lapsed': 0}}, {'drops': {}}, {'expired': 0}, {'redis_lag_max': 0}]
    for change in wrong:
        assert demo.failures({**_summary, **change}), change


def test_unsold_while_wanted():
    """free units count as unsold while wanted only where somebody still asked"""
    items = [{'item': 1, 'available': 3}, {'item': 2, 'available': 5}, {'item': 3, 'available': 0}]
    assert demo.unsold_while_wanted(items, {'items': [{'item': 1, 'wanting': 2}, {'item': 3, 'wanting': 9}]}) == 2
    assert demo.unsold_while_wanted(items, {'items': []}) == 0


if __name__ == '__main__':
    fgtest.main()
