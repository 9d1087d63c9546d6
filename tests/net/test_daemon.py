#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The daemon as a black box: order packets in, replies and log out, across starts, stops and kills."""

import ctypes
import glob
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402

ORDER_PORT = 4600
RESERVE, CONFIRM, CANCEL, QUERY, STOCK = 1, 2, 3, 4, 5
STATUS = ['', 'RESERVED', 'SOLD', 'CANCELLED', 'EXPIRED', 'SOLD_OUT', 'INSUFFICIENT', 'USER_LIMIT', 'BAD_QUANTITY',
          'NOT_OPEN', 'CLOSED', 'PAUSED', 'UNKNOWN_ITEM', 'UNKNOWN_ORDER', 'CONFLICT', 'DENIED', 'BUSY', 'FULL',
          'UNAVAILABLE', 'ON_SALE']
SMALL = {'limits.orders_max': 20000, 'limits.users_max': 20000, 'limits.held_max': 4096, 'eal.huge': 'no'}
MASK = (1 << 64) - 1
CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


# ---- a client -------------------------------------------------------------------------------------------


def siphash(secret, data):
    """SipHash-2-4 of whole 8-byte words."""
    k0, k1 = struct.unpack('<QQ', secret)
    a, b, c, d = k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d, k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573

    def turn(x, n):
        return (x << n | x >> 64 - n) & MASK

    def rounds(n):
        nonlocal a, b, c, d
        for _ in range(n):
            a, c = a + b & MASK, c + d & MASK
            b, d = turn(b, 13) ^ a, turn(d, 16) ^ c
            a = turn(a, 32)
            c, a = c + b & MASK, a + d & MASK
            b, d = turn(b, 17) ^ c, turn(d, 21) ^ a
            c = turn(c, 32)

    for word in (*struct.unpack(f'<{len(data) // 8}Q', data), len(data) << 56 & MASK):
        d ^= word
        rounds(2)
        a ^= word
    c ^= 0xff
    rounds(4)
    return a ^ b ^ c ^ d


def in_namespace(ns, make):
    """What make() gives, called in the namespace; the calling thread does not stay there."""
    here = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
    there = os.open(f'/run/netns/{ns.name}', os.O_RDONLY)
    try:
        if _libc.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'setns')
        return make()
    finally:
        if _libc.setns(here, CLONE_NEWNET):
            os._exit(99)
        os.close(here)
        os.close(there)


def udp_socket(ns, family):
    """A socket that lives in the namespace."""
    return in_namespace(ns, lambda: socket.socket(family, socket.SOCK_DGRAM))


class Client:
    """Sends order packets with one key from a namespace; repeats them until they are answered."""

    def __init__(self, ns, address, keys, role='shop'):
        self.key_id = next(number for number, name in keys.ROLES.items() if name == role)
        self.secret = keys.secrets[self.key_id]
        self.address = (address, ORDER_PORT)
        self.socket = udp_socket(ns, socket.AF_INET6 if ':' in address else socket.AF_INET)
        self.cookie = 0

    def packet(self, op, order=bytes(16), user=0, item=0, quantity=0, cookie=0):
        body = struct.pack('<HBBHH16sQQ12xI', 0x4746, 1, op, self.key_id, quantity, order, user, item, cookie)
        return body + struct.pack('<Q', siphash(self.secret, body))

    def parse(self, data):
        fields = struct.unpack('<HBBHH16sQQIIB3xIQ', data)
        assert fields[:2] == (0x4746, 1) and fields[-1] == siphash(self.secret, data[:56]), 'reply with a wrong tag'
        names = ('op', 'key_id', 'quantity', 'order', 'deadline', 'item', 'left', 'retry', 'status', 'cookie')
        reply = dict(zip(names, fields[2:-1]))
        reply['status'] = STATUS[reply['status']]
        return reply

    def send(self, *args, **fields):
        self.cookie += 1
        self.socket.sendto(self.packet(*args, **fields, cookie=self.cookie), self.address)
        return self.cookie

    def receive(self, seconds):
        """The next reply, or None."""
        self.socket.settimeout(seconds)
        try:
            return self.parse(self.socket.recv(2048))
        except TimeoutError:
            return None

    def ask(self, op, *args, tries=10, seconds=0.3, **fields):
        """The reply to this request. BUSY is asked again; None when nothing ever comes."""
        for _ in range(tries):
            cookie = self.send(op, *args, **fields)
            end = time.monotonic() + seconds
            while (left := end - time.monotonic()) > 0:
                reply = self.receive(left)
                if not reply or reply['cookie'] != cookie:
                    continue
                assert reply['op'] == op | 0x80 and reply['key_id'] == self.key_id
                if reply['status'] != 'BUSY':
                    return reply
                time.sleep(max(reply['retry'], 1) / 1000)
                break
        return None

    def status(self, *args, **fields):
        reply = self.ask(*args, **fields)
        return reply and reply['status']


class Shop:
    """A daemon behind one link, with one item, and a client of each role."""

    def __init__(self, lab, total=10, queues=1, v6=False, link=None, item=None, redis=None, **settings):
        self.link = link or lab.pair(queues=queues)
        ports = {'shop': {'interface': self.link.a_if, 'queues': queues}}
        self.gate = lab.daemon(self.link.a, ports=ports, redis=redis, settings={**SMALL, **settings})
        self.gate.start()
        address = self.link.a_ip6 if v6 else self.link.a_ip
        self.shop, self.backend, self.monitor = (Client(self.link.b, address, self.gate.keys, role)
                                                 for role in ('shop', 'backend', 'monitor'))
        status, answer = self.gate.api('POST', '/v1/items', {'item': 7, 'name': 'shoe', 'total': total,
                                                             'hold_ms': 60000, **(item or {})})
        assert status == 201, answer

    def reserve(self, user, order=None, quantity=1):
        order = order or os.urandom(16)
        return self.shop.ask(RESERVE, order, user=user, item=7, quantity=quantity), order

    def totals(self):
        item = self.gate.get('/v1/items/7')
        return tuple(item[k] for k in ('total', 'available', 'reserved', 'sold'))

    def settle(self, *expected):
        """The ledger follows the log by a moment."""
        fgtest.wait_until(lambda: self.totals() == expected, 5, f'total, available, reserved, sold = {expected}')


def workers(gate, counter):
    return [w[counter] for w in gate.get('/v1/stats')['workers']]


def run_an_order(s):
    reply, order = s.reserve(user=1)
    assert reply['status'] == 'RESERVED' and reply['quantity'] == 1 and reply['item'] == 7, reply
    assert 55000 < reply['deadline'] - time.time() * 1000 < 65000, reply
    again, _ = s.reserve(user=1, order=order)
    assert again['status'] == 'RESERVED' and again['deadline'] == reply['deadline'], 'the same answer to a repeat'
    assert s.reserve(user=1, order=order, quantity=2)[0]['status'] == 'CONFLICT'
    assert s.shop.status(QUERY, order, user=1) == 'RESERVED'
    assert s.shop.status(CONFIRM, order, user=1) == 'DENIED', 'a shop may not confirm'
    assert s.backend.status(CONFIRM, order, user=1) == 'SOLD'
    assert s.monitor.status(QUERY, order, user=1) == 'SOLD'
    second, other = s.reserve(user=2, quantity=3)
    assert second['status'] == 'RESERVED' and second['quantity'] == 3
    assert s.shop.status(CANCEL, other, user=2) == 'CANCELLED'
    assert s.monitor.status(QUERY, os.urandom(16), user=3) == 'UNKNOWN_ORDER'
    assert s.monitor.ask(STOCK, item=7)['status'] == 'ON_SALE'
    assert s.monitor.status(STOCK, item=8) == 'UNKNOWN_ITEM'
    s.settle(10, 9, 0, 1)


# ---- tests ----------------------------------------------------------------------------------------------


def test_an_order_over_ipv4(lab):
    """reserve, repeat, confirm, cancel, query and stock over IPv4"""
    run_an_order(Shop(lab))


def test_an_order_over_ipv6(lab):
    """reserve, repeat, confirm, cancel, query and stock over IPv6"""
    run_an_order(Shop(lab, v6=True))


def test_two_workers_one_queue(lab):
    """two workers behind one queue: users are handed to their owner, the last unit is sold by either"""
    s = Shop(lab, total=40, **{'workers.count': 2})
    sold = [s.reserve(user)[0]['status'] for user in range(1, 61)]
    assert sold.count('RESERVED') == 40 and sold.count('SOLD_OUT') == 20, sold
    assert workers(s.gate, 'rx')[1] == 0 and workers(s.gate, 'handed_off')[0] > 10
    assert workers(s.gate, 'tx')[1] == 0, 'replies leave by the queue that the request came in by'
    assert min(workers(s.gate, 'orders_in_memory')) > 5
    s.settle(40, 0, 40, 0)


def test_four_workers_two_queues(lab):
    """four workers behind two queues of one veth"""
    s = Shop(lab, total=30, queues=2, **{'workers.count': 4})
    sold = [s.reserve(user)[0]['status'] for user in range(1, 41)]
    assert sold.count('RESERVED') == 30 and sold.count('SOLD_OUT') == 10, sold
    assert sum(workers(s.gate, 'rx')) >= 40 and workers(s.gate, 'rx')[2:] == [0, 0]
    s.settle(30, 0, 30, 0)


def test_every_idle_policy(lab):
    """spin, yield and sleep, two workers on one CPU: orders are answered, SIGTERM ends it"""
    s = Shop(lab, total=40, **{'workers.count': 2, 'workers.cpus': '0,0'})
    for user, idle in enumerate(('spin', 'yield', 'sleep'), 1):
        s.gate.settings['workers.idle'] = idle
        s.gate.write_config()
        s.gate.restart()
        for order in range(10):
            assert s.reserve(10 * user + order)[0]['status'] == 'RESERVED'
            time.sleep(0.005)
        rang = sum(workers(s.gate, 'rang'))
        assert rang == 0 if idle == 'spin' else rang >= 3, f'{idle}: the log was woken {rang} times for 10 orders'
    assert s.gate.stop() == 0


def threads(gate, name):
    """Folders in /proc of the daemon's threads with that in their name."""
    found = []
    for task in glob.glob(f'/proc/{gate.process.pid}/task/*'):
        with open(os.path.join(task, 'comm'), encoding='ascii') as f:
            if name in f.read():
                found.append(task)
    return found


def sleeps_a_second(gate):
    """Of the worker that sleeps least. A sched_yield is none: the kernel counts it as involuntary."""
    def count():
        counts = []
        for task in threads(gate, 'worker'):
            with open(os.path.join(task, 'status'), encoding='ascii') as f:
                counts += [int(line.split()[1]) for line in f if line.startswith('voluntary_ctxt_switches')]
        return counts
    began, before = time.monotonic(), count()
    assert len(before) == 2, before
    time.sleep(1)
    return min(b - a for a, b in zip(before, count())) / (time.monotonic() - began)


def test_idle_workers_leave_the_cpu(lab):
    """a worker that yields or sleeps does leave its CPU to the kernel's threads many times a second, one that spins never"""
    s = Shop(lab, **{'workers.count': 2, 'workers.cpus': '0,0'})
    for idle, least, most in (('spin', 0, 5), ('yield', 20, 20000), ('sleep', 100, 20000)):
        s.gate.settings['workers.idle'] = idle
        s.gate.write_config()
        s.gate.restart()
        found = sleeps_a_second(s.gate)
        assert least <= found <= most, (idle, found)
    assert s.gate.stop() == 0


def test_the_log_comes_first(lab):
    """the thread that writes the log has real-time priority, the least there is, and no other thread has"""
    if subprocess.run(['chrt', '-r', '1', 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
        raise fgtest.Skip('real-time priorities are refused here')
    s = Shop(lab)
    policies = {task: os.sched_getscheduler(int(os.path.basename(task))) for task in threads(s.gate, '')}
    journal, = threads(s.gate, 'fg-journal')
    assert policies.pop(journal) == os.SCHED_RR, policies
    assert os.sched_getparam(int(os.path.basename(journal))).sched_priority == 1
    assert set(policies.values()) == {os.SCHED_OTHER}, policies


def test_frames_that_get_no_answer(lab):
    """wrong tag, unknown key, wrong length and magic get no answer and are counted"""
    s = Shop(lab)
    good = s.shop.packet(QUERY, bytes(16), user=1)
    forged = good[:56] + bytes(b ^ 1 for b in good[56:])
    unknown = good[:4] + struct.pack('<H', 999) + good[6:]
    for bad in (forged, unknown, good[:-1], good + b'\0', b'XX' + good[2:]):
        s.shop.socket.sendto(bad, s.shop.address)
    assert s.shop.receive(0.3) is None
    stats = s.gate.get('/v1/stats')
    assert stats['drops']['tag'] == 1 and stats['drops']['key'] == 1, stats['drops']
    seen = stats['drops']['length'] + stats['drops']['magic'] + fgtest.malformed(stats)
    assert seen == 3, stats
    assert s.shop.status(QUERY, bytes(16), user=1) == 'UNKNOWN_ORDER'


def test_kernel_traffic_passes(lab):
    """what is no order packet goes on to the kernel: ping over both protocols"""
    s = Shop(lab)
    for ip in (s.link.a_ip, s.link.a_ip6):
        assert ' 0% packet loss' in s.link.b.run('ping', '-c', '2', '-i', '0.1', '-W', '2', ip)


def test_kill_and_restart(lab):
    """kill -9: a restart needs no cleaning and knows every acknowledged order"""
    s = Shop(lab, total=20, **{'workers.count': 2})
    held = {user: s.reserve(user)[1] for user in range(1, 13)}
    for user in (1, 2, 3):
        assert s.backend.status(CONFIRM, held[user], user=user) == 'SOLD'
    assert s.shop.status(CANCEL, held[4], user=4) == 'CANCELLED'
    for workers_count in (2, 1, 3):
        s.gate.kill()
        s.gate.settings['workers.count'] = workers_count
        s.gate.write_config()
        s.gate.start()
        assert s.totals() == (20, 9, 8, 3)
        for user, order in held.items():
            want = 'SOLD' if user < 4 else 'CANCELLED' if user == 4 else 'RESERVED'
            assert s.shop.status(QUERY, order, user=user) == want
            if want != 'CANCELLED':
                assert s.reserve(user, order)[0]['status'] == want, 'idempotent over a restart'
    got = [s.reserve(user)[0]['status'] for user in range(100, 115)]
    assert got.count('RESERVED') == 9 and got.count('SOLD_OUT') == 6, got


def test_sigterm_under_load(lab):
    """SIGTERM while orders come in: exit 0, and every order that was acknowledged is in the log"""
    s = Shop(lab, total=100000, **{'workers.count': 2, 'filter.order_rate': 0})
    acknowledged, users = [], {}

    def shop():
        n = 0
        while s.gate.running():
            n += 1
            order = os.urandom(16)
            users[order] = n
            try:
                s.shop.send(RESERVE, order, user=n, item=7, quantity=1)
            except OSError:
                return
            while (reply := s.shop.receive(0.0005)):
                if reply['status'] == 'RESERVED':
                    acknowledged.append(reply['order'])

    thread = threading.Thread(target=shop)
    thread.start()
    time.sleep(1.5)
    begin = time.monotonic()
    assert s.gate.stop() == 0
    took = time.monotonic() - begin
    thread.join()
    while (reply := s.shop.receive(0.1)):
        if reply['status'] == 'RESERVED':
            acknowledged.append(reply['order'])
    assert len(acknowledged) > 100 and took < 8, (len(acknowledged), took)
    s.gate.start()
    for order in acknowledged[-300:]:
        assert s.shop.status(QUERY, order, user=users[order]) == 'RESERVED'
    assert s.totals()[2] >= len(set(acknowledged))


def test_item_commands(lab):
    """items and stock by the control API: conflicts, removal from slices, changes in force at once"""
    s = Shop(lab, total=10, **{'workers.count': 2})
    api = s.gate.api
    assert api('POST', '/v1/items', {'item': 7, 'total': 1})[0] == 409
    assert s.reserve(1)[0]['status'] == 'RESERVED' and s.reserve(2)[0]['status'] == 'RESERVED'
    status, text = api('POST', '/v1/items/7/stock', {'remove': 9})
    assert status == 409 and '8' in json.dumps(text), (status, text)
    assert api('POST', '/v1/items/7/stock', {'remove': 8})[0] == 200
    assert s.reserve(3)[0]['status'] == 'SOLD_OUT'
    assert api('POST', '/v1/items/7/stock', {'add': 1})[0] == 200
    assert s.reserve(3)[0]['status'] == 'RESERVED'
    s.settle(3, 0, 3, 0)
    assert api('PATCH', '/v1/items/7', {'paused': True})[0] == 200
    assert s.reserve(4)[0]['status'] == 'PAUSED'
    assert api('POST', '/v1/items/99/stock', {'add': 1})[0] == 404


def test_keys_reload(lab):
    """keys are replaced while orders run: the new one works at once, the old one gets no answer"""
    s = Shop(lab, **{'workers.count': 2})
    old = s.shop.secret
    s.gate.keys.secrets[1] = os.urandom(16)
    s.gate.keys.write()
    assert s.gate.api('POST', '/v1/keys/reload')[0] in (200, 204)
    assert s.shop.ask(STOCK, item=7, tries=2, seconds=0.2) is None
    s.shop.secret = s.gate.keys.secrets[1]
    assert s.shop.status(STOCK, item=7) == 'ON_SALE'
    with open(s.gate.keys.path, 'w') as f:
        f.write('1 shop nonsense\n')
    status, answer = s.gate.api('POST', '/v1/keys/reload')
    assert status == 400 and ':1' in json.dumps(answer), (status, answer)
    assert s.shop.status(STOCK, item=7) == 'ON_SALE', 'a wrong file changes nothing'
    s.gate.keys.secrets[1] = old
    s.gate.keys.write()
    s.gate.process.signal(signal.SIGHUP)
    s.shop.secret = old
    assert s.shop.status(STOCK, item=7) == 'ON_SALE', 'SIGHUP reloads too'


def test_redis_follows(lab):
    """Redis is replicated to; without it the sale goes on and the status says so"""
    redis = lab.redis(persist=True)
    s = Shop(lab, redis=redis, **{'redis.timeout_ms': '200ms', 'redis.retry_ms_max': '200ms'})
    assert s.reserve(1)[0]['status'] == 'RESERVED'
    status = lambda: s.gate.get('/v1/status')  # noqa: E731
    fgtest.wait_until(lambda: s.gate.sink('redis')['lag'] == 0 and s.gate.sink('redis')['state'] == 'live', 5, 'Redis follows')
    redis.kill()
    assert s.reserve(2)[0]['status'] == 'RESERVED'
    fgtest.wait_until(lambda: s.gate.sink('redis')['state'] == 'away', 5, 'Redis is away')
    assert status()['state'] == 'degraded' and s.gate.healthy(), 'degraded, but healthy'
    assert s.gate.sink('redis')['lag'] > 0
    redis.start()
    fgtest.wait_until(lambda: s.gate.sink('redis')['state'] == 'live' and s.gate.sink('redis')['lag'] == 0, 5, 'caught up')


def test_a_port_without_kernel(lab):
    """net_null: receives, counts frames that are no orders, stops"""
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048})
    gate.start()
    fgtest.wait_until(lambda: workers(gate, 'other')[0] > 1000, 5, 'frames of net_null are counted')
    assert gate.get('/v1/stats')['ports'][0]['rx'] > 1000
    assert gate.stop() == 0


def test_host_without_kernel(lab):
    """a port without a kernel behind it answers ARP, neighbour discovery and ping, and sells"""
    link = lab.pair(neighbours=False)
    link.a.ip('addr', 'flush', 'dev', link.a_if)  # no address: this kernel answers nothing
    gate = lab.daemon(link.a, ports={'shop': {'device': f'net_af_packet0,iface={link.a_if}',
                                              'address': f'{link.a_ip}, {link.a_ip6}'}}, settings=SMALL)
    ping = lambda *words: link.b.run('ping', '-n', '-c', '2', '-i', '0.2', '-W', '2', *words, check=False)  # noqa: E731
    assert ' 0% packet loss' not in ping(link.a_ip), 'nobody is there yet'
    link.b.ip('neigh', 'flush', 'all')
    gate.start()
    for address in (link.a_ip, link.a_ip6):
        for size in ('0', '56', '333', '1400'):
            out = ping('-s', size, address)
            assert ' 0% packet loss' in out, out
    assert ' 0% packet loss' not in ping('198.18.0.77'), 'not our address'
    assert workers(gate, 'neighbour')[0] >= 18, gate.get('/v1/stats')
    gate.fgctl('item', 'add', 7, '--total', 5)
    for address in (link.a_ip, link.a_ip6):
        shop = Client(link.b, address, gate.keys, 'shop')
        assert shop.ask(RESERVE, os.urandom(16), user=1, item=7, quantity=1)['status'] == 'RESERVED'
    before = workers(gate, 'neighbour')[0]
    link.b.run('ping', '-n', '-f', '-c', '3000', '-i', '0', '-q', link.a_ip, check=False)
    fgtest.wait_until(lambda: workers(gate, 'neighbour')[0] > before, 5, 'pings are answered')
    assert gate.stop() == 0


def test_hugepages_of_a_killed_daemon(lab):
    """hugepages: used when they are free, and those of a killed daemon are taken back"""
    def free():
        with open('/proc/meminfo') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('HugePages_Free'))
    if free() < 64:
        raise fgtest.Skip('fewer than 64 hugepages are free')
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048, 'eal.huge': 'yes'})
    files = lambda: glob.glob(f'/dev/hugepages/{gate.tag}*')  # noqa: E731
    for _ in range(3):
        gate.start()
        assert 'hugepages are free' not in gate.output()
        used = len(files())
        assert used, 'it uses hugepages'
        gate.kill()
    gate.start()
    assert len(files()) == used, 'nothing piles up'
    gate.stop()


def test_telemetry(lab):
    """DPDK's telemetry socket shows workers, stock and drops, without hugepages too"""
    s = Shop(lab, **{'workers.count': 2})
    assert s.reserve(1)[0]['status'] == 'RESERVED'
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as t:
        t.connect(f'/var/run/dpdk/{s.gate.tag}/dpdk_telemetry.v2')
        t.recv(16384)
        answers = {}
        for command in ('workers', 'stock', 'drops'):
            t.send(f'/floodgate/{command}'.encode())
            answers[command] = json.loads(t.recv(65536))[f'/floodgate/{command}']
    assert answers['workers']['worker0']['orders'] == 1 and answers['stock']['reserved'] == 1, answers
    assert answers['drops']['tag'] == 0


def test_systemd_is_told(lab):
    """NOTIFY_SOCKET gets READY=1 and STOPPING=1"""
    path = lab.unique('notify')
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
        n.bind(path)
        n.settimeout(10)
        gate.start(wrapper=['env', f'NOTIFY_SOCKET={path}'])
        assert n.recv(256).startswith(b'READY=1')
        gate.stop()
        assert n.recv(256).startswith(b'STOPPING=1')


def test_what_is_wrong_is_said(lab):
    """--check and a start that cannot succeed say why, and exit 1"""
    gate = lab.daemon(device='net_null0', settings=SMALL)
    code, text = gate.check()
    assert code == 0 and 'ok' in text and 'MiB' in text, text
    gate.settings['workers.count'] = 65
    gate.settings['log.batch_max'] = 'many'
    gate.write_config()
    code, text = gate.check()
    assert code == 1 and len(text.splitlines()) == 2 and f'{gate.config}:' in text, text
    del gate.settings['workers.count'], gate.settings['log.batch_max']
    cases = [({'shop': {'interface': 'nosuchif'}}, 'nosuchif'), ({'shop': {'device': 'net_nosuch0'}}, 'net_nosuch0')]
    for ports, word in cases:
        gate.ports = ports
        gate.write_config()
        gate.start(ready=False)
        assert gate.process.wait(20) == 1 and word in gate.output(), gate.output()
        assert 'port shop' in gate.output()


def test_only_one_writer(lab):
    """a second daemon on the same log is refused and leaves the first alone"""
    s = Shop(lab)
    other = lab.daemon(device='net_null0', settings={**SMALL, 'log.dir': s.gate.log_dir})
    other.start(ready=False)
    assert other.process.wait(20) == 1 and s.gate.log_dir in other.output(), other.output()
    assert s.reserve(1)[0]['status'] == 'RESERVED'


def test_second_signal_ends_at_once(lab):
    """while a stop waits for a Redis that is away, a second signal ends it at once, with 1"""
    s = Shop(lab, redis=f'unix:{lab.dir}/nowhere')
    s.gate.process.signal(signal.SIGTERM)
    fgtest.wait_until(lambda: ' stopping' in s.gate.output(), 5, 'it stops')
    time.sleep(0.5)
    assert s.gate.running(), 'it waits for Redis for 2 s'
    begin = time.monotonic()
    s.gate.process.signal(signal.SIGINT)
    assert s.gate.process.wait(5) == 1 and time.monotonic() - begin < 1
    s.gate.start()
    assert s.totals() == (10, 10, 0, 0)


def thread_id(gate, name):
    names = {}
    for task in glob.glob(f'/proc/{gate.process.pid}/task/*'):
        with open(f'{task}/comm') as f:
            names[f.read().strip()] = int(os.path.basename(task))
    if name in names:
        return names[name]
    raise AssertionError(f'no thread {name}: {names}')


def ptrace(request, thread):
    if _libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), None, None):
        raise OSError(ctypes.get_errno(), f'ptrace {request:#x}')


def test_a_worker_that_stands_still(lab):
    """a worker that makes no loop for 2 s is unhealthy, and healthy again when it goes on"""
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048, 'workers.count': 2})
    gate.start()
    thread = thread_id(gate, 'rte-worker-2')
    ptrace(0x4206, thread)  # SEIZE
    ptrace(0x4207, thread)  # INTERRUPT: this thread only
    os.waitpid(thread, 0x40000000)  # __WALL
    fgtest.wait_until(lambda: gate.api('GET', '/healthz')[0] == 503, 5, 'unhealthy')
    assert gate.get('/v1/status')['workers_stalled'] == 1
    assert 'worker 1 stands still' in gate.output()
    ptrace(17, thread)  # DETACH
    fgtest.wait_until(gate.healthy, 5, 'healthy again')
    assert gate.stop() == 0


def fill(path):
    file = os.open(path, os.O_WRONLY | os.O_CREAT)
    try:
        while True:
            os.write(file, bytes(4096))
    except OSError:
        os.close(file)


def full_disk(lab, disk):
    s = Shop(lab, total=3000, **{'log.dir': f'{disk}/log', 'log.segment_bytes': '64k', 'filter.order_rate': 0})
    fill(f'{disk}/filler')
    statuses = []
    while 'BUSY' not in statuses and len(statuses) < 2000:
        s.shop.send(RESERVE, os.urandom(16), user=len(statuses) + 1, item=7, quantity=1)
        reply = s.shop.receive(0.3)
        statuses.append(reply and reply['status'])
    assert statuses[-1] == 'BUSY' and set(statuses[:-1]) <= {'RESERVED', None}, statuses[-5:]
    assert s.gate.api('GET', '/healthz')[0] == 503 and s.gate.get('/v1/status')['log']['state'] == 'full'
    assert s.monitor.status(QUERY, os.urandom(16), user=1) == 'UNKNOWN_ORDER'
    os.unlink(f'{disk}/filler')
    fgtest.wait_until(s.gate.healthy, 5, 'healthy when there is room')
    assert s.reserve(5000)[0]['status'] == 'RESERVED'
    assert s.gate.stop() == 0


def test_a_full_disk(lab):
    """no room for the log: what needs a record is BUSY, rejections go on; with room again it sells"""
    disk = lab.unique('disk')
    os.mkdir(disk)
    fgtest.command('mount', '-t', 'tmpfs', '-o', 'size=1m', 'fgtest', disk)
    try:
        full_disk(lab, disk)
    finally:
        for gate in lab.daemons:
            gate.process.kill()
        fgtest.command('umount', disk)


if __name__ == '__main__':
    fgtest.main()
