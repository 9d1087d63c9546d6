#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""Servers that answer something else than was asked: the daemon, the auditor and the order service say so, and survive."""

import json
import os
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgfake import NIL, OK, FakePostgres, FakeRedis, array, bulk, entry, number  # noqa: E402
from fgtest import wait_until  # noqa: E402

ORDER = '0' * 32
GOOD = ('op', 'confirm', 'user', '1', 'order', ORDER)
SMALL = {'eal.huge': 'no', 'eal.mbufs': 1024, 'workers.idle': 'sleep', 'log.segment_bytes': '64k', 'limits.items_max': 16,
         'limits.orders_max': 1024, 'limits.users_max': 1024, 'limits.deferred_max': 1024, 'limits.parked_max': 64}


def stream(*entries):
    return array(array(bulk('k'), array(*entries)))


# name: (command, the lie, words of the error)
SINK = {
    'the cursor is an integer': ('HMGET', number(5), 'an array of 5'),
    'the cursor is short': ('HMGET', array(bulk('1')), 'an array of 5'),
    'the cursor holds arrays': ('HMGET', array(array(bulk('1')), *[array()] * 4), 'a text or nil'),
    'keys are integers': ('SCAN', array(bulk(0), array(number(1))), 'a text expected'),
    'keys are nil': ('SCAN', array(bulk(0), array(NIL)), 'a text expected'),
    'keys are arrays': ('SCAN', array(bulk(0), array(array(bulk('x')))), 'a text expected'),
    'keys are no array': ('SCAN', array(bulk(0), bulk('x')), 'an array expected'),
    'SCAN is empty': ('SCAN', array(), 'an array of 2 expected'),
    'SCAN has no end': ('SCAN', array(bulk(7), array()), 'another cursor'),
    'the items of members are a number': ('SUNION', number(0), 'an array expected'),
    'EXEC is empty': ('EXEC', array(), 'EXEC: an array of'),
    'EXEC is an integer': ('EXEC', number(1), 'EXEC: an array of'),
}
INBOUND = {
    'more entries than asked for': ('XREADGROUP', stream(*[entry(f'{i}-1', *GOOD) for i in range(1, 30001)]), 'to 1000'),
    'more bad entries than asked for': ('XREADGROUP', stream(*[entry(f'{i}-1', 'op', 'x') for i in range(1, 60001)]),
                                        'to 1000'),
    'more claimed entries than asked for': ('XAUTOCLAIM', array(bulk('0-0'), array(
        *[entry(f'{i}-1', *GOOD) for i in range(1, 30001)])), 'to 1000'),
    'a value is an integer': ('XREADGROUP', stream(entry('1-1', 'op', number(1), 'user', '1')), 'a text expected'),
    'a value is nil': ('XREADGROUP', stream(entry('1-1', 'op', NIL)), 'a text expected'),
    'a value is an array': ('XREADGROUP', stream(entry('1-1', 'op', array())), 'a text expected'),
    'a name is an integer': ('XREADGROUP', stream(entry('1-1', number(1), number(2))), 'a text expected'),
    'a name without a value': ('XREADGROUP', stream(entry('1-1', 'op')), 'names with their values'),
    'an id of 5,000 digits': ('XREADGROUP', stream(entry('9' * 5000, *GOOD)), 'NUMBER-NUMBER'),
    'a stream is an integer': ('XREADGROUP', array(number(1)), 'an array of 2'),
    'entries are integers': ('XREADGROUP', stream(number(1), number(2)), 'an array of 2'),
    'claimed entries are an integer': ('XAUTOCLAIM', array(bulk('0-0'), number(3)), 'an array of 0'),
    'the claim is nil': ('XAUTOCLAIM', array(NIL, NIL), 'NUMBER-NUMBER'),
    'the claim has no end': ('XAUTOCLAIM', array(bulk('5-0'), array()), 'a later one expected'),
    'the stream is nil': ('XINFO', NIL, 'our group expected'),
    'the stream is an array of numbers': ('XINFO', lambda words: array(number(1), number(2)) if words[1] == b'STREAM' else None,
                                          'length: an integer'),
    'the first entry is a number': ('XINFO', lambda words: array(
        bulk('length'), number(1), bulk('entries-added'), number(9), bulk('first-entry'), number(1))
        if words[1] == b'STREAM' else None, 'first-entry: '),
    'entries were added less than never': ('XINFO', lambda words: array(
        bulk('length'), number(0), bulk('entries-added'), number(-1)) if words[1] == b'STREAM' else None, 'from 0 on'),
    'the group has no id': ('XINFO', array(array(bulk('name'), bulk('floodgate'), bulk('entries-read'), number(0))),
                            'last-delivered-id'),
    'the length is an array': ('XLEN', array(number(1), number(2)), 'an integer expected'),
    'the length is negative': ('XLEN', number(-1), 'from 0 on'),
}


def daemon(lab, redis=None, **more):
    gate = lab.daemon(device='net_null0', redis=redis, settings={**SMALL, **more})
    return gate.start(ready=False)


def told(gate, where):
    return gate.get('/v1/status')['inbound'] if where == 'inbound' else gate.sink(where)


def not_live(status, words):
    return words in status.get('error', '') and status['state'] in ('away', 'refused')


def lie_and_see(gate, server, where, name, lie):
    """The server lies; the daemon lives, says what came, and is not live."""
    command, reply, words = lie
    before = server.seen.get(command, 0)
    server.lies = {command: reply}
    server.drop()
    wait_until(lambda: server.seen.get(command, 0) > before + 2 or not gate.running(), 20, f'{name}: {command} is asked')
    assert gate.running(), f'{name}: the daemon ended with {gate.process.popen.returncode}\n{gate.output()[-3000:]}'
    wait_until(lambda: not_live(told(gate, where), words), 10, f'{name}: {words!r} is told')


@fgtest.timeout(240)
def test_redis_lies(lab):
    """a Redis whose replies have other kinds and lengths than asked for: the daemon says what came, and lives"""
    server = FakeRedis(lab)
    gate = daemon(lab, server, **{'redis.commands': 'yes', 'redis.timeout_ms': 1000, 'redis.retry_ms_max': 100})
    wait_until(gate.healthy, 60, 'the daemon is ready')
    wait_until(lambda: told(gate, 'inbound')['state'] == 'live', 20, 'an honest Redis is live')
    for name, lie in INBOUND.items():
        lie_and_see(gate, server, 'inbound', name, lie)
    gate.api('POST', '/v1/items', {'item': 1, 'total': 10})
    for name, lie in SINK.items():
        lie_and_see(gate, server, 'redis', name, lie)
    server.lies = {}
    server.drop()
    wait_until(lambda: told(gate, 'inbound')['state'] == 'live', 20, 'an honest Redis is live again')
    gate.stop()


@fgtest.timeout(120)
def test_a_redis_whose_cursor_never_moves(lab):
    """a Redis that takes each transaction and leaves the cursor where it was is asked with growing pauses, and not live"""
    server = FakeRedis(lab)
    gate = daemon(lab, server, **{'redis.timeout_ms': 1000, 'redis.retry_ms_max': 2000})
    wait_until(gate.healthy, 60, 'the daemon is ready')
    gate.api('POST', '/v1/items', {'item': 1, 'total': 10})
    wait_until(lambda: 'leaves the cursor at 0' in told(gate, 'redis').get('error', ''), 20, 'it is told')
    before, states, began = server.seen['MULTI'], set(), time.monotonic()
    for _ in range(40):
        states.add(told(gate, 'redis')['state'])
        fgtest.pause(0.1, 'the interval in which transactions are counted')
    assert states == {'away'}, states
    assert server.seen['MULTI'] - before <= 10 * (time.monotonic() - began), server.seen['MULTI'] - before
    gate.stop()


@fgtest.timeout(120)
def test_postgres_lies(lab):
    """a PostgreSQL whose rows have 0, 1, 3, 4 or 6 columns, or no numbers: refused with what came; the daemon lives"""
    server = FakePostgres(lab)
    gate = daemon(lab, **{'postgres.conninfo': server.conninfo, 'postgres.timeout_ms': 1000,
                          'postgres.retry_ms_max': 100})
    wait_until(gate.healthy, 60, 'the daemon is ready')
    for rows, words in (([[]], '0 columns and 1 rows came'), ([['a']], '1 columns'), ([['a', 1, 1]], '3 columns'),
                        ([['a', 1, 1, 1]], '4 columns'), ([['a', 1, 1, 1, 'f', 2]], '6 columns'),
                        ([[None, 0, 0, 1, 'f']] * 2, '2 rows'), ([[None, 'x', 0, 1, 'f']], "'x' came"),
                        ([[None, None, 0, 1, 'f']], 'a number expected'), ([[None, 0, 0, 'one', 'f']], "'one' came"),
                        ([[None, '9' * 30, 0, 1, 'f']], 'a number expected')):
        server.answer = lambda sql, rows=rows: rows if 'floodgate_cursor' in sql else [['x']]
        server.drop()
        wait_until(lambda words=words: not gate.running() or not_live(told(gate, 'postgres'), words), 20,
                   f'{rows}: {words!r} is told')
        assert gate.running(), f'{rows}: the daemon ended\n{gate.output()[-3000:]}'
    gate.stop()


@fgtest.timeout(240)
def test_the_auditor_is_lied_to(lab):
    """fgaudit reads false servers to an end: it says what came, with exit code 1 or 2"""
    gate = daemon(lab)
    wait_until(gate.healthy, 60, 'the daemon is ready')
    gate.api('POST', '/v1/items', {'item': 1, 'total': 10, 'name': 'n'})
    gate.api('POST', '/v1/users/denied', {'user': 3})
    gate.stop()

    def audit(*words):
        done = subprocess.run([fgtest.program('fgaudit'), '--log', gate.log_dir, *words], capture_output=True, text=True,
                              timeout=30)
        assert done.returncode in (1, 2), (words, done)
        return done.stdout + done.stderr

    redis = FakeRedis(lab)
    log_id = audit('--redis', redis.address, '--redis-wait-ms', '10')
    assert 'cursor' in log_id, log_id
    page = [entry(f'{i}-0', 'seq', str(i)) for i in range(1, 1001)]
    for command, reply in (('HMGET', number(5)), ('HMGET', array(bulk('1'))), ('HMGET', array(*[array()] * 9)),
                           ('HMGET', OK)):
        redis.lies = {command: reply}
        assert 'not an answer to what was asked' in audit('--redis', redis.address, '--redis-wait-ms', '10'), reply
    cursor = honest_cursor(lab, gate)
    for command, reply in (('SCAN', array()), ('SCAN', array(bulk(0), array(number(1)))), ('SCAN', array(bulk(7), array())),
                           ('SCAN', array(bulk(0), array(NIL))), ('XRANGE', array(*page)), ('XLEN', bulk('x')),
                           ('XRANGE', array(number(1))), ('XRANGE', array(entry('1-0', number(1), 'x'))),
                           ('XRANGE', array(array(bulk('1-0')))), ('SMEMBERS', array(number(1), NIL))):
        redis.lies = {'HMGET': cursor, command: reply}
        text = audit('--redis', redis.address, '--redis-wait-ms', '10')
        assert 'not an answer to what was asked' in text, (command, reply[:80], text)
    for key in ('', 'x', '{floodgate}:item:1'):
        redis.lies = {'HMGET': cursor, 'SCAN': array(bulk(0), array(bulk(key))), 'HGETALL': array(number(1), NIL)}
        audit('--redis', redis.address, '--redis-wait-ms', '10')

    postgres = FakePostgres(lab)
    for rows in ([[]], [['1']], [['1', '0', '1']], [['x', '0', '1', '']]):
        postgres.answer = lambda sql, rows=rows: rows if 'floodgate_cursor' in sql else [['x']] if 'SELECT' in sql else None
        audit('--postgres', postgres.conninfo, '--postgres-wait-ms', '10')


def honest_cursor(lab, gate):
    """The answer to HMGET of a cursor at the end of the log."""
    path = lab.unique('audit.json')
    done = subprocess.run([fgtest.program('fgaudit'), '--log', gate.log_dir, '--json', path], capture_output=True, text=True,
                          timeout=30)
    assert done.returncode == 0 and os.path.exists(path), done
    with open(path, encoding='utf-8') as f:
        report = json.load(f)
    return array(bulk(report['log']['last_seq']), bulk(report['log']['appliance']), bulk('1'), NIL, NIL)


if __name__ == '__main__':
    fgtest.main()
