# SPDX-License-Identifier: BSD-3-Clause
"""The sinks: events per second into PostgreSQL, Redis and Kafka, next to the same written plainly.

One log of accepted, paid, cancelled and expired orders is followed by the real sink, from its start until the cursor
has reached the end. Plainly: COPY of a row for each event into a table without keys, and pipelines of the very
commands that the Redis sink sends, without transaction over them and without watching a cursor; for Kafka an idempotent producer without cursor, both into
librdkafka's mock cluster, which keeps nothing on disk: that is the price of the transactions, not the speed of Kafka.
"""

import json
import os
import subprocess

import fgbench
import fgkafka
import fgtest

PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'sink', 'bench_sink')
ORDERS = {'redis': 60000, 'postgres': 30000, 'kafka': 60000}  # for each second of a measurement; two events each
ORDERS_MAX = 400000
BATCH = {'redis': 1000, 'postgres': 2000, 'kafka': 5000}  # as the configuration's defaults


def of(first, second):
    return lambda values: values[first] / values[second]


ROWS = [
    fgbench.Row('redis sink', 'events/s', 'higher', target=100000),
    fgbench.Row('redis plain pipeline', 'events/s', 'higher'),
    fgbench.Row('redis sink / plain', 'of it', 'higher', derive=of('redis sink', 'redis plain pipeline')),
    fgbench.Row('postgres sink', 'events/s', 'higher', target=20000),
    fgbench.Row('postgres plain COPY', 'events/s', 'higher'),
    fgbench.Row('postgres sink / plain', 'of it', 'higher', derive=of('postgres sink', 'postgres plain COPY')),
    fgbench.Row('kafka sink', 'events/s', 'higher'),
    fgbench.Row('kafka plain producer', 'events/s', 'higher'),
    fgbench.Row('kafka sink / plain', 'of it', 'higher', derive=of('kafka sink', 'kafka plain producer')),
]


def run(*words):
    done = subprocess.run([PROGRAM, *map(str, words)], capture_output=True, text=True, check=False)
    if done.returncode:
        raise RuntimeError(done.stderr.strip())
    return json.loads(done.stdout)


def rate(bench, kind, how, where):
    log = bench.lab.unique('log')
    run('log', log, min(ORDERS_MAX, int(ORDERS[kind] * bench.seconds)))
    batch = [BATCH[kind]] if how == 'sink' else []
    result = run(f'{how}-{kind}', log, where, *batch)
    return result['events'] / result['seconds']


def redis(how, case):
    return lambda bench: {case: rate(bench, 'redis', how, bench.lab.redis().address)}


def postgres(how, case):
    def measure(bench):
        server = bench.lab.postgres(durable=True)
        subprocess.run([fgtest.program('fgctl'), 'backend', 'init', '--conninfo', server.conninfo], check=True,
                       stdout=subprocess.DEVNULL)
        return {case: rate(bench, 'postgres', how, server.conninfo)}
    return measure


def kafka(how, case):
    def measure(bench):
        cluster = fgkafka.Kafka(bench.lab, topics={'bench': 12, 'bench.cursor': 1})
        return {case: rate(bench, 'kafka', how, cluster.brokers)}
    return measure


CONTENDERS = [
    ('redis sink', redis('sink', 'redis sink')),
    ('redis plain', redis('plain', 'redis plain pipeline')),
    ('postgres sink', postgres('sink', 'postgres sink')),
    ('postgres plain', postgres('plain', 'postgres plain COPY')),
    ('kafka sink', kafka('sink', 'kafka sink')),
    ('kafka plain', kafka('plain', 'kafka plain producer')),
]
