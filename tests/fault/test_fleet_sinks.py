#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The sinks of a fleet: its members write into one Redis, one PostgreSQL and one topic, each with a cursor of its own;
the sums over all members are right, also when one member is killed in the midst of a write, or written anew."""

import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgsink import Log, sums  # noqa: E402
from fgsinkkafka import Committed, Kafka, check_records  # noqa: E402
from fgsinkpostgres import Postgres  # noqa: E402
from fgsinkredis import Redis, SumsReader  # noqa: E402
from fgtest import wait_until  # noqa: E402

MEMBERS = 2


def members(lab, server, **options):
    logs = [Log(lab, member=(number, MEMBERS)) for number in range(MEMBERS)]
    for log in logs:
        log.load(10)
        server.follow(log, **options)
    return logs


def writes(log):
    """It has written a part of a new load; False if it was faster than this process."""
    before = log.status()['transactions']
    log.load(100, 200)
    wait_until(lambda: log.status()['transactions'] > before + 2, 20, 'it writes')
    return log.status()['lag'] > 0


def killed_in_mid_write(logs):
    """The last member is killed while it writes; it resumes where it was, beside the others."""
    last = logs[-1]
    logs[0].load(100, 200)
    wait_until(lambda: writes(last), 30, 'it writes, and has not finished')
    last.again()
    logs[0].load(20)


def resumed(server, logs, **options):
    """The members have written everything; their ledgers."""
    server.follow(logs[-1], **options)
    for log in logs:
        log.load(10)
    for log in logs:
        log.caught_up(seconds=40)


def retired(server, logs):
    """The log of the last member begins behind its cursor: it is written anew from a snapshot, while another one writes."""
    last = logs[-1]
    last.stop()
    cursor = last.load(1)
    while last.retire(server.FILL_RECORDS) <= cursor:
        pass
    server.follow(last, batch=2000)
    for _ in range(20):
        logs[0].load(2)
    for log in logs:
        log.caught_up(seconds=60)


@fgtest.timeout(90)
def test_redis(lab):
    """each reading of Redis has the sums over both members: one is killed, filled from a snapshot, and replaced"""
    server = Redis(lab)
    logs = members(lab, server, batch=20)
    reader = SumsReader(server, MEMBERS)
    killed_in_mid_write(logs)
    resumed(server, logs)
    server.check_sums([server.compare(log) for log in logs])
    retired(server, logs)
    server.check_sums([server.compare(logs[0]), server.compare(logs[1], filled=True)])
    reader.finish()
    assert reader.readings > 20, reader.readings
    logs[1].stop()
    other = Log(lab, member=(1, MEMBERS))  # another log in its place
    server.follow(other)
    other.in_state('refused', text='of log')
    server.check_sums([log.ledger() for log in logs])
    other.do('adopt 0')
    other.caught_up()
    server.check_sums([server.compare(log) for log in (logs[0], other)])
    keys = server.scan('{t}:member:1:*')
    server.redis.command('UNLINK', *keys)  # without the sums, which still have its units
    wait_until(lambda: server.redis.command('HGET', '{t}:member:1:cursor', 'seq'), 20, 'it is written anew')
    other.caught_up()
    server.check_sums([server.compare(log) for log in (logs[0], other)])
    server.redis.command('FLUSHALL')
    for log in (logs[0], other):
        log.load()
    wait_until(lambda: all(server.redis.command('HGET', f'{{t}}:member:{m}:cursor', 'seq') for m in range(2)), 20, 'both notice')
    for log in (logs[0], other):
        log.caught_up()
    server.check_sums([server.compare(log) for log in (logs[0], other)])


OF_FLEET = 'the keys {t}:* are of a fleet: use another prefix'


def adopt(server, single):
    """From the cursor of another appliance; it looks first for the items of a fleet."""
    server.redis.command('HSET', '{t}:cursor', 'seq', 9, 'appliance', 'f', 'crc', 0, 'format', 1)
    single.in_state('refused', text='the cursor is of log')
    server.redis.command('CONFIG', 'RESETSTAT')
    single.do('adopt 0')
    wait_until(lambda: 'cmdstat_sunion:' in server.redis.command('INFO', 'commandstats'), 20, 'it adopts')


def test_redis_of_one(lab):
    """a member does not add to the items of an appliance that is of no fleet, nor such a one to the sums, also when it adopts"""
    server, single, member = Redis(lab), Log(lab), Log(lab, member=(0, 1))
    server.follow(single)
    single.caught_up()
    server.follow(member)
    member.in_state('refused', text='the keys {t}:* are of an appliance that is of no fleet')
    server.compare(single)
    single.stop()
    server.resolve()
    member.load()
    member.caught_up()
    server.check_sums([server.compare(member)])
    commands = '{t}:member:1:commands'  # of another member; they wait for it
    server.redis.command('XADD', commands, '*', 'op', 'confirm')
    server.follow(single)
    single.in_state('refused', text=OF_FLEET)
    adopt(server, single)
    server.check_sums([server.compare(member)])
    server.redis.command('DEL', '{t}:cursor')
    single.in_state('refused', text=OF_FLEET)
    member.stop()
    server.redis.command('DEL', *(server.scan('{t}:*') - {commands}))
    adopt(server, single)
    single.in_state('refused', text=OF_FLEET)
    assert server.scan('{t}:*') == {commands}


def test_redis_sums(lab):
    """very many sums are computed in pieces, those of a defined item whatever was left there; the documented rights are enough"""
    server, member = Redis(lab), Log(lab, member=(1, 16))
    server.redis.command('EVAL', "for i = 1, 20000 do redis.call('SADD', '{t}:items', 100 + i) "
                         "redis.call('HSET', '{t}:member:0:item:' .. 100 + i, 'sold', i, 'total', i) end", 0)
    server.redis.command('HSET', '{t}:item:3', 'sold', 7, 'total', 7)  # and not in the set
    server.redis.command('ACL', 'SETUSER', 'gate', 'on', '>secret', '~{t}:*', '-@all', '+@hash', '+@set', '+@stream', '+@transaction',
                         '+scan', '+del', '+ping', '+select', '+auth', '+eval')  # docs/redis.md
    server.follow(member, timeout=500, user='gate', password='secret')
    member.caught_up(seconds=40)
    for item in (101, 20100):
        assert server.redis.command('HMGET', f'{{t}}:item:{item}', 'sold', 'total') == [str(item - 100)] * 2
    wanted = sums([server.compare(member)], 3, ('sold', 'total'))
    assert server.redis.command('HMGET', '{t}:item:3', 'sold', 'total') == [str(wanted['sold']), str(wanted['total'])], wanted


@fgtest.timeout(90)
def test_postgres(lab):
    """the views have the sums over both members and the orders of both: one is killed, and filled from a snapshot"""
    server = Postgres(lab, spaces=())
    config = fleet_config(lab, server.pg.conninfo)
    fgtest.command(fgtest.program('fgctl'), 'backend', 'init', '--config', config)
    config = fleet_config(lab, 'host=/nonexistent')  # again, by another user: nothing to do
    fgtest.command(fgtest.program('fgctl'), 'backend', 'init', '--config', config, '--conninfo', server.pg.conninfo)
    logs = members(lab, server, batch=20)
    killed_in_mid_write(logs)
    resumed(server, logs)
    server.check_sums([server.compare(log) for log in logs])
    retired(server, logs)
    server.check_sums([server.compare(log) for log in logs])


def fleet_config(lab, conninfo):
    """Of member 1."""
    gate = lab.daemon(device='net_null0', settings={
        'postgres.conninfo': conninfo, 'fleet.enabled': 'yes', 'fleet.member': 1, 'fleet.members': MEMBERS,
        'fleet.etcd': '127.0.0.1:1'})
    return gate.config


@fgtest.timeout(90)
def test_kafka(lab):
    """one topic has the events of both members, each with its member and its cursor; one is killed in mid-write"""
    server = Kafka(lab, cursors={'t.cursor': MEMBERS})
    logs = members(lab, server, batch=20)
    topics = [Committed(server.cluster, member=number) for number in range(MEMBERS)]
    killed_in_mid_write(logs)
    cursor, hidden = topics[1].dead()
    print(f'# killed behind record {cursor}: {hidden} records of a transaction that did not end')
    resumed(server, logs)
    ledgers = [check_records(log, topic.read(), topic.cursor()) for log, topic in zip(logs, topics)]
    sold = {i['item']: 0 for i in ledgers[0]['items']}
    for record in topics[0].read() + topics[1].read():
        event = record['value']
        sold[int(event.get('item', 1))] += {'sold': 1, 'sold-late': 1, 'refunded': -1}.get(event['type'], 0) * event.get('quantity', 0)
    assert sold == {item: sum(i['sold'] for ledger in ledgers for i in ledger['items'] if i['item'] == item) for item in sold}
    lone = Log(lab, member=(2, 3))
    server.follow(lone)
    lone.in_state('away', text='topic t.cursor has 2 partitions; a fleet needs one for each member: 3')


def test_kafka_lost_cursor(lab):
    """the cursor of one member expires: it is not taken for a new one; an operator's decision writes its events again"""
    server = Kafka(lab, cursors={'t.cursor': MEMBERS})
    logs = members(lab, server)
    for log in logs:
        log.caught_up()
    logs[1].stop()
    server.cluster.expire('t.cursor', 1)
    server.follow(logs[1])
    logs[1].in_state('refused', text='topic t holds events, but t.cursor no cursor')
    logs[0].load()
    logs[0].caught_up()
    logs[1].do('adopt 0')
    logs[1].caught_up()


if __name__ == '__main__':
    fgtest.main()
