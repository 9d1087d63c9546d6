#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Kafka sink against librdkafka's mock cluster (tests/fault/kafka_mock.c), read by kcat. A log that grows by random
legal decisions is followed while the sink, or the brokers, are killed, slow, wrong; then the topic must hold each event
of the log once, in order. What the mock does not do is made up for by what is said at `Committed`."""

import os
import random
import signal
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgkafka  # noqa: E402
import fgtest  # noqa: E402
from test_redis import Driver as LogDriver  # noqa: E402
from fgtest import wait_until  # noqa: E402

ENDINGS = ('sold', 'cancelled', 'expired')


class Driver(LogDriver):
    """A log and Kafka sinks; after kill() another process goes on with the log."""

    def kafka(self, cluster, slot=0, topic='t', batch=200, timeout=3000, retry=200, properties='-', brokers=None):
        return self.do(f'kafka {slot} {brokers or cluster.brokers} {topic} {batch} {timeout} {retry} {properties}')

    def again(self):
        self.process.kill()
        path = self.process.argv[0]
        self.process = fgtest.Process(self.lab, [path, self.log_dir, random.randrange(1 << 32)], stdin=subprocess.PIPE)
        self.output = open(self.process.log_path, encoding='utf-8')  # pylint: disable=consider-using-with
        self._answer()


def begin(lab, partitions=4, **options):
    cluster = fgkafka.Kafka(lab, topics={'t': partitions, 't.cursor': 1}, **options)
    return cluster, Driver(lab)


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
        """Nobody writes any more: the last cursor, after what stands behind it has been hidden."""
        seen = None
        while seen != (now := (self.cluster.cursor(self.topic), len(self.cluster.read(self.topic)))):
            seen = now
            time.sleep(0.03)
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


def check(driver, records, cursor):
    """The events are those of the log, and add up to its state."""
    ledger = driver.ledger()
    in_order(records)
    events = sorted(([r['value']['seq'], r['value']['type'], int(r['value'].get('item', 0))] for r in records))
    assert events == ledger['events'], (len(events), len(ledger['events']))
    assert cursor == ledger['seq'], (cursor, ledger['seq'])
    orders, items, denied = {}, {}, set()
    for r in sorted(records, key=lambda r: r['value']['seq']):
        apply_event(r, orders, items, denied)
    check_state(ledger, orders, items, denied)
    return len(events)


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


# ---- what is written -------------------------------------------------------------------------------------


def test_events(lab):
    """every record of the log becomes one event, readable by kcat, in order by key; the cursor follows"""
    cluster, driver = begin(lab)
    driver.kafka(cluster)
    for _ in range(20):
        driver.load(20, 60)
    driver.caught_up()
    count = check(driver, cluster.read('t'), cluster.cursor('t'))
    used = {r['partition'] for r in cluster.read('t')}
    assert used == {0, 1, 2, 3}, used
    print(f'# {count} events in {len(cluster.read("t.cursor"))} transactions')
    assert driver.stop() < 3000


def test_goes_on(lab):
    """a sink that is stopped and started, in another process too, goes on behind the cursor"""
    cluster, driver = begin(lab)
    for _ in range(3):
        driver.kafka(cluster)
        driver.load(20, 60)
        driver.caught_up()
        driver.stop()
        driver.load(20, 60)
    driver.again()
    driver.kafka(cluster)
    driver.caught_up()
    check(driver, cluster.read('t'), cluster.cursor('t'))
    assert driver.status()['reconnects'] == 0


# ---- killed ----------------------------------------------------------------------------------------------


@fgtest.timeout(300)
def test_kill(lab):
    """kill -9 in the middle of transactions: no gap, no event twice for a reader with read_committed"""
    seed = int(os.environ.get('FG_SEED', random.randrange(1 << 32)))
    print(f'# seed {seed} (FG_SEED)')
    rng = random.Random(seed)
    cluster, driver = begin(lab, partitions=12)
    driver.load(300, 60)
    driver.kafka(cluster, batch=100)
    wait_until(lambda: driver.status()['cursor'], 20, 'the first transaction')
    committed, kills, cut = Committed(cluster), 0, 0
    while kills < 10 or (cut < 3 and kills < 40):
        time.sleep(rng.uniform(0, 0.08))
        driver.process.kill()
        cursor, left = committed.dead()
        kills, cut = kills + 1, cut + (left > 0)
        in_order(committed.read())
        driver.again()
        driver.load(60, 60)
        driver.kafka(cluster, batch=rng.choice((50, 100, 300)))
        wait_until(lambda: driver.status()['cursor'] >= cursor and driver.status()['state'] != 'connecting', 20,
                   'the sink knows its cursor')
    driver.stop(drain=0)
    committed.dead()
    driver.kafka(cluster, batch=5000)
    driver.caught_up()
    check(driver, committed.read(), cluster.cursor('t'))
    print(f'# {kills} kills, {cut} of them in the middle of a transaction')
    assert cut >= 3, cut


@fgtest.timeout(90)
def test_fill(lab):
    """the log no longer goes back to the cursor: the topic gets a snapshot, then the log behind it; also when interrupted"""
    cluster, driver = begin(lab, partitions=8)
    driver.load(900, 80)
    snapshot = driver.do('snapshot')['seq']
    driver.load(10, 20)
    first = driver.ledger()['events'][0][0]
    assert first > 10000, first
    cluster.do('rtt -1 50')
    driver.kafka(cluster)
    wait_until(lambda: len(cluster.read('t')) > 1500, 30, 'the fill has begun')
    assert driver.status()['state'] == 'filling'
    driver.again()
    assert cluster.cursor('t') == 0, 'the cursor stays until the last piece'
    cluster.do('rtt -1 0')
    driver.kafka(cluster)
    driver.caught_up()
    check_filled(driver, cluster, snapshot)
    driver.load(20, 60)
    driver.caught_up()
    check_filled(driver, cluster, snapshot)


def check_filled(driver, cluster, snapshot):
    """Who takes the newest of each key has the state of the ledger."""
    ledger, orders, items, denied = driver.ledger(), {}, {}, set()
    records = cluster.read('t')
    assert cluster.cursor('t') == ledger['seq']
    assert sorted(r['value']['seq'] for r in records if not r['value']['type'].startswith('snapshot-')) == \
        [seq for seq, _, _ in ledger['events'] if seq > snapshot]
    for r in sorted(records, key=lambda r: r['value']['seq']):
        v = r['value']
        if v['type'] == 'snapshot-order':
            assert v['seq'] == snapshot and r['key'] == f'{v["user"]}:{v["order"]}', r
            orders[int(v['user']), v['order']] = (v['state'], int(v['item']), v['quantity'], v['deadline_ms'], v['changed_ms'])
        elif v['type'] == 'snapshot-item':
            items[int(v['item'])] = {**{k: v[k] for k in ('total', 'available', 'reserved', 'sold', 'hold_ms')},
                                     'paused': int(v['paused'])}
        elif v['type'] == 'snapshot-user':
            denied.add(int(v['user']))
        else:
            apply_event(r, orders, items, denied)
    check_state(ledger, orders, items, denied)
    print(f'# {len(records)} records, {sum(r["value"]["type"].startswith("snapshot-") for r in records)} of snapshots')


# ---- brokers ---------------------------------------------------------------------------------------------


@fgtest.timeout(120)
def test_brokers_go_away(lab):
    """brokers that break all connections, one of three or all: told, survived, nothing missing"""
    cluster, driver = begin(lab, brokers=3)
    driver.load(50, 60)
    driver.kafka(cluster, timeout=2000)
    repeats = 0
    for who in (-1, 2, -1):
        driver.load(400, 60)
        cluster.do(f'down {who}')
        driver.load(50, 60)
        if who == -1:
            assert driver.in_state('away')['error'], 'the reason is told'
        cluster.do(f'up {who}')
        driver.caught_up(seconds=30)
    records, repeats = Committed(cluster).last()
    check(driver, records, cluster.cursor('t'))
    print(f'# {repeats} records of attempts that failed, {driver.status()["reconnects"]} reconnects')


@fgtest.timeout(120)
def test_brokers_hang(lab):
    """brokers that stand still (SIGSTOP): away after the timeout, then all of it; a stop waits for nobody"""
    cluster, driver = begin(lab)
    driver.kafka(cluster, timeout=1500)
    driver.load(100, 60)
    driver.caught_up()
    cluster.process.signal(signal.SIGSTOP)
    driver.load(100, 60)
    assert 'not within 1500 ms' in driver.in_state('away')['error'] or driver.status()['error']
    cluster.process.signal(signal.SIGCONT)
    driver.caught_up(seconds=30)
    records, _ = Committed(cluster).last()
    check(driver, records, cluster.cursor('t'))
    cluster.process.signal(signal.SIGSTOP)
    driver.load(5, 60)
    took = driver.stop(drain=500)
    cluster.process.signal(signal.SIGCONT)
    assert took < 3000, f'the stop took {took} ms'


@fgtest.timeout(90)
def test_slow_brokers(lab):
    """answers that take 150 ms: slower, nothing else"""
    cluster, driver = begin(lab)
    driver.load(20, 60)
    driver.kafka(cluster, batch=500)
    cluster.do('rtt -1 150')
    driver.load(60, 60)
    driver.caught_up(seconds=40)
    cluster.do('rtt -1 0')
    records, _ = Committed(cluster).last()
    check(driver, records, cluster.cursor('t'))


@fgtest.timeout(120)
def test_errors_inside(lab):
    """errors that brokers answer: in the middle of a transaction, at its beginning, at its end"""
    cluster, driver = begin(lab)
    driver.load(20, 60)
    driver.kafka(cluster)
    driver.caught_up()
    for api, code, count in ((fgkafka.PRODUCE, fgkafka.NOT_LEADER, 3), (fgkafka.ADD_PARTITIONS, fgkafka.NOT_LEADER, 1),
                             (fgkafka.PRODUCE, fgkafka.TOPIC_DENIED, 1), (fgkafka.END_TXN, 51, 2),
                             (fgkafka.END_TXN, fgkafka.TXN_ID_DENIED, 1), (fgkafka.INIT_PRODUCER_ID, 15, 2)):
        cluster.do(f'fail {api} {count} {code}')
        driver.load(10, 60)
        driver.caught_up(seconds=30)
    records, repeats = Committed(cluster).last()
    check(driver, records, cluster.cursor('t'))
    print(f'# {repeats} records of attempts that failed, {driver.status()["reconnects"]} reconnects')
    assert driver.status()['reconnects'] >= 2


# ---- what an operator must hear --------------------------------------------------------------------------


def test_topic_is_missing(lab):
    """a topic that is not there, or is not ours to write to: said by name, and no restart is needed afterwards"""
    cluster, driver = begin(lab)
    driver.load(5, 20)
    cluster.do(f'topic-error t.cursor {fgkafka.UNKNOWN_TOPIC}')
    driver.kafka(cluster)
    driver.in_state('away', text='there is no topic t.cursor: create it')
    cluster.do('topic-error t.cursor 0')
    driver.caught_up()
    cluster.do(f'topic-error t {fgkafka.TOPIC_DENIED}')
    driver.load(5, 20)
    driver.in_state('away', text='authorization failed')
    cluster.do('topic-error t 0')
    driver.caught_up()
    records, _ = Committed(cluster).last()
    check(driver, records, cluster.cursor('t'))


@fgtest.timeout(90)
def test_record_too_large(lab):
    """brokers that refuse the size of a record: refused with what to do, and goes on by itself afterwards"""
    cluster, driver = begin(lab)
    driver.kafka(cluster)
    driver.caught_up()
    cluster.do(f'fail {fgkafka.PRODUCE} 500 {fgkafka.MESSAGE_TOO_LARGE}')
    driver.load(5, 20)
    driver.in_state('refused', text='max.message.bytes')
    cluster.do(f'clear {fgkafka.PRODUCE}')
    driver.caught_up()
    records, _ = Committed(cluster).last()
    check(driver, records, cluster.cursor('t'))


@fgtest.timeout(120)
def test_another_producer(lab):
    """a fence: once it is taken back, twice in a minute it is somebody else, and an operator is called"""
    cluster, driver = begin(lab)
    driver.kafka(cluster)
    driver.load(5, 20)
    driver.caught_up()
    cluster.do(f'fail {fgkafka.END_TXN} 1 {fgkafka.INVALID_EPOCH}')
    driver.load(5, 20)
    driver.caught_up()
    assert driver.status()['reconnects'] == 1
    cluster.do(f'fail {fgkafka.END_TXN} 1 {fgkafka.INVALID_EPOCH}')
    driver.load(5, 20)
    driver.in_state('refused', text='another producer with transactional.id t writes to the topic')
    records, _ = Committed(cluster).last()
    in_order(records)


def test_refused(lab):
    """the cursor of another appliance, one ahead of the log, events without a cursor: nothing is written"""
    cluster, driver = begin(lab)
    driver.load(20, 20)
    driver.kafka(cluster)
    driver.caught_up()
    driver.stop()
    before = len(cluster.read('t')), len(cluster.read('t.cursor'))
    other = Driver(lab)
    other.load(5, 5)
    other.kafka(cluster)
    other.in_state('refused', text='the cursor is of appliance')
    older = Driver(lab)  # the same appliance with a log that ends earlier: its beginning, copied
    copy_beginning(driver, older)
    older.kafka(cluster)
    older.in_state('refused', text='ahead of the log')
    assert before == (len(cluster.read('t')), len(cluster.read('t.cursor')))
    alone = fgkafka.Kafka(lab, topics={'t': 1, 't.cursor': 1})
    fgtest.command('kcat', '-P', '-b', alone.brokers, '-t', 't', '-k', 'x', stdin='{}\n')
    driver.kafka(alone)
    driver.in_state('refused', text='holds events, but t.cursor no cursor')
    assert len(alone.read('t')) == 1 and not alone.read('t.cursor')


def copy_beginning(driver, older):
    """A log with the appliance of the other and its first half."""
    older.process.kill()
    source = os.path.join(driver.log_dir, sorted(n for n in os.listdir(driver.log_dir) if n.endswith('.fgj'))[0])
    with open(source, 'rb') as f:
        data = f.read()
    target = os.path.join(older.log_dir, os.path.basename(source))
    with open(target, 'r+b') as f:
        f.write(data[:64 * 40])
        f.write(bytes(len(data) - 64 * 40))
    older.again()


def test_properties(lab):
    """the properties file: wrong lines are refused with file and line; security settings reach the connection"""
    cluster, driver = begin(lab)
    driver.load(5, 20)
    path = os.path.join(lab.dir, 'kafka.properties')

    def given(text):
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        return driver.kafka(cluster, properties=path)
    for text, why in (('# fine\n\nlinger.ms = soon\n', ':3: '), ('no such thing\n', ':1: not `NAME = VALUE`'),
                      ('acks = 0\n', ':1: acks: set by the appliance'), ('nothing.known = 1\n', ':1: '),
                      (' transactional.id= mine\n', ':1: transactional.id: set by'), ('a' * 2000, ':1: longer')):
        answer = given(text)
        assert path + why in answer.get('error', ''), answer
    assert 'No such file' in driver.kafka(cluster, properties='/nonexistent')['error']
    assert 'error' not in given('security.protocol = SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=u\n'
                                'sasl.password=hush\n')
    status = driver.in_state('away', text='SASL')
    assert 'hush' not in status['error'], status
    driver.stop(drain=0)
    assert 'error' not in given('security.protocol = SSL\n')
    driver.in_state('away')
    driver.stop(drain=0)
    assert 'error' not in given('compression.type = none\nlinger.ms = 1\n# the end')
    driver.caught_up()
    check(driver, cluster.read('t'), cluster.cursor('t'))


if __name__ == '__main__':
    fgtest.main()
