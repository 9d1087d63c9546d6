#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The gateway when things go wrong: clients that leave, upgrades, new keys, the opening, hostile bytes."""

import concurrent.futures
import json
import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import types
import uuid

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fggateway import PORT, Gateway, Relay  # noqa: E402
from fgshop import ITEM, Shop  # noqa: E402

BODY = b'{"item":7,"quantity":1}'
HEAD = b'POST /v1/orders HTTP/1.1\r\nHost: x\r\nX-User: 1\r\nContent-Type: application/json\r\n'


class Buyers:
    """Threads that buy, each order with a key of its own, until they are told to stop; each order must be answered."""

    def __init__(self, web, count):
        self.web, self.ends = web, False
        self.pool = concurrent.futures.ThreadPoolExecutor(count)
        self.bought = [0] * count
        self.running = [self.pool.submit(self.buy, n) for n in range(count)]

    def buy(self, n):
        while not self.ends:
            key = str(uuid.uuid4())
            answer = self.web.reserve(100 + n, key)
            assert answer.status == 200 and answer.json['order'] == key, answer
            self.bought[n] += 1

    def total(self):
        for one in self.running:
            if one.done():
                one.result()  # raises what went wrong
        return sum(self.bought)

    def more(self, count=20):
        """Waits until so many more orders were answered."""
        before = self.total()
        fgtest.wait_until(lambda: self.total() >= before + count, 60, f'{count} more orders')

    def stop(self):
        self.ends = True
        for one in self.running:
            one.result()
        self.pool.shutdown()
        return self.total()


@fgtest.timeout(120)
def test_back_by_http2_on_another_worker(lab):
    """a client leaves when its order was accepted, and comes back by HTTP/2 at each worker: the same order"""
    if not shutil.which('curl'):
        raise fgtest.Skip('curl is not installed')
    shop = Shop(lab)
    cert, key = (os.path.join(lab.dir, name) for name in ('cert.pem', 'key.pem'))
    fgtest.command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj',
                   '/CN=shop.example', '-keyout', key, '-out', cert)
    with Relay(shop.link.b, shop.link.a_ip, 0) as relay:
        web = Gateway(lab, shop.link.b, f'127.0.0.1:{relay.port}', shop.gate.keys, workers=2,
                      http='add_header X-Worker $pid always;',
                      listen=f'listen 127.0.0.1:8443 ssl http2 reuseport; ssl_certificate {cert}; ssl_certificate_key {key};').start()
        order = ['curl', '--silent', '--insecure', '--http2', '--max-time', '30', '--include', '-H', 'X-User: 5', '-H',
                 'Idempotency-Key: k', '--json', BODY.decode(), 'https://127.0.0.1:8443/v1/orders']
        relay.loss_back = 1.0
        left = shop.link.b.start(*order, name='curl')
        fgtest.wait_until(lambda: shop.shop.stock(ITEM).left == 99, 10, 'the order was accepted')
        left.kill()
        fgtest.wait_until(lambda: web.metric('gone_total') == 1, 10, 'nginx has noticed')
        relay.loss_back = 0
        workers, deadlines = set(), set()

        def again():
            said = shop.link.b.run(*order)
            assert said.startswith('HTTP/2 200'), said
            workers.add(re.search(r'(?i)x-worker: (\d+)', said).group(1))
            told = json.loads(said[said.index('{'):])
            assert told['state'] == 'RESERVED', told
            deadlines.add(told['deadline'])
            return len(workers) == 2

        fgtest.wait_until(again, 60, 'both workers were asked')
        assert len(deadlines) == 1 and shop.shop.stock(ITEM).left == 99, deadlines
    assert not web.bad_lines(), web.bad_lines()


@fgtest.timeout(180)
def test_binary_upgrade(lab):
    """a new nginx takes over (USR2, WINCH, QUIT) while orders and a long poll are under way: nothing is lost or doubled"""
    shop = Shop(lab, item={'total': 5000, 'user_limit': 1000})
    with Relay(shop.link.b, shop.link.a_ip, 0.2) as relay:  # so that questions last
        web = Gateway(lab, shop.link.b, f'127.0.0.1:{relay.port}', shop.gate.keys, workers=2, daemon=True,
                      http='floodgate_patience 30s;').start()
        old = fgtest.wait_until(web.masters, 10, 'a master')[0]
        assert web.reserve(1, 'mine').status == 200
        buyers = Buyers(web, 12)
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            poll = pool.submit(web.order, 1, 'mine', '?wait=15')
            buyers.more()
            os.kill(old, signal.SIGUSR2)
            new = fgtest.wait_until(lambda: [m for m in web.masters() if m != old and len(web.worker_pids(m)) == 2], 20,
                                    'the new nginx works')[0]
            buyers.more()  # of both
            os.kill(old, signal.SIGWINCH)
            fgtest.wait_until(lambda: not web.worker_pids(old), 60, 'the old workers have ended')
            buyers.more()
            os.kill(old, signal.SIGQUIT)
            fgtest.wait_until(lambda: web.masters() == [new], 20, 'the old master has ended')
            buyers.more()
            bought = buyers.stop()
            answer = poll.result()
            assert answer.status == 200 and answer.json['state'] == 'RESERVED', answer
    assert shop.shop.stock(ITEM).left == 5000 - 1 - bought, bought
    assert not web.bad_lines(), web.bad_lines()


@fgtest.timeout(180)
def test_worker_dies(lab):
    """a worker of nginx is killed in mid-request: the same keys find their orders at the next one"""
    shop = Shop(lab, item={'total': 500})
    with Relay(shop.link.b, shop.link.a_ip, 0) as relay:
        web = Gateway(lab, shop.link.b, f'127.0.0.1:{relay.port}', shop.gate.keys).start()
        relay.loss_back = 1.0
        with concurrent.futures.ThreadPoolExecutor(20) as pool:
            asked = [pool.submit(web.reserve, user, f'k{user}') for user in range(20)]
            fgtest.wait_until(lambda: shop.shop.stock(ITEM).left == 480, 20, 'all orders were accepted')
            dead = web.worker_pids()[0]
            os.kill(dead, signal.SIGKILL)
            for one in asked:
                assert isinstance(one.exception(), OSError) or 'RemoteDisconnected' in repr(one.exception()), one
        relay.loss_back = 0
        fgtest.wait_until(lambda: dead not in web.worker_pids() and web.worker_pids(), 10, 'another worker')
        for user in range(20):
            assert web.reserve(user, f'k{user}').json['state'] == 'RESERVED'
    assert shop.shop.stock(ITEM).left == 480
    bad = [line for line in web.bad_lines() if 'exited on signal 9' not in line]
    assert not bad, bad


@fgtest.timeout(180)
def test_new_keys_in_flight(lab):
    """keys are rotated as the page says while orders are under way: none is lost, and the old key is worth nothing"""
    shop = Shop(lab, item={'total': 5000, 'user_limit': 1000})
    with open(shop.gate.keys.path) as f:
        lines = f.read()
    old, fresh = '1 shop ', f'9 shop {os.urandom(16).hex()}\n'

    def write(path, text):
        with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), 'w') as f:
            f.write(text)

    def appliance(text):
        write(shop.gate.keys.path, text)
        status, told = shop.gate.api('POST', '/v1/keys/reload')
        assert status == 200, told

    mine = types.SimpleNamespace(path=os.path.join(lab.dir, 'gateway-keys'))
    write(mine.path, lines)
    with Relay(shop.link.b, shop.link.a_ip, 0.2) as relay:
        web = Gateway(lab, shop.link.b, f'127.0.0.1:{relay.port}', mine, workers=2, http='floodgate_patience 30s;').start()
        buyers = Buyers(web, 12)
        buyers.more()
        appliance(lines + fresh)
        buyers.more()
        write(mine.path, lines.replace(lines.splitlines(True)[0], fresh))
        before = set(web.worker_pids())
        web.reload()
        fgtest.wait_until(lambda: not before & set(web.worker_pids()), 60, 'the workers with the old key have ended')
        appliance('\n'.join(line for line in lines.splitlines() if not line.startswith(old)) + '\n' + fresh)
        assert shop.shop.silence('RESERVE', os.urandom(16), user=1, item=ITEM, quantity=1), 'the old key is worth nothing'
        buyers.more()
        bought = buyers.stop()
        assert web.reserve(1, 'last').status == 200
    shop.settle(5000, 5000 - 1 - bought, 1 + bought, 0)
    assert not web.bad_lines(), web.bad_lines()


CLIENTS, BINS = 10000, 20
BOUND = 63.6  # chi-square, 19 degrees of freedom: uniform arrivals lie above it once in a million times


@fgtest.timeout(180)
def test_the_opening(lab):
    """10,000 clients are told when the sale opens: they come back after it, spread evenly over a second"""
    shop = Shop(lab, **{'filter.order_rate': 0})
    web = Gateway(lab, shop.link.b, shop.link.a_ip, shop.gate.keys).start()
    opens_ms = int(time.time() * 1000) + 150000
    shop.change(opens=opens_ms)
    arrivals, connection = [], shop.link.b.socket(socket.SOCK_STREAM)
    connection.settimeout(20)
    connection.connect(('127.0.0.1', PORT))
    for first in range(0, CLIENTS, 20):
        asked = time.time() * 1000
        connection.sendall(b''.join(
            HEAD.replace(b'X-User: 1', b'X-User: %d' % user) + b'Idempotency-Key: k\r\nContent-Length: %d\r\n\r\n' % len(BODY) + BODY
            for user in range(first, first + 20)))
        got = b''
        while got.count(b'"retry_ms":') < 20 or not got.endswith(b'}\n'):
            part = connection.recv(65536)
            assert part, got
            got += part
        now = time.time() * 1000
        waits = [int(ms) for ms in re.findall(rb'"code":"NOT_OPEN"[^}]*"retry_ms":(\d+)', got)]
        assert len(waits) == 20, got
        for wait in waits:
            assert opens_ms - 2 <= now + wait <= opens_ms + 1002 + now - asked, (now, asked, wait, opens_ms)
            arrivals.append(now + wait - opens_ms)
    connection.close()
    bins = [0] * BINS
    for one in arrivals:
        bins[int(one % 1000 * BINS / 1000)] += 1
    expected = CLIENTS / BINS
    assert sum((n - expected) ** 2 / expected for n in bins) < BOUND, bins


STREAMS, BYTES_MAX = 10000, 1.5 * (1 << 30) / 100000  # as docs/bench.md has it for 100,000
LISTENER = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'gateway', 'bench_gateway')


def memory_bytes(pid):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
        return 1024 * int(re.search(r'^Pss: +(\d+) kB', f.read(), re.M).group(1))


@fgtest.timeout(180)
def test_many_idle_streams(lab):
    """10,000 event streams: bounded memory for each, orders pass meanwhile, and all hear of a sale"""
    if not os.path.exists(LISTENER):
        raise fgtest.Skip('bench_gateway is not built')
    shop = Shop(lab)
    web = Gateway(lab, shop.link.b, shop.link.a_ip, shop.gate.keys, connections=STREAMS + 1000,
                  top=f'worker_rlimit_nofile {STREAMS + 2000};').start()
    worker = web.worker_pids()[0]
    before, request = memory_bytes(worker), os.path.join(lab.dir, 'stream')
    with open(request, 'w', encoding='ascii', newline='') as f:
        f.write(f'GET /v1/events?items={ITEM} HTTP/1.1\r\nHost: x\r\n\r\n')
    listener = shop.link.b.start(LISTENER, 'events', str(PORT), request, str(STREAMS), '0', stdin=subprocess.PIPE, name='streams')

    def heard():
        assert listener.running(), (listener.output(), web.errors()[-2000:])
        return listener.output().splitlines()

    fgtest.wait_until(lambda: heard() == ['open'], 60, 'every stream has told the stock')
    each = (memory_bytes(worker) - before) / STREAMS
    assert 1000 < each < BYTES_MAX, each
    listener.popen.stdin.write(b'now\n')
    listener.popen.stdin.flush()
    answer = web.reserve(1)
    assert answer.status == 200, answer
    fgtest.wait_until(lambda: len(heard()) == 2, 90, 'the listener has counted')
    assert heard()[1].split()[1] == '0', f'seconds, and streams that heard nothing: {heard()[1]}'
    listener.popen.stdin.close()
    fgtest.wait_until(lambda: not listener.running(), 20, 'the listener has ended')
    fgtest.wait_until(lambda: web.reserve(2).status == 200, 20, 'nginx serves')
    assert not web.bad_lines(), web.bad_lines()


def cpu_seconds(pid):
    with open(f'/proc/{pid}/stat', encoding='ascii') as f:
        fields = f.read().rsplit(')', 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')


@fgtest.timeout(120)
def test_refused_packets(lab):
    """nobody has the order port, and each packet comes back as ECONNREFUSED: 504 for all, and the worker does not spin"""
    shop = Shop(lab)
    web = Gateway(lab, shop.link.b, '127.0.0.1:4699', shop.gate.keys, http='floodgate_patience 5s;').start()
    worker, began = web.worker_pids()[0], time.monotonic()
    before = cpu_seconds(worker)
    with concurrent.futures.ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(web.reserve, range(20)))
    assert {(a.status, a.json['type']) for a in answers} == {(504, 'urn:floodgate:problem:unknown-outcome')}, answers
    used, took = cpu_seconds(worker) - before, time.monotonic() - began
    assert took > 4 and used < 0.5, (used, took)
    assert web.metric('packets_repeated_total') >= 20 and not web.bad_lines(), web.bad_lines()


@fgtest.timeout(120)
def test_full_send_buffer(lab):
    """a slow link fills the socket's buffer, and the kernel takes no more packets: each order is sent later, once"""
    shop = Shop(lab, item={'total': 2000})
    slow = ('tc', 'qdisc', 'add', 'dev', shop.link.b_if, 'root', 'tbf', 'rate', '40kbit', 'burst', '2000', 'limit', '100000000')
    web = Gateway(lab, shop.link.b, shop.link.a_ip, shop.gate.keys, http='floodgate_patience 60s;').start()
    shop.link.b.run(*slow)
    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    buyers = []
    for user in range(2000):
        s = shop.link.b.socket(socket.SOCK_STREAM)
        s.settimeout(60)
        s.connect(('127.0.0.1', PORT))
        s.sendall(HEAD.replace(b'X-User: 1', b'X-User: %d' % user) + b'Idempotency-Key: k\r\nContent-Length: %d\r\n\r\n' % len(BODY) + BODY)
        buyers.append(s)
    fgtest.wait_until(lambda: web.metric('packets_unsent_total') > 0, 20, 'the buffer is full')
    shop.link.b.run('tc', 'qdisc', 'del', 'dev', shop.link.b_if, 'root')
    answers = [s.recv(4096) for s in buyers]
    assert all(a.startswith(b'HTTP/1.1 200 ') and b'"state":"RESERVED"' in a for a in answers), set(answers)
    for s in buyers:
        s.close()
    assert shop.shop.stock(ITEM).left == 0 and not web.bad_lines(), web.bad_lines()


def said(web, data):
    return [int(s) for s in re.findall(rb'HTTP/1.1 (\d\d\d) ', web.raw(data))]


@fgtest.timeout(120)
def test_smuggling(lab):
    """requests whose length can be read in two ways are refused, and what they hide is not carried out"""
    shop = Shop(lab)
    web = Gateway(lab, shop.link.b, shop.link.a_ip, shop.gate.keys).start()
    assert web.reserve(1, 'victim').status == 200
    hidden = b'DELETE /v1/orders/victim HTTP/1.1\r\nHost: x\r\nX-User: 1\r\n\r\n'
    head = HEAD + b'Idempotency-Key: a\r\n'
    length = b'Content-Length: %d\r\n' % len(BODY)
    for framing in (length + b'Content-Length: 0\r\n\r\n' + BODY, length * 2 + b'\r\n' + BODY,
                    b'Content-Length: +23\r\n\r\n' + BODY, b'Content-Length: 0x17\r\n\r\n' + BODY,
                    b'Content-Length: 18446744073709551616\r\n\r\n' + BODY, b'Content-Length: -1\r\n\r\n' + BODY,
                    length + b'Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n',
                    b'Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n', b'Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n',
                    b'Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n',
                    b'Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n', b'Transfer-Encoding: chunked\r\n\r\n0x5\r\n\r\n',
                    b'Transfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n\r\n'):
        told = said(web, head + framing + hidden)
        assert len(told) == 1 and told[0] >= 400, (framing, told)
    assert web.order(1, 'victim').json['state'] == 'RESERVED' and shop.shop.stock(ITEM).left == 99
    bad = [line for line in web.bad_lines() if 'invalid chunked body' not in line]
    assert not bad, bad


@fgtest.timeout(120)
def test_hostile_headers(lab):
    """keys of 8 KiB, and with NUL; bodies that come byte by byte, and that never end"""
    shop = Shop(lab)
    web = Gateway(lab, shop.link.b, shop.link.a_ip, shop.gate.keys, http='client_body_timeout 1s;').start()
    length = b'Content-Length: %d\r\n\r\n' % len(BODY) + BODY
    for size in (8000, 8192, 100000):
        assert said(web, HEAD + b'Idempotency-Key: ' + b'k' * size + b'\r\n' + length) == [400], size
    for key in (b'\0', b'a\0b', b'\x01', b'\x7f', b'\xff\xfe', b'\xed\xa0\x80'):
        assert said(web, HEAD + b'Idempotency-Key: ' + key + b'\r\n' + length) == [400], key
    assert shop.shop.stock(ITEM).left == 100
    slow = shop.link.b.socket(socket.SOCK_STREAM)
    slow.settimeout(20)
    slow.connect(('127.0.0.1', PORT))
    slow.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    slow.sendall(HEAD + b'Idempotency-Key: slow\r\nTransfer-Encoding: chunked\r\n\r\n')
    for byte in BODY:
        for part in (b'1\r\n', b'%c\r' % byte, b'\n'):
            fgtest.pause(0.01, 'a slow client')
            slow.sendall(part)
    assert shop.shop.stock(ITEM).left == 100, 'the last chunk is missing'
    slow.sendall(b'0\r\n\r\n')
    assert slow.recv(65536).startswith(b'HTTP/1.1 200 ')
    slow.close()
    # the body never comes: nginx closes after client_body_timeout
    assert b'200' not in web.raw(HEAD + b'Idempotency-Key: never\r\nTransfer-Encoding: chunked\r\n\r\n17\r\n' + BODY[:20])
    assert web.order(1, 'never').status == 404
    assert shop.shop.stock(ITEM).left == 99


if __name__ == '__main__':
    fgtest.main()
