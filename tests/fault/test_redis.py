#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Redis sink against real Redis servers that are killed, emptied, stopped, rolled back and tampered with.

After each, everything that Redis holds is compared with the ledger, and once more by fgaudit with the log.
"""

import json
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgtest import wait_until  # noqa: E402

ITEM_FIELDS = ('total', 'available', 'reserved', 'sold', 'opens_ms', 'closes_ms', 'hold_ms', 'user_limit', 'order_max',
               'paused')
ORDER_FIELDS = ('user', 'item', 'quantity', 'state', 'deadline_ms', 'changed_ms')


class Driver:
    """redis_driver: a log that grows on command, and sinks that follow it."""

    def __init__(self, lab, prefix='t', seed=None):
        path = os.path.join(fgtest.BUILD, 'tests', 'fault', 'redis_driver')
        if not os.access(path, os.X_OK):
            raise fgtest.Skip('tests/fault/redis_driver is not built')
        self.lab, self.prefix, self.sinks = lab, prefix, {}
        self.log_dir = lab.unique('log')
        self.seed = random.randrange(1 << 32) if seed is None else seed
        print(f'# seed {self.seed}')
        self.process = fgtest.Process(lab, [path, self.log_dir, self.seed], stdin=subprocess.PIPE)
        self.output = open(self.process.log_path, encoding='utf-8')  # pylint: disable=consider-using-with
        self.lock = threading.Lock()
        self._answer()
        self.do('items 5 2000')

    def _answer(self):
        line, end = '', time.monotonic() + 30
        while not line.endswith('\n'):
            line += self.output.readline()
            if not line.endswith('\n'):
                if not self.process.running() or time.monotonic() > end:
                    raise RuntimeError(f'redis_driver: {line or "no answer"}')
                time.sleep(0.0005)
        return json.loads(line)

    def do(self, line):
        with self.lock:
            self.process.popen.stdin.write(line.encode() + b'\n')
            self.process.popen.stdin.flush()
            return self._answer()

    def load(self, commits=20, records=50):
        return self.do(f'load {commits} {records}')['seq']

    def start(self, address, slot=0, batch=200, timeout=1000, retry=200, stream_max=0, user='-', password='-',
              database=0, tls=()):
        answer = self.do(f'start {slot} {address} {self.prefix} {batch} {timeout} {retry} {stream_max} {database} '
                         f'{user} {password} {" ".join(tls)}')
        assert 'error' not in answer, answer

    def status(self, slot=0):
        return self.do(f'status {slot}')

    def stop(self, slot=0, drain=5000):
        return self.do(f'stop {slot} {drain}')['ms']

    def caught_up(self, slot=0, seconds=20):
        def done():
            s = self.status(slot)
            return s if s['lag'] == 0 and s['state'] == 'live' else None
        before = self.status(slot)
        try:
            return wait_until(done, seconds, 'the sink catches up')
        except fgtest.Timeout:
            raise fgtest.Timeout(f'not caught up within {seconds} s: {self.status(slot)}, before {before}') from None

    def in_state(self, state, slot=0, seconds=15, text=''):
        def there():
            s = self.status(slot)
            return s if s['state'] == state and text in s['error'] else None
        try:
            return wait_until(there, seconds, state)
        except fgtest.Timeout:
            raise fgtest.Timeout(f'not {state} ({text}) within {seconds} s: {self.status(slot)}') from None

    def for_two(self):
        """A log that grows while both sinks follow it; both get to its end."""
        for _ in range(40):
            self.load(5)
        for slot in (0, 1):
            self.caught_up(slot)
        for slot in (0, 1):
            self.stop(slot)

    def ledger(self):
        path = self.lab.unique('ledger.json')
        self.do(f'ledger {path}')
        with open(path, encoding='utf-8') as f:
            return json.load(f)


class Proxy:
    """Between sink and Redis; cuts connections after a chosen number of bytes of replies."""

    def __init__(self, lab, target):
        self.path, self.target = lab.unique('proxy'), target
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(self.path)
        self.listener.listen(8)
        self.cut_after = None  # function that gives the bytes of replies to let through; None = all
        self.cuts = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self):
        while True:
            client, _ = self.listener.accept()
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        server = socket.socket(socket.AF_UNIX)
        server.connect(self.target)
        threading.Thread(target=self._requests, args=(client, server), daemon=True).start()
        left = self.cut_after() if self.cut_after else None
        while data := self._receive(server):
            if left is not None:
                data, left = data[:left], left - len(data)
            try:
                client.sendall(data)
            except OSError:
                break
            if left is not None and left <= 0:
                self.cuts += 1
                break
        for end in (client, server):
            try:
                end.shutdown(socket.SHUT_RDWR)  # close() alone would wait for the other thread
            except OSError:
                pass
            end.close()

    @staticmethod
    def _receive(s):
        try:
            return s.recv(65536)
        except OSError:
            return b''

    def _requests(self, client, server):
        while data := self._receive(client):
            try:
                server.sendall(data)
            except OSError:
                return
        try:
            server.shutdown(socket.SHUT_WR)
        except OSError:
            pass


def scan(redis, pattern):
    cursor, keys = '0', set()
    while True:
        cursor, page = redis.command('SCAN', cursor, 'MATCH', pattern, 'COUNT', 1000)
        keys.update(page)
        if cursor == '0':
            return keys


def delete_all(redis, prefix='t'):
    """What docs/redis.md tells the operator to do."""
    keys = sorted(scan(redis, f'{{{prefix}}}:*'))
    for i in range(0, len(keys), 500):
        redis.command('UNLINK', *keys[i:i + 500])


def compare(driver, redis, audit=True, filled=False):
    """Everything under the prefix is what the ledger says, no more and no less."""
    ledger, base = driver.ledger(), f'{{{driver.prefix}}}:'
    cursor = redis.hash(base + 'cursor')
    assert int(cursor['seq']) == ledger['seq'], (cursor, ledger['seq'])
    expected = {base + 'cursor', base + 'items', base + 'events'}
    for item in ledger['items']:
        key = f'{base}item:{item["item"]}'
        expected.add(key)
        found = redis.hash(key)
        assert {f: found[f] for f in ITEM_FIELDS} == {f: str(item[f]) for f in ITEM_FIELDS}, (key, found, item)
        assert found['name'] == f'item "{item["item"]}" ä', found
    for order in ledger['orders']:
        key = f'{base}order:{order["user"]}:{order["order"]}'
        expected.add(key)
        found = redis.hash(key)
        assert {f: found.get(f) for f in ORDER_FIELDS} == {f: str(order[f]) for f in ORDER_FIELDS}, (key, found, order)
    denied = {str(user) for user in ledger['denied']}
    if denied:
        expected.add(base + 'denied')
    assert scan(redis, base + '*') == expected
    assert set(redis.command('SMEMBERS', base + 'denied')) == denied
    assert set(redis.command('SMEMBERS', base + 'items')) == {str(i['item']) for i in ledger['items']}
    events = redis.command('XRANGE', base + 'events', '-', '+')
    seen, resync = [], 0
    for entry, flat in events:
        fields = dict(zip(flat[::2], flat[1::2]))
        assert entry == fields['seq'] + '-0', (entry, fields)
        seen.append([int(fields['seq']), fields['type'], int(fields.get('item', 0))])  # of users: none
        resync = len(seen) if fields['type'] == 'resync' else resync
    assert bool(resync) == filled, seen[:3]
    wanted = [e for e in ledger['events'] if not resync or e[0] > seen[resync - 1][0]]
    assert seen[resync:] == wanted, f'{len(seen)} events, the log has {len(wanted)}'
    if audit:
        code, text = fgtest.audit(driver.lab, log=driver.log_dir, redis=redis.address, redis_prefix=driver.prefix)
        assert code == 0, text
    return ledger


# ---- the ordinary ----------------------------------------------------------------------------------------


def test_normal_flow(lab):
    """a growing log is followed live, in several transactions, and stop drains"""
    redis, driver = lab.redis(), Driver(lab)
    driver.load(10)
    driver.start(redis.address)
    for _ in range(20):
        driver.load(5)
    driver.caught_up()
    compare(driver, redis)
    driver.load(100, 200)
    took = driver.stop(drain=20000)
    ledger = compare(driver, redis)
    assert len(ledger['orders']) > 1000 and {o['state'] for o in ledger['orders']} == {
        'reserved', 'sold', 'cancelled', 'expired'}
    assert {event[1] for event in ledger['events']} > {'extended', 'user'} and ledger['denied']
    assert took < 20000


def test_batch_sizes(lab):
    """batches of 1, 7 and 100000 records give the same Redis"""
    for batch in (1, 7, 100000):
        redis, driver = lab.redis(), Driver(lab)
        driver.load(20)
        driver.start(redis.address, batch=batch)
        driver.caught_up()
        driver.load(20)
        driver.caught_up()
        driver.stop()
        compare(driver, redis)


def test_consumer_group_reads_every_event_once(lab):
    """a consumer group made before the sale reads each event once, in order"""
    redis, driver = lab.redis(), Driver(lab)
    redis.command('XGROUP', 'CREATE', '{t}:events', 'mail', '$', 'MKSTREAM')
    driver.start(redis.address)
    got = []
    for _ in range(10):
        driver.load(5)
        while answer := redis.command('XREADGROUP', 'GROUP', 'mail', 'one', 'COUNT', 100, 'STREAMS', '{t}:events', '>'):
            entries = answer[0][1]
            got += [int(dict(zip(e[1][::2], e[1][1::2]))['seq']) for e in entries]
            redis.command('XACK', '{t}:events', 'mail', *[e[0] for e in entries])
        driver.caught_up()
    driver.stop()
    answer = redis.command('XREADGROUP', 'GROUP', 'mail', 'one', 'COUNT', 100000, 'STREAMS', '{t}:events', '>')
    got += [int(e[0].split('-')[0]) for e in (answer[0][1] if answer else [])]
    assert got == [e[0] for e in driver.ledger()['events']]
    compare(driver, redis)


def test_stream_is_bounded(lab):
    """stream_max keeps about that many of the newest events, and the auditor accepts it"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address, stream_max=500)
    driver.load(100)
    driver.caught_up()
    driver.stop()
    length, last = redis.command('XLEN', '{t}:events'), redis.command('XREVRANGE', '{t}:events', '+', '-', 'COUNT', 1)
    ledger = driver.ledger()
    assert 500 <= length < 1000 < len(ledger['events']), length
    assert last[0][0] == f'{ledger["events"][-1][0]}-0'
    words = {'log': driver.log_dir, 'redis': redis.address, 'redis_prefix': 't'}
    assert fgtest.audit(lab, redis_stream_max=500, **words)[0] == 0
    code, text = fgtest.audit(lab, redis_stream_max=0, **words)
    assert code == 1 and 'redis-event' in text, text


def test_tcp_and_database(lab):
    """TCP over IPv4, IPv6 and a name, and a database other than 0"""
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    redis = lab.redis(port=port, bind='127.0.0.1 ::1')
    for host in ('127.0.0.1', '[::1]', 'localhost'):
        driver = Driver(lab, prefix='t' + host.strip('[]').replace(':', '_'))
        driver.start(f'{host}:{port}')
        driver.load()
        driver.caught_up()
        driver.stop()
        compare(driver, redis)
    before = redis.command('DBSIZE')
    driver.prefix = 'd'
    driver.start(redis.address, database=3)
    driver.caught_up()
    driver.stop()
    assert redis.command('DBSIZE') == before
    redis.command('SELECT', 3)
    compare(driver, redis, audit=False)
    code, text = fgtest.audit(lab, log=driver.log_dir, redis=redis.address, redis_prefix='d', redis_db=3)
    assert code == 0, text


def test_acl_user(lab):
    """an ACL user with the rights that docs/redis.md names is enough; a wrong password is told"""
    redis, driver = lab.redis(), Driver(lab)
    redis.command('ACL', 'SETUSER', 'gate', 'on', '>secret', '~{t}:*', '-@all', '+@hash', '+@set', '+@stream',
                  '+@transaction', '+scan', '+del', '+ping', '+select', '+auth')
    driver.load()
    driver.start(redis.address, user='gate', password='wrong')
    assert 'WRONGPASS' in driver.in_state('away')['error']
    assert 'wrong' not in driver.status()['error'].replace('WRONGPASS', '').replace('wrong number', '')
    driver.stop(drain=0)
    driver.start(redis.address, user='gate', password='secret')
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


# ---- Redis goes away -------------------------------------------------------------------------------------


def test_redis_comes_later(lab):
    """Redis is not there at the start: away, with the reason; it comes and is filled"""
    driver = Driver(lab)
    redis = fgtest.Redis(lab)
    driver.start(redis.address)
    driver.load()
    status = driver.in_state('away')
    assert redis.socket in status['error'] and status['lag'] > 0, status
    redis.start()
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


@fgtest.timeout(120)
def test_kill_with_data(lab):
    """kill -9 of a persistent Redis at random moments of the load: nothing doubled, nothing lost"""
    redis, driver = lab.redis(persist=True), Driver(lab)
    driver.start(redis.address, batch=50)
    chance = random.Random(driver.seed)
    for _ in range(6):
        loader = threading.Thread(target=lambda: [driver.load(4) for _ in range(25)])
        loader.start()
        time.sleep(chance.uniform(0, 0.15))
        redis.kill()
        loader.join()
        redis.start()
    assert driver.caught_up()['reconnects'] >= 3
    compare(driver, redis)
    driver.stop()


def test_kill_without_data(lab):
    """kill -9 of a Redis that keeps nothing: filled again from the first record"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address)
    for _ in range(3):
        driver.load(20)
        redis.kill()
        driver.load(5)
        redis.start()
        driver.caught_up()
        compare(driver, redis)
    driver.stop()


def test_rolled_back(lab):
    """Redis comes back with an older snapshot: goes on from the cursor in it"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address)
    driver.load(20)
    driver.caught_up()
    redis.command('SAVE')
    before = int(redis.hash('{t}:cursor')['seq'])
    driver.load(20)
    driver.caught_up()
    redis.kill()
    redis.start()
    assert int(redis.hash('{t}:cursor')['seq']) >= before
    driver.load(5)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


@fgtest.timeout(90)
def test_failover(lab):
    """failover to a replica that lagged, then to one that is empty; READONLY until it is promoted"""
    servers, driver = [lab.redis(), lab.redis(), lab.redis()], Driver(lab)
    first, second, third = servers
    first.command('CONFIG', 'SET', 'repl-diskless-sync-delay', 0)
    proxy = Proxy(lab, first.socket)
    driver.start(f'unix:{proxy.path}')
    driver.load()
    driver.caught_up()
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        port = s.getsockname()[1]
    first.command('CONFIG', 'SET', 'port', port)
    second.command('REPLICAOF', '127.0.0.1', port)
    wait_until(lambda: second.hash('{t}:cursor') == first.hash('{t}:cursor') != {}, 20, 'the replica follows')
    first.command('CONFIG', 'SET', 'port', 0)  # it does not get what comes now
    first.command('CLIENT', 'KILL', 'TYPE', 'replica')
    behind = int(second.hash('{t}:cursor')['seq'])
    driver.load(40)
    driver.caught_up()
    assert int(first.hash('{t}:cursor')['seq']) > behind
    proxy.target = second.socket
    first.kill()
    driver.load()
    assert 'READONLY' in driver.in_state('away', text='READONLY')['error']
    second.command('REPLICAOF', 'NO', 'ONE')
    driver.caught_up()
    compare(driver, second)
    proxy.target = third.socket
    second.kill()
    driver.load()
    driver.caught_up()
    driver.stop()
    compare(driver, third)


def test_flushall(lab):
    """FLUSHALL on a live connection, while busy and while idle: filled again"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address, batch=20)
    for _ in range(5):
        driver.load(10)
        redis.command('FLUSHALL')
        driver.load(10)
        driver.caught_up()
    redis.command('FLUSHALL')  # nothing is written any more: only looking shows it
    wait_until(lambda: redis.hash('{t}:cursor'), 10, 'an idle sink notices')
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


def test_flushall_just_before_stop(lab):
    """FLUSHALL and stop at once: draining fills Redis again"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address)
    driver.load(50)
    driver.caught_up()
    redis.command('FLUSHALL')
    driver.stop(drain=10000)
    compare(driver, redis)


def test_stopped_process(lab):
    """SIGSTOP of Redis: away within the timeout, the log grows on; SIGCONT: caught up, nothing doubled"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address, timeout=300)
    driver.load()
    driver.caught_up()
    redis.process.signal(signal.SIGSTOP)
    try:
        began = time.monotonic()
        driver.load(50)
        assert time.monotonic() - began < 5, 'the log must not wait for Redis'
        assert 'no answer within 300 ms' in driver.in_state('away')['error']
        time.sleep(1)  # several attempts pile up in its sockets
    finally:
        redis.process.signal(signal.SIGCONT)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


def test_stop_while_redis_hangs(lab):
    """stop keeps its drain time when Redis hangs, and the next start goes on"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address, timeout=60000)
    driver.load()
    driver.caught_up()
    redis.process.signal(signal.SIGSTOP)
    try:
        driver.load()
        time.sleep(0.1)
        took = driver.stop(drain=400)
        assert 300 <= took < 1500, took
    finally:
        redis.process.signal(signal.SIGCONT)
    driver.start(redis.address)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


@fgtest.timeout(120)
def test_lost_replies(lab):
    """connections cut in the middle of replies, also between EXEC and its answer: nothing doubled"""
    redis, driver = lab.redis(), Driver(lab)
    proxy = Proxy(lab, redis.socket)
    chance = random.Random(driver.seed)
    proxy.cut_after = lambda: chance.randrange(10, 12000)
    driver.start(f'unix:{proxy.path}', batch=50, retry=5)
    end = time.monotonic() + 60
    while proxy.cuts < 100 and time.monotonic() < end:
        driver.load(2)
        time.sleep(0.005)
    assert proxy.cuts >= 100, proxy.cuts
    proxy.cut_after = None
    driver.caught_up(seconds=30)
    driver.stop()
    compare(driver, redis)
    print(f'# {proxy.cuts} connections cut')


def test_slow_redis_gets_smaller_batches(lab):
    """a batch that takes longer than the timeout is halved until it fits"""
    redis, driver = lab.redis(persist=True), Driver(lab)
    driver.load(300, 200)
    driver.start(redis.address, batch=100000, timeout=40, retry=20)
    assert driver.caught_up(seconds=50)['reconnects'] >= 2
    driver.stop()
    compare(driver, redis)


def test_stop_in_mid_batch(lab):
    """stop without draining at random moments of catching up, and start again: nothing doubled"""
    redis, driver = lab.redis(), Driver(lab)
    chance = random.Random(driver.seed)
    driver.load(400, 100)
    for _ in range(15):
        driver.start(redis.address, batch=chance.choice((10, 100, 1000)))
        time.sleep(chance.uniform(0, 0.05))
        assert driver.stop(drain=0) < 1500
    driver.start(redis.address)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


def test_two_writers(lab):
    """two sinks of the same log and keys at once: each record is applied once"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address, slot=0, batch=30)
    driver.start(redis.address, slot=1, batch=7)
    driver.for_two()
    compare(driver, redis)


# ---- Redis says no ---------------------------------------------------------------------------------------


def test_password(lab):
    """no or a wrong password: away with Redis's words, never with the password; the right one works"""
    redis, driver = lab.redis(password='open-sesame'), Driver(lab)
    driver.load()
    driver.start(redis.address)
    assert 'NOAUTH' in driver.in_state('away')['error']
    driver.stop(drain=0)
    driver.start(redis.address, password='close-sesame')
    status = driver.in_state('away')
    assert 'WRONGPASS' in status['error'] and 'sesame' not in status['error'], status
    driver.stop(drain=0)
    driver.start(redis.address, password='open-sesame')
    driver.caught_up()
    driver.stop()
    compare(driver, redis, audit=False)
    os.environ['REDISCLI_AUTH'] = 'open-sesame'
    try:
        assert fgtest.audit(lab, log=driver.log_dir, redis=redis.address, redis_prefix='t')[0] == 0
    finally:
        del os.environ['REDISCLI_AUTH']


def test_out_of_memory(lab):
    """Redis refuses writes (maxmemory): away with its words, nothing half applied; goes on when there is room"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address)
    driver.load()
    driver.caught_up()
    redis.command('CONFIG', 'SET', 'maxmemory', 1)
    driver.load()
    assert 'OOM' in driver.in_state('away')['error']
    redis.command('CONFIG', 'SET', 'maxmemory', 0)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


def test_cursor_ahead(lab):
    """a cursor ahead of the log: refused, nothing written; deleting the keys resolves it without a restart"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address)
    driver.load()
    driver.caught_up()
    redis.command('HSET', '{t}:cursor', 'seq', 10**9)
    driver.load()
    status = driver.in_state('refused', text='ahead of the log')
    assert 'restore the right log; only if' in status['error'], status
    assert 'delete the keys {t}:*' in status['error'], status
    assert redis.command('HGET', '{t}:cursor', 'seq') == str(10**9)
    code, text = fgtest.audit(lab, log=driver.log_dir, redis=redis.address, redis_prefix='t')
    assert code == 1 and 'redis-cursor' in text and 'ahead of the log' in text, text
    delete_all(redis)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


def test_another_appliance(lab):
    """keys of another log are refused and left alone; another prefix beside them works"""
    redis, first, second = lab.redis(), Driver(lab), Driver(lab)
    first.start(redis.address)
    first.load()
    first.caught_up()
    first.stop()
    second.start(redis.address)
    second.load()
    assert 'of appliance' in second.in_state('refused')['error']
    compare(first, redis)
    assert second.stop(drain=5000) < 2000, 'draining cannot help a refused sink'
    second.prefix = 't2'
    second.start(redis.address)
    second.caught_up()
    second.stop()
    compare(second, redis)
    compare(first, redis)


def test_lost_cursor(lab):
    """keys without a cursor are refused: counters would be added to them"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address)
    driver.load()
    driver.caught_up()
    redis.command('DEL', '{t}:cursor')
    status = driver.in_state('refused', text='there is no cursor, but there is {t}:')
    assert 'Delete the keys {t}:*' in status['error']
    driver.load()
    delete_all(redis)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


def test_error_inside_a_transaction(lab):
    """a key of a wrong type makes a command inside EXEC fail: refused, also after a restart, until it is rebuilt"""
    redis, driver = lab.redis(), Driver(lab)
    driver.start(redis.address)
    driver.load()
    driver.caught_up()
    redis.command('SET', '{t}:item:1', 'not a hash')
    driver.load(30)
    assert 'WRONGTYPE' in driver.in_state('refused')['error']
    driver.stop(drain=0)
    driver.start(redis.address)
    assert 'WRONGTYPE' in driver.in_state('refused')['error']
    code, text = fgtest.audit(lab, log=driver.log_dir, redis=redis.address, redis_prefix='t')
    assert code == 1 and 'WRONGTYPE' in text, text
    delete_all(redis)
    driver.caught_up()
    driver.stop()
    compare(driver, redis)


def test_foreign_keys_are_left_alone(lab):
    """keys of other prefixes in the same database are neither read nor touched"""
    redis, driver = lab.redis(), Driver(lab)
    for i in range(3000):
        redis.command('SET', f'other:{i}', i)
    redis.command('SET', '{t2}:cursor', 'x')
    driver.start(redis.address)
    driver.load()
    driver.caught_up()
    driver.stop()
    compare(driver, redis)
    assert redis.command('GET', '{t2}:cursor') == 'x' and redis.command('GET', 'other:7') == '7'


if __name__ == '__main__':
    fgtest.main()
