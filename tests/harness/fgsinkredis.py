# SPDX-License-Identifier: BSD-3-Clause
"""Harness: Redis behind a sink, as fgsinkcases.py drives it."""

import signal

import fgtest
from fgsink import Proxy, Reader, Server, sums


class Redis(Server):
    """A space is a prefix. With persist=True it keeps its data over kill and stop."""

    NAME, SINK, SPACE = 'Redis', 'redis', 't'
    STOP_MS_MAX = 1500
    KILL_RECONNECTS = 3
    SLOW = {'load': (300, 200), 'timeout': 40, 'reconnects': 2}
    CUTS = {'least': 10, 'most': 12000, 'count': 100}
    REMEDY = ('restore the right log; only if', 'fgctl sink adopt redis')
    LOST_CURSOR = 'there is no cursor, but there is {t}:'

    ITEM_FIELDS = ('total', 'available', 'reserved', 'sold', 'refunded', 'opens_ms', 'closes_ms', 'hold_ms', 'user_limit', 'order_max',
                   'paused')
    LINE_FIELDS = ('line_max', 'claim_ms', 'wait_ttl_ms', 'one_unit', 'waiting', 'leased', 'returned')
    SUMMED = ('total', 'available', 'reserved', 'sold', 'refunded', 'waiting', 'leased', 'returned')
    ORDER_FIELDS = ('user', 'item', 'quantity', 'state', 'deadline_ms', 'changed_ms')

    def __init__(self, lab, spaces=('t',), persist=False, redis=None, **options):  # pylint: disable=unused-argument
        super().__init__(lab)
        self.redis = redis or fgtest.Redis(lab, persist=persist, **options).start()

    def start(self):
        self.redis.start()

    def stop(self):
        self.redis.stop()

    def kill(self):
        self.redis.kill()

    def freeze(self):
        self.redis.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.redis.process.signal(signal.SIGCONT)

    def follow(self, log, slot=0, space=None, batch=200, timeout=1000, retry=200, address=None, stream_max=0, user='-',
               password='-', database=0, tls=()):
        answer = log.do(f'start {slot} {address or self.redis.address} {space or self.SPACE} {batch} {timeout} {retry} '
                        f'{stream_max} {database} {user} {password} {" ".join(tls)}')
        assert 'error' not in answer, answer

    def wipe(self):
        self.redis.command('FLUSHALL')

    def start_empty(self):
        self.start()

    def audit(self, log, space=None, **options):
        member = {'redis_member': log.member[0]} if log.member else {}
        return fgtest.audit(self.lab, log=log.log_dir, redis=self.redis.address, redis_prefix=space or self.SPACE, **member,
                            **options)

    def away_words(self):
        return self.redis.socket

    def proxy(self):
        """(Proxy, options of follow() that lead through it)."""
        proxy = Proxy(self.lab, self.redis.socket)
        return proxy, {'address': f'unix:{proxy.path}'}

    def slow_down(self):
        """Nothing to do: the case asks for a Redis that syncs each write, and for answers within 40
        ms."""

    # ---- the cursor

    def cursor(self, space=None):
        """Its sequence number, 0 without one."""
        return int(self.redis.command('HGET', f'{{{space or self.SPACE}}}:cursor', 'seq') or 0)

    def set_cursor(self, seq):
        self.redis.command('HSET', '{t}:cursor', 'seq', seq)

    def lose_cursor(self):
        self.redis.command('DEL', '{t}:cursor')

    def resolve(self, space=None):
        """What docs/redis.md tells the operator to do when a sink is refused."""
        keys = sorted(self.scan(f'{{{space or self.SPACE}}}:*'))
        for i in range(0, len(keys), 500):
            self.redis.command('UNLINK', *keys[i:i + 500])

    def save(self):
        self.redis.command('SAVE')

    def restore(self):
        self.kill()
        self.start()

    # ---- what it holds

    def scan(self, pattern):
        cursor, keys = '0', set()
        while True:
            cursor, page = self.redis.command('SCAN', cursor, 'MATCH', pattern, 'COUNT', 1000)
            keys.update(page)
            if cursor == '0':
                return keys

    def compare(self, log, space=None, audit=True, filled=False):
        space = space or self.SPACE
        redis, ledger, base = self.redis, log.ledger(), f'{{{space}}}:' + (f'member:{log.member[0]}:' if log.member else '')
        cursor = redis.hash(base + 'cursor')
        assert int(cursor['seq']) == ledger['seq'], (cursor, ledger['seq'])
        expected = {base + 'cursor', base + 'items', base + 'events'}
        for item in ledger['items']:
            key = f'{base}item:{item["item"]}'
            expected.add(key)
            found = redis.hash(key)
            assert {f: found[f] for f in self.ITEM_FIELDS} == {f: str(item[f]) for f in self.ITEM_FIELDS}, (key, found, item)
            assert {f: found.get(f, '0') for f in self.LINE_FIELDS} == {f: str(item[f]) for f in self.LINE_FIELDS}, (
                key, found, item)
            assert found['name'] == f'item "{item["item"]}" ä', found
        for order in ledger['orders']:
            key = f'{base}order:{order["user"]}:{order["order"]}'
            expected.add(key)
            found = redis.hash(key)
            assert {f: found.get(f) for f in self.ORDER_FIELDS} == {f: str(order[f]) for f in self.ORDER_FIELDS}, (
                key, found, order)
            assert found.get('late') == ('1' if order['late'] else None), (key, found, order)
        denied = {str(user) for user in ledger['denied']}
        if denied:
            expected.add(base + 'denied')
        assert self.scan(base + '*') == expected
        assert set(redis.command('SMEMBERS', base + 'denied')) == denied
        assert set(redis.command('SMEMBERS', base + 'items')) == {str(i['item']) for i in ledger['items']}
        self._compare_events(ledger, base, filled)
        if audit:
            code, text = self.audit(log, space)
            assert code == 0, text
        return ledger

    def _compare_events(self, ledger, base, filled):
        seen, resync = [], 0
        for entry, flat in self.redis.command('XRANGE', base + 'events', '-', '+'):
            fields = dict(zip(flat[::2], flat[1::2]))
            assert entry == fields['seq'] + '-0', (entry, fields)
            seen.append([int(fields['seq']), fields['type'], int(fields.get('item', 0))])  # of users: none
            resync = len(seen) if fields['type'] == 'resync' else resync
        assert bool(resync) == filled, seen[:3]
        wanted = [e for e in ledger['events'] if not resync or e[0] > seen[resync - 1][0]]
        assert seen[resync:] == wanted, f'{len(seen)} events, the log has {len(wanted)}'

    def check_sums(self, ledgers):
        """The items of the fleet are the sums over its members."""
        numbers = {str(i['item']) for ledger in ledgers for i in ledger['items']}
        assert set(self.redis.command('SMEMBERS', '{t}:items')) == numbers
        for item in numbers:
            found, wanted = self.redis.hash(f'{{t}}:item:{item}'), sums(ledgers, item, self.SUMMED)
            assert {f: int(found.get(f, 0)) for f in self.SUMMED} == wanted, (item, found, wanted)
            assert {'name', 'hold_ms', 'paused'} <= set(found), found

    def subscribe(self):
        """A consumer group that is there before the first event."""
        self.redis.command('XGROUP', 'CREATE', '{t}:events', 'mail', '$', 'MKSTREAM')

    def reader(self):
        return RedisReader(self)


class SumsReader(Reader):
    """Items of a fleet, and of its members, in one transaction: the sums are right in each reading."""

    def __init__(self, server, members):
        self.redis = fgtest.Redis(server.lab)
        self.redis.socket = server.redis.socket
        self.server, self.members, self.readings = server, members, 0
        super().__init__()

    def has_read(self):
        return self.readings

    def look(self):
        self.redis.command('MULTI')
        for item in range(1, 6):
            for base in ('', *(f'member:{m}:' for m in range(self.members))):
                self.redis.command('HGETALL', f'{{t}}:{base}item:{item}')
        found = [dict(zip(flat[::2], flat[1::2])) for flat in self.redis.command('EXEC')]
        for i in range(0, len(found), 1 + self.members):
            for field in self.server.SUMMED:
                total, *parts = (int(part.get(field, 0)) for part in found[i:i + 1 + self.members])
                assert total == sum(parts), (field, found[i:i + 1 + self.members])
        self.readings += 1


class RedisReader(Reader):
    """Cursor and items in one transaction: no reading may be of a state between two."""

    UNITS = ('total', 'available', 'reserved', 'sold', 'refunded')

    def __init__(self, server):
        self.redis = fgtest.Redis(server.lab)
        self.redis.socket = server.redis.socket
        self.server, self.old, self.cursors = server, server.cursor(), []
        super().__init__()

    def has_read(self):
        return self.cursors

    def look(self):
        self.redis.command('MULTI')
        self.redis.command('HGET', '{t}:cursor', 'seq')
        self.redis.command('SMEMBERS', '{t}:items')
        for item in range(1, 6):
            self.redis.command('HGETALL', f'{{t}}:item:{item}')
        seq, items, *hashes = self.redis.command('EXEC')
        seq = int(seq or 0)
        there = [dict(zip(flat[::2], flat[1::2])) for flat in hashes if flat]
        assert len(there) == len(items) == (5 if seq else 0), (seq, items, there)
        for found in there:
            units = [int(found[u]) for u in self.UNITS]
            assert units[0] == sum(units[1:]) and min(units) >= 0, found
        if not self.cursors or self.cursors[-1][0] != seq:
            self.cursors.append((seq, there))
        assert self.cursors[-1][1] == there, f'the items changed, the cursor stayed at {seq}'

    def end(self):
        """The old state was seen, then only new ones; the stream says that it begins anew."""
        self.finish()
        seen = [seq for seq, _ in self.cursors]
        assert seen == sorted(seen), seen
        assert seen[0] == self.old and all(seq > self.server.FILL_RECORDS for seq in seen[1:]) and len(seen) > 1, seen[:5]
        events = self.redis.command('XRANGE', '{t}:events', f'{self.old + 1}-0', '+', 'COUNT', 1)
        assert dict(zip(events[0][1][::2], events[0][1][1::2]))['type'] == 'resync', events
