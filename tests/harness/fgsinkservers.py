# SPDX-License-Identifier: BSD-3-Clause
"""Harness: the servers behind the sinks, Redis, PostgreSQL and Kafka, as fgsinkcases.py drives them."""

import json
import os
import signal
import subprocess
import threading

import fgkafka
import fgtest
from fgsink import Proxy, Server

# ---- Redis -----------------------------------------------------------------------------------------------


class Redis(Server):
    """A space is a prefix. With persist=True it keeps its data over kill and stop."""

    NAME, SINK, SPACE = 'Redis', 'redis', 't'
    STOP_MS_MAX = 1500
    KILL_RECONNECTS = 3
    SLOW = {'load': (300, 200), 'timeout': 40, 'reconnects': 2}
    CUTS = {'least': 10, 'most': 12000, 'count': 100}
    REMEDY = ('restore the right log; only if', 'delete the keys {t}:*')
    LOST_CURSOR = 'there is no cursor, but there is {t}:'

    ITEM_FIELDS = ('total', 'available', 'reserved', 'sold', 'opens_ms', 'closes_ms', 'hold_ms', 'user_limit', 'order_max',
                   'paused')
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
        return fgtest.audit(self.lab, log=log.log_dir, redis=self.redis.address, redis_prefix=space or self.SPACE, **options)

    def away_words(self):
        return self.redis.socket

    def proxy(self):
        """(Proxy, options of follow() that lead through it)."""
        proxy = Proxy(self.lab, self.redis.socket)
        return proxy, {'address': f'unix:{proxy.path}'}

    def slow_down(self):
        """Nothing to do: the case asks for a Redis that syncs each write, and for answers within 40 ms."""

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
        redis, ledger, base = self.redis, log.ledger(), f'{{{space}}}:'
        assert self.cursor(space) == ledger['seq'], (redis.hash(base + 'cursor'), ledger['seq'])
        expected = {base + 'cursor', base + 'items', base + 'events'}
        for item in ledger['items']:
            key = f'{base}item:{item["item"]}'
            expected.add(key)
            found = redis.hash(key)
            assert {f: found[f] for f in self.ITEM_FIELDS} == {f: str(item[f]) for f in self.ITEM_FIELDS}, (key, found, item)
            assert found['name'] == f'item "{item["item"]}" ä', found
        for order in ledger['orders']:
            key = f'{base}order:{order["user"]}:{order["order"]}'
            expected.add(key)
            found = redis.hash(key)
            assert {f: found.get(f) for f in self.ORDER_FIELDS} == {f: str(order[f]) for f in self.ORDER_FIELDS}, (
                key, found, order)
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

    def subscribe(self):
        """A consumer group that is there before the first event."""
        self.redis.command('XGROUP', 'CREATE', '{t}:events', 'mail', '$', 'MKSTREAM')

    def reader(self):
        return RedisReader(self)


class Reader:
    """Reads a server's contents again and again in a thread, and checks each reading."""

    def __init__(self):
        self.error, self.quit = None, False
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def look(self):
        raise NotImplementedError

    def has_read(self):
        raise NotImplementedError

    def _run(self):
        try:
            while not self.quit:
                self.look()
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def finish(self):
        self.quit = True
        self.thread.join(20)
        assert not self.error, repr(self.error)


class RedisReader(Reader):
    """Cursor and items in one transaction: no reading may be of a state between two."""

    UNITS = ('total', 'available', 'reserved', 'sold')

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


# ---- PostgreSQL ------------------------------------------------------------------------------------------

CALENDAR_MS = 9224318016000000


def backend(pg, verb='init', check=True, schema=None):
    """fgctl backend VERB: its JSON, or (exit code, text)."""
    argv = [fgtest.program('fgctl'), '--socket', '/nonexistent', '--json', 'backend', verb, '--conninfo', pg.conninfo]
    done = subprocess.run(argv + (['--schema', schema] if schema else []), capture_output=True, text=True, timeout=60,
                          check=False)
    if not check:
        return done.returncode, done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def moment(ms):
    """Milliseconds as the queries below give times: whole microseconds, or infinity."""
    return 'infinity' if ms >= CALENDAR_MS else str(ms * 1000)


def stamp(column):
    return (f"CASE WHEN {column} = 'infinity' THEN 'infinity' "
            f'ELSE trunc(extract(epoch FROM {column}) * 1000000)::text END')


def first_difference(found, expected):
    found, expected = set(map(tuple, found)), set(map(tuple, expected))
    return sorted(found - expected)[:3], sorted(expected - found)[:3]


class Postgres(Server):
    """A space is a schema. It keeps its data over kill and stop."""

    NAME, SINK, SPACE = 'PostgreSQL', 'postgres', 'floodgate'
    OPTIONS = {'password': 'pass-word', 'tcp': True}
    TIMEOUT_MS = 500
    SLOW = {'load': (40, 500), 'timeout': 150, 'reconnects': 1}
    CUTS = {'least': 400, 'most': 6000, 'count': 60}
    FILL_RECORDS = 60000
    LOST_CURSOR = 'but there are rows'

    ITEM_FIELDS = ('total', 'available', 'reserved', 'sold', 'hold_ms', 'user_limit', 'order_max')
    TABLES = ('orders', 'inventory', 'denied_users', 'floodgate_cursor')

    def __init__(self, lab, spaces=('floodgate',), persist=True, pg=None, **options):  # pylint: disable=unused-argument
        super().__init__(lab)
        self.pg = pg or lab.postgres(**options)
        for space in spaces:
            backend(self.pg, schema=space)

    def start(self):
        self.pg.start()

    def stop(self):
        self.pg.stop()

    def kill(self):
        self.pg.kill()

    def freeze(self):
        self.pg.pause()

    def thaw(self):
        self.pg.resume()

    def follow(self, log, slot=0, space=None, batch=200, timeout=2000, retry=200, conninfo=None):
        answer = log.do(f'postgres {slot} {batch} {timeout} {retry} {space or self.SPACE} {self.pg.password or "-"} '
                        f'{conninfo or self.pg.address}')
        assert 'error' not in answer, answer

    def wipe(self):
        self.pg.sql('DROP SCHEMA floodgate CASCADE')

    def start_empty(self):
        self.pg.wipe()
        self.start()

    def remade(self, log):
        log.in_state('refused', text='run `fgctl backend init`')
        backend(self.pg)

    def audit(self, log, space=None, **options):
        return fgtest.audit(self.lab, log=log.log_dir, postgres=self.pg.conninfo, postgres_schema=space or self.SPACE,
                            **options)

    def away_words(self):
        return self.pg.dir

    def proxy(self):
        directory = self.lab.unique('proxy')
        os.mkdir(directory)
        proxy = Proxy(self.lab, os.path.join(self.pg.dir, f'.s.PGSQL.{self.pg.port}'),
                      path=os.path.join(directory, '.s.PGSQL.5432'))
        return proxy, {'conninfo': f'host={directory} dbname=shop user=gate'}

    def slow_down(self):
        self.pg.sql("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS "
                    "$$ BEGIN PERFORM pg_sleep(0.0002); RETURN NULL; END $$")
        self.pg.sql('CREATE TRIGGER slow AFTER INSERT ON floodgate.orders FOR EACH ROW EXECUTE FUNCTION public.slow()')

    # ---- the cursor

    def cursor(self, space=None):
        return int(self.pg.sql(f'SELECT seq FROM {space or self.SPACE}.floodgate_cursor')[0][0])

    def set_cursor(self, seq):
        self.pg.sql(f'UPDATE floodgate.floodgate_cursor SET seq = {seq}')

    def lose_cursor(self):
        self.pg.sql('UPDATE floodgate.floodgate_cursor SET seq = 0, appliance = NULL')

    def resolve(self, space=None):
        """What docs/postgres.md tells the operator to do when a sink is refused."""
        self.pg.sql(f'DROP SCHEMA {space or self.SPACE} CASCADE')
        backend(self.pg, schema=space)

    def save(self):
        for table in self.TABLES:
            self.pg.sql(f'CREATE TABLE saved_{table} AS TABLE floodgate.{table}')

    def restore(self):
        self.pg.sql('BEGIN; ' + ''.join(f'DELETE FROM floodgate.{t}; INSERT INTO floodgate.{t} TABLE saved_{t}; '
                                        for t in self.TABLES) + 'COMMIT')

    # ---- what it holds

    def compare(self, log, space=None, filled=False):  # pylint: disable=unused-argument
        pg, ledger, schema = self.pg, log.ledger(), space or self.SPACE
        assert self.cursor(schema) == ledger['seq'], (self.cursor(schema), ledger['seq'])
        columns = ', '.join(self.ITEM_FIELDS)
        rows = pg.sql(f'SELECT item, {columns}, paused::int, coalesce({stamp("opens")}, \'0\'), '
                      f'coalesce({stamp("closes")}, \'0\') FROM {schema}.inventory ORDER BY item')
        expected = [[str(i['item']), *(str(i[f]) for f in self.ITEM_FIELDS), str(i['paused']), moment(i['opens_ms']),
                     moment(i['closes_ms'])] for i in sorted(ledger['items'], key=lambda i: i['item'])]
        assert rows == expected, (rows, expected)
        rows = pg.sql(f"SELECT user_id, replace(order_id::text, '-', ''), item, quantity, state, {stamp('deadline')}, "
                      f'{stamp("changed")} FROM {schema}.orders')
        expected = [[str(o['user']), o['order'], str(o['item']), str(o['quantity']), o['state'],
                     moment(o['deadline_ms']), moment(o['changed_ms'])] for o in ledger['orders']]
        assert sorted(rows) == sorted(expected), first_difference(rows, expected)
        rows = pg.sql(f'SELECT user_id FROM {schema}.denied_users ORDER BY 1')
        assert rows == [[str(user)] for user in sorted(ledger['denied'])], rows
        code, text = self.audit(log, schema)
        assert code == 0, text
        return ledger

    def check_writers_met(self):
        errors = [line for line in self.pg.process.output().splitlines() if 'ERROR' in line]
        others = [line for line in errors if 'another writer has moved the cursor' not in line]
        assert errors and not others, others[:3] or 'they never met'

    def subscribe(self):
        """Tables have no subscribers."""

    def reader(self):
        return PostgresReader(self)


class PostgresReader(Reader):
    """Cursor and number of orders in one statement: no reading may be of a state between two."""

    def __init__(self, server):
        self.pg, self.records, self.seen = server.pg, server.FILL_RECORDS, set()
        self.before = self.pg.sql('SELECT count(*) FROM floodgate.orders')[0][0]
        super().__init__()

    def has_read(self):
        return self.seen

    def look(self):
        self.seen.add(tuple(self.pg.sql(
            f'SELECT filled_seq, seq > {self.records}, (SELECT count(*) FROM floodgate.orders) > {self.before} '
            'FROM floodgate.floodgate_cursor')[0]))

    def end(self):
        """The old state was seen, then the filled one; both were whole."""
        self.finish()
        filled = {s[0] for s in self.seen if s[0] != '0'}
        assert len(filled) == 1 and self.seen == {('0', 'f', 'f'), (*filled, 't', 't')}, self.seen


# ---- Kafka -----------------------------------------------------------------------------------------------

ENDINGS = ('sold', 'cancelled', 'expired')


class Committed:
    """The topic as a broker shows it to readers with read_committed.

    A broker hides what was written by a transaction that did not end, and drops a batch that a producer sends again; the
    mock does neither. After a kill, dead() does the first by the broker's own rule: what stands behind the last cursor is
    of a transaction that will never end, for the cursor is the last record of each. After outages, where batches are sent
    again by a producer that lives, last() keeps the last record of each sequence: every earlier one is of an attempt that
    failed.
    """

    def __init__(self, cluster, topic='t'):
        self.cluster, self.topic, self.hidden = cluster, topic, set()

    def read(self):
        return [r for r in self.cluster.read(self.topic) if (r['partition'], r['offset']) not in self.hidden]

    def dead(self):
        """The writer is dead: the last cursor, after the records behind it have been hidden."""
        seen = None
        while seen != (now := (self.cluster.cursor(self.topic), len(self.cluster.read(self.topic)))):
            seen = now
            fgtest.pause(0.03, 'two readings must agree')
        behind = [r for r in self.read() if r['value']['seq'] > seen[0]]
        self.hidden.update((r['partition'], r['offset']) for r in behind)
        return seen[0], len(behind)

    def last(self):
        """Also how many records of failed attempts were left out."""
        records = self.read()
        newest = {r['value']['seq']: r for r in records}
        assert all(r['partition'] == newest[r['value']['seq']]['partition'] for r in records), 'a key stays where it is'
        return [r for r in records if newest[r['value']['seq']] is r], len(records) - len(newest)


def in_order(records):
    """In each partition by sequence, each once."""
    by_partition = {}
    for r in records:
        by_partition.setdefault(r['partition'], []).append(r['value']['seq'])
    for partition, seqs in by_partition.items():
        assert all(a < b for a, b in zip(seqs, seqs[1:])), f'partition {partition} is out of order'


def check_records(log, records, cursor):
    """The events are those of the log, and add up to its state."""
    ledger = log.ledger()
    in_order(records)
    events = sorted(([r['value']['seq'], r['value']['type'], int(r['value'].get('item', 0))] for r in records))
    assert events == ledger['events'], (len(events), len(ledger['events']))
    assert cursor == ledger['seq'], (cursor, ledger['seq'])
    orders, items, denied = {}, {}, set()
    for r in sorted(records, key=lambda r: r['value']['seq']):
        apply_event(r, orders, items, denied)
    check_state(ledger, orders, items, denied)
    return ledger


def check_state(ledger, orders, items, denied):
    assert orders == {(o['user'], o['order']): (o['state'], o['item'], o['quantity'], o['deadline_ms'], o['changed_ms'])
                      for o in ledger['orders']}
    assert denied == set(ledger['denied'])
    units = {i['item']: {k: i[k] for k in ('total', 'available', 'reserved', 'sold', 'hold_ms', 'paused')}
             for i in ledger['items']}
    assert items == units, (items, units)


def apply_event(record, orders, items, denied):
    """The ledger once more, from Kafka's side, by docs/kafka.md."""
    v, key = record['value'], record['key']
    item = items.setdefault(int(v['item']), {'total': 0, 'available': 0, 'reserved': 0, 'sold': 0}) if 'item' in v else None
    if v['type'] in ('reserved', 'extended') + ENDINGS:
        who = (int(v['user']), v['order'])
        assert key == f'{v["user"]}:{v["order"]}', record
        units = v['quantity']
        deadline = v['deadline_ms'] if v['type'] in ('reserved', 'extended') else orders[who][3]
        state = 'reserved' if v['type'] == 'extended' else v['type']
        if v['type'] == 'reserved':
            item['available'], item['reserved'] = item['available'] - units, item['reserved'] + units
        elif v['type'] in ENDINGS:
            to = 'sold' if v['type'] == 'sold' else 'available'
            item['reserved'], item[to] = item['reserved'] - units, item[to] + units
        orders[who] = (state, int(v['item']), units, deadline, v['time_ms'])
    elif v['type'] == 'user':
        assert key == f'user:{v["user"]}', record
        (denied.add if v['denied'] else denied.discard)(int(v['user']))
    else:
        assert key == f'item:{v["item"]}', record
        if v['type'] == 'stock':
            item['total'], item['available'] = item['total'] + v['units'], item['available'] + v['units']
        elif v['type'] == 'item-set':
            item['hold_ms'], item['paused'] = v['hold_ms'], int(v['paused'])
        else:
            assert v['type'] == 'item-name' and v['name'].startswith('item "'), record


class Kafka(Server):
    """A space is a topic, with its topic of cursors. The mock cluster keeps nothing over kill; stop() breaks connections."""

    NAME, SINK, SPACE = 'Kafka', 'kafka', 't'
    TIMEOUT_MS = 1500
    STOP_MS_MAX = 3000

    def __init__(self, lab, spaces=('t',), persist=True, partitions=4, **options):  # pylint: disable=unused-argument
        super().__init__(lab)
        topics = {}
        for space in spaces:
            topics.update({space: partitions, space + '.cursor': 1})
        self.cluster = fgkafka.Kafka(lab, topics=topics, **options)
        self.disturbed = False  # a living producer may have sent a batch twice

    def start(self):
        self.cluster.do('up -1')

    def stop(self):
        self.disturbed = True
        self.cluster.do('down -1')

    def freeze(self):
        self.disturbed = True
        self.cluster.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.cluster.process.signal(signal.SIGCONT)

    def follow(self, log, *args, **options):
        answer = self.try_follow(log, *args, **options)
        assert 'error' not in answer, answer

    def try_follow(self, log, slot=0, space=None, batch=200, timeout=3000, retry=200, properties='-'):
        """{'error': text} when the properties file is refused."""
        return log.do(f'kafka {slot} {self.cluster.brokers} {space or self.SPACE} {batch} {timeout} {retry} {properties}')

    def compare(self, log, space=None, filled=False):  # pylint: disable=unused-argument
        """After outages the last attempt at each event counts, see Committed."""
        space = space or self.SPACE
        committed = Committed(self.cluster, space)
        records = committed.last()[0] if self.disturbed else committed.read()
        return check_records(log, records, self.cluster.cursor(space))

    def away_words(self):
        return ''

    def no_answer(self, timeout):
        """librdkafka may be the first to complain, in its own words."""
        return ''
