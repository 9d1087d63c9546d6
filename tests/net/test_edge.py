#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The sample edge (config/nginx-gateway.conf) as it is, and gateways on machines of their own."""

import http.client
import os
import socket
import ssl
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fggateway  # noqa: E402
import fgtest  # noqa: E402
from fggateway import Answer, Gateway  # noqa: E402
from fgshop import ITEM, SMALL, Shop  # noqa: E402

CDN, BACKEND = '198.18.5.9', '198.18.1.7'


class Edge:
    """nginx with the sample configuration: only paths and addresses are those of the test."""

    def __init__(self, lab, behind_cdn=False):
        self.shop = Shop(lab, **{'penalty.http': 20})
        self.ns = self.shop.link.b
        self.web = Gateway(lab, self.ns, self.shop.link.a_ip, self.shop.gate.keys)
        with open(os.path.join(fgtest.ROOT, 'config', 'nginx-gateway.conf'), encoding='utf-8') as f:
            text = f.read()
        path = self.web.path
        fgtest.command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
                       '/CN=shop.example', '-keyout', path('key.pem'), '-out', path('cert.pem'))
        change = [('modules/ngx_http_floodgate_module.so', fggateway.MODULE), ('user www-data;', 'daemon off; user root;'),
                  ('/etc/floodgate/gateway-keys', self.shop.gate.keys.path), ('/etc/floodgate/user-secret', path('user')),
                  ('/etc/floodgate/session-secret', path('session')), ('/etc/floodgate/tls', self.web.folder),
                  ('/run/nginx.pid', path('pid')), ('/var/log/nginx', self.web.folder), ('4711 4712', f'{ITEM}'),
                  ('/usr/share/floodgate/storefront', os.path.join(fgtest.ROOT, 'app', 'storefront')),
                  ('rate=10r/s', 'rate=6r/m'),  # a busy machine makes few connections a second
                  ('listen 127.0.0.1:9113', f'listen 127.0.0.1:{fggateway.PORT}')]
        if behind_cdn:
            change += [('# 203.0.113.0/24 1;', f'{CDN}/32 1;'), ('# set_real_ip_from  203.0.113.0/24;', f'set_real_ip_from {CDN}/32;'),
                       ('# real_ip_header', 'real_ip_header'), ('# real_ip_recursive', 'real_ip_recursive')]
        for old, new in change:
            assert old in text, old
            text = text.replace(old, new)
        temporary = ' '.join(f'{n}_temp_path {self.web.folder}/{n};' for n in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        with open(path('nginx.conf'), 'w', encoding='utf-8') as f:
            f.write(text.replace('access_log off;', f'access_log off; {temporary}', 1))
        self.web.start()
        self.log = path('floodgate.log')

    def addresses(self, *addresses):
        for address in addresses:
            self.ns.ip('addr', 'add', f'{address}/{128 if ":" in address else 32}', 'dev', 'lo',
                       *(['nodad'] if ':' in address else []))

    def ask(self, source, method='GET', path='/v1/orders/none', body=None, **headers):
        """One request over TLS from an address of the namespace."""
        six = ':' in source
        s = self.ns.socket(socket.SOCK_STREAM, socket.AF_INET6 if six else socket.AF_INET)
        s.settimeout(20)
        s.bind((source, 0))
        s.connect((self.shop.link.b_ip6 if six else self.shop.link.b_ip, 443))
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        c = http.client.HTTPSConnection('shop.example', context=context)
        c.sock = context.wrap_socket(s, server_hostname='shop.example')
        try:
            c.request(method, path, body, {name.replace('_', '-'): value for name, value in headers.items()})
            return Answer(c.getresponse())
        finally:
            c.close()

    def statuses(self, source, count=60, **headers):
        return [self.ask(source(n) if callable(source) else source, **headers).status for n in range(count)]


@fgtest.timeout(180)
def test_sample_edge(lab):
    """the sample sells over TLS; a client of IPv6 is its /64, however its addresses are written; the backend is closed"""
    edge = Edge(lab)
    edge.addresses(BACKEND, '198.18.5.1', '198.18.5.2', *(f'2001:db8::{n:x}' for n in range(0x100, 0x114)), '2001:db8:0:1::1')
    login = edge.ask('198.18.5.1', 'POST', '/v1/login', '{"user": "Anna"}', Content_Type='application/json')
    assert login.status == 200 and login.headers['strict-transport-security'], login
    cookie = login.headers['set-cookie'].split(';')[0]
    order = edge.ask('198.18.5.1', 'POST', '/v1/orders', f'{{"item": "{ITEM}", "quantity": 1}}', Content_Type='application/json',
                     Idempotency_Key='k', Cookie=cookie)
    assert order.status == 200 and order.json['state'] == 'RESERVED', order
    confirm = ('POST', '/v1/backend/orders/k/confirm', '{"user": "Anna"}')
    assert edge.ask('198.18.5.1', *confirm, Content_Type='application/json').status == 403
    assert edge.ask('198.18.5.1', *confirm, Content_Type='application/json', X_Forwarded_For=BACKEND).status == 403
    assert edge.ask(BACKEND, *confirm, Content_Type='application/json').json['state'] == 'SOLD'
    page = edge.ask('198.18.5.1', path='/')
    assert page.status == 200 and "default-src 'none'" in page.headers['content-security-policy'], page
    assert 'max-age=60' in edge.ask('198.18.5.1', path='/catalogue.json').headers['cache-control']
    assert edge.ask('198.18.5.1', path='/v1/items').json['items'][0]['left'] == 99
    told = edge.statuses(lambda n: f'2001:db8::{0x100 + n % 20:x}')
    assert told.count(429) >= 30, told
    assert edge.ask('2001:db8:0:1::1').status == 401, 'another network is not touched'
    told = edge.statuses('198.18.5.1')
    assert told.count(429) >= 30 and edge.ask('198.18.5.2').status == 401, told
    # the penalty box follows this log where shoppers connect to nginx
    said = edge.shop.gate.fgctl('penalty', 'follow', '--all', '--direct', edge.log)
    assert said['reported'] >= 20, said
    fgtest.wait_until(lambda: '198.18.5.1' in ' '.join(penalties(edge)), 10, 'the address is blocked')


def penalties(edge):
    return [p['source'] for p in edge.shop.gate.get('/v1/filter/penalties')['penalties']]


@fgtest.timeout(180)
def test_sample_edge_behind_a_cdn(lab):
    """behind a CDN each shopper that it names has limits of its own; the penalty box never blocks the CDN"""
    edge = Edge(lab, behind_cdn=True)
    edge.addresses(CDN, BACKEND)
    told = edge.statuses(CDN, X_Forwarded_For='192.0.2.7')
    assert told.count(429) >= 30, told
    assert edge.ask(CDN, X_Forwarded_For='192.0.2.8').status == 401, 'another shopper of the same CDN'
    told = edge.statuses(CDN, X_Forwarded_For='192.0.2.9, 192.0.2.7')
    assert told.count(429) >= 50, 'the CDN names the last one: a shopper may write anything before it'
    told = edge.statuses(CDN)  # no header: the CDN itself
    assert told.count(429) >= 30, told
    forged = edge.ask(CDN, 'POST', '/v1/backend/orders/k/confirm', '{"user": "Anna"}', Content_Type='application/json',
                      X_Forwarded_For=BACKEND)
    assert forged.status == 403, 'the backend does not come through the CDN'
    for direct in ([], ['--direct']):
        assert edge.statuses(CDN, 30).count(429) >= 25  # follow takes no lines that are older than some seconds
        said = edge.shop.gate.fgctl('penalty', 'follow', '--all', *direct, edge.log)
        assert said['reported'] == 0 and said['proxied'] >= 25, said
    assert not penalties(edge)


@fgtest.timeout(180)
def test_gateways_on_two_machines(lab):
    """two nginx hosts, each with a network of its own to the appliance: one key is one order at both; one host goes"""
    first = lab.pair()
    second = fgtest.Link(first.a, lab.namespace('shop2'), net=1)
    gate = lab.daemon(first.a, ports={'one': {'interface': first.a_if}, 'two': {'interface': second.a_if}},
                      settings={**SMALL, 'workers.count': 2})
    gate.start()
    for link in (first, second):
        gate.fgctl('allow', 'add', f'{link.b_ip}/32')
    assert gate.api('POST', '/v1/items', {'item': ITEM, 'total': 100, 'hold_ms': 60000})[0] == 201
    one, two = (Gateway(lab, link.b, link.a_ip, gate.keys, workers=2).start() for link in (first, second))
    for n in range(10):
        told = [web.reserve(n, f'order-{n}') for web in ((one, two), (two, one))[n % 2]]
        assert [t.status for t in told] == [200, 200], told
        assert told[0].json['deadline'] == told[1].json['deadline'], told
    fgtest.wait_until(lambda: gate.get(f'/v1/items/{ITEM}')['available'] == 90, 10, 'ten orders')
    assert two.cancel(3, 'order-3').json['state'] == 'CANCELLED'
    assert one.order(3, 'order-3').json['state'] == 'CANCELLED', 'both gateways ask the appliance'
    first.b.ip('link', 'set', first.b_if, 'down')
    began = time.monotonic()
    for n in range(20, 30):
        assert two.reserve(n, 'k').status == 200
    fgtest.soon(began, 20, 'ten orders by the other link')
    for user in range(20, 30):
        assert two.order(user, 'k').json['state'] == 'RESERVED'
    first.b.ip('link', 'set', first.b_if, 'up')
    first.set_neighbours()
    assert one.order(20, 'k').json['state'] == 'RESERVED', 'it serves again when its link is back'
    assert not two.bad_lines(), two.bad_lines()


if __name__ == '__main__':
    fgtest.main()
