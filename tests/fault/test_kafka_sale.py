#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A real sale through the daemon into Kafka (the mock cluster), while brokers go away, hang, and the daemon gets kill -9: the
sale goes on, and at the end the topic holds each decision of the log once, in order."""

import json
import os
import signal
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
from fgsale import Sale, fgtest  # noqa: E402
import fgkafka  # noqa: E402
from fgtest import wait_until  # noqa: E402
from test_kafka import Committed, in_order  # noqa: E402

TOPIC = 'floodgate.orders'
WAVE = {'seconds': 10, 'rate': 2500}


def begin(lab):
    sale = Sale(lab, total=3000, lesser=10, start=False)
    cluster = fgkafka.Kafka(lab, ns=sale.link.a, topics={TOPIC: 12, TOPIC + '.cursor': 1})
    sale.gate.settings.update({'kafka.brokers': cluster.brokers, 'kafka.timeout_ms': '2s', 'kafka.retry_ms_max': '500ms',
                               'kafka.batch_max': 1000})
    sale.gate.write_config()
    sale.gate.start()
    sale.open_items(3000, 10)
    sale.shop(**WAVE)
    wait_until(lambda: sink(sale)['state'] == 'live' and sink(sale)['cursor'] > 300, 20, 'Kafka follows')
    return sale, cluster


def sink(sale):
    return sale.gate.sink('kafka')


def accepted(sale):
    return sale.gate.get('/v1/stats')['stock']['reserved']


def sells_without(sale):
    wait_until(lambda: sink(sale)['state'] == 'away', 15, 'Kafka is away')
    before = accepted(sale)
    wait_until(lambda: accepted(sale) > before + 50, 10, 'the sale goes on')
    assert sink(sale)['error'] and sale.gate.healthy()
    return sink(sale)['lag']


def catches_up(sale, seconds=30):
    goal = sale.gate.get('/v1/status')['log']['durable_seq']
    wait_until(lambda: sink(sale)['state'] == 'live' and sink(sale)['cursor'] >= goal, seconds, f'Kafka reaches {goal}')


def log_events(sale):
    fglog = os.path.join(fgtest.BUILD, 'tools', 'fglog', 'fglog')
    done = subprocess.run([fglog, sale.gate.log_dir, '--json'], capture_output=True, text=True, check=True, timeout=60)
    records = [json.loads(line) for line in done.stdout.splitlines()]
    return [r for r in records if r['type'] != 'batch'], records[-1]['seq']


def close(sale, committed):
    """The sale ends; topic and log agree in every field of every order."""
    sale.finish(redis=False)
    events, last = log_events(sale)
    records, repeats = committed.last()
    in_order(records)
    seen = {r['value']['seq']: r['value'] for r in records}
    assert sorted(seen) == [e['seq'] for e in events], (len(seen), len(events))
    for e in events:
        v = seen[e['seq']]
        assert v['type'] == e['type'] and v['time_ms'] == e['time_ms'], (v, e)
        if 'order' in v:
            assert (v['user'], v['order'], v['item'], v['quantity']) == \
                (str(e['user']), e['order'], str(e['item']), e['quantity']), (v, e)
    # the last commits may be of batch markers alone, which are no events
    assert committed.cluster.cursor(TOPIC) == last, (committed.cluster.cursor(TOPIC), last)
    sold = sum(v['type'] == 'sold' for v in seen.values())
    print(f'# {len(events)} events, {sold} sold, {repeats} records of attempts that failed')
    assert sold > 500, sold


@fgtest.timeout(120)
def test_daemon_is_killed(lab):
    """kill -9 of the daemon in the flood, three times: each decision is in the topic once, in order"""
    sale, cluster = begin(lab)
    committed, cut = Committed(cluster, TOPIC), 0
    for pause in (0.4, 0.9, 0.2):
        sale.keep_shopping(3, **WAVE)
        time.sleep(pause)
        sale.gate.kill()
        cut += committed.dead()[1] > 0
        in_order(committed.read())
        sale.gate.start()
        catches_up(sale)
    print(f'# 3 kills, {cut} in the middle of a transaction')
    close(sale, committed)


@fgtest.timeout(120)
def test_brokers_fail_in_the_flood(lab):
    """brokers break all connections, later stand still: the sale goes on, Kafka catches up"""
    sale, cluster = begin(lab)
    committed = Committed(cluster, TOPIC)
    for what, fail, heal in (('down', lambda: cluster.do('down -1'), lambda: cluster.do('up -1')),
                             ('SIGSTOP', lambda: cluster.process.signal(signal.SIGSTOP),
                              lambda: cluster.process.signal(signal.SIGCONT))):
        sale.keep_shopping(5, **WAVE)
        fail()
        lag = sells_without(sale)
        heal()
        began = time.monotonic()
        catches_up(sale)
        print(f'# {what}: lag {lag} records, caught up in {time.monotonic() - began:.2f} s')
    close(sale, committed)


if __name__ == '__main__':
    fgtest.main()
