#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""docs/integrate.md: its examples in Python, Node and PHP sell through a real gateway and appliance."""

import concurrent.futures
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fggateway import PORT, Gateway, Relay  # noqa: E402
from fgshop import ITEM, Shop  # noqa: E402

EXAMPLES = os.path.join(fgtest.ROOT, 'docs', 'examples')
LANGUAGES = {'shop.py': 'python3', 'shop.mjs': 'node', 'shop.php': 'php'}
LOCATIONS = '''
location /v1/orders { floodgate orders; floodgate_user $floodgate_session_user; }
location /v1/backend/orders { floodgate backend; }
location /v1/items { floodgate items; }
location /v1/login { floodgate login; }
location /metrics { floodgate metrics; }
'''
TOLD = {'reserved': [200, 'RESERVED', True], 'paid': [True, 'SOLD'], 'declined': [True, 'CANCELLED'], 'late': [True, True],
        'too late': [False, 'CANCELLED', True], 'unknown': 'UNKNOWN_ITEM', 'refunded': [True, 'REFUNDED'],
        'orders': ['CANCELLED', 'CANCELLED', 'REFUNDED', 'SOLD', 'SOLD']}


def open_shop(lab, shorts, **options):
    """Ten units with a long hold, and for each example two units of an item whose hold is short."""
    shop = Shop(lab, item={'total': 10, 'hold_ms': 60000})
    for item in shorts:
        shop.create(item, name='short', total=2, hold_ms=1000)
    return shop, Gateway(lab, shop.link.b, options.pop('servers', shop.link.a_ip), shop.gate.keys, locations=LOCATIONS, kind='hash',
                         **options).start()


def play(shop, name, short, seconds=60):
    """What the example printed."""
    program = shutil.which(LANGUAGES[name])
    if not program:
        raise fgtest.Skip(f'{LANGUAGES[name]} is not installed')
    url = f'http://127.0.0.1:{PORT}'
    done = subprocess.run([*shop.link.b.enter(), program, os.path.join(EXAMPLES, name), url, url, f'{name}@example.org', str(ITEM),
                           str(short)], capture_output=True, text=True, timeout=seconds)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout)


def sells(lab, name):
    shop, web = open_shop(lab, [8])
    told = play(shop, name, 8)
    assert told == {**TOLD, 'left': 10, 'refused': [409, 'INSUFFICIENT', 9]}, told
    shop.settle(10, 10, 0, 0)
    assert not web.bad_lines(), web.bad_lines()


def test_python(lab):
    """docs/examples/shop.py: reserve, pay, decline, pay late and too late, refund"""
    sells(lab, 'shop.py')


def test_node(lab):
    """docs/examples/shop.mjs: the same"""
    sells(lab, 'shop.mjs')


def test_php(lab):
    """docs/examples/shop.php: the same"""
    sells(lab, 'shop.php')


@fgtest.timeout(150)
def test_lossy(lab):
    """all three at once, with packets lost and gateways that give up after a second: the same outcome, nothing twice"""
    names = [name for name, program in LANGUAGES.items() if shutil.which(program)]
    shorts = dict(zip(names, (8, 9, 10)))
    shop = Shop(lab, item={'total': 10, 'hold_ms': 120000})
    for item in shorts.values():
        shop.create(item, name='short', total=2, hold_ms=1000)
    with Relay(shop.link.b, shop.link.a_ip, 0.4) as relay:
        web = Gateway(lab, shop.link.b, f'127.0.0.1:{relay.port}', shop.gate.keys, locations=LOCATIONS, kind='hash',
                      http='floodgate_patience 1s;').start()
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            for told in pool.map(lambda name: play(shop, name, shorts[name], 120), names):
                assert {k: told[k] for k in TOLD} == TOLD, told
        assert relay.lost > 20 and web.metric('silent_total') > 0, (relay.lost, web.metric('silent_total'))
    shop.settle(10, 10, 0, 0)
    for item in shorts.values():
        found = shop.gate.get(f'/v1/items/{item}')
        assert (found['available'], found['reserved'], found['sold']) == (0, 0, 2), found


def test_page():
    """the page names each example, what each of them does, and every problem that the gateway has"""
    with open(os.path.join(fgtest.ROOT, 'docs', 'integrate.md'), encoding='utf-8') as f:
        page = f.read()
    for name in LANGUAGES:
        assert f'examples/{name}' in page, name
    with open(os.path.join(EXAMPLES, 'shop.py'), encoding='utf-8') as f:
        source = f.read()
    shown = re.findall(r'```python\n(.*?)```', page, re.S)
    assert shown and all(part in source for part in shown), 'the page shows what the example does'
    with open(os.path.join(fgtest.ROOT, 'docs', 'openapi.json'), encoding='utf-8') as f:
        types = json.load(f)['components']['schemas']['Problem']['properties']['type']['enum']
    told = set(re.findall(r'`([a-z-]+)`', page.split('## At each answer')[1].split('\n## ')[0]))
    assert {t.rsplit(':', 1)[1] for t in types} <= told, {t.rsplit(':', 1)[1] for t in types} - told


if __name__ == '__main__':
    fgtest.main()
