# SPDX-License-Identifier: BSD-3-Clause
"""Harness: Kafka behind a sink, as fgsinkcases.py drives it."""

import signal

import fgkafka
import fgtest
from fgsink import Server

MOVED = {'lease': 'leased', 'return': 'returned'}
LINE = ('line_max', 'claim_ms', 'wait_ttl_ms', 'one_unit')
ENDINGS = ('sold', 'cancelled', 'expired')
# from an ended order on: (state that follows, units from, units to)
LATER = {'sold-late': ('sold', 'available', 'sold'), 'closed': ('cancelled', 'available', 'available'),
         'refunded': ('refunded', 'sold', 'refunded')}


class Committed:
    """The topic as a broker shows it to readers with read_committed.

    A broker hides what was written by a transaction that did not end, and drops a batch that a
    producer sends again; the mock does neither. After a kill, dead() does the first by the broker's
    own rule: what stands behind the last cursor is of a transaction that will never end, for the
    cursor is the last record of each. After outages, where batches are sent again by a producer
    that lives, last() keeps the last record of each sequence: every earlier one is of an attempt
    that failed.
    """

    def __init__(self, cluster, topic='t', member=None):
        self.cluster, self.topic, self.hidden, self.member = cluster, topic, set(), member

    def read(self):
        """Of a fleet: the events of one member, with the keys that they would have without a fleet."""
        records = [r for r in self.cluster.read(self.topic) if (r['partition'], r['offset']) not in self.hidden]
        if self.member is not None:
            records = [r for r in records if r['value']['member'] == self.member]
            for r in records:
                assert ('item' in r['value'] and 'user' not in r['value']) == r['key'].endswith(f':member:{self.member}'), r
                r['key'] = r['key'].removesuffix(f':member:{self.member}')
        return records

    def cursor(self):
        return self.cluster.cursor(self.topic, self.member or 0)

    def dead(self):
        """The writer is dead: the last cursor, after the records behind it have been hidden."""
        seen = None
        while seen != (now := (self.cursor(), len(self.read()))):
            seen = now
            fgtest.pause(0.03, 'two readings must agree')
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


def check_records(log, records, cursor):
    """The events are those of the log, and add up to its state."""
    ledger = log.ledger()
    in_order(records)
    events = sorted(([r['value']['seq'], r['value']['type'], int(r['value'].get('item', 0))] for r in records))
    assert events == ledger['events'], (len(events), len(ledger['events']))
    assert cursor == ledger['seq'], (cursor, ledger['seq'])
    orders, items, denied = {}, {}, set()
    for r in sorted(records, key=lambda r: r['value']['seq']):
        apply_event(r, orders, items, denied)
    check_state(ledger, orders, items, denied)
    return ledger


def check_state(ledger, orders, items, denied):
    assert orders == {(o['user'], o['order']): (o['state'], o['item'], o['quantity'], o['deadline_ms'], o['changed_ms'])
                      for o in ledger['orders']}
    assert denied == set(ledger['denied'])
    units = {i['item']: {k: i[k] for k in ('total', 'available', 'reserved', 'sold', 'refunded', 'hold_ms', 'paused',
                                           'waiting', *LINE, *MOVED.values())} for i in ledger['items']}
    found = {item: {**dict.fromkeys(('waiting', *LINE, *MOVED.values()), 0), **fields} for item, fields in items.items()}
    assert found == units, (found, units)


def apply_event(record, orders, items, denied):
    """The ledger once more, from Kafka's side, by docs/kafka.md."""
    v, key = record['value'], record['key']
    item = items.setdefault(int(v['item']), {'total': 0, 'available': 0, 'reserved': 0, 'sold': 0,
                                              'refunded': 0}) if 'item' in v else None
    if v['type'] in LATER:
        who, units = (int(v['user']), v['order']), v['quantity']
        state, source, to = LATER[v['type']]
        to = 'available' if v.get('restocked') else to
        item[source] -= units
        item[to] += units
        orders[who] = (state, int(v['item']), units, orders[who][3], v['time_ms'])
    elif v['type'] in ('waiting', 'offered', 'left'):
        who, units, item['waiting'] = (int(v['user']), v['order']), v['quantity'], item.get('waiting', 0)
        assert key == f'{v["user"]}:{v["order"]}', record
        assert ('ticket' in v, 'why' in v) == (v['type'] == 'waiting', v['type'] == 'left'), record
        state = {'waiting': 'waiting', 'offered': 'reserved', 'left': 'cancelled'}[v['type']]
        item['waiting'] += 1 if v['type'] == 'waiting' else -1
        if v['type'] == 'offered':
            item['available'], item['reserved'] = item['available'] - units, item['reserved'] + units
        orders[who] = (state, int(v['item']), units, v['deadline_ms'], v['time_ms'])
    elif v['type'] in ('reserved', 'extended') + ENDINGS:
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
        elif v['type'] in MOVED:
            units = v['units'] if v['type'] == 'lease' else -v['units']
            item['total'], item['available'] = item['total'] + units, item['available'] + units
            item[MOVED[v['type']]] = v['sum']
        elif v['type'] == 'item-set':
            item['hold_ms'], item['paused'] = v['hold_ms'], int(v['paused'])
        elif v['type'] == 'line-set':
            item.update({k: int(v[k]) for k in LINE})
        else:
            assert v['type'] == 'item-name' and v['name'].startswith('item "'), record


class Kafka(Server):
    """A space is a topic, with its topic of cursors. The mock cluster keeps nothing over kill;
    stop() breaks connections."""

    NAME, SINK, SPACE = 'Kafka', 'kafka', 't'
    TIMEOUT_MS = 1500
    STOP_MS_MAX = 3000

    def __init__(self, lab, spaces=('t',), persist=True, partitions=4, cursors=None, **options):  # pylint: disable=unused-argument
        super().__init__(lab)
        topics = {}
        for space in spaces:
            topics.update({space: partitions, space + '.cursor': 1})
        topics.update(cursors or {})
        self.cluster = fgkafka.Kafka(lab, topics=topics, **options)
        self.disturbed = False  # a living producer may have sent a batch twice

    def start(self):
        self.cluster.do('up -1')

    def stop(self):
        self.disturbed = True
        self.cluster.do('down -1')

    def freeze(self):
        self.disturbed = True
        self.cluster.process.signal(signal.SIGSTOP)

    def thaw(self):
        self.cluster.process.signal(signal.SIGCONT)

    def follow(self, log, *args, **options):
        answer = self.try_follow(log, *args, **options)
        assert 'error' not in answer, answer

    def try_follow(self, log, slot=0, space=None, batch=200, timeout=3000, retry=200, properties='-'):
        """{'error': text} when the properties file is refused."""
        return log.do(f'kafka {slot} {self.cluster.brokers} {space or self.SPACE} {batch} {timeout} {retry} {properties}')

    def compare(self, log, space=None, filled=False):  # pylint: disable=unused-argument
        """After outages the last attempt at each event counts, see Committed."""
        space = space or self.SPACE
        committed = Committed(self.cluster, space)
        records = committed.last()[0] if self.disturbed else committed.read()
        return check_records(log, records, self.cluster.cursor(space))

    def away_words(self):
        return ''

    def no_answer(self, timeout):
        """librdkafka may be the first to complain, in its own words."""
        return ''
