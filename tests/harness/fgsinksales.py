# SPDX-License-Identifier: BSD-3-Clause
"""Harness: whole sales through the daemon while the server of a sink goes away, for sinks of any
kind.

A test file names the cases that its kind runs, as with fgsinkcases.py: fgsinksales.use(globals(),
RedisSale, ...). The sale carries on, the lag shows, the sink catches up by itself, and at the end
server, log and shoppers tell the same.
"""

import json
import os
import subprocess
import threading
import time

import fgtest
import fgsinkcases
from fgsale import HOT, Sale
from fgsinkkafka import Committed, Kafka, in_order
from fgsinkpostgres import Postgres, backend
from fgsinkredis import Redis
from fgtest import wait_until

WAVE = {'seconds': 10, 'rate': 2500}


def use(names, kind, *cases):
    """Makes the cases tests of the calling file."""
    fgsinkcases.use(names, kind, *cases, suite=globals())


class SinkSale:
    """A sale with a sink of this kind. Buyers come all the time, so that there is always something
    to write."""

    NAME, SINK = '', ''
    CATCH_UP_S = 20
    STOP_S = 10           # of the daemon, with a sink that hangs
    COMES_AND_GOES = 10   # times

    def __init__(self, lab, seconds=10, follows=True, **options):
        self.server, self.sale = self.make(lab, **options)
        self.gate = self.sale.gate
        self.sale.shop(**{**WAVE, 'seconds': seconds})
        if follows:
            wait_until(lambda: self.sink()['state'] == 'live' and self.sink()['cursor'] > 500, 20,
                       f'{self.NAME} is followed')

    def make(self, lab, **options):
        """(Server, Sale)"""
        raise NotImplementedError

    def outages(self):
        """[(what, end, begin)]: ways to go away and to come back with all data."""
        return [('stop', self.server.stop, self.server.start), ('kill -9', self.server.kill, self.server.start)]

    def losses(self):
        """[(what, lose, (state, text) of the sink until repair() is called or None, repair)]"""
        raise NotImplementedError

    def sink(self):
        return self.gate.sink(self.SINK)

    def check_others(self):
        """One sink does not hold up another."""

    def sells_without(self, state='away', text='', seconds=1.5):
        """The sale neither stops nor slows down to nothing; status and health say what is the
        matter; the lag."""
        wait_until(lambda: self.sink()['state'] == state and text in self.sink()['error'], 15, f'{self.NAME} is {state}')
        status = self.gate.get('/v1/status')
        assert status['state'] == 'degraded' and self.sink()['error'], status
        assert self.gate.healthy(), f'{self.NAME} that is away is no reason to replace the appliance'
        self.sale.goes_on(seconds)
        self.check_others()
        lag = self.sink()['lag']
        assert lag > 100, f'the lag shows: {lag}'
        return lag

    def catches_up(self):
        """The sink reaches the end that the log had when this was called; the seconds that it took.
        """
        goal, began = self.gate.get('/v1/status')['log']['durable_seq'], time.monotonic()
        wait_until(lambda: self.sink()['state'] == 'live' and self.sink()['cursor'] >= goal, self.CATCH_UP_S,
                   f'{self.NAME} reaches record {goal}')
        return time.monotonic() - began

    def shoppers(self, seconds):
        """Shoppers come for at least so long, and are answered already."""
        self.sale.keep_shopping(seconds, **WAVE)
        before = self.sale.answered()
        wait_until(lambda: self.sale.answered() > before + 100, 30, 'shoppers are answered')

    def lags(self):
        wait_until(lambda: self.sink()['lag'] > 100, 10, 'the lag shows')

    def report(self, what, lag):
        print(f'# {what}: lag {lag} records, caught up in {self.catches_up():.2f} s')

    def finish(self):
        self.sale.enough()
        self.sale.finish()


class RedisSale(SinkSale):
    NAME, SINK = Redis.NAME, Redis.SINK

    def make(self, lab, persist=True):
        server = Redis(lab, persist=persist)
        return server, Sale(lab, total=6000, lesser=10, redis=server.redis)

    def losses(self):
        keys = lambda: int(self.server.redis.command('DBSIZE'))  # noqa: E731
        before = []

        def flush():
            before.append(keys())
            self.server.wipe()
        return [('kill -9 without data', self.server.kill, ('away', ''), self.server.start_empty),
                ('FLUSHALL', flush, None,
                 lambda: wait_until(lambda: keys() >= before[0], 20, 'all keys are there again'))]


class PostgresSale(SinkSale):
    NAME, SINK = Postgres.NAME, Postgres.SINK
    CATCH_UP_S = 30
    STOP_S = 12
    COMES_AND_GOES = 6

    def make(self, lab, persist=True, init=True, **options):  # pylint: disable=unused-argument
        server = Postgres(lab, spaces=('floodgate',) if init else (), **options)
        return server, Sale(lab, total=6000, lesser=10, redis=lab.redis(), postgres=server.pg)

    def losses(self):
        missing = ('refused', 'fgctl backend init')

        def new_disk():
            self.server.kill()
            self.server.start_empty()
        return [('schema dropped', self.server.wipe, missing, lambda: backend(self.server.pg)),
                ('new disk', new_disk, missing, lambda: backend(self.server.pg))]

    def check_others(self):
        assert self.gate.sink('redis')['state'] == 'live', 'one sink does not hold up another'


class KafkaSale(SinkSale):
    NAME, SINK, TOPIC = Kafka.NAME, Kafka.SINK, 'floodgate.orders'
    CATCH_UP_S = 30

    def make(self, lab, persist=True):  # pylint: disable=unused-argument
        sale = Sale(lab, total=6000, lesser=10, start=False)
        server = Kafka(lab, spaces=(self.TOPIC,), partitions=12, ns=sale.link.a)
        sale.gate.settings.update({'kafka.brokers': server.cluster.brokers, 'kafka.timeout_ms': '2s',
                                   'kafka.retry_ms_max': '500ms', 'kafka.batch_max': 1000})
        sale.gate.write_config()
        sale.gate.start()
        sale.open_items(6000, 10)
        self.committed = Committed(server.cluster, self.TOPIC)
        return server, sale

    def outages(self):
        return [('all connections broken', self.server.stop, self.server.start),
                ('SIGSTOP', self.server.freeze, self.server.thaw)]

    def finish(self):
        """The sale ends; topic and log agree in every field of every order."""
        self.sale.enough()
        self.sale.finish(redis=False)
        fglog = os.path.join(fgtest.BUILD, 'app', 'fglog', 'fglog')
        done = subprocess.run([fglog, self.gate.log_dir, '--json'], capture_output=True, text=True, check=True, timeout=60)
        written = [json.loads(line) for line in done.stdout.splitlines()]
        events, last = [r for r in written if r['type'] != 'batch'], written[-1]['seq']
        records, repeats = self.committed.last()
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
        cursor = self.server.cluster.cursor(self.TOPIC)
        assert cursor == last, (cursor, last)
        sold = sum(v['type'] == 'sold' for v in seen.values())
        print(f'# {len(events)} events, {sold} sold, {repeats} records of attempts that failed')
        assert sold > 500, sold


# ---- cases -------------------------------------------------------------------------------------


@fgtest.timeout(120)
def goes_and_comes_back(kind, lab):
    """{name} goes away in the flood, in each of its ways, and comes back with its data: the sale goes on"""
    s = kind(lab, seconds=12)
    for what, end, begin in s.outages():
        s.shoppers(4)
        end()
        lag = s.sells_without()
        begin()
        s.report(what, lag)
        s.sale.add_stock(HOT, 500)
    s.finish()


@fgtest.timeout(120)
def loses_everything(kind, lab):
    """{name} loses all that it holds, in each of its ways: all of it is written again"""
    s = kind(lab, seconds=12, persist=False)
    for what, lose, missing, repair in s.losses():
        s.shoppers(4)
        lose()
        lag = s.sells_without(*missing) if missing else s.sink()['lag']
        repair()
        s.report(what, lag)
        s.sale.add_stock(HOT, 500)
    s.finish()


@fgtest.timeout(120)
def hangs(kind, lab):
    """SIGSTOP of {name}: a server that takes connections and answers nothing does not hold up the sale"""
    s = kind(lab)
    s.shoppers(4)
    s.server.freeze()
    lag = s.sells_without(seconds=2.5)
    s.server.thaw()
    s.report('SIGSTOP', lag)
    s.finish()


@fgtest.timeout(120)
def daemon_killed_while_it_is_away(kind, lab):
    """kill -9 of {name} and of the daemon, which is back first: it sells, and {name} then gets what it missed"""
    s = kind(lab)
    s.server.kill()
    s.lags()
    s.gate.kill()
    s.gate.start()
    s.shoppers(3)
    lag = s.sells_without(seconds=1)
    s.server.start()
    s.report('kill -9 of both', lag)
    s.finish()


@fgtest.timeout(120)
def comes_and_goes(kind, lab):
    """{name} is killed many times, at any moment of the catching up, and the daemon once"""
    s = kind(lab, seconds=8)
    for i in range(kind.COMES_AND_GOES):
        s.server.kill()
        fgtest.pause(0.05 * (i % 4), 'the outage')
        s.server.start()
        fgtest.pause(0.03 * i, 'the moment of the next kill')
    s.gate.kill()
    s.gate.start()
    took = s.catches_up()
    print(f'# caught up {took:.2f} s after the last start, {s.sink()["reconnects"]} reconnects')
    s.finish()


@fgtest.timeout(120)
def daemon_stops_while_it_hangs(kind, lab):
    """SIGTERM in mid-sale with a frozen {name}: exit 0 in some seconds; the rest is written after the next start"""
    s = kind(lab, seconds=6)
    s.server.freeze()
    s.lags()
    began = time.monotonic()
    s.gate.stop(seconds=2 * kind.STOP_S)
    fgtest.soon(began, kind.STOP_S, 'it stops')
    thaw = threading.Timer(1, s.server.thaw)
    thaw.start()
    s.gate.start()
    thaw.join()
    s.catches_up()
    s.finish()
