#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""fghttp: shoppers over HTTPS against nginx by the sample configuration; what they were told is what the log says."""

import json
import os
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'runner'))
sys.dont_write_bytecode = True
import fgtest  # noqa: E402
import web as front  # noqa: E402
from fgshop import ITEM, Shop  # noqa: E402


def shoppers(lab, web, **options):
    """A running fghttp; its files."""
    base = lab.unique('http')
    options = {'server': '127.0.0.1:443', 'ca': web.path('cert.pem'), 'user_secret': web.path('user-secret'), 'audit': base + '.audit',
               'json': base + '.json', 'source_base': '127.1.0.1', 'items': ITEM, **options}
    words = [word for name, value in options.items() for word in (f'--{name.replace("_", "-")}', value)]
    return lab.start(fgtest.program('fghttp'), *words, ns=web.ns, name='fghttp'), options['audit'], options['json']


def finish(process, summary):
    process.wait(100)
    with open(summary, encoding='utf-8') as f:
        told = json.load(f)
    assert process.wait(1) == 0 and told['contradictions'] == told['given_up'] == 0, (told, process.output())
    return told


def audit(lab, shop, client):
    return lab.audit('--client-complete', log=shop.gate.log_dir, client=client)


def front_door(lab, shop):
    return front.Web(lab, shop.link.b, f'floodgate_servers {shop.link.a_ip}:4600', shop.gate.keys, [ITEM], '127.0.0.1')


@fgtest.timeout(150)
def test_shoppers(lab):
    """200 shoppers with a connection each, while nginx reloads and the appliance is killed: every order is in the log as it was told"""
    shop = Shop(lab, item={'total': 100, 'user_limit': 2, 'hold_ms': 3000})
    web = front_door(lab, shop)
    shop.gate.fgctl('allow', 'add', shop.link.b_ip)
    process, client, summary = shoppers(lab, web, shoppers=200, orders=4, seconds=8, cancel=0.3)
    fgtest.wait_until(lambda: web.answers() > 200, 30, 'shoppers order')
    web.reload()
    fgtest.wait_until(lambda: web.answers() > 450, 30, 'shoppers order')
    shop.gate.kill()
    shop.gate.start()
    told = finish(process, summary)
    assert told['told']['CANCELLED'] > 10 and told['told']['EXPIRED'] > 20, told
    assert told['told'].get('USER_LIMIT', 0) + told['told'].get('SOLD_OUT', 0) > 20, told
    assert told['connections'] >= 200 and told['requests'] > 1000, told
    shop.gate.stop()
    code, text = audit(lab, shop, client)
    assert code == 0, text
    with open(client, encoding='ascii') as f:
        lines = f.read()
    with open(client, 'w', encoding='ascii') as f:
        f.write(lines.replace(' CANCELLED\n', ' SOLD\n', 1))
    code, text = audit(lab, shop, client)
    assert code == 1 and 'client-state' in text, text
    assert not web.bad_lines() or all('floodgate' not in line for line in web.bad_lines()), web.bad_lines()


def test_wrong_use(lab):
    """what is missing or wrong is said, with what is accepted; a certificate that is not the gateway's is refused"""
    def said(*words):
        done = subprocess.run([fgtest.program('fghttp'), *words], capture_output=True, text=True, timeout=30)
        return done.returncode, done.stdout + done.stderr

    secret = lab.unique('secret')
    with open(secret, 'w', encoding='ascii') as f:
        f.write('0123456789abcdef\n')
    good = ['--server', '127.0.0.1:1', '--ca', secret, '--user-secret', secret, '--audit', lab.unique('a')]
    for words, code, text in (
            (['--help'], 0, 'usage: fghttp'), ([], 2, 'needs --server'), ([*good, 'x'], 2, 'needs --server'),
            ([*good, '--server', 'shop.example:443'], 2, 'accepted: IP:PORT'), ([*good, '--server', '127.0.0.1:0'], 2, 'accepted: 1..65535'),
            ([*good, '--orders', '0'], 2, '--orders 0: accepted: 1..10000'), ([*good, '--cancel', '2'], 2, 'a share from 0 to 1'),
            ([*good, '--hot', '7'], 2, 'ITEM:SHARE'), ([*good, '--items', '9-3'], 2, 'accepted: 9..'),
            ([*good, '--user-secret', '/dev/null'], 2, '16 to 255 bytes'), (good, 1, 'no certificate to be read there')):
        result = said(*words)
        assert result[0] == code and text in result[1], (words, result)
    shop = Shop(lab)
    web, other = front_door(lab, shop), lab.unique('other.pem')
    fgtest.command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=other',
                   '-keyout', other + '.key', '-out', other)
    process, _, summary = shoppers(lab, web, ca=other, shoppers=2, orders=1, seconds=1, seconds_max=2)
    assert process.wait(30) == 1, process.output()
    with open(summary, encoding='utf-8') as f:
        told = json.load(f)
    assert told['given_up'] == 2 and not told['answers'] and told['unanswered'] > 0, told


if __name__ == '__main__':
    fgtest.main()
