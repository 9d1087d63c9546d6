#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The Kafka sink against librdkafka's mock cluster (tests/fault/kafka_mock.c), read by kcat. A log
that grows by random legal decisions is followed while the sink, or the brokers, are killed, slow,
wrong; then the topic must hold each event of the log once, in order. fgsinkkafka.Committed makes up
for the things that the mock does not do."""

import os
import random
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgkafka  # noqa: E402
import fgsinkcases  # noqa: E402
import fgtest  # noqa: E402
from fgsink import Log  # noqa: E402
from fgsinkkafka import LINE, MOVED, Committed, Kafka, apply_event, check_records, check_state, in_order  # noqa: E402
from fgtest import wait_until  # noqa: E402

fgsinkcases.use(globals(), Kafka, 'normal_flow', 'batch_sizes', 'comes_later', 'stopped_process', 'stop_while_it_hangs')


def test_events(lab):
    """every record of the log becomes one event, readable by kcat, in order by key; the cursor follows"""
    server, log = Kafka(lab), Log(lab)
    server.follow(log)
    for _ in range(20):
        log.load(20, 60)
    log.caught_up()
    count = server.compare(log)
    used = {r['partition'] for r in server.cluster.read('t')}
    assert used == {0, 1, 2, 3}, used
    print(f'# {count} events in {len(server.cluster.read("t.cursor"))} transactions')
    assert log.stop() < 3000


def test_goes_on(lab):
    """a sink that is stopped and started, in another process too, goes on behind the cursor"""
    server, log = Kafka(lab), Log(lab)
    for _ in range(3):
        server.follow(log)
        log.load(20, 60)
        log.caught_up()
        log.stop()
        log.load(20, 60)
    log.again()
    server.follow(log)
    log.caught_up()
    server.compare(log)
    assert log.status()['reconnects'] == 0


@fgtest.timeout(300)
def test_kill(lab):
    """kill -9 in the middle of transactions: no gap, no event twice for a reader with read_committed"""
    seed = int(os.environ.get('FG_SEED', random.randrange(1 << 32)))
    print(f'# seed {seed} (FG_SEED)')
    rng = random.Random(seed)
    server, log = Kafka(lab, partitions=12), Log(lab)
    log.load(300, 60)
    server.follow(log, batch=100)
    wait_until(lambda: log.status()['cursor'], 20, 'the first transaction')
    committed, kills, cut = Committed(server.cluster), 0, 0
    while kills < 10 or (cut < 3 and kills < 40):
        fgtest.pause(rng.uniform(0, 0.08), 'the random moment of the kill')
        log.process.kill()
        cursor, left = committed.dead()
        kills, cut = kills + 1, cut + (left > 0)
        in_order(committed.read())
        log.again()
        log.load(60, 60)
        server.follow(log, batch=rng.choice((50, 100, 300)))
        wait_until(lambda: log.status()['cursor'] >= cursor and log.status()['state'] != 'connecting', 20,
                   'the sink knows its cursor')
    log.stop(drain=0)
    committed.dead()
    server.follow(log, batch=5000)
    log.caught_up()
    check_records(log, committed.read(), server.cluster.cursor('t'))
    print(f'# {kills} kills, {cut} of them in the middle of a transaction')
    assert cut >= 3, cut


@fgtest.timeout(90)
def test_fill(lab):
    """the log no longer goes back to the cursor: the topic gets a snapshot, then the log behind it; also when interrupted"""
    server, log = Kafka(lab, partitions=8), Log(lab)
    log.load(900, 80)
    snapshot = log.do('snapshot')['seq']
    log.load(10, 20)
    first = log.ledger()['events'][0][0]
    assert first > 10000, first
    server.cluster.do('rtt -1 50')
    server.follow(log)
    wait_until(lambda: len(server.cluster.read('t')) > 1500, 30, 'the fill has begun')
    assert log.status()['state'] == 'filling'
    log.again()
    assert server.cluster.cursor('t') == 0, 'the cursor stays until the last piece'
    server.cluster.do('rtt -1 0')
    server.follow(log)
    log.caught_up()
    check_filled(server, log, snapshot)
    log.load(20, 60)
    log.caught_up()
    check_filled(server, log, snapshot)


def check_filled(server, log, snapshot):
    """Who takes the newest of each key has the state of the ledger."""
    ledger, orders, items, denied = log.ledger(), {}, {}, set()
    records = server.cluster.read('t')
    assert server.cluster.cursor('t') == ledger['seq']
    assert sorted(r['value']['seq'] for r in records if not r['value']['type'].startswith('snapshot-')) == \
        [seq for seq, _, _ in ledger['events'] if seq > snapshot]
    for r in sorted(records, key=lambda r: r['value']['seq']):
        v = r['value']
        if v['type'] == 'snapshot-order':
            assert v['seq'] == snapshot and r['key'] == f'{v["user"]}:{v["order"]}', r
            orders[int(v['user']), v['order']] = (v['state'], int(v['item']), v['quantity'], v['deadline_ms'], v['changed_ms'])
        elif v['type'] == 'snapshot-item':
            items[int(v['item'])] = {**{k: v[k] for k in ('total', 'available', 'reserved', 'sold', 'refunded', 'hold_ms', 'waiting')},
                                     **{k: int(v[k]) for k in ('paused', *LINE)},
                                     **{k: v.get(k, 0) for k in MOVED.values()}}
        elif v['type'] == 'snapshot-user':
            denied.add(int(v['user']))
        else:
            apply_event(r, orders, items, denied)
    check_state(ledger, orders, items, denied)
    print(f'# {len(records)} records, {sum(r["value"]["type"].startswith("snapshot-") for r in records)} of snapshots')


@fgtest.timeout(120)
def test_brokers_go_away(lab):
    """brokers that break all connections, one of three or all: told, survived, nothing missing"""
    server, log = Kafka(lab, brokers=3), Log(lab)
    log.load(50, 60)
    server.follow(log, timeout=2000)
    repeats = 0
    for who in (-1, 2, -1):
        log.load(400, 60)
        server.cluster.do(f'down {who}')
        log.load(50, 60)
        if who == -1:
            assert log.in_state('away')['error'], 'the reason is told'
        server.cluster.do(f'up {who}')
        log.caught_up(seconds=30)
    records, repeats = Committed(server.cluster).last()
    check_records(log, records, server.cluster.cursor('t'))
    print(f'# {repeats} records of attempts that failed, {log.status()["reconnects"]} reconnects')


@fgtest.timeout(90)
def test_slow_brokers(lab):
    """answers that take 150 ms: slower, nothing else"""
    server, log = Kafka(lab), Log(lab)
    log.load(20, 60)
    server.follow(log, batch=500)
    server.cluster.do('rtt -1 150')
    log.load(60, 60)
    log.caught_up(seconds=40)
    server.cluster.do('rtt -1 0')
    records, _ = Committed(server.cluster).last()
    check_records(log, records, server.cluster.cursor('t'))


@fgtest.timeout(120)
def test_errors_inside(lab):
    """errors that brokers answer: in the middle of a transaction, at its beginning, at its end"""
    server, log = Kafka(lab), Log(lab)
    log.load(20, 60)
    server.follow(log)
    log.caught_up()
    for api, code, count in ((fgkafka.PRODUCE, fgkafka.NOT_LEADER, 3), (fgkafka.ADD_PARTITIONS, fgkafka.NOT_LEADER, 1),
                             (fgkafka.PRODUCE, fgkafka.TOPIC_DENIED, 1), (fgkafka.END_TXN, 51, 2),
                             (fgkafka.END_TXN, fgkafka.TXN_ID_DENIED, 1), (fgkafka.INIT_PRODUCER_ID, 15, 2)):
        server.cluster.do(f'fail {api} {count} {code}')
        log.load(10, 60)
        log.caught_up(seconds=30)
    records, repeats = Committed(server.cluster).last()
    check_records(log, records, server.cluster.cursor('t'))
    print(f'# {repeats} records of attempts that failed, {log.status()["reconnects"]} reconnects')
    assert log.status()['reconnects'] >= 2


def test_newer_format(lab):
    """a cursor of a newer version: the sink refuses, says both formats and the topic, and writes nothing until it is gone"""
    server, log = Kafka(lab), Log(lab)
    log.load(5, 20)
    server.follow(log)
    log.caught_up()
    log.stop()
    ours = server.cluster.read('t.cursor')[-1]['value']
    server.cluster.write('t.cursor', {**ours, 'format': ours['format'] + 100, 'more': 'x' * 200})
    log.load(5, 20)
    server.follow(log)
    log.in_state('refused', text=f'topic t: the cursor is of format {ours["format"] + 100}, this version writes {ours["format"]}')
    events, cursors = server.cluster.read('t'), server.cluster.read('t.cursor')
    assert max(r['value']['seq'] for r in events) <= ours['seq'], 'no event follows'
    assert cursors[-1]['value']['format'] == ours['format'] + 100, cursors[-1]
    log.stop(drain=0)
    server.cluster.write('t.cursor', ours)
    server.follow(log)
    log.caught_up()
    server.compare(log)


def test_topic_is_missing(lab):
    """a topic that is not there, or is not ours to write to: said by name, and no restart is needed afterwards"""
    server, log = Kafka(lab), Log(lab)
    log.load(5, 20)
    server.cluster.do(f'topic-error t.cursor {fgkafka.UNKNOWN_TOPIC}')
    server.follow(log)
    log.in_state('away', text='there is no topic t.cursor: create it')
    server.cluster.do('topic-error t.cursor 0')
    log.caught_up()
    server.cluster.do(f'topic-error t {fgkafka.TOPIC_DENIED}')
    log.load(5, 20)
    log.in_state('away', text='authorization failed')
    server.cluster.do('topic-error t 0')
    log.caught_up()
    records, _ = Committed(server.cluster).last()
    check_records(log, records, server.cluster.cursor('t'))


@fgtest.timeout(90)
def test_record_too_large(lab):
    """brokers that refuse the size of a record: refused with what to do, and goes on by itself afterwards"""
    server, log = Kafka(lab), Log(lab)
    server.follow(log)
    log.caught_up()
    server.cluster.do(f'fail {fgkafka.PRODUCE} 500 {fgkafka.MESSAGE_TOO_LARGE}')
    log.load(5, 20)
    log.in_state('refused', text='max.message.bytes')
    server.cluster.do(f'clear {fgkafka.PRODUCE}')
    log.caught_up()
    records, _ = Committed(server.cluster).last()
    check_records(log, records, server.cluster.cursor('t'))


@fgtest.timeout(120)
def test_another_producer(lab):
    """a fence: once it is taken back, twice in a minute it is somebody else, and an operator is called"""
    server, log = Kafka(lab), Log(lab)
    server.follow(log)
    log.load(5, 20)
    log.caught_up()
    server.cluster.do(f'fail {fgkafka.END_TXN} 1 {fgkafka.INVALID_EPOCH}')
    log.load(5, 20)
    log.caught_up()
    assert log.status()['reconnects'] == 1
    server.cluster.do(f'fail {fgkafka.END_TXN} 1 {fgkafka.INVALID_EPOCH}')
    log.load(5, 20)
    log.in_state('refused', text='another producer with transactional.id t writes to the topic')
    records, _ = Committed(server.cluster).last()
    assert records
    in_order(records)


def test_refused(lab):
    """the cursor of another appliance, one ahead of the log, events without a cursor: nothing is written"""
    server, log = Kafka(lab), Log(lab)
    log.load(20, 20)
    server.follow(log)
    log.caught_up()
    log.stop()
    before = len(server.cluster.read('t')), len(server.cluster.read('t.cursor'))
    other = Log(lab)
    other.load(5, 5)
    server.follow(other)
    other.in_state('refused', text='the cursor is of log')
    older = Log(lab)  # the same appliance with a log that ends earlier: its beginning, copied
    copy_beginning(log, older)
    server.follow(older)
    older.in_state('refused', text='ahead of the log')
    assert before == (len(server.cluster.read('t')), len(server.cluster.read('t.cursor')))
    alone = Kafka(lab, partitions=1)
    fgtest.command('kcat', '-P', '-b', alone.cluster.brokers, '-t', 't', '-k', 'x', stdin='{}\n')
    alone.follow(log)
    log.in_state('refused', text='holds events, but t.cursor no cursor')
    assert len(alone.cluster.read('t')) == 1 and not alone.cluster.read('t.cursor')


def copy_beginning(log, older):
    """A log with the appliance of the other and its first half."""
    older.process.kill()
    source = os.path.join(log.log_dir, log.segments()[0])
    with open(source, 'rb') as f:
        data = f.read()
    target = os.path.join(older.log_dir, os.path.basename(source))
    with open(target, 'r+b') as f:
        f.write(data[:64 * 40])
        f.write(bytes(len(data) - 64 * 40))
    older.again()


def test_properties(lab):
    """the properties file: wrong lines are refused with file and line; security settings reach the connection"""
    server, log = Kafka(lab), Log(lab)
    log.load(5, 20)
    path = os.path.join(lab.dir, 'kafka.properties')

    def given(text):
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        return server.try_follow(log, properties=path)
    for text, why in (('# fine\n\nlinger.ms = soon\n', ':3: '), ('no such thing\n', ':1: not `NAME = VALUE`'),
                      ('acks = 0\n', ':1: acks: set by the appliance'), ('nothing.known = 1\n', ':1: '),
                      (' transactional.id= mine\n', ':1: transactional.id: set by'), ('a' * 2000, ':1: longer')):
        answer = given(text)
        assert path + why in answer.get('error', ''), answer
    assert 'No such file' in server.try_follow(log, properties='/nonexistent')['error']
    assert 'error' not in given('security.protocol = SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=u\n'
                                'sasl.password=hush\n')
    status = log.in_state('away', text='SASL')
    assert 'hush' not in status['error'], status
    log.stop(drain=0)
    assert 'error' not in given('security.protocol = SSL\n')
    log.in_state('away')
    log.stop(drain=0)
    assert 'error' not in given('compression.type = none\nlinger.ms = 1\n# the end')
    log.caught_up()
    server.compare(log)


if __name__ == '__main__':
    fgtest.main()
