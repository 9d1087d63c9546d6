#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tools/order-service behind a real sale: it is killed again and again, its servers are, the appliance is. At the end all
that was charged is sold or refunded, nobody was charged twice, and log, Redis and shoppers tell the same story."""

import json
import os
import random
import signal
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
from fgsale import Sale, fgtest  # noqa: E402
from fgtest import catches, wait_until  # noqa: E402

SERVED = {'served': True, 'confirm': 0, 'cancel': 0.1, 'rate': 1500, 'shoppers': 4000, 'seconds': 8}
# the state of an order after a record
BECOMES = {'reserved': 'reserved', 'sold': 'sold', 'cancelled': 'cancelled', 'expired': 'expired', 'sold-late': 'sold',
           'closed': 'cancelled'}
FINAL = ('confirmed', 'refunded', 'cancelled', 'lapsed')
OPEN = ('taken', 'charged', 'declined')
_seed = int(os.environ.get('FG_SEED', random.randrange(1 << 32)))


class Service:
    """The order service beside a Sale with a desk."""

    def __init__(self, lab, sale, postgres, via='packets', **options):
        self.lab, self.sale, self.postgres, self.via = lab, sale, postgres, via
        self.options = {'success': 0.75, 'failure': 0.15, 'delay_ms': '50-600', **options}
        self.process = None

    def argv(self, **more):
        back = ['--via', 'stream'] if self.via == 'stream' else \
            ['--server', self.sale.desk.a_ip, '--keys', self.sale.gate.keys.path]
        flags = [w for k, v in {**self.options, **more}.items() for w in (f'--{k.replace("_", "-")}', str(v))]
        return [fgtest.program('order-service'), '--redis', self.sale.redis.address, '--postgres', self.postgres.conninfo,
                *back, *flags]

    def start(self):
        self.process = fgtest.Process(self.lab, self.argv(), ns=self.sale.desk.b)
        return self

    def finish(self, seconds=60):
        """Lets it go on until nothing is under way; its summary."""
        if self.process:
            wait_until(lambda: catches(self.process.pid, signal.SIGTERM), 20, 'the service has begun, and ends in order')
            assert self.process.terminate() == 0, self.process.output()
        path = self.lab.unique('service.json')
        process = fgtest.Process(self.lab, self.argv(until_idle=2, json=path), ns=self.sale.desk.b)
        assert process.wait(seconds) == 0, process.output()
        with open(path, encoding='utf-8') as f:
            return json.load(f)


def begin(lab, via='packets', service=None, persist=True, **sale_options):
    print(f'# seed {_seed} (FG_SEED)')
    redis = lab.redis(persist=persist)
    postgres = lab.postgres()
    settings = {'redis.commands': 'yes'} if via == 'stream' else {}
    sale = Sale(lab, total=800, lesser=5, hold_ms=2000, redis=redis, desk=True, settings=settings, **sale_options)
    service = Service(lab, sale, postgres, via, **(service or {})).start()
    wait_until(lambda: postgres.sql("SELECT to_regclass('order_service.bookings')")[0][0], 30, 'the schema is made')
    return sale, service, random.Random(_seed)


def close(sale, service):
    """Everything has ended, and agrees."""
    sale.wave_done()
    summary = service.finish()
    payments, postgres = summary['payments'], service.postgres
    print(f'# {payments}, {summary["charges"]} charges, {summary["refunds"]} refunds')
    assert not any(payments[s] for s in OPEN), payments
    assert summary['charged_twice'] == 0 and summary['this_run']['sold_unpaid'] == 0
    assert summary['charges'] == payments['confirmed'] + payments['refunded'], summary
    assert summary['refunds'] == payments['refunded'], summary
    result = sale.finish()
    orders = log_orders(sale)
    rows = {(int(u), o): state for u, o, state in postgres.sql('SELECT user_id, order_id, state FROM order_service.payments')}
    charged = {(int(u), o) for u, o in postgres.sql("SELECT user_id, order_id FROM order_service.bookings WHERE kind = 'charge'")}
    assert rows.keys() == orders.keys(), (len(rows), len(orders))
    for who, state in orders.items():
        assert (state == 'sold') == (rows[who] == 'confirmed'), (who, state, rows[who])
    refunded = {who for who in charged if orders[who] != 'sold'}
    assert all(rows[who] == 'refunded' for who in refunded) and len(refunded) == summary['refunds']
    assert len(charged - refunded) == sum(state == 'sold' for state in orders.values())
    return summary, result


def log_orders(sale):
    """Last state of each order, by the log."""
    states = {}
    fglog = os.path.join(fgtest.BUILD, 'app', 'fglog', 'fglog')
    done = subprocess.run([fglog, sale.gate.log_dir, '--json'], capture_output=True, text=True, check=True, timeout=60)
    for line in done.stdout.splitlines():
        r = json.loads(line)
        if 'order' in r and r['type'] in BECOMES:
            states[int(r['user']), r['order']] = BECOMES[r['type']]
    return states


def count(service, what='count(*)', table='payments'):
    return int(service.postgres.sql(f'SELECT {what} FROM order_service.{table}')[0][0])


def killed_again_and_again(lab, via):
    sale, service, rng = begin(lab, via)
    sale.shop(**{**SERVED, 'seconds': 12})
    kills = 0
    while sale.shopping():
        fgtest.pause(rng.uniform(0.05, 0.7), 'the random moment of the kill')
        service.process.kill()
        kills += 1
        if rng.random() < 0.3:
            fgtest.pause(rng.uniform(0, 1), 'a random outage')
        service.start()
    summary, _ = close(sale, service)
    print(f'# killed {kills} times, {summary["payments"]["confirmed"]} sold')
    assert kills >= 5 and summary['payments']['confirmed'] > 100 and summary['payments']['lapsed'] > 5, summary


@fgtest.timeout(150)
def test_killed_by_packets(lab):
    """kill -9 of the service at random moments of a sale, confirmations by packets"""
    killed_again_and_again(lab, 'packets')


@fgtest.timeout(150)
def test_killed_by_stream(lab):
    """kill -9 of the service at random moments of a sale, confirmations by the stream of commands in Redis"""
    killed_again_and_again(lab, 'stream')


@fgtest.timeout(120)
def test_servers_fail(lab):
    """Redis, PostgreSQL and the appliance are killed under it"""
    sale, service, _ = begin(lab)
    sale.shop(**{**SERVED, 'seconds': 9})
    for kill, start in ((sale.redis.kill, sale.redis.start), (service.postgres.kill, service.postgres.start),
                        (sale.gate.kill, sale.gate.start)):
        before = count(service)
        wait_until(lambda n=before: count(service) > n + 100, 20, 'payments go on')
        kill()
        fgtest.pause(0.7, 'the outage')
        start()
    assert service.process.running(), service.process.output()
    summary, _ = close(sale, service)
    assert summary['payments']['confirmed'] > 100, summary


@fgtest.timeout(90)
def test_too_late(lab):
    """a provider that takes longer than the hold: charged, too late to confirm, refunded; and Redis comes back empty"""
    sale, service, _ = begin(lab, service={'success': 1, 'failure': 0, 'delay_ms': '500-5000'}, persist=False)
    sale.shop(**{**SERVED, 'seconds': 5, 'cancel': 0})
    wait_until(lambda: count(service) > 50, 30, 'there are payments')
    sale.redis.kill()
    sale.redis.start()
    summary, _ = close(sale, service)
    assert summary['refunds'] > 50 and summary['payments']['confirmed'] > 50, summary
    payments = summary['payments']  # who came when the hold had ended was not charged
    assert summary['charges'] + payments['lapsed'] == sum(payments.values()), summary


@fgtest.timeout(90)
def test_items(lab):
    """--items: reservations of other products are left to another service"""
    sale, service, _ = begin(lab, service={'success': 1, 'failure': 0, 'items': '1-3'})
    sale.shop(**{**SERVED, 'seconds': 2, 'cancel': 0})
    sale.wave_done()
    summary = service.finish()
    paid = service.postgres.sql('SELECT DISTINCT item FROM order_service.payments ORDER BY item')
    assert [int(item) for item, in paid] == [1, 2, 3], paid
    assert summary['units']['confirmed'] > 20 and sum(sale.item(n)['orders']['reserved'] for n in (4, 5, 6)) > 20, summary
    assert [sale.item(n)['sold'] for n in (4, 5, 6)] == [0, 0, 0]
    sale.finish()


def test_wrong_use(lab):
    """what is missing or wrong is said, with what is accepted"""
    program = fgtest.program('order-service')

    def said(*argv):
        done = subprocess.run([program, *argv], capture_output=True, text=True, timeout=20)
        return done.returncode, done.stdout + done.stderr
    base = ['--redis', 'unix:/nonexistent', '--postgres', f'host={lab.dir} dbname=none user=nobody']
    keys = fgtest.Keys(os.path.join(lab.dir, 'keys'))
    packets = ['--server', '127.0.0.1:4600', '--keys', keys.path]
    for argv, code, text in (
            ([], 2, '--redis is missing'), (base, 2, '(or --member) and --keys are missing'), (['--help'], 0, 'usage: order-service'),
            ([*base, '--via', 'pigeon'], 2, 'accepted: packets, stream'), ([*base, '--success', '2'], 2, 'from 0 to 1'),
            ([*base, *packets, '--success', '0.7', '--failure', '0.4'], 2, 'more than 1'),
            ([*base, '--delay-ms', '9-3'], 2, '--delay-ms 3: accepted: 9..3600000'), ([*base, *packets, 'x'], 2, 'x: not an option'),
            ([*base, *packets, '--backend-key', '1'], 1, 'key 1 has not the role backend'),
            ([*base, *packets, '--backend-key', '9'], 1, 'key 9 is not there'),
            ([*base, '--server', 'nowhere', '--keys', keys.path], 1, '`nowhere` is not an address'),
            ([*base, '--server', '127.0.0.1:0', '--keys', keys.path], 2, 'accepted: IP, IP:PORT, [v6]:PORT'),
            ([*base, *packets, '--items', '9-3'], 2, '--items 3: accepted: 9..18446744073709551615'),
            ([*base, *['--server', '127.0.0.1'] * 33, '--keys', keys.path], 2, 'accepted: up to 32 addresses'),
            ([*base, *['--member', '127.0.0.1'] * 17, '--keys', keys.path], 2, '--member: accepted: up to 16'),
            ([*base, *['--member', '127.0.0.1,127.0.0.2,127.0.0.3'] * 11], 2, 'accepted: up to 32 addresses'),
            ([*base, '--member', '127.0.0.1,127.0.0.1:0'], 2, 'accepted: IP, IP:PORT, [v6]:PORT'),
            ([*base, *packets, '--member', '127.0.0.1'], 2, '--server and --member: one or the other'),
            ([*base, *packets], 1, 'PostgreSQL: ')):
        assert (result := said(*argv))[0] == code and text in result[1], (argv, result)
    postgres = lab.postgres()
    result = said('--redis', 'unix:/nonexistent', '--postgres', postgres.conninfo, *packets)
    assert result[0] == 1 and 'Redis unix:/nonexistent: ' in result[1], result


if __name__ == '__main__':
    fgtest.main()
