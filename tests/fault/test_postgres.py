#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The PostgreSQL sink against real servers that are killed, stopped, emptied, rolled back and
tampered with.

After each, everything that the tables hold is compared with the ledger, and once more by fgaudit
with the log.
"""

import sys
import threading

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgsinkcases  # noqa: E402
import fgtest  # noqa: E402
from fgsink import Log  # noqa: E402
from fgsinkcases import end  # noqa: E402
from fgsinkpostgres import Postgres, backend  # noqa: E402

U64_MAX = (1 << 64) - 1
RIGHTS = ('GRANT SELECT, INSERT, UPDATE ON floodgate.orders, floodgate.inventory, floodgate.floodgate_cursor TO sink; '
          'GRANT SELECT, INSERT, DELETE ON floodgate.denied_users TO sink')
AS_VERSION_1 = '''SET search_path = floodgate;
    ALTER TABLE orders ALTER deadline SET NOT NULL, ALTER state TYPE text;
    DROP TYPE order_state;
    CREATE TYPE order_state AS ENUM ('reserved', 'sold', 'cancelled', 'expired', 'refunded');
    ALTER TABLE orders ALTER state TYPE order_state USING state::order_state;
    ALTER TABLE inventory DROP waiting, DROP line_max, DROP claim_ms, DROP wait_ttl_ms, DROP one_unit,
        DROP added, DROP leased, DROP returned;
    UPDATE floodgate_cursor SET format = 1'''

fgsinkcases.use(globals(), Postgres, 'normal_flow', 'batch_sizes', 'comes_later', 'kill', 'rolled_back',
                'loses_all_while_down', 'emptied', 'stopped_process', 'stop_while_it_hangs', 'lost_answers',
                'slow_server_gets_smaller_batches', 'stop_in_mid_batch', 'two_writers', 'cursor_ahead', 'another_appliance', 'older_copy_grows', 'adopted_from_another_log',
                'lost_cursor', 'fill_empty', 'fill_over_an_older_state', 'killed_while_filling')


def test_numbers_of_64_bits(lab):
    """users, items, orders and times at the ends of their range; a name that is no text"""
    server, log = Postgres(lab), Log(lab)
    server.follow(log)
    log.do('extremes')
    log.load(5)
    log.caught_up()
    server.compare(log)
    name, = server.pg.sql(f'SELECT name FROM floodgate.inventory WHERE item = {U64_MAX}')
    assert name == ['??ä???!'], name
    order, = server.pg.sql(f"SELECT item, quantity, state FROM floodgate.orders WHERE user_id = {U64_MAX} "
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
    assert sorted(m['version_before'] for m in made) == [0] + [3] * 7 and sum(m['schema_made'] for m in made) == 1, made
    status = backend(pg, 'status')
    assert status['cursor'] == 0 and status['appliance'] is None and status['lag'] is None, status
    pg.sql('UPDATE floodgate.floodgate_cursor SET format = 99')
    code, text = backend(pg, check=False)
    assert code == 1 and 'made by a newer program' in text, (code, text)


def test_tables_of_version_1(lab):
    """tables that an earlier version made: refused until `fgctl backend init`, which keeps what they hold"""
    server, log = Postgres(lab), Log(lab)
    server.pg.sql(AS_VERSION_1)
    server.follow(log)
    log.load()
    log.in_state('refused', text='of version 1')
    made = backend(server.pg)
    assert (made['version_before'], made['version']) == (1, 3), made
    fgsinkcases.end(server, log)


def test_least_rights(lab):
    """the rights of docs/postgres.md are enough, also for a fill; without them: refused, and it says so"""
    server, log = Postgres(lab), Log(lab)
    server.pg.superuser('CREATE ROLE sink LOGIN')
    conninfo = server.pg.conninfo.replace('user=gate', 'user=sink')
    server.pg.sql('GRANT USAGE ON SCHEMA floodgate TO sink')
    server.follow(log, conninfo=conninfo)
    log.load()
    log.in_state('refused', text='permission denied')
    server.pg.sql(RIGHTS)
    log.caught_up()
    log.retire(server.FILL_RECORDS)
    log.load(10)
    log.stop()
    server.resolve()
    server.pg.sql('GRANT USAGE ON SCHEMA floodgate TO sink; ' + RIGHTS)
    server.follow(log, conninfo=conninfo)
    end(server, log)


def test_password(lab):
    """a wrong password: away with PostgreSQL's words, never with the password; the right one works"""
    server, log = Postgres(lab, password='the-right-one', tcp=True), Log(lab)
    server.follow(log, conninfo=server.pg.address.replace('user=gate', 'user=nobody'))
    status = log.in_state('away', text='password authentication failed')
    assert 'the-right-one' not in status['error'], status
    log.stop(drain=0)
    server.follow(log)
    log.load()
    end(server, log)


def test_tampered_tables(lab):
    """rows that another program changed or took away: the batch is taken back, refused; the audit names them"""
    for change, text, kind in (
            ("DELETE FROM floodgate.orders WHERE state = 'reserved'", 'another program changed', 'postgres-order'),
            ("UPDATE floodgate.orders SET state = 'sold' WHERE state = 'reserved'", 'another program changed', 'postgres-order'),
            ('DELETE FROM floodgate.inventory WHERE item = 1', 'another program changed', 'postgres-item'),
            ('UPDATE floodgate.inventory SET sold = sold + 1, total = total + 1', '', 'postgres-counter'),
            ('INSERT INTO floodgate.denied_users VALUES (77777)', '', 'postgres-user')):
        server, log = Postgres(lab), Log(lab)
        server.follow(log)
        log.load(10)
        log.caught_up()
        code, report = server.audit(log)
        assert code == 0, report
        server.pg.sql(change)
        code, report = server.audit(log)
        assert code == 1 and kind in report, report
        cursor = server.cursor()
        log.load(20)
        if text:
            log.in_state('refused', text=text)
            assert server.cursor() == cursor
            log.stop(drain=0)
        server.stop()


if __name__ == '__main__':
    fgtest.main()
