# SPDX-License-Identifier: BSD-3-Clause
"""A sale for the fault tests: daemon, Redis, items, waves of shoppers, and the audit of all of it
at the end."""

import json
import os
import signal
import time

import fgclient
import fgtest

HOT = 1
SETTINGS = {'workers.count': 2, 'workers.idle': 'sleep', 'filter.order_rate': 0, 'limits.orders_max': 400000,
            'limits.users_max': 400000, 'limits.items_max': 100, 'eal.huge': 'no'}
POSTGRES = {'postgres.retry_ms_max': '500ms', 'postgres.timeout_ms': '1s'}
REDIS = {'redis.retry_ms_max': '500ms', 'redis.timeout_ms': '1s'}
# Outages of some seconds are survived: the first repeats come soon, later ones every 5 s, for
# minutes.
SHOPPERS = {'server_mac': None, 'source_base': '198.19.0.1', 'sources': 500, 'shoppers': 12000, 'zipf': 0.8,
            'hot': f'{HOT}:0.3', 'rate': 5000, 'window': 12000, 'duplicates': 0.05, 'replays': 0.02, 'confirm': 0.75,
            'cancel': 0.1, 'confirm_delay_ms': 400, 'again_ms': 700, 'again': 0.3, 'timeout_ms': 150, 'retries': 60,
            'drain_seconds': 60, 'seconds': 5, 'no_huge': True}


class Sale:
    """One log from beginning to end. Shoppers come in waves: one fgblast each, users of their own.
    """

    def __init__(self, lab, total=1500, lesser=10, hold_ms=3000, redis=None, queues=1, settings=None, start=True,
                 desk=False, postgres=None):
        self.lab, self.hold_ms = lab, hold_ms
        self.redis, self.postgres = redis, postgres
        self.link = lab.pair(queues=queues)
        self.link.route_to_b('198.19.0.0/16')
        ports = {'shop': {'interface': self.link.a_if, 'queues': queues}}
        if desk:  # a port for client(): fgblast takes all that comes in at the other end of its own
            self.desk = fgtest.Link(self.link.a, lab.namespace('desk'), net=1)
            ports['desk'] = {'interface': self.desk.a_if}
        self.gate = lab.daemon(self.link.a, ports=ports, redis=redis,
                               settings={**SETTINGS, **(REDIS if redis else {}),
                                         **({**POSTGRES, 'postgres.conninfo': postgres.conninfo} if postgres else {}),
                                         **(settings or {})})
        self.totals, self.waves, self.ended, self.last_order = {}, [], 0, 0
        self.complete = True  # the shoppers' files name every order
        self.counts = {'orders': 0, 'orders_reserved': 0, 'orders_sold': 0, 'answers': 0, 'retry': 0, 'unanswered': 0}
        if start:
            self.gate.start()
            self.open_items(total, lesser)

    def open_items(self, total, lesser):
        for number in range(HOT, HOT + 1 + lesser):
            self.add_item(number, total if number == HOT else total // 5)

    def add_item(self, number, total):
        self.totals[number] = total
        status, answer = self.gate.api('POST', '/v1/items', {
            'item': number, 'name': f'item {number}', 'total': total, 'hold_ms': self.hold_ms, 'user_limit': 3})
        assert status == 201, answer

    def add_stock(self, item, units):
        """What was answered with 200 must survive whatever comes."""
        status, answer = self.gate.api('POST', f'/v1/items/{item}/stock', {'add': units})
        self.totals[item] += units
        if status == 503 and 'may still happen' in answer['error']['message']:  # a busy disk: look, as it says
            fgtest.wait_until(lambda: self.gate.get(f'/v1/items/{item}')['total'] == self.totals[item], 20,
                              f'{units} units are added to item {item}')
        else:
            assert status == 200, answer

    def shop(self, **options):
        """The next wave of shoppers."""
        self.wave_done()
        options = {**SHOPPERS, 'interface': self.link.b_if, 'server': self.link.a_ip, 'server_mac': self.link.a_mac,
                   'items': f'{HOT}-{max(self.totals)}', 'user_base': 1 + 1000000 * len(self.waves),
                   'seed': 1 + len(self.waves), **options}
        self.waves.append(self.lab.blast(self.link.b, self.gate.keys, **options).start())
        self.last_order = time.monotonic() + options['seconds']

    def keep_shopping(self, at_least, **options):
        """Sees to it that shoppers come for so many seconds; the next wave when the last one is
        about to end."""
        if not self.shopping(at_least):
            self.enough()
            self.shop(**options)

    def enough(self):
        """No shopper of this wave begins another order: a test that has seen what it waited for
        need not wait for the end of the wave. What is under way ends by itself."""
        if self.ended < len(self.waves):
            blast = self.waves[-1].process
            fgtest.wait_until(lambda: fgtest.catches(blast.pid, signal.SIGUSR1) or not blast.running(), 20, 'fgblast has begun')
            blast.signal(signal.SIGUSR1)
            self.last_order = time.monotonic()

    def shopping(self, seconds=0):
        """Whether shoppers come, and will for so long. Later they only finish what they began."""
        return self.ended < len(self.waves) and self.waves[-1].process.running() and \
            time.monotonic() + seconds < self.last_order

    def wave_done(self, seconds=120):
        """Waits for the last wave; no answer may have contradicted another, and nobody may be left
        waiting."""
        if self.ended == len(self.waves):
            return None
        blast = self.waves[-1]
        self.ended = len(self.waves)
        summary = blast.finish(seconds, check=False)
        code = blast.process.wait(1)
        assert code == 0 and summary['contradictions'] == 0, (code, summary['wrong'], summary['examples'])
        for name in self.counts:
            self.counts[name] += summary[name] if name in summary else summary['sent'][name]
        return summary

    def client(self, role='shop', patience=3):
        """One shopper, backend or monitor beside the waves; for a Sale with a desk."""
        number = next(n for n, r in self.gate.keys.ROLES.items() if r == role)
        with self.desk.b.inside():
            return fgclient.Client(self.desk.a_ip, number, self.gate.keys.secrets[number], patience=patience)

    def item(self, number=HOT):
        return self.gate.get(f'/v1/items/{number}')

    def goes_on(self, seconds):
        """For so long it answers and sells, with no second without an answer. A pause may be the
        machine's: it is late."""
        accepted = lambda: self.gate.get('/v1/stats')['stock']['reserved']  # noqa: E731
        answered, sold, began = self.answered(), accepted(), time.monotonic()
        longest, last, seen = 0, began, answered
        while time.monotonic() < began + seconds:
            fgtest.pause(0.05, 'between two polls')
            now = self.answered()
            if now > seen:
                longest, last, seen = max(longest, time.monotonic() - last), time.monotonic(), now
        if longest >= 1 or seen <= answered + 200 or accepted() <= sold + 20:
            raise fgtest.Timeout(f'no answer for {longest:.2f} s; answered {seen - answered}, sold {accepted() - sold}')

    def answered(self):
        """Answers to orders since the start of the daemon."""
        return sum(self.gate.get('/v1/stats')['answers'].values())

    def finish(self, redis=True, stop=True):
        """Ends the sale and audits log, Redis, PostgreSQL and what the shoppers were told; the
        audit as a dict."""
        self.wave_done()
        if stop:
            self.gate.stop()
        return self.audit(redis)

    def audit(self, redis=True):
        clients = [w.audit for w in self.waves if os.path.exists(w.audit)]
        report = self.lab.unique('audit.json')
        whole = self.complete and clients and len(clients) == len(self.waves)
        complete = {'client_complete': True} if whole else {}
        code, text = self.lab.audit(**self.logs(), client=clients, json=report, redis_wait_ms=5000,
                                    redis=self.redis.address if redis and self.redis else None,
                                    postgres=self.postgres.conninfo if self.postgres else None, postgres_wait_ms=5000,
                                    **complete)
        assert code == 0 and 'oversold 0' in text, text
        with open(report, encoding='utf-8') as f:
            result = json.load(f)
        self.check_totals(result)
        print(f'# {self.counts["orders"]} orders, {self.counts["orders_reserved"]} reserved, '
              f'{self.counts["orders_sold"]} sold, {self.counts["retry"]} repeats, '
              f'{self.counts["unanswered"]} unanswered; audit pass')
        return result

    def logs(self):
        """What the audit reads."""
        return {'log': self.gate.log_dir}

    def check_totals(self, result):
        """Every unit that was put on sale is still there."""
        found = {int(i['item']): i['total'] for i in result['items']}
        assert found == self.totals, (found, self.totals)
