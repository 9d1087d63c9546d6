#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The Redis sink against real Redis servers that are killed, emptied, stopped, rolled back and
tampered with.

After each, everything that Redis holds is compared with the ledger, and once more by fgaudit with
the log.
"""

import os
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgsinkcases  # noqa: E402
import fgtest  # noqa: E402
from fgsink import Log, Proxy  # noqa: E402
from fgsinkcases import end  # noqa: E402
from fgsinkredis import Redis  # noqa: E402
from fgtest import wait_until  # noqa: E402

fgsinkcases.use(globals(), Redis, 'normal_flow', 'batch_sizes', 'comes_later', 'kill', 'rolled_back', 'loses_all_while_down',
                'emptied', 'stopped_process', 'stop_while_it_hangs', 'lost_answers', 'slow_server_gets_smaller_batches',
                'stop_in_mid_batch', 'two_writers', 'cursor_ahead', 'another_appliance', 'older_copy_grows', 'adopted_from_another_log', 'lost_cursor')


def test_consumer_group_reads_every_event_once(lab):
    """a consumer group made before the sale reads each event once, in order"""
    server, log = Redis(lab), Log(lab)
    server.redis.command('XGROUP', 'CREATE', '{t}:events', 'mail', '$', 'MKSTREAM')
    server.follow(log)
    got = []
    for _ in range(10):
        log.load(5)
        while answer := server.redis.command('XREADGROUP', 'GROUP', 'mail', 'one', 'COUNT', 100, 'STREAMS', '{t}:events', '>'):
            entries = answer[0][1]
            got += [int(dict(zip(e[1][::2], e[1][1::2]))['seq']) for e in entries]
            server.redis.command('XACK', '{t}:events', 'mail', *[e[0] for e in entries])
        log.caught_up()
    log.stop()
    answer = server.redis.command('XREADGROUP', 'GROUP', 'mail', 'one', 'COUNT', 100000, 'STREAMS', '{t}:events', '>')
    got += [int(e[0].split('-')[0]) for e in (answer[0][1] if answer else [])]
    assert got == [e[0] for e in log.ledger()['events']]
    server.compare(log)


def test_stream_is_bounded(lab):
    """stream_max keeps about that many of the newest events, and the auditor accepts it"""
    server, log = Redis(lab), Log(lab)
    server.follow(log, stream_max=500)
    log.load(100)
    log.caught_up()
    log.stop()
    length = server.redis.command('XLEN', '{t}:events')
    last = server.redis.command('XREVRANGE', '{t}:events', '+', '-', 'COUNT', 1)
    ledger = log.ledger()
    assert 500 <= length < 1000 < len(ledger['events']), length
    assert last[0][0] == f'{ledger["events"][-1][0]}-0'
    assert server.audit(log, redis_stream_max=500)[0] == 0
    code, text = server.audit(log, redis_stream_max=0)
    assert code == 1 and 'redis-event' in text, text


def test_tcp_and_database(lab):
    """TCP over IPv4, IPv6 and a name, and a database other than 0"""
    port = fgtest.free_port()
    server = Redis(lab, port=port, bind='127.0.0.1 ::1')
    for host in ('127.0.0.1', '[::1]', 'localhost'):
        log, space = Log(lab), 't' + host.strip('[]').replace(':', '_')
        server.follow(log, address=f'{host}:{port}', space=space)
        log.load()
        end(server, log, space=space)
    before = server.redis.command('DBSIZE')
    server.follow(log, space='d', database=3)
    log.caught_up()
    log.stop()
    assert server.redis.command('DBSIZE') == before
    server.redis.command('SELECT', 3)
    server.compare(log, 'd', audit=False)
    code, text = server.audit(log, 'd', redis_db=3)
    assert code == 0, text


def test_acl_user(lab):
    """an ACL user with the rights that docs/redis.md names is enough; a wrong password is told"""
    server, log = Redis(lab), Log(lab)
    server.redis.command('ACL', 'SETUSER', 'gate', 'on', '>secret', '~{t}:*', '-@all', '+@hash', '+@set',
                         '+@stream', '+@transaction', '+scan', '+del', '+ping', '+select', '+auth')
    log.load()
    server.follow(log, user='gate', password='wrong')
    assert 'WRONGPASS' in log.in_state('away')['error']
    assert 'wrong' not in log.status()['error'].replace('WRONGPASS', '').replace('wrong number', '')
    log.stop(drain=0)
    server.follow(log, user='gate', password='secret')
    end(server, log)


@fgtest.timeout(90)
def test_failover(lab):
    """failover to a replica that lagged, then to one that is empty; READONLY until it is promoted"""
    servers, log = [Redis(lab), Redis(lab), Redis(lab)], Log(lab)
    first, second, third = (server.redis for server in servers)
    first.command('CONFIG', 'SET', 'repl-diskless-sync-delay', 0)
    proxy = Proxy(lab, first.socket)
    servers[0].follow(log, address=f'unix:{proxy.path}')
    log.load()
    log.caught_up()
    port = fgtest.free_port()
    first.command('CONFIG', 'SET', 'port', port)
    second.command('REPLICAOF', '127.0.0.1', port)
    wait_until(lambda: second.hash('{t}:cursor') == first.hash('{t}:cursor') != {}, 20, 'the replica follows')
    first.command('CONFIG', 'SET', 'port', 0)  # it does not get what comes now
    first.command('CLIENT', 'KILL', 'TYPE', 'replica')
    behind = int(second.hash('{t}:cursor')['seq'])
    log.load(40)
    log.caught_up()
    assert int(first.hash('{t}:cursor')['seq']) > behind
    proxy.target = second.socket
    first.kill()
    log.load()
    assert 'READONLY' in log.in_state('away', text='READONLY')['error']
    second.command('REPLICAOF', 'NO', 'ONE')
    log.caught_up()
    servers[1].compare(log)
    proxy.target = third.socket
    second.kill()
    log.load()
    end(servers[2], log)


def test_flushall_just_before_stop(lab):
    """FLUSHALL and stop at once: draining fills Redis again"""
    server, log = Redis(lab), Log(lab)
    server.follow(log)
    log.load(50)
    log.caught_up()
    server.redis.command('FLUSHALL')
    log.stop(drain=10000)
    server.compare(log)


def test_password(lab):
    """no or a wrong password: away with Redis's words, never with the password; the right one works"""
    server, log = Redis(lab, password='open-sesame'), Log(lab)
    log.load()
    server.follow(log)
    assert 'NOAUTH' in log.in_state('away')['error']
    log.stop(drain=0)
    server.follow(log, password='close-sesame')
    status = log.in_state('away')
    assert 'WRONGPASS' in status['error'] and 'sesame' not in status['error'], status
    log.stop(drain=0)
    server.follow(log, password='open-sesame')
    log.caught_up()
    log.stop()
    server.compare(log, audit=False)
    os.environ['REDISCLI_AUTH'] = 'open-sesame'
    try:
        assert server.audit(log)[0] == 0
    finally:
        del os.environ['REDISCLI_AUTH']


def test_out_of_memory(lab):
    """Redis refuses writes (maxmemory): away with its words, nothing half applied; goes on when there is room"""
    server, log = Redis(lab), Log(lab)
    server.follow(log)
    log.load()
    log.caught_up()
    server.redis.command('CONFIG', 'SET', 'maxmemory', 1)
    log.load()
    assert 'OOM' in log.in_state('away')['error']
    server.redis.command('CONFIG', 'SET', 'maxmemory', 0)
    end(server, log)


def test_error_inside_a_transaction(lab):
    """a key of a wrong type makes a command inside EXEC fail: refused, also after a restart, until it is rebuilt"""
    server, log = Redis(lab), Log(lab)
    server.follow(log)
    log.load()
    log.caught_up()
    server.redis.command('SET', '{t}:item:1', 'not a hash')
    log.load(30)
    assert 'WRONGTYPE' in log.in_state('refused')['error']
    log.stop(drain=0)
    server.follow(log)
    assert 'WRONGTYPE' in log.in_state('refused')['error']
    code, text = server.audit(log)
    assert code == 1 and 'WRONGTYPE' in text, text
    server.resolve()
    end(server, log)


def test_foreign_keys_are_left_alone(lab):
    """keys of other prefixes in the same database are neither read nor touched"""
    server, log = Redis(lab), Log(lab)
    for i in range(3000):
        server.redis.command('SET', f'other:{i}', i)
    server.redis.command('SET', '{t2}:cursor', 'x')
    server.follow(log)
    log.load()
    end(server, log)
    assert server.redis.command('GET', '{t2}:cursor') == 'x' and server.redis.command('GET', 'other:7') == '7'


if __name__ == '__main__':
    fgtest.main()
