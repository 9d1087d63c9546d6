# SPDX-License-Identifier: BSD-3-Clause
"""The demo's shoppers over HTTPS: nginx with the gateway by the sample configuration, fghttp as their browsers, one browser
that is real, and the address for a person."""

import hashlib
import hmac
import http.client
import json
import os
import re
import secrets
import shutil
import signal
import socket
import ssl
import threading
import uuid

import fgtest
from fgbrowser import Browser

MODULE = os.path.join(fgtest.BUILD, 'app', 'gateway', 'ngx_http_floodgate_module.so')
STOREFRONT = os.path.join(fgtest.ROOT, 'app', 'storefront')
SAMPLE = os.path.join(fgtest.ROOT, 'config', 'nginx-gateway.conf')
PAGE_ITEM = 101  # the page's products are items from here on; whoever buys them pays on the page
SHOPPERS, ORDERS = 1000, 4
LINE_ITEM = PAGE_ITEM + 1  # one unit, and a waiting list
BROWSER_USER, HOLDER = 'Anna', 'Berta'


def page_products():
    """The products of the storefront's catalogue, under the demo's item numbers."""
    with open(os.path.join(STOREFRONT, 'catalogue.json'), encoding='utf-8') as f:
        catalogue = json.load(f)
    for number, product in enumerate(catalogue['products'], PAGE_ITEM):
        product['item'] = str(number)
    return catalogue


def address(text):
    """IPv4 with or without a port; for argparse."""
    if not re.fullmatch(r'\d+\.\d+\.\d+\.\d+(:\d{1,5})?', text):
        raise ValueError(text)
    return text


def listening_socket(where):
    """For people: a socket of the machine itself, which nginx takes with it into its namespace. The port 8443, another one when
    that is in use."""
    host, _, port = where.partition(':')
    for number in [int(port)] if port else [8443, 0]:
        s = socket.socket()
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            s.bind((host, number))
            s.listen(511)
            return s
        except (OSError, OverflowError) as error:
            s.close()
            if number == 0 or port:
                raise fgtest.Skip(f'--listen {where}: {error}') from None
    return None


class Web:
    """nginx in the namespace of the shop's own servers: 127.0.0.1:443 there, and `url` for people."""

    def __init__(self, lab, ns, servers, keys, items, listen):
        """servers: nginx's directive that has the addresses."""
        if not shutil.which('nginx') or not os.path.exists(MODULE):
            raise fgtest.Skip('nginx or its module is not there: tools/setup --for demo installs and builds both')
        self.lab, self.ns, self.folder = lab, ns, lab.unique('edge')
        os.mkdir(self.folder, 0o755)
        self.people = listening_socket(listen)
        host, self.port = self.people.getsockname()
        name = {'127.0.0.1': 'localhost', '0.0.0.0': socket.gethostname()}.get(host, host)
        self.url = f'https://{name}:{self.port}/'
        for name in ('user-secret', 'session-secret'):
            with open(os.open(self.path(name), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), 'w') as f:
                f.write(secrets.token_hex(32) + '\n')
        self.make_certificate(host)
        self.make_page()
        self.write_config(servers, keys, items, host)
        self.process = lab.start('unshare', '--fork', '--pid', '--kill-child', '--', 'nginx', '-c', self.path('nginx.conf'), '-p',
                                 self.folder, '-e', self.path('error.log'), ns=self.ns, name='nginx',
                                 env={'NGINX': f'{self.people.fileno()};'}, pass_fds=[self.people.fileno()])
        lab.start(os.path.join(STOREFRONT, 'payment-stub'), '8081', 'http://127.0.0.1:9113', ns=self.ns, name='payment')
        fgtest.wait_until(self.ready, 20, 'nginx answers')

    def path(self, name):
        return os.path.join(self.folder, name)

    def make_certificate(self, host):
        names = ','.join(['DNS:localhost', f'DNS:{socket.gethostname()}', 'IP:127.0.0.1'] +
                         ([f'IP:{host}'] if host not in ('127.0.0.1', '0.0.0.0') else []))
        fgtest.command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '2',
                       '-subj', '/CN=localhost', '-addext', f'subjectAltName={names}', '-keyout', self.path('key.pem'),
                       '-out', self.path('cert.pem'))

    def make_page(self):
        www = self.path('www')
        os.mkdir(www, 0o755)
        for name in os.listdir(STOREFRONT):
            if name.endswith(('.js', '.css', '.html')):
                shutil.copyfile(os.path.join(STOREFRONT, name), os.path.join(www, name))
        with open(os.path.join(www, 'catalogue.json'), 'w', encoding='utf-8') as f:
            json.dump(page_products(), f)

    def write_config(self, servers, keys, items, host):
        """The sample, with the paths and addresses of this demo. A trusted certificate for localhost would make HSTS stick."""
        with open(SAMPLE, encoding='utf-8') as f:
            text = re.sub(r'\n *add_header Strict-Transport-Security[^\n]*', '', f.read())
        temporary = ' '.join(f'{n}_temp_path {self.folder}/{n};' for n in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        for old, new in (('modules/ngx_http_floodgate_module.so;', f'{MODULE};\ndaemon off;'), ('floodgate_servers 198.18.0.1:4600;', f'{servers};'),
                         ('access_log off;', f'access_log off; {temporary}'), ('4711 4712;', ' '.join(map(str, items)) + ';'),
                         ('/etc/floodgate/gateway-keys', keys.path), ('/etc/floodgate/tls', self.folder),
                         ('/etc/floodgate/', self.folder + '/'), ('/run/nginx.pid', self.path('pid')),
                         ('/var/log/nginx', self.folder), ('/usr/share/floodgate/storefront', self.path('www')),
                         ('listen 443 ssl http2 backlog=4096 deferred reuseport;', 'listen 127.0.0.1:443 ssl http2 backlog=4096 deferred;'),
                         ('listen [::]:443 ssl http2 backlog=4096 deferred reuseport;', f'listen {host}:{self.port} ssl http2;')):
            if old not in text:
                raise RuntimeError(f'{SAMPLE}: {old} is not there any more')
            text = text.replace(old, new)
        with open(self.path('nginx.conf'), 'w', encoding='utf-8') as f:
            f.write(text)

    def metrics(self):
        """The page of metrics as {name: value}."""
        with self.ns.socket(socket.SOCK_STREAM) as s:
            s.settimeout(5)
            s.connect(('127.0.0.1', 9113))
            s.sendall(b'GET /metrics HTTP/1.0\r\n\r\n')
            text = b''
            while part := s.recv(65536):
                text += part
        pairs = (line.rsplit(' ', 1) for line in text.decode().splitlines() if line.startswith('floodgate_'))
        return {name: float(value) for name, value in pairs}

    def answers(self):
        return sum(n for name, n in self.metrics().items() if name.startswith('floodgate_gateway_replies_total'))

    def ready(self):
        if not self.process.running():
            raise RuntimeError(f'nginx ended: {self.process.output()}')
        try:
            return self.metrics()
        except OSError:
            return False

    def reload(self):
        """As `nginx -s reload`; nginx is the child of the program that gave it a PID namespace."""
        with open(f'/proc/{self.process.pid}/task/{self.process.pid}/children', encoding='ascii') as f:
            os.kill(int(f.read().split()[0]), signal.SIGHUP)

    def user_number(self, name):
        """As docs/gateway.md has it."""
        with open(self.path('user-secret'), 'rb') as f:
            return int.from_bytes(hmac.digest(f.read().rstrip(b'\n'), name.encode(), hashlib.sha256)[:8], 'big')

    def bad_lines(self):
        with open(self.path('error.log'), errors='replace', encoding='utf-8') as f:
            return [line for line in f if re.search(r'\[(emerg|alert|crit|error)\]', line) and 'limiting' not in line]


class Shoppers:
    """fghttp: many shoppers, each with a connection and an address of its own."""

    def __init__(self, lab, web, items, hot, share, seconds, seed, shoppers=SHOPPERS):
        self.audit, self.json = lab.unique('http.audit'), lab.unique('http.json')
        self.process = lab.start(
            fgtest.program('fghttp'), '--server', '127.0.0.1:443', '--ca', web.path('cert.pem'), '--user-secret',
            web.path('user-secret'), '--audit', self.audit, '--json', self.json, '--shoppers', shoppers, '--orders', ORDERS,
            '--seconds', seconds, '--items', items, '--hot', f'{hot}:{share}', '--cancel', 0.1, '--source-base', '127.1.0.1',
            '--seed', seed, ns=web.ns, name='fghttp')

    def finish(self, seconds):
        code = self.process.wait(seconds)
        if not os.path.exists(self.json):
            raise RuntimeError(f'fghttp ended with {code}: {self.process.output()}')
        with open(self.json, encoding='utf-8') as f:
            return json.load(f)


class Person:
    """One shopper without a browser, logged in."""

    def __init__(self, web, name):
        self.web, self.cookie = web, ''
        self.cookie = self.ask('POST', '/v1/login', {'user': name})[1]

    def ask(self, method, path, body=None, key=None):
        """(JSON, cookie that was set)"""
        trust = ssl.create_default_context(cafile=self.web.path('cert.pem'))
        connection = http.client.HTTPSConnection('localhost', timeout=30)
        with self.web.ns.socket(socket.SOCK_STREAM) as plain:
            plain.settimeout(30)
            plain.connect(('127.0.0.1', 443))
            connection.sock = trust.wrap_socket(plain, server_hostname='localhost')
            headers = {'Content-Type': 'application/json', 'Cookie': self.cookie, **({'Idempotency-Key': key} if key else {})}
            connection.request(method, path, body and json.dumps(body), headers)
            answer = connection.getresponse()
            text = json.loads(answer.read() or '{}')
            if answer.status != 200 and answer.status != 204:
                raise RuntimeError(f'{method} {path}: {answer.status} {text}')
            connection.close()
            return text, (answer.headers['Set-Cookie'] or '').split(';')[0]


def browser_installed():
    return bool(shutil.which('chromium'))


class Buyer:
    """One shopper with a real browser, if there is one; in a thread beside the sale. Buys one unit, and waits in line for another."""

    def __init__(self, lab, web):
        self.lab, self.web, self.audit, self.error, self.told, self.done = lab, web, None, None, [], False
        self.installed = browser_installed()
        self.thread = threading.Thread(target=self.run, daemon=True)
        if self.installed:
            self.thread.start()

    def run(self):
        try:
            self.buy()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def buy(self):
        browser = Browser(self.lab, self.web.ns, flags=['--ignore-certificate-errors'])
        self.shop(browser)
        self.done = True
        self.lab.servers.remove(browser)
        browser.close()

    def shop(self, browser):
        figure = 'document.getElementById("figure")?.textContent'

        def press(text):
            browser.wait_for(f'[...document.querySelectorAll("button")].some(b => !b.disabled && '
                             f'b.textContent.startsWith({json.dumps(text)}) && (b.click(), true))', 60)

        browser.open(f'https://127.0.0.1/#/item/{PAGE_ITEM}')
        browser.wait_for('document.getElementById("name")', 60)
        browser.evaluate(f'document.getElementById("name").value = {json.dumps(BROWSER_USER)};'
                         'document.querySelector("form").requestSubmit()')
        press('Reserve one')
        press('Pay ')
        browser.wait_for(f'{figure}?.includes("Paid. It is yours.")', 60)
        self.keep(browser, PAGE_ITEM)
        key, holder = str(uuid.uuid4()), Person(self.web, HOLDER)
        holder.ask('POST', '/v1/orders', {'item': str(LINE_ITEM), 'quantity': 1}, key)
        browser.open(f'https://127.0.0.1/#/item/{LINE_ITEM}')
        # until somebody has asked for more than there is, the item may show 0 units on sale
        browser.wait_for(f'{figure}?.includes("You are next") || ([...document.querySelectorAll("button:enabled")].find(b => '
                         '/^(Reserve one|Join the waiting list)/.test(b.textContent))?.click(), false)', 60)
        holder.ask('DELETE', f'/v1/orders/{key}')
        self.remember(key, HOLDER, LINE_ITEM, 'CANCELLED')
        browser.wait_for(f'{figure}?.includes("It is yours for")', 60)
        press('Pay ')
        browser.wait_for(f'{figure}?.includes("Paid. It is yours.")', 60)
        self.keep(browser, LINE_ITEM)

    def keep(self, browser, item):
        self.remember(browser.evaluate(f'JSON.parse(sessionStorage.getItem("order {item}")).key'), BROWSER_USER, item, 'SOLD')

    def remember(self, key, user, item, state):
        self.told.append(f'{key.replace("-", "")} {self.web.user_number(user)} {item} 1 {state}\n')

    def finish(self):
        """'bought', and what it was told is in a file for the audit; 'not installed'; or how it failed."""
        if not self.installed:
            return 'not installed'
        self.thread.join(150)
        if not self.done:
            return f'failed: {self.error or "no answer"}'
        self.audit = self.lab.unique('browser.audit')
        with open(self.audit, 'w', encoding='ascii') as f:
            f.writelines(['# fgblast 1\n', *self.told])
        return 'bought'
