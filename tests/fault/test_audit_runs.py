#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The auditor over a directory of logs, and each way in which the tables of PostgreSQL can differ from the log."""

import json
import os
import shutil
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgsink import Log  # noqa: E402
from fgsinkpostgres import Postgres  # noqa: E402
from fgstory import START, STORY, make_log, reserved  # noqa: E402


def runs(lab, logs):
    folder = lab.unique('runs')
    os.mkdir(folder)
    for name, lines in logs.items():
        shutil.move(make_log(lab, lines), os.path.join(folder, name))
    return folder


def test_directory_of_logs(lab):
    """each log is audited by itself, in the order of their names; what holds no log is passed over"""
    folder = runs(lab, {'b run': STORY, 'a': START + [reserved(1), 'commit']})
    os.mkdir(os.path.join(folder, 'empty'))
    report = lab.unique('json')
    code, text = fgtest.audit(lab, logs=folder, json=report)
    assert code == 0 and 'runs     2: 2 pass, 0 fail, 0 cannot be read' in text, text
    assert text.index('run      a\n') < text.index('run      b run\n') and text.count('audit    PASS') == 2, text
    with open(report, encoding='utf-8') as f:
        result = json.load(f)
    assert result['audit'] == 'pass' and [r['run'] for r in result['runs']] == ['a', 'b run'], result
    assert [r['result']['log']['orders'] for r in result['runs']] == [1, 4], result


def test_one_bad_run(lab):
    """one run that oversold fails the whole; one that cannot be read is exit 2"""
    folder = runs(lab, {'1': STORY, '2': START + [reserved(n) for n in range(1, 13)] + ['commit'], '3': STORY})
    code, text = fgtest.audit(lab, logs=folder)
    assert code == 1 and 'runs     3: 2 pass, 1 fail, 0 cannot be read' in text and 'oversold' in text, text
    segment, = (name for name in os.listdir(os.path.join(folder, '3')) if name.endswith('.fgj'))
    with open(os.path.join(folder, '3', segment), 'r+b') as f:
        f.write(b'nonsense')
    report = lab.unique('json')
    code, text = fgtest.audit(lab, logs=folder, json=report)
    assert code == 2 and '1 pass, 1 fail, 1 cannot be read' in text, text
    with open(report, encoding='utf-8') as f:
        result = json.load(f)
    assert result['audit'] == 'fail' and result['runs'][2]['result'] is None, result


def test_wrong_options(lab):
    """no logs, both kinds of directory, a sink with several runs: exit 2 and what is accepted"""
    empty = lab.unique('empty')
    os.mkdir(empty)
    for options, text in (({'logs': empty}, 'accepted: a directory of log directories'),
                          ({'logs': empty, 'log': empty}, 'given together with --logs'),
                          ({'logs': empty, 'redis': 'unix:/x'}, 'goes without --peer, --redis'),
                          ({'logs': '/nonexistent'}, 'No such file'),
                          ({}, '--log DIR is missing')):
        code, report = fgtest.audit(lab, **options)
        assert code == 2 and text in report, (options, report)


def test_unreadable_postgres(lab):
    """no server, no tables, a wrong connection string: exit 2, nothing proved"""
    log = make_log(lab, STORY)
    for conninfo in (f'host={lab.dir} dbname=x', 'nonsense'):
        code, text = fgtest.audit(lab, log=log, postgres=conninfo)
        assert code == 2 and 'postgres' in text, text
    code, text = fgtest.audit(lab, log=log, postgres=lab.postgres().conninfo)
    assert code == 2 and 'floodgate_cursor' in text, text


def test_differences_in_postgres(lab):
    """whatever is changed in the tables is found and named"""
    server, log = Postgres(lab), Log(lab)
    server.follow(log)
    log.load(20)
    log.caught_up()
    log.stop()
    one = '(SELECT order_id FROM floodgate.orders ORDER BY seq LIMIT 1)'
    orders, items = 'UPDATE floodgate.orders SET ', 'UPDATE floodgate.inventory SET '
    for change, kind, text in (
            (f"{orders} deadline = deadline + interval '1 ms' WHERE order_id = {one}", 'order', ': deadline is'),
            (f"{orders} changed = changed + interval '1 us' WHERE order_id = {one}", 'order', ': changed is'),
            (f'{orders} quantity = quantity + 1 WHERE order_id = {one}', 'order', ': quantity is'),
            (f'{orders} item = 99 WHERE order_id = {one}', 'order', ': item is 99'),
            (f'{orders} seq = seq + 1 WHERE order_id = {one}', 'order', ': seq is'),
            (f'{orders} user_id = 18446744073709551615 WHERE order_id = {one}', 'order', 'is not in the log'),
            (f'DELETE FROM floodgate.orders WHERE order_id = {one}', 'order', 'is missing'),
            (f'{items} available = available + 1, total = total + 1 WHERE item = 1', 'counter', 'item 1: total is'),
            (f'{items} orders_sold = orders_sold - 1 WHERE item = 2', 'counter', 'item 2: orders_sold is'),
            (f"{items} name = 'another' WHERE item = 1", 'item', 'item 1: name is'),
            (f'{items} closes = NULL WHERE item = 1', 'item', 'item 1: closes is null'),
            (f'{items} paused = NOT paused, hold_ms = 1 WHERE item = 3', 'item', 'item 3: paused is'),
            (f'{items} item = 77 WHERE item = 5', 'item', 'item 77 is not in the log'),
            ('DELETE FROM floodgate.denied_users', 'user', 'is denied, but not here'),
            ('INSERT INTO floodgate.denied_users VALUES (18446744073709551615)', 'user', 'which the log does not say'),
            ('UPDATE floodgate.floodgate_cursor SET crc = crc + 1', 'cursor', 'one of them is of another sale'),
            ('UPDATE floodgate.floodgate_cursor SET seq = seq - 1', 'cursor', '1 records behind the log')):
        server.pg.sql(change)
        code, report = server.audit(log)
        assert code == 1 and f'postgres-{kind}: ' in report and text in report, (change, report)


if __name__ == '__main__':
    fgtest.main()
