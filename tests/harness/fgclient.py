#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A client of the order packet, written from docs/protocol.md alone: it shares no code with
Floodgate.

    fgclient.py --server 198.18.0.1 --key 7:000102030405060708090a0b0c0d0e0f reserve --user 1 --item 2 --quantity 1
    fgclient.py --server HOST --key ID:SECRET wait --user 1 --item 2 --quantity 1 [--order ORDER_ID]
    fgclient.py --server ::1 --key ID:SECRET confirm|cancel|query --user 1 --order ORDER_ID
    fgclient.py --server HOST --key ID:SECRET extend --user 1 --order ORDER_ID --until-ms UNIX_TIME
    fgclient.py --server HOST --key ID:SECRET refund --user 1 --order ORDER_ID [--restock]
    fgclient.py --server HOST --key ID:SECRET orders --user 1 [--item 2] [--index N]
    fgclient.py --server HOST --key ID:SECRET stock --item 2
    fgclient.py --self-test

Prints the reply as JSON. Exit code: 0 the operation had its effect (query: the order is known), 1
error, 2 usage, 3 no answer, 20 + number of the status for any other answer.
"""

import argparse
import collections
import hmac
import json
import os
import random
import re
import secrets
import socket
import struct
import sys
import time

PORT = 4600
MAGIC, VERSION, REPLY = 0x4746, 2, 0x80
RESTOCK, LATE = 1, 1  # flags of a REFUND, of a reply
SIZE, TAG_AT = 64, 56
REQUEST = struct.Struct('<HBBHH16sQQQB3xI')  # the tag follows
ANSWER = struct.Struct('<HBBHH16sQQIIBBHI')  # the tag follows
TAG = struct.Struct('<Q')

OPS = {'RESERVE': 1, 'CONFIRM': 2, 'CANCEL': 3, 'QUERY': 4, 'STOCK': 5, 'EXTEND': 6, 'REFUND': 7,
       'ORDERS': 8, 'WAIT': 9}
STATUSES = {
    'RESERVED': 1, 'SOLD': 2, 'CANCELLED': 3, 'EXPIRED': 4, 'SOLD_OUT': 5, 'INSUFFICIENT': 6, 'USER_LIMIT': 7,
    'BAD_QUANTITY': 8, 'NOT_OPEN': 9, 'CLOSED': 10, 'PAUSED': 11, 'UNKNOWN_ITEM': 12, 'UNKNOWN_ORDER': 13,
    'CONFLICT': 14, 'DENIED': 15, 'BUSY': 16, 'FULL': 17, 'UNAVAILABLE': 18, 'ON_SALE': 19,
    'USER_RATE': 20, 'USER_DENIED': 21, 'REFUNDED': 22, 'WAITING': 23, 'NOT_LEADER': 24, 'WRONG_SHARD': 25}
STATUS_NAMES = {number: name for name, number in STATUSES.items()}
STATES = ('RESERVED', 'SOLD', 'CANCELLED', 'EXPIRED', 'REFUNDED', 'WAITING')
ASK_AGAIN = ('BUSY', 'NOT_OPEN', 'PAUSED', 'UNAVAILABLE', 'USER_RATE')  # nothing was decided
EFFECT = {'RESERVE': ('RESERVED',), 'CONFIRM': ('SOLD',), 'CANCEL': ('CANCELLED',), 'QUERY': STATES,
          'STOCK': ('ON_SALE',), 'EXTEND': ('RESERVED',), 'REFUND': ('REFUNDED',), 'ORDERS': STATES,
          'WAIT': ('RESERVED', 'WAITING')}

FIRST_WAIT_S, WAIT_MAX_S, PATIENCE_S = 0.2, 2.0, 10.0
MASK = (1 << 64) - 1


def siphash24(secret, packet):
    """The tag of the page: SipHash-2-4 of 56 bytes."""
    k0, k1 = struct.unpack('<2Q', secret)
    v0, v1 = k0 ^ 0x736f6d6570736575, k1 ^ 0x646f72616e646f6d
    v2, v3 = k0 ^ 0x6c7967656e657261, k1 ^ 0x7465646279746573

    def rotate(x, bits):
        return (x << bits | x >> (64 - bits)) & MASK

    def turn(rounds):
        nonlocal v0, v1, v2, v3
        for _ in range(rounds):
            v0 = (v0 + v1) & MASK
            v1 = rotate(v1, 13) ^ v0
            v0 = rotate(v0, 32)
            v2 = (v2 + v3) & MASK
            v3 = rotate(v3, 16) ^ v2
            v0 = (v0 + v3) & MASK
            v3 = rotate(v3, 21) ^ v0
            v2 = (v2 + v1) & MASK
            v1 = rotate(v1, 17) ^ v2
            v2 = rotate(v2, 32)

    for word in (*struct.unpack('<7Q', packet[:TAG_AT]), TAG_AT << 56):
        v3 ^= word
        turn(2)
        v0 ^= word
    v2 ^= 0xff
    turn(4)
    return v0 ^ v1 ^ v2 ^ v3


def owner(user, ports):
    """Offset of the order port that a user's orders should go to: "Steering" of the page."""
    return part(user, 0x69bf14213c3cee38, ports)


def shard(user, shards):
    """The shard of a fleet that a user belongs to: "Fleet" of the page."""
    return part(user, 0xc2468a40efd8f5c6, shards)


def part(user, factor, parts):
    product = (user ^ 0x9e3779b97f4a7c15) * factor
    return ((product & MASK) ^ (product >> 64)) * parts >> 64


def seal(secret, body):
    return body + TAG.pack(siphash24(secret, body))


def request(key_id, secret, op, order_id=bytes(16), user=0, item=0, quantity=0, until_ms=0, flags=0, cookie=0):
    """The 64 bytes of a request; op is its name."""
    return seal(secret, REQUEST.pack(MAGIC, VERSION, OPS[op], key_id, quantity, order_id, user, item, until_ms,
                                     flags, cookie))


class Reply(collections.namedtuple(
        'Reply', 'op key_id quantity order_id deadline_ms item left retry_ms status flags shard_map cookie')):
    """Fields of a reply; for WAITING and STOCK deadline_ms is two numbers."""

    __slots__ = ()

    @property
    def ticket(self):
        """WAITING: the user's; STOCK: the one that comes next."""
        return self.deadline_ms & 0xffffffff

    @property
    def waiting(self):
        """STOCK: users in the line."""
        return self.deadline_ms >> 32

    expected_ms = waiting  # WAITING: until the turn


def parse_reply(data, key_id, secret):
    """A Reply, or None when the bytes are no reply signed with this key. An unknown status is BUSY
    without a hint."""
    if len(data) != SIZE or TAG.unpack(data[TAG_AT:])[0] != siphash24(secret, data):
        return None
    (magic, version, op, key, quantity, order_id, deadline_ms, item, left, retry_ms, status, flags, shard_map,
     cookie) = ANSWER.unpack(data[:TAG_AT])
    names = [name for name, number in OPS.items() if number | REPLY == op]
    if magic != MAGIC or version != VERSION or key != key_id or not names:
        return None
    if status not in STATUS_NAMES:
        status, retry_ms = STATUSES['BUSY'], 0
    return Reply(names[0], key, quantity, order_id, deadline_ms, item, left, retry_ms, STATUS_NAMES[status], flags, shard_map,
                 cookie)


class NoReply(Exception):
    """Nothing came that is an answer, or nothing but "ask again" as long as patience lasted."""


class Client:
    """Sends orders with one key. One request at a time; not for several threads.

    When an answer to STOCK says that there are several order ports, requests go to the one of their
    user from then on.
    """

    ports, first = 1, None  # order ports, from `first` on

    def __init__(self, server, key_id, secret, port=PORT, patience=PATIENCE_S, source=None):
        self.key_id, self.secret, self.patience = key_id, secret, patience
        self.sent, self.ignored, self.last = 0, 0, None  # transmissions, packets that were no answer, last Reply
        family, kind, protocol, _, address = socket.getaddrinfo(server, port, type=socket.SOCK_DGRAM)[0]
        self.socket = socket.socket(family, kind, protocol)
        if source:
            self.socket.bind((source, 0))
        self.socket.connect(address)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.socket.close()

    def reserve(self, user, item, quantity, order_id=None):
        return self.ask('RESERVE', order_id or secrets.token_bytes(16), user=user, item=item, quantity=quantity)

    def wait(self, user, item, quantity=1, order_id=None):
        """A place in the line, or units: one answer. Its retry_ms says when to wait() again."""
        return self.ask('WAIT', order_id or secrets.token_bytes(16), user=user, item=item, quantity=quantity)

    def confirm(self, user, order_id):
        return self.ask('CONFIRM', order_id, user=user)

    def cancel(self, user, order_id):
        return self.ask('CANCEL', order_id, user=user)

    def query(self, user, order_id):
        return self.ask('QUERY', order_id, user=user)

    def extend(self, user, order_id, until_ms):
        return self.ask('EXTEND', order_id, user=user, until_ms=until_ms)

    def refund(self, user, order_id, restock=False):
        return self.ask('REFUND', order_id, user=user, flags=RESTOCK if restock else 0)

    def orders(self, user, item=0):
        """The replies that tell the user's orders, of one item or of all."""
        found = []
        while (reply := self.ask('ORDERS', user=user, item=item, quantity=len(found))).status in STATES:
            found.append(reply)
        return found

    def stock(self, item):
        reply = self.ask('STOCK', item=item)
        self.ports = max(1, reply.quantity)
        return reply

    def _aim(self, op, fields):
        """The socket talks to the order port of this request's user, or of STOCK's item."""
        address, port, *rest = self.socket.getpeername()
        self.first = self.first or port
        wanted = self.first + owner(fields.get('item' if op == 'STOCK' else 'user', 0), self.ports)
        if wanted != port:
            self.socket.connect((address, wanted, *rest))

    def ask(self, op, order_id=bytes(16), **fields):
        """Sends until there is an answer that decides; raises NoReply when patience ends. See
        "Retries"."""
        end, wait, cookies = time.monotonic() + self.patience, FIRST_WAIT_S, set()
        self.last = None
        if self.ports > 1:
            self._aim(op, fields)
        while time.monotonic() < end:
            cookies.add(cookie := secrets.randbits(32))
            self._send(request(self.key_id, self.secret, op, order_id, cookie=cookie, **fields))
            limit = min(end, time.monotonic() + wait * random.uniform(0.75, 1.25))
            reply = self._receive(op, order_id, cookies, limit)
            if reply and reply.status not in ASK_AGAIN:
                return reply
            if reply:
                self.last = reply
                hint = reply.retry_ms / 1000 or wait
                if hint > end - time.monotonic():  # patience wins over the hint
                    break
                time.sleep(max(0, min(hint + random.uniform(0, min(hint, 1)), end - time.monotonic())))
            wait = min(wait * 2, WAIT_MAX_S)
        raise NoReply(f'{op}: ' + (f'{self.last.status} until the end' if self.last else 'no answer')
                      + f' in {self.patience} s, {len(cookies)} packets sent')

    def _send(self, packet):
        self.sent += 1
        try:
            self.socket.send(packet)
        except OSError:  # unreachable for the moment: the same as a lost packet
            pass

    def _receive(self, op, order_id, cookies, limit):
        """The first reply to one of these transmissions, or None at the time `limit`."""
        while (left := limit - time.monotonic()) > 0:
            self.socket.settimeout(left)
            try:
                data = self.socket.recv(2048)
            except TimeoutError:
                return None
            except OSError:  # port unreachable: nobody listens yet
                time.sleep(max(0, min(0.05, limit - time.monotonic())))
                continue
            reply = parse_reply(data, self.key_id, self.secret)
            same = reply and (op == 'ORDERS' or reply.order_id == order_id)  # ORDERS tells the id of what it found
            if same and reply.op == op and reply.cookie in cookies:
                return reply
            self.ignored += 1
        return None


class Fleet:
    """Asks the member of a fleet that a user belongs to. clients: one Client for each member."""

    def __init__(self, clients, shards=256):
        self.clients, self.moved = clients, 0
        self.deal(shards)

    def deal(self, shards):
        self.owner = [n % len(self.clients) for n in range(shards)]

    def ask(self, op, order_id=bytes(16), user=0, **fields):
        for _ in self.clients:
            member = self.owner[shard(user, len(self.owner))]
            reply = self.clients[member].ask(op, order_id, user=user, **fields)
            if reply.status != 'WRONG_SHARD' or reply.quantity >= len(self.clients):
                break
            if reply.left != len(self.owner):
                self.deal(reply.left)
            self.owner[shard(user, len(self.owner))] = reply.quantity
            self.moved += 1
        return reply


# ---- self-test: the page against this program --------------------------------------------------


def table(page, heading):
    """{second cell: number in the first} of the first table behind a heading."""
    body = page.split(f'\n## {heading}\n', 1)[1].split('\n## ', 1)[0]
    return {name: int(number) for number, name in re.findall(r'^\| (\d+) \| (\w+) \|', body, re.M)}


def fields_of(words):
    return dict(word.split('=', 1) for word in words.split())


def vectors(page):
    """(keys, requests, replies) of the page: {id: secret}, [(fields, bytes)], [(fields, bytes)]."""
    lines = iter(page.split('\n```vectors\n', 1)[1].split('\n```', 1)[0].splitlines())
    keys, packets = {}, {'request': [], 'reply': []}
    for line in lines:
        kind, _, words = line.partition(' ')
        if kind == 'key':
            fields = fields_of(words)
            keys[int(fields['id'])] = bytes.fromhex(fields['secret'])
        elif kind in packets:
            packets[kind].append((fields_of(words), bytes.fromhex(next(lines))))
        elif line:
            raise ValueError(f'not a vector: {line}')
    return keys, packets['request'], packets['reply']


def expect(got, wanted):
    if got != wanted:
        raise AssertionError(f'got {got!r}, wanted {wanted!r}')


def check_request(fields, data, keys):
    numbers = {name: int(fields.get(name, 0)) for name in ('user', 'item', 'quantity', 'until_ms', 'flags', 'cookie')}
    key_id = int(fields['key_id'])
    expect(request(key_id, keys[key_id], fields['op'], bytes.fromhex(fields['order_id']), **numbers).hex(), data.hex())


def check_reply(fields, data, keys):
    key_id = int(fields['key_id'])
    numbers = {name: int(fields.get(name, 0))
               for name in ('quantity', 'deadline_ms', 'item', 'left', 'retry_ms', 'flags', 'shard_map', 'cookie')}
    expect(parse_reply(data, key_id, keys[key_id]),
           Reply(op=fields['op'], key_id=key_id, order_id=bytes.fromhex(fields['order_id']), status=fields['status'],
                 **numbers))
    for bit in range(0, SIZE * 8, 5):
        changed = bytearray(data)
        changed[bit // 8] ^= 1 << bit % 8
        expect(parse_reply(bytes(changed), key_id, keys[key_id]), None)


def check_user_example(page):
    secret, name, number = re.search(r'With the secret `(.*?)` and the name\n`(.*?)` that is (\d+)', page).groups()
    mac = hmac.new(secret.encode(), name.encode(), 'sha256').digest()
    expect(int.from_bytes(mac[:8], 'big'), int(number))


def check_steering(page):
    lines = page.split('\n```steering\n', 1)[1].split('\n```', 1)[0].splitlines()
    got = [f'user={f["user"]} ports={f["ports"]} offset={owner(int(f["user"]), int(f["ports"]))}'
           for f in map(fields_of, lines)]
    expect((got, len(lines) > 5), (lines, True))


def check_shards(page):
    lines = page.split('\n```shards\n', 1)[1].split('\n```', 1)[0].splitlines()
    got = [f'user={f["user"]} shards={f["shards"]} shard={shard(int(f["user"]), int(f["shards"]))}'
           for f in map(fields_of, lines)]
    expect((got, len(lines) > 5), (lines, True))


def check_tag_example(page):
    text = re.search(r'have the tag 0x([0-9a-f]{16}): the bytes `([0-9a-f ]{23})`', page)
    tag = siphash24(bytes(range(16)), bytes(range(56)))
    expect((f'{tag:016x}', TAG.pack(tag).hex(' ')), text.groups())


def self_test(path):
    with open(path, encoding='utf-8') as f:
        page = f.read()
    keys, requests, replies = vectors(page)
    cases = [
        ('operations are those of the page', lambda: expect(OPS, table(page, 'Operations'))),
        ('statuses are those of the page', lambda: expect(STATUSES, table(page, 'Statuses'))),
        ('the example of the tag', lambda: check_tag_example(page)),
        ('the examples of steering', lambda: check_steering(page)),
        ('the examples of shards', lambda: check_shards(page)),
        ('the example of a user by name', lambda: check_user_example(page)),
        ('the page has vectors for every operation',
         lambda: expect({f['op'] for f, _ in requests} & {f['op'] for f, _ in replies}, set(OPS)))]
    for number, (fields, data) in enumerate(requests, 1):
        cases.append((f'request {number}: {fields["op"]}', lambda f=fields, d=data: check_request(f, d, keys)))
    for number, (fields, data) in enumerate(replies, 1):
        cases.append((f'reply {number}: {fields["op"]} {fields["status"]}',
                      lambda f=fields, d=data: check_reply(f, d, keys)))
    failed = 0
    print(f'1..{len(cases)}')
    for number, (name, check) in enumerate(cases, 1):
        try:
            check()
            print(f'ok {number} - {name}')
        except Exception as error:  # whatever went wrong is the case's failure
            failed += 1
            print(f'not ok {number} - {name}\n# {type(error).__name__}: {error}')
    return 1 if failed else 0


# ---- command -----------------------------------------------------------------------------------


def number_up_to(top):
    def parse(text):
        if not re.fullmatch(r'[0-9]{1,20}', text) or int(text) > top:
            raise argparse.ArgumentTypeError(f'`{text}` is not a number from 0 to {top}')
        return int(text)
    return parse


def order_id_of(text):
    if not re.fullmatch(r'[0-9a-fA-F]{32}', text):
        raise argparse.ArgumentTypeError(f'`{text}` is not 32 hexadecimal digits')
    return bytes.fromhex(text)


def key_of(text):
    found = re.fullmatch(r'([0-9]{1,5}):([0-9a-fA-F]{32})', text)
    if not found or not 1 <= int(found[1]) <= 65535:
        raise argparse.ArgumentTypeError('not ID:SECRET, ID from 1 to 65535 and SECRET of 32 hexadecimal digits')
    return int(found[1]), bytes.fromhex(found[2])


def parse_arguments(argv):
    page = os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'docs', 'protocol.md')
    parser = argparse.ArgumentParser(description=__doc__.split('\n\n')[0],
                                     epilog='exit code: 0 it had its effect, 1 error, 2 usage, 3 no answer, '
                                            '20 + number of the status for any other answer')
    parser.add_argument('--self-test', action='store_true', help='check the tables and vectors of the page')
    parser.add_argument('--page', default=page, help='protocol.md for --self-test')
    parser.add_argument('--server', default='127.0.0.1', help='name or address of the appliance')
    parser.add_argument('--port', type=number_up_to(65535), default=PORT)
    parser.add_argument('--key', type=key_of, metavar='ID:SECRET')
    parser.add_argument('--patience', type=float, default=PATIENCE_S, help='seconds until it gives up')
    ops = parser.add_subparsers(dest='op', metavar='OPERATION')
    for op in OPS:
        sub = ops.add_parser(op.lower())
        if op != 'STOCK':
            sub.add_argument('--user', type=number_up_to(MASK), required=True)
            if op != 'ORDERS':
                sub.add_argument('--order', type=order_id_of, required=op not in ('RESERVE', 'WAIT'), metavar='ORDER_ID',
                                 help='32 hexadecimal digits' + ('; default: random' if op in ('RESERVE', 'WAIT') else ''))
        if op in ('RESERVE', 'WAIT', 'STOCK', 'ORDERS'):
            sub.add_argument('--item', type=number_up_to(MASK), required=op != 'ORDERS', default=0)
        if op in ('RESERVE', 'WAIT'):
            sub.add_argument('--quantity', type=number_up_to(65535), default=1)
        if op == 'ORDERS':
            sub.add_argument('--index', dest='quantity', type=number_up_to(65535), default=0,
                             help='which of the orders, from 0')
        if op == 'REFUND':
            sub.add_argument('--restock', dest='flags', action='store_const', const=RESTOCK, default=0,
                             help='the units go back on sale')
        if op == 'EXTEND':
            sub.add_argument('--until-ms', type=number_up_to(MASK), required=True, help='Unix time in milliseconds')
    args = parser.parse_args(argv)
    if not args.self_test and not (args.op and args.key):
        parser.error('an operation and --key, or --self-test, are needed')
    return args


def main(argv=None):
    args = parse_arguments(argv)
    if args.self_test:
        return self_test(args.page)
    fields = {name: getattr(args, name) for name in ('user', 'item', 'quantity', 'until_ms', 'flags') if hasattr(args, name)}
    order_id = bytes(16) if args.op in ('stock', 'orders') else args.order or secrets.token_bytes(16)
    op = args.op.upper()
    try:
        with Client(args.server, *args.key, port=args.port, patience=args.patience) as client:
            reply = client.ask(op, order_id, **fields)
    except NoReply as error:
        print(f'fgclient.py: {error}', file=sys.stderr)
        return 3
    except OSError as error:
        print(f'fgclient.py: {args.server} port {args.port}: {error}', file=sys.stderr)
        return 1
    print(json.dumps({**reply._asdict(), 'order_id': reply.order_id.hex()}))
    return 0 if reply.status in EFFECT[op] else 20 + STATUSES[reply.status]


if __name__ == '__main__':
    sys.exit(main())
