#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The PostgreSQL sink against real servers that are killed, stopped, emptied, rolled back and tampered with.

After each, everything that the tables hold is compared with the ledger, and once more by fgaudit with the log.
"""

import datetime
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time

sys.path[1:1] = [os.path.dirname(os.path.abspath(__file__))]
import test_redis  # noqa: E402
from test_redis import fgtest  # noqa: E402
from fgtest import wait_until  # noqa: E402

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


def compare(driver, pg, schema='floodgate', audit=True):
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
    return ledger


def first_difference(found, expected):
    found, expected = set(map(tuple, found)), set(map(tuple, expected))
    return sorted(found - expected)[:3], sorted(expected - found)[:3]


# ---- the ordinary ----------------------------------------------------------------------------------------


def test_normal_flow(lab):
    """a growing log is followed live, in several transactions, and stop drains"""
    pg, driver = prepared(lab, password='pass word'.replace(' ', '-'), tcp=True), Driver(lab)
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


if __name__ == '__main__':
    fgtest.main()
