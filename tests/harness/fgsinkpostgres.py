# SPDX-License-Identifier: BSD-3-Clause
"""Harness: PostgreSQL behind a sink, as fgsinkcases.py drives it."""

import collections
import json
import os
import subprocess

import fgtest
from fgsink import Proxy, Reader, Server, sums

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

    ITEM_FIELDS = ('total', 'available', 'reserved', 'sold', 'refunded', 'hold_ms', 'user_limit', 'order_max', 'line_max',
                   'claim_ms', 'wait_ttl_ms', 'waiting', 'leased', 'returned', 'added')
    SUMMED = ('total', 'available', 'reserved', 'sold', 'refunded', 'waiting', 'leased', 'returned', 'added')
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

    def wipe(self, space=None):
        """PostgreSQL may end this statement when the sink takes the same locks in another order."""
        def dropped():
            try:
                self.pg.sql(f'DROP SCHEMA {space or self.SPACE} CASCADE')
                return True
            except fgtest.SqlError as error:
                if 'deadlock detected' not in str(error):
                    raise
                return False
        fgtest.wait_until(dropped, 20, 'the schema is dropped')

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
        self.wipe(space)
        backend(self.pg, schema=space)

    def save(self):
        for table in self.TABLES:
            self.pg.sql(f'CREATE TABLE saved_{table} AS TABLE floodgate.{table}')

    def restore(self):
        self.pg.sql('BEGIN; ' + ''.join(f'DELETE FROM floodgate.{t}; INSERT INTO floodgate.{t} TABLE saved_{t}; '
                                        for t in self.TABLES) + 'COMMIT')

    # ---- what it holds

    def compare(self, log, space=None, filled=False):  # pylint: disable=unused-argument
        pg, ledger, schema = self.pg, log.ledger(), (space or self.SPACE) + (f'_member_{log.member[0]}' if log.member else '')
        assert self.cursor(schema) == ledger['seq'], (self.cursor(schema), ledger['seq'])
        columns = ', '.join(self.ITEM_FIELDS)
        rows = pg.sql(f'SELECT item, {columns}, paused::int, one_unit::int, coalesce({stamp("opens")}, \'0\'), '
                      f'coalesce({stamp("closes")}, \'0\') FROM {schema}.inventory ORDER BY item')
        expected = [[str(i['item']), *(str(i[f]) for f in self.ITEM_FIELDS), str(i['paused']), str(i['one_unit']),
                     moment(i['opens_ms']), moment(i['closes_ms'])] for i in sorted(ledger['items'], key=lambda i: i['item'])]
        assert rows == expected, (rows, expected)
        rows = pg.sql(f"SELECT user_id, replace(order_id::text, '-', ''), item, quantity, state, late::int, "
                      f"coalesce({stamp('deadline')}, '0'), "
                      f'{stamp("changed")} FROM {schema}.orders')
        expected = [[str(o['user']), o['order'], str(o['item']), str(o['quantity']), o['state'], str(o['late']),
                     moment(o['deadline_ms']), moment(o['changed_ms'])] for o in ledger['orders']]
        assert sorted(rows) == sorted(expected), first_difference(rows, expected)
        rows = pg.sql(f'SELECT user_id FROM {schema}.denied_users ORDER BY 1')
        assert rows == [[str(user)] for user in sorted(ledger['denied'])], rows
        code, text = self.audit(log, schema)
        assert code == 0, text
        return ledger

    def check_sums(self, ledgers):
        """The views of the fleet: sums over its members, and the orders of all of them."""
        rows = self.pg.sql(f'SELECT item, pool, members, {", ".join(self.SUMMED)} FROM floodgate.inventory')
        assert len(rows) == len({i['item'] for ledger in ledgers for i in ledger['items']}), rows
        for item, pool, members, *units in rows:
            wanted = sums(ledgers, item, self.SUMMED)
            assert dict(zip(self.SUMMED, map(int, units))) == wanted, (item, units, wanted)
            assert (int(pool), int(members)) == (wanted['returned'] - wanted['leased'], len(ledgers)), (item, pool, members)
        rows = self.pg.sql('SELECT member, state, count(*) FROM floodgate.orders GROUP BY 1, 2')
        states = collections.Counter((n, o['state']) for n, ledger in enumerate(ledgers) for o in ledger['orders'])
        assert {(int(m), state): int(n) for m, state, n in rows} == states, (rows, states)
        rows = self.pg.sql('SELECT seq FROM floodgate.cursors ORDER BY member')
        assert [int(seq) for seq, in rows] == [ledger['seq'] for ledger in ledgers], rows

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
