#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The PostgreSQL sink against real servers that are killed, stopped, emptied, rolled back and tampered with.

After each, everything that the tables hold is compared with the ledger, and once more by fgaudit with the log.
"""

import json
import os
import random
import subprocess
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import test_redis  # noqa: E402
from test_redis import fgtest  # noqa: E402

ITEM_FIELDS = ('total', 'available', 'reserved', 'sold', 'hold_ms', 'user_limit', 'order_max')
CALENDAR_MS = 9224318016000000
U64_MAX = (1 << 64) - 1


class Driver(test_redis.Driver):
    """As for Redis, with a sink of PostgreSQL."""

    def begin(self, pg, slot=0, batch=200, timeout=2000, retry=200, schema='floodgate', conninfo=None):
        answer = self.do(f'postgres {slot} {batch} {timeout} {retry} {schema} {pg.password or "-"} '
                         f'{conninfo or pg.address}')
        assert 'error' not in answer, answer


def backend(pg, verb='init', check=True, schema=None):
    """fgctl backend VERB: its JSON, or (exit code, text)."""
    argv = [fgtest.program('fgctl'), '--socket', '/nonexistent', '--json', 'backend', verb, '--conninfo', pg.conninfo]
    done = subprocess.run(argv + (['--schema', schema] if schema else []), capture_output=True, text=True, timeout=60,
                          check=False)
    if not check:
        return done.returncode, done.stdout + done.stderr
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def prepared(lab, **options):
    pg = lab.postgres(**options)
    backend(pg)
    return pg


def moment(ms):
    """Milliseconds as the queries below give times: whole microseconds, or infinity."""
    return 'infinity' if ms >= CALENDAR_MS else str(ms * 1000)


def stamp(column):
    return (f"CASE WHEN {column} = 'infinity' THEN 'infinity' "
            f'ELSE trunc(extract(epoch FROM {column}) * 1000000)::text END')


def compare(driver, pg, schema='floodgate'):
    """Everything in the tables is what the ledger says, no more and no less."""
    ledger = driver.ledger()
    cursor, = pg.sql(f'SELECT seq, appliance FROM {schema}.floodgate_cursor')
    assert int(cursor[0]) == ledger['seq'], (cursor, ledger['seq'])
    columns = ', '.join(ITEM_FIELDS)
    rows = pg.sql(f'SELECT item, {columns}, paused::int, coalesce({stamp("opens")}, \'0\'), '
                  f'coalesce({stamp("closes")}, \'0\') FROM {schema}.inventory ORDER BY item')
    expected = [[str(i['item']), *(str(i[f]) for f in ITEM_FIELDS), str(i['paused']),
                 moment(i['opens_ms']), moment(i['closes_ms'])] for i in sorted(ledger['items'], key=lambda i: i['item'])]
    assert rows == expected, (rows, expected)
    rows = pg.sql(f"SELECT user_id, replace(order_id::text, '-', ''), item, quantity, state, {stamp('deadline')}, "
                  f'{stamp("changed")} FROM {schema}.orders')
    expected = [[str(o['user']), o['order'], str(o['item']), str(o['quantity']), o['state'], moment(o['deadline_ms']),
                 moment(o['changed_ms'])] for o in ledger['orders']]
    assert sorted(rows) == sorted(expected), first_difference(rows, expected)
    rows = pg.sql(f'SELECT user_id FROM {schema}.denied_users ORDER BY 1')
    assert rows == [[str(user)] for user in sorted(ledger['denied'])], rows
    code, text = audited(driver, pg, schema)
    assert code == 0, text
    return ledger


def audited(driver, pg, schema='floodgate'):
    return fgtest.audit(driver.lab, log=driver.log_dir, postgres=pg.conninfo, postgres_schema=schema)


def first_difference(found, expected):
    found, expected = set(map(tuple, found)), set(map(tuple, expected))
    return sorted(found - expected)[:3], sorted(expected - found)[:3]


# ---- the ordinary ----------------------------------------------------------------------------------------


def test_normal_flow(lab):
    """a growing log is followed live, in several transactions, and stop drains"""
    pg, driver = prepared(lab, password='pass-word', tcp=True), Driver(lab)
    driver.load(10)
    driver.begin(pg)
    for _ in range(20):
        driver.load(5)
    driver.caught_up()
    compare(driver, pg)
    driver.load(100, 200)
    took = driver.stop(drain=20000)
    ledger = compare(driver, pg)
    assert len(ledger['orders']) > 1000 and {o['state'] for o in ledger['orders']} == {
        'reserved', 'sold', 'cancelled', 'expired'} and ledger['denied']
    assert took < 20000


def test_batch_sizes(lab):
    """batches of 1, 7 and 100000 records give the same tables"""
    pg = lab.postgres()
    for batch in (1, 7, 100000):
        driver, schema = Driver(lab), f'batch_{batch}'
        made = backend(pg, schema=schema)
        assert made['schema_made'] and made['version_before'] == 0, made
        driver.load(20)
        driver.begin(pg, batch=batch, schema=schema)
        driver.caught_up()
        driver.load(20)
        driver.caught_up()
        driver.stop()
        compare(driver, pg, schema)


def test_numbers_of_64_bits(lab):
    """users, items, orders and times at the ends of their range; a name that is no text"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg)
    driver.do('extremes')
    driver.load(5)
    driver.caught_up()
    compare(driver, pg)
    name, = pg.sql(f'SELECT name FROM floodgate.inventory WHERE item = {U64_MAX}')
    assert name == ['??ä???!'], name
    order, = pg.sql(f"SELECT item, quantity, state FROM floodgate.orders WHERE user_id = {U64_MAX} "
                    "AND order_id = 'ffffffffffffffffffffffffffffffff'")
    assert order == [str(U64_MAX), '65535', 'reserved'], order


def test_init_is_repeated_at_the_same_time(lab):
    """eight times `fgctl backend init` at once: one makes the tables, all succeed; status tells"""
    pg, made = lab.postgres(), []
    code, text = backend(pg, 'status', check=False)
    assert code == 1 and 'run `fgctl backend init`' in text, (code, text)
    threads = [threading.Thread(target=lambda: made.append(backend(pg))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(m['version_before'] for m in made) == [0] + [1] * 7 and sum(m['schema_made'] for m in made) == 1, made
    status = backend(pg, 'status')
    assert status['cursor'] == 0 and status['appliance'] is None and status['lag'] is None, status
    pg.sql('UPDATE floodgate.floodgate_cursor SET format = 99')
    code, text = backend(pg, check=False)
    assert code == 1 and 'made by a newer program' in text, (code, text)


def test_least_rights(lab):
    """the rights of docs/postgres.md are enough, also for a fill; without them: refused, and it says so"""
    pg, driver = prepared(lab), Driver(lab)
    pg.superuser('CREATE ROLE sink LOGIN')
    conninfo = pg.conninfo.replace('user=gate', 'user=sink')
    pg.sql('GRANT USAGE ON SCHEMA floodgate TO sink')
    driver.begin(pg, conninfo=conninfo)
    driver.load()
    driver.in_state('refused', text='permission denied')
    pg.sql('GRANT SELECT, INSERT, UPDATE ON floodgate.orders, floodgate.inventory, floodgate.floodgate_cursor TO sink; '
           'GRANT SELECT, INSERT, DELETE ON floodgate.denied_users TO sink')
    driver.caught_up()
    grow_and_retire(driver)
    driver.stop()
    pg.sql('DROP SCHEMA floodgate CASCADE')
    backend(pg)
    pg.sql('GRANT USAGE ON SCHEMA floodgate TO sink; GRANT SELECT, INSERT, UPDATE ON floodgate.orders, '
           'floodgate.inventory, floodgate.floodgate_cursor TO sink; '
           'GRANT SELECT, INSERT, DELETE ON floodgate.denied_users TO sink')
    driver.begin(pg, conninfo=conninfo)
    driver.caught_up()
    compare(driver, pg)


# ---- faults ----------------------------------------------------------------------------------------------


@fgtest.timeout(120)
def test_kill(lab):
    """kill -9 of the whole server in mid-load, again and again: what was committed is there once"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg, batch=50)
    chance = random.Random(driver.seed)
    for _ in range(8):
        driver.load(30)
        time.sleep(chance.uniform(0, 0.1))
        pg.kill()
        driver.load(10)
        driver.in_state('away')
        pg.start()
    assert driver.caught_up()['reconnects'] >= 1
    driver.stop()
    compare(driver, pg)


def test_stopped_process(lab):
    """SIGSTOP: away after the timeout, stop keeps its drain time; after SIGCONT it goes on"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg, timeout=500)
    driver.load()
    driver.caught_up()
    pg.pause()
    driver.load()
    driver.in_state('away', text='no answer within 500 ms')
    took = driver.stop(drain=300)
    assert took < 2000, took
    driver.begin(pg, timeout=500)
    time.sleep(0.2)
    pg.resume()
    driver.caught_up()
    driver.stop()
    compare(driver, pg)


def test_server_comes_later(lab):
    """a server that is not there yet: away; it is followed as soon as it answers"""
    pg, driver = prepared(lab), Driver(lab)
    pg.stop()
    driver.load()
    driver.begin(pg)
    driver.in_state('away')
    pg.start()
    driver.caught_up()
    compare(driver, pg)


def test_wiped_disk(lab):
    """a new disk: away (no such database or role), then refused (no tables), then everything again"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg)
    driver.load(50)
    driver.caught_up()
    pg.kill()
    pg.wipe()
    pg.start()
    driver.in_state('refused', text='backend init')
    backend(pg)
    driver.load()
    driver.caught_up()
    compare(driver, pg)


def test_schema_dropped(lab):
    """the schema is dropped while the log grows: refused; after init all is written again, by the same connection"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg)
    for _ in range(3):
        driver.load(20)
        driver.caught_up()
        pg.sql('DROP SCHEMA floodgate CASCADE')
        driver.load(5)
        status = driver.in_state('refused', text='run `fgctl backend init`')
        backend(pg)
        driver.load(5)
        driver.caught_up()
        compare(driver, pg)
    assert status['reconnects'] == 0, status


@fgtest.timeout(120)
def test_lost_answers(lab):
    """connections cut in the middle of answers, also between COMMIT and its answer: nothing doubled"""
    pg, driver = prepared(lab), Driver(lab)
    directory = lab.unique('proxy')
    os.mkdir(directory)
    proxy = test_redis.Proxy(lab, os.path.join(pg.dir, f'.s.PGSQL.{pg.port}'))
    os.rename(proxy.path, os.path.join(directory, '.s.PGSQL.5432'))
    chance = random.Random(driver.seed)
    proxy.cut_after = lambda: chance.randrange(400, 6000)
    driver.begin(pg, batch=50, retry=5, conninfo=f'host={directory} dbname=shop user=gate')
    end = time.monotonic() + 60
    while proxy.cuts < 60 and time.monotonic() < end:
        driver.load(2)
        time.sleep(0.005)
    assert proxy.cuts >= 60, proxy.cuts
    proxy.cut_after = None
    driver.caught_up(seconds=30)
    driver.stop()
    compare(driver, pg)
    print(f'# {proxy.cuts} connections cut')


def test_slow_server_gets_smaller_batches(lab):
    """a batch that takes longer than the timeout is halved until it fits"""
    pg, driver = prepared(lab), Driver(lab)
    pg.sql("CREATE FUNCTION public.slow() RETURNS trigger LANGUAGE plpgsql AS "
           "$$ BEGIN PERFORM pg_sleep(0.0002); RETURN NULL; END $$")
    pg.sql('CREATE TRIGGER slow AFTER INSERT ON floodgate.orders FOR EACH ROW EXECUTE FUNCTION public.slow()')
    driver.load(40, 500)
    driver.begin(pg, batch=100000, timeout=150, retry=20)
    assert driver.caught_up(seconds=50)['reconnects'] >= 1
    driver.stop()
    compare(driver, pg)


def test_stop_in_mid_batch(lab):
    """stop without draining at random moments of catching up, and start again: nothing doubled"""
    pg, driver = prepared(lab), Driver(lab)
    chance = random.Random(driver.seed)
    driver.load(200, 100)
    for _ in range(15):
        driver.begin(pg, batch=chance.choice((10, 100, 1000)))
        time.sleep(chance.uniform(0, 0.05))
        assert driver.stop(drain=0) < 2000
    driver.begin(pg)
    driver.caught_up()
    driver.stop()
    compare(driver, pg)


def test_two_writers(lab):
    """two sinks of the same log and tables at once: each record is applied once; who comes second touches nothing"""
    pg = lab.postgres()
    for first, second in ((30, 7), (30, 30)):
        schema = f'batches_{first}_{second}'
        backend(pg, schema=schema)
        driver = Driver(lab)
        driver.begin(pg, slot=0, batch=first, schema=schema)
        driver.begin(pg, slot=1, batch=second, schema=schema)
        driver.for_two()
        compare(driver, pg, schema)
    errors = [line for line in pg.process.output().splitlines() if 'ERROR' in line]
    others = [line for line in errors if 'another writer has moved the cursor' not in line]
    assert errors and not others, others[:3] or 'they never met'


# ---- PostgreSQL says no, or holds what it should not --------------------------------------------------------


def test_password(lab):
    """a wrong password: away with PostgreSQL's words, never with the password; the right one works"""
    pg, driver = prepared(lab, password='the-right-one', tcp=True), Driver(lab)
    driver.begin(pg, conninfo=pg.address.replace('user=gate', 'user=nobody'))
    status = driver.in_state('away', text='password authentication failed')
    assert 'the-right-one' not in status['error'], status
    driver.stop(drain=0)
    driver.begin(pg)
    driver.load()
    driver.caught_up()
    compare(driver, pg)


def test_cursor_ahead(lab):
    """a cursor ahead of the log: refused, nothing written; a new schema resolves it without a restart"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg)
    driver.load()
    driver.caught_up()
    pg.sql('UPDATE floodgate.floodgate_cursor SET seq = 1000000000')
    driver.load()
    driver.in_state('refused', text='ahead of the log')
    assert pg.sql('SELECT seq FROM floodgate.floodgate_cursor') == [['1000000000']]
    code, text = audited(driver, pg)
    assert code == 1 and 'postgres-cursor' in text and 'ahead of the log' in text, text
    pg.sql('DROP SCHEMA floodgate CASCADE')
    backend(pg)
    driver.caught_up()
    compare(driver, pg)


def test_another_appliance(lab):
    """tables of another log: refused, nothing written"""
    pg, first, second = prepared(lab), Driver(lab), Driver(lab)
    first.begin(pg)
    first.load()
    first.caught_up()
    first.stop()
    second.load(100)
    second.begin(pg)
    second.in_state('refused', text='is of appliance')
    code, text = audited(second, pg)
    assert code == 1 and 'postgres-cursor' in text, text
    compare(first, pg)


def test_reset_cursor(lab):
    """a cursor that somebody reset: refused, because units would be counted twice"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg)
    driver.load()
    driver.caught_up()
    pg.sql('UPDATE floodgate.floodgate_cursor SET seq = 0, appliance = NULL')
    driver.in_state('refused', text='but there are rows')


def test_tampered_tables(lab):
    """rows that somebody else changed or took away: the batch is taken back, refused; the audit names them"""
    for change, text, kind in (
            ("DELETE FROM floodgate.orders WHERE state = 'reserved'", 'somebody else changed', 'postgres-order'),
            ("UPDATE floodgate.orders SET state = 'sold' WHERE state = 'reserved'", 'somebody else changed', 'postgres-order'),
            ('DELETE FROM floodgate.inventory WHERE item = 1', 'somebody else changed', 'postgres-item'),
            ('UPDATE floodgate.inventory SET sold = sold + 1, total = total + 1', '', 'postgres-counter'),
            ('INSERT INTO floodgate.denied_users VALUES (77777)', '', 'postgres-user')):
        pg, driver = prepared(lab), Driver(lab)
        driver.begin(pg)
        driver.load(10)
        driver.caught_up()
        code, report = audited(driver, pg)
        assert code == 0, report
        pg.sql(change)
        code, report = audited(driver, pg)
        assert code == 1 and kind in report, report
        cursor = pg.sql('SELECT seq FROM floodgate.floodgate_cursor')
        driver.load(20)
        if text:
            driver.in_state('refused', text=text)
            assert pg.sql('SELECT seq FROM floodgate.floodgate_cursor') == cursor
            driver.stop(drain=0)
        pg.stop()


def test_older_backup(lab):
    """restored from an older backup: goes on from the older cursor"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg)
    driver.load(50)
    driver.caught_up()
    tables = ('orders', 'inventory', 'denied_users', 'floodgate_cursor')
    for table in tables:
        pg.sql(f'CREATE TABLE saved_{table} AS TABLE floodgate.{table}')
    driver.load(50)
    driver.caught_up()
    pg.sql('BEGIN; ' + ''.join(f'DELETE FROM floodgate.{t}; INSERT INTO floodgate.{t} TABLE saved_{t}; ' for t in tables)
           + 'COMMIT')
    driver.load(5)
    driver.caught_up()
    compare(driver, pg)


# ---- from a snapshot -------------------------------------------------------------------------------------


def grow_and_retire(driver):
    """Until the log does not go back to its first record any more."""
    while driver.load(30, 1000) < 60000:
        pass
    driver.do('snapshot')
    assert not os.path.exists(os.path.join(driver.log_dir, f'{1:020d}.fgj'))
    driver.load(10)


@fgtest.timeout(120)
def test_fill_from_a_snapshot(lab):
    """the log does not go back to the cursor: filled in one transaction, readers never see anything in between"""
    pg, driver = prepared(lab), Driver(lab)
    driver.begin(pg)
    driver.load(100)
    driver.caught_up()
    before = pg.sql('SELECT count(*) FROM floodgate.orders')
    driver.stop()
    grow_and_retire(driver)
    seen, ended = set(), threading.Event()

    def look():
        while not ended.is_set():
            seen.add(tuple(pg.sql('SELECT (SELECT filled_seq FROM floodgate.floodgate_cursor), seq > 60000, '
                                  '(SELECT count(*) FROM floodgate.orders) > ' + before[0][0] +
                                  ' FROM floodgate.floodgate_cursor')[0]))
    reader = threading.Thread(target=look)
    reader.start()
    try:
        driver.begin(pg, batch=2000)
        driver.caught_up(seconds=60)
    finally:
        ended.set()
        reader.join()
    filled = {s[0] for s in seen if s[0] != '0'}
    assert len(filled) == 1 and seen == {('0', 'f', 'f'), (*filled, 't', 't')} or seen == {(*filled, 't', 't')}, seen
    compare(driver, pg)
    driver.stop()
    pg.sql('DROP SCHEMA floodgate CASCADE')
    backend(pg)
    driver.begin(pg, batch=2000)
    driver.caught_up(seconds=60)
    compare(driver, pg)


@fgtest.timeout(120)
def test_killed_while_filling(lab):
    """the server is killed, the sink stopped, in the middle of a fill: it begins again, and ends right"""
    pg, driver = prepared(lab), Driver(lab)
    grow_and_retire(driver)
    driver.begin(pg)
    for pause in (0.02, 0.1, 0.2):
        time.sleep(pause)
        pg.kill()
        pg.start()
    for pause in (0.02, 0.1):
        assert driver.stop(drain=0) < 2000
        driver.begin(pg)
        time.sleep(pause)
    driver.caught_up(seconds=60)
    compare(driver, pg)


if __name__ == '__main__':
    fgtest.main()
