#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A sale by a pair of appliances, on one switch with 12,000 shoppers who know both, three members of etcd, Redis and PostgreSQL. The
leader is killed in mid-sale, and comes back as the standby; the next leader is stopped (SIGSTOP), and continued after the take-over;
the one after that hands over. Then the audit of both logs, Redis, PostgreSQL and what each shopper was told. Exits with 0 only if
everything was right."""

import argparse
import json
import os
import signal
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'harness'))
sys.dont_write_bytecode = True
import fgtest  # noqa: E402
from fgpair import PairSale  # noqa: E402
from fgsinkpostgres import backend  # noqa: E402

DEPOSED = 75  # exit code of an appliance from which the other one took over
SECONDS = 25  # of new orders


def options():
    p = argparse.ArgumentParser(prog='tools/demo --pair', description=__doc__)
    p.add_argument('--pair', action='store_true', help='this demo')
    p.add_argument('--json', metavar='FILE', help='write the summary as JSON')
    p.add_argument('--keep', action='store_true', help='leave logs, configuration and output in their temporary folder')
    p.add_argument('--no-setup', action='store_true', help='do not look for missing packages, do not build')
    p.add_argument('--seed', type=int, default=1, help='of the shoppers [1]')
    return p.parse_args()


class Story:
    """What happens to the pair, told while it happens."""

    def __init__(self, lab):
        postgres = lab.postgres()
        backend(postgres)
        self.sale = PairSale(lab, total=20000, redis=lab.redis(persist=True), postgres=postgres)
        self.pair, self.began, self.outages = self.sale.pair, time.monotonic(), {}

    def tell(self, text):
        item = self.sale.item()
        print(f'{time.monotonic() - self.began:6.1f} s  item 1: {item["sold"]:5} sold, {item["reserved"]:4} reserved   {text}', flush=True)

    def lose(self, what, end):
        """The leader is lost; the seconds until the other one sells."""
        old = self.pair.leader()
        new, led, sold = self.sale.take_over(old, lambda: end(old))
        self.outages[what] = round(sold, 3)
        self.tell(f'{what}: box {new.node} leads after {led:.2f} s, and has decided 50 orders after {sold:.2f} s')
        self.sale.sells()
        return old

    def come_back(self, box):
        self.pair.join(box)
        self.tell(f'box {box.node} has caught up, and is the standby')
        self.sale.sells()

    def run(self, seed):
        self.tell('box 0 leads, box 1 is its standby')
        self.sale.shop(seconds=SECONDS, seed=seed)
        self.sale.sells(2000)
        self.come_back(self.lose('leader killed', lambda box: box.gate.kill()))
        old = self.lose('leader stopped', lambda box: box.gate.process.signal(signal.SIGSTOP))
        old.gate.process.signal(signal.SIGCONT)
        code = old.gate.process.wait(10)
        if code != DEPOSED:
            raise RuntimeError(f'box {old.node} was continued, and ended with {code}')
        self.tell(f'box {old.node} is continued: it sees that it was deposed, answers nothing, and ends')
        self.come_back(old)
        old = self.lose('planned switch', lambda box: box.gate.fgctl('pair', 'switch'))
        old.gate.process.wait(10)
        self.come_back(old)
        self.sale.wave_done()
        print('demo: comparing both logs, Redis, PostgreSQL and what the shoppers were told', flush=True)
        audit = self.sale.finish()
        return {'outages_seconds': self.outages, **self.sale.counts, 'audit': audit['audit'], 'log': audit['log']}


def main():
    o = options()
    fgtest.handle_signals()
    print('demo: two appliances, etcd, Redis, PostgreSQL, 12,000 shoppers', flush=True)
    with fgtest.Lab(keep=o.keep) as lab:
        try:
            summary = Story(lab).run(o.seed)
        except Exception:
            print(lab.logs(), file=sys.stderr)
            raise
        if o.json:
            with open(o.json, 'w', encoding='utf-8') as f:
                json.dump(summary, f, indent=2)
        print(f'demo: {summary["orders"]:,d} orders, {summary["orders_sold"]:,d} sold; no acknowledged order lost, none oversold: audit '
              f'{summary["audit"]}')
        if o.keep:
            print(f'{"kept":>20}  {lab.dir}')
    return 0 if summary['audit'] == 'pass' else 1


if __name__ == '__main__':
    try:
        sys.exit(main())
    except fgtest.Skip as reason:
        sys.exit(f'demo: {reason}')
