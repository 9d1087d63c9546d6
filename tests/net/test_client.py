#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""fgclient.py: its self-test, its retries against a scripted peer on loopback, and a sale with the appliance."""

import contextlib
import json
import os
import re
import socket
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgtest  # noqa: E402
from fggateway import Relay  # noqa: E402
from fgshop import ITEM, NsClient, Shop  # noqa: E402

PROGRAM = fgclient.__file__
SECRET = bytes(range(16))
ORDER = bytes(range(100, 116))


def reply(data, status, secret=SECRET, **changes):
    """The bytes of a reply to this request."""
    _, _, op, key_id, quantity, order_id, _, item, _, _, cookie = fgclient.REQUEST.unpack(data[:fgclient.TAG_AT])
    values = {'magic': fgclient.MAGIC, 'version': 2, 'op': op | 0x80, 'key_id': key_id, 'quantity': quantity,
              'order_id': order_id, 'deadline_ms': 0, 'item': item, 'left': 0, 'retry_ms': 0,
              'status': fgclient.STATUSES.get(status, status), 'flags': 0, 'shard_map': 0, 'cookie': cookie, **changes}
    return fgclient.seal(secret, fgclient.ANSWER.pack(*values.values()))


class Timed(fgclient.Client):
    """Knows when it sent each packet."""

    def __init__(self, *words, **options):
        super().__init__(*words, **options)
        self.times = []

    def _send(self, packet):
        self.times.append(time.monotonic())
        super()._send(packet)


@contextlib.contextmanager
def patient():
    """A client repeats nothing because the Peer of a busy machine is late."""
    usual, fgclient.FIRST_WAIT_S = fgclient.FIRST_WAIT_S, fgclient.WAIT_MAX_S
    try:
        yield
    finally:
        fgclient.FIRST_WAIT_S = usual


class Peer(fgtest.Background):
    """Answers the n-th packet with what the n-th step of the script makes of it: a list of datagrams."""

    def __init__(self, *script, family=socket.AF_INET):
        self.socket = socket.socket(family, socket.SOCK_DGRAM)
        self.socket.bind(('::1' if family == socket.AF_INET6 else '127.0.0.1', 0))
        self.socket.settimeout(0.05)
        self.address = self.socket.getsockname()[:2]
        self.script, self.seen, self.times = list(script), [], []

    def run(self):
        while not self.ends:
            try:
                data, source = self.socket.recvfrom(2048)
            except TimeoutError:
                continue
            self.seen.append(data)
            self.times.append(time.monotonic())
            for answer in (self.script.pop(0)(data) if self.script else ()):
                self.socket.sendto(answer, source)

    def close(self):
        self.socket.close()

    def client(self, **options):
        return Timed(self.address[0], 7, SECRET, port=self.address[1], **options)


def lost(_):
    return []


def answer(status, **changes):
    return lambda data: [reply(data, status, **changes)]


def run_client(*words, timeout=30):
    done = subprocess.run([sys.executable, PROGRAM, *map(str, words)], capture_output=True, text=True, timeout=timeout)
    return done.returncode, done.stdout, done.stderr


def test_self_test_passes():
    """the vectors and tables of docs/protocol.md"""
    code, out, err = run_client('--self-test')
    assert code == 0 and 'not ok' not in out and out.count('\nok ') >= 20, out + err


def test_self_test_can_fail():
    """a page with a wrong digit, status or operation fails the self-test"""
    with open(os.path.join(fgtest.ROOT, 'docs', 'protocol.md'), encoding='utf-8') as f:
        page = f.read()
    for old, new in (('464702010700020000112233', '464702010700020000112234'), ('| 5 | SOLD_OUT', '| 20 | SOLD_OUT'),
                     ('| 5 | STOCK', '| 6 | STOCK'), ('0xb78dbfaf3a8d83bd', '0xb78dbfaf3a8d83be')):
        assert old in page, old
        with tempfile.NamedTemporaryFile('w', suffix='.md', encoding='utf-8') as f:
            f.write(page.replace(old, new, 1))
            f.flush()
            code, out, _ = run_client('--self-test', '--page', f.name)
        assert code == 1 and out.count('not ok') >= 1, (old, out)


def test_lost_packets_are_repeated():
    """the same order with the same fields, later and later, under a new cookie"""
    with Peer(lost, lost, answer('RESERVED', deadline_ms=5)) as peer, peer.client() as c:
        got = c.reserve(1, 2, 3, ORDER)
        assert got.status == 'RESERVED' and got.deadline_ms == 5 and got.order_id == ORDER and got.quantity == 3, got
        seen = peer.seen[:3]  # a fourth one, if the answer was late
        assert len({d[:52] for d in seen}) == 1 and len({d[52:56] for d in seen}) == 3
        assert c.times[1] - c.times[0] > 0.14 and c.times[2] - c.times[1] > 0.29, c.times


def test_busy_waits_as_told():
    """BUSY, NOT_OPEN, PAUSED, UNAVAILABLE and USER_RATE are asked again, not before retry_ms; others are answers"""
    script = [answer('BUSY', retry_ms=300), answer('NOT_OPEN', retry_ms=100), answer('PAUSED', retry_ms=50),
              answer('UNAVAILABLE'), answer('USER_RATE', retry_ms=20), answer(200), answer('SOLD_OUT', retry_ms=1000)]
    with patient(), Peer(*script) as peer, peer.client(patience=30) as c:
        assert c.reserve(1, 2, 1).status == 'SOLD_OUT'
        assert len(peer.seen) == 7 and peer.times[1] - peer.times[0] >= 0.3, peer.times


def test_wrong_replies_are_no_answer():
    """wrong tag, key, order, operation, cookie, version or size: ignored, and the right one counts"""
    bad = [{'secret': bytes(16)}, {'key_id': 8}, {'order_id': bytes(16)}, {'op': 0x82}, {'op': 1}, {'cookie': 0},
           {'version': 1}, {'magic': 0}]

    def answers(data):
        right = reply(data, 'SOLD')
        return [*(reply(data, 'SOLD_OUT', **b) for b in bad), right[:63], right + b'\0', b'', right]

    with patient(), Peer(answers) as peer, peer.client() as c:
        assert c.reserve(1, 2, 1, ORDER).status == 'SOLD'
        assert c.ignored == len(bad) + 3 and len(peer.seen) == 1, c.ignored


def test_late_reply_counts():
    """an answer to an earlier transmission is an answer"""
    first = []

    def late(data):
        return [reply(first[0], 'CANCELLED')]

    with Peer(lambda data: first.append(data) or [], late) as peer, peer.client() as c:
        assert c.cancel(1, ORDER).status == 'CANCELLED'


def test_patience_ends():
    """nobody there, and somebody who is always busy"""
    with Peer() as peer, peer.client(patience=0.5) as c:
        for _ in range(2):
            began = time.monotonic()
            try:
                raise AssertionError(c.query(1, ORDER))
            except fgclient.NoReply as error:
                assert 0.45 < time.monotonic() - began, error
                fgtest.soon(began, 1, 'it gives up')
            peer.script += [answer('BUSY', retry_ms=10)] * 100


def test_packets_are_what_the_operation_needs():
    """fields that an operation leaves zero are zero"""
    with Peer(*[answer('BUSY')] * 20) as peer, peer.client(patience=0.05) as c:
        for ask in (lambda: c.confirm(9, ORDER), lambda: c.cancel(9, ORDER), lambda: c.query(9, ORDER),
                    lambda: c.stock(5), lambda: c.extend(9, ORDER, 77), lambda: c.refund(9, ORDER, restock=True),
                    lambda: c.orders(9, 5)):
            try:
                ask()
            except fgclient.NoReply:
                pass
        fgtest.wait_until(lambda: {d[3] for d in peer.seen} == {2, 3, 4, 5, 6, 7, 8}, 5, 'all came')
        for data in peer.seen:
            _, _, op, _, quantity, order, user, item, until_ms, flags, _ = fgclient.REQUEST.unpack(data[:56])
            assert (quantity, user, item) == (0, 0 if op == 5 else 9, 5 if op in (5, 8) else 0)
            assert until_ms == (77 if op == 6 else 0) and flags == (1 if op == 7 else 0) and data[49:52] == bytes(3)
            assert order == (bytes(16) if op in (5, 8) else ORDER)


def test_orders_are_listed_by_the_cookie():
    """ORDERS: an answer tells another order id; the list ends with UNKNOWN_ORDER"""
    with patient(), Peer(answer('RESERVED', order_id=ORDER), answer('SOLD', flags=1, order_id=bytes(15) + b'x'),
                         answer('UNKNOWN_ORDER')) as peer, peer.client() as c:
        found = c.orders(9)
        assert [r.status for r in found] == ['RESERVED', 'SOLD'] and found[0].order_id == ORDER and found[1].flags == 1
        assert [fgclient.REQUEST.unpack(d[:56])[4] for d in peer.seen] == [0, 1, 2]


def test_command_exit_codes():
    """the command prints the reply as JSON and ends with a code by status, over IPv6"""
    for op, status, code in (('reserve', 'RESERVED', 0), ('reserve', 'SOLD_OUT', 25), ('confirm', 'SOLD', 0),
                             ('confirm', 'EXPIRED', 24), ('cancel', 'CANCELLED', 0), ('query', 'EXPIRED', 0),
                             ('query', 'UNKNOWN_ORDER', 33), ('stock', 'ON_SALE', 0), ('stock', 'UNKNOWN_ITEM', 32)):
        words = [op] + ([] if op == 'stock' else ['--user', 1, '--order', ORDER.hex()])
        words += ['--item', 2] if op in ('reserve', 'stock') else []
        with Peer(answer(status), family=socket.AF_INET6) as peer:
            got, out, err = run_client('--server', '::1', '--port', peer.address[1], '--key', f'7:{SECRET.hex()}',
                                       *words)
        assert got == code and json.loads(out)['status'] == status, (op, status, got, out, err)


def test_command_usage():
    """wrong words are refused with exit code 2, silence is 3"""
    key = ['--key', f'7:{SECRET.hex()}']
    for words in ([], key, ['stock', '--item', 1], ['--key', '0:' + SECRET.hex(), 'stock', '--item', 1],
                  ['--key', '7:00', 'stock', '--item', 1], [*key, 'stock', '--item', 2 ** 64],
                  [*key, 'stock', '--item', -1], [*key, 'query', '--user', 1, '--order', 'zz'],
                  [*key, 'reserve', '--user', 1, '--item', 1, '--quantity', 65536], [*key, 'confirm', '--user', 1]):
        code, out, err = run_client(*words)
        assert code == 2 and not out and 'error' in err, (words, code, err)
    with Peer() as peer:
        code, out, err = run_client('--port', peer.address[1], '--patience', 0.3, *key, 'stock', '--item', 1)
    assert code == 3 and not out and 'no answer' in err, (code, err)


def test_a_sale_with_the_appliance(lab):
    """reserve, extend, confirm, cancel, query and stock with the appliance, over IPv4 and IPv6, by the command"""
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if, settings={
        'limits.orders_max': 20000, 'limits.users_max': 20000, 'limits.deferred_max': 4096, 'eal.huge': 'no'})
    gate.start()
    status, made = gate.api('POST', '/v1/items', {'item': 7, 'name': 'shoe', 'total': 3, 'hold_ms': 60000})
    assert status == 201, made

    def ask(role, *words, address=link.a_ip):
        number = next(n for n, name in gate.keys.ROLES.items() if name == role)
        done = subprocess.run([*link.b.enter(), sys.executable, PROGRAM, '--server', address, '--key',
                               f'{number}:{gate.keys.secrets[number].hex()}', *map(str, words)],
                              capture_output=True, text=True, timeout=30)
        return done.returncode, json.loads(done.stdout)['status'] if done.stdout else done.stderr

    one, two = ORDER.hex(), bytes(16).hex()
    buy = ['reserve', '--user', 1, '--item', 7, '--order', one, '--quantity', 2]
    assert ask('shop', *buy) == (0, 'RESERVED')
    assert ask('shop', *buy) == (0, 'RESERVED'), 'the same order again'
    assert ask('shop', *buy[:-1], 1) == (34, 'CONFLICT')
    assert ask('shop', 'confirm', '--user', 1, '--order', one) == (35, 'DENIED')
    assert ask('backend', 'extend', '--user', 1, '--order', one, '--until-ms', 0) == (0, 'RESERVED')
    assert ask('backend', 'confirm', '--user', 1, '--order', one, address=link.a_ip6) == (0, 'SOLD')
    assert ask('shop', 'cancel', '--user', 1, '--order', one) == (22, 'SOLD'), 'too late'
    assert ask('monitor', 'query', '--user', 1, '--order', one, address=link.a_ip6) == (0, 'SOLD')
    assert ask('shop', 'reserve', '--user', 2, '--item', 7, '--quantity', 2) == (26, 'INSUFFICIENT')
    assert ask('shop', 'reserve', '--user', 2, '--item', 7, '--order', two) == (0, 'RESERVED')
    assert ask('monitor', 'stock', '--item', 7) == (25, 'SOLD_OUT')
    assert ask('shop', 'cancel', '--user', 2, '--order', two) == (0, 'CANCELLED')
    fgtest.wait_until(lambda: ask('monitor', 'stock', '--item', 7) == (0, 'ON_SALE'), 5, 'the unit is on sale again')
    assert ask('monitor', 'query', '--user', 3, '--order', one) == (33, 'UNKNOWN_ORDER')


# ---- another language, a bad network -----------------------------------------------------------------------

PERL = os.path.join(os.path.dirname(PROGRAM), 'fgclient.pl')
UNITS, USERS = 14, 20


def test_vectors_in_perl():
    """a client in Perl, written from the page alone, passes all tables, examples and vectors; a wrong digit fails"""
    page = os.path.join(fgtest.ROOT, 'docs', 'protocol.md')
    done = subprocess.run(['perl', PERL, 'vectors', page], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0 and 'not ok' not in done.stdout and not done.stderr, done
    with open(page, encoding='utf-8') as f:
        text = f.read().replace('464702010700020000112233', '464702010700020000112234', 1)
    with tempfile.NamedTemporaryFile('w', suffix='.md', encoding='utf-8') as f:
        f.write(text)
        f.flush()
        done = subprocess.run(['perl', PERL, 'vectors', f.name], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and done.stdout.count('not ok') == 1, done


@fgtest.timeout(180)
def test_a_sale_over_a_bad_network(lab):
    """a fifth of the packets is lost, a fifth comes twice, all late and out of order: Perl and Python sell what there is"""
    s = Shop(lab, {'total': UNITS, 'user_limit': 1, 'hold_ms': 600000}, **{'filter.order_rate': 0})
    key = {role: f'{n}:{s.gate.keys.secrets[n].hex()}' for n, role in s.gate.keys.ROLES.items()}
    with Relay(s.link.b, s.link.a_ip, 0.2, seed=7, doubles=0.2, delay=0.15) as relay:
        perl = subprocess.Popen([*s.link.b.enter(), 'perl', PERL, 'sale', '127.0.0.1', str(relay.port), key['shop'],
                                 key['backend'], str(ITEM), '1', str(USERS // 2)], stdout=subprocess.PIPE, text=True)
        shop, backend = (NsClient(s.link.b, '127.0.0.1', s.gate.keys, role, patience=60, port=relay.port)
                         for role in ('shop', 'backend'))
        told = {}
        for user in range(USERS // 2 + 1, USERS + 1):
            order = os.urandom(16)
            status = shop.reserve(user, ITEM, 1, order).status
            told[user, order.hex()] = backend.confirm(user, order).status if status == 'RESERVED' else status
        lines = perl.communicate(timeout=120)[0].split('\n')
        assert perl.returncode == 0, lines
        assert relay.lost > 3 and relay.doubled > 3, (relay.lost, relay.doubled)
    for line in lines[:USERS // 2]:
        user, order, status = line.split()
        told[int(user), order] = status
    sent, ignored = map(int, re.match(r'sent (\d+), ignored (\d+)$', lines[USERS // 2]).groups())
    assert sent > USERS // 2, (sent, ignored)
    counts = [list(told.values()).count(status) for status in ('SOLD', 'SOLD_OUT')]
    assert counts == [UNITS, USERS - UNITS], told
    s.settle(UNITS, 0, 0, UNITS)
    for (user, order), status in told.items():
        orders = s.gate.get(f'/v1/orders/{user}')['orders']
        assert [(o['order'], o['state']) for o in orders] == ([(order, 'sold')] if status == 'SOLD' else []), (user, orders)
    s.audit(lab)


if __name__ == '__main__':
    fgtest.main()
