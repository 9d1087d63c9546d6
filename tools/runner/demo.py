#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A real sale, end to end: namespaces and veths, Redis, PostgreSQL, the appliance behind its XDP filter, nginx with the gateway, an
order service that charges for what is reserved, and 21,000 shoppers with attackers among them: 20,000 by packets, 1,000 over HTTPS,
and one with a real browser where chromium is installed; then the audit. Shows what happens while it happens, and exits with 0 only
if everything was right. The shop's page is at the address that it prints."""

import argparse
import json
import os
import signal
import sys
import threading
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'harness'))
sys.dont_write_bytecode = True
import fgtest  # noqa: E402
import web as front  # noqa: E402

HOT, HOT_UNITS = 1, 1000
LESSER, LESSER_UNITS = range(2, 52), 150
SHOPPERS = SOURCES = 20000         # 80 networks: net_factor times SOURCE_RATE for each is more than all of them send
SHOPPERS_RATE = 16000             # order packets a second of all shoppers
BLOCKED_RATE, OVERRATE_RATE = 5000, 10000 # packets a second of 100 sources each
PACKETS, PACKETS_SHOPPERS = 1150000, 500000 # in all, to go on for; and what of it at least comes from shoppers
SOURCE_RATE, SOURCE_BURST = 20, 60
BLOCKED, OVERRATE = '198.18.128.0-198.18.128.99', '198.18.129.0-198.18.129.99'
HOLD_MS = 5000
PROVIDER = {'success': 0.8, 'failure': 0.1, 'delay_ms': '100-1200'} # of payments; for the rest it never answers
REDIS_AWAY = (8, 12)              # seconds into the sale
WEB_SECONDS = 36                  # in which the shoppers over HTTPS begin their orders
PAGE_UNITS, PAGE_HOLD_MS, PAGE_OPENS_S = 100, 120000, 90  # the last one of the page's products goes on sale later
SALE_SECONDS_MAX = 240            # only against a hang: it takes less than one minute on two idle cores


def options():
    p = argparse.ArgumentParser(prog='tools/demo', description=__doc__)
    p.add_argument('--json', metavar='FILE', help='write the summary as JSON')
    p.add_argument('--keep', action='store_true', help='leave log, configuration and output in their temporary folder')
    p.add_argument('--pair', action='store_true', help='another demo: a pair of appliances, of which either dies; see --pair --help')
    p.add_argument('--fleet', action='store_true', help='another demo: members of a fleet sell from one pool; see --fleet --help')
    p.add_argument('--no-setup', action='store_true', help='do not look for missing packages, do not build')
    p.add_argument('--workers', type=int, default=2, choices=range(1, 9), help='workers of the appliance [2]')
    p.add_argument('--seed', type=int, default=1, help='of the shoppers [1]')
    p.add_argument('--serve', action='store_true', help='after the sale leave everything running for a browser, until Ctrl-C')
    p.add_argument('--listen', metavar='IP[:PORT]', default='127.0.0.1', type=front.address,
                   help="of the shop's page, on this machine [127.0.0.1:8443, or another port when that is in use]")
    return p.parse_args()


# ---- the parts -------------------------------------------------------------------------------------------


def start_appliance(lab, link, redis, postgres, workers):
    link.route_to_b('198.19.0.0/16')
    desk = fgtest.Link(link.a, lab.namespace('desk'), net=1)  # of the order service
    ports = {'shop': {'interface': link.a_if}, 'desk': {'interface': desk.a_if}}
    gate = lab.daemon(link.a, ports=ports, redis=redis, settings={
        'postgres.conninfo': postgres.conninfo, 'workers.count': workers, 'workers.idle': 'sleep', 'limits.items_max': 100, 'limits.orders_max': 500000,
        'limits.users_max': 500000, 'filter.order_rate': SOURCE_RATE, 'filter.order_burst': SOURCE_BURST})
    code, text = gate.check()
    if code:
        sys.exit(f'the configuration is refused:\n{text}')
    gate.fgctl('backend', 'init', '--conninfo', postgres.conninfo)
    gate.start()
    gate.fgctl('allow', 'add', desk.b_ip)
    gate.fgctl('block', 'add', '198.18.128.0/26', '198.18.128.64/27', '198.18.128.96/30')
    catalogue = os.path.join(lab.dir, 'catalogue.csv')
    with open(catalogue, 'w') as f:
        f.write('item,name,total,user_limit,hold_ms\n')
        f.write(f'{HOT},Everybody wants it,{HOT_UNITS},2,{HOLD_MS}\n')
        f.writelines(f'{i},Lesser thing {i - 1},{LESSER_UNITS},4,{HOLD_MS}\n' for i in LESSER)
    gate.fgctl('item', 'import', catalogue)
    return gate, desk


def add_page_items(gate):
    """The products of the page; its own payment page confirms them. Returns their numbers."""
    products = front.page_products()['products']
    for product in products:
        later = product is products[-1] and len(products) > 1
        line = int(product['item']) == front.LINE_ITEM
        status, answer = gate.api('POST', '/v1/items', {
            'item': int(product['item']), 'name': product['name']['en'], 'total': 1 if line else PAGE_UNITS, 'user_limit': 4, 'hold_ms': PAGE_HOLD_MS,
            'opens': int((time.time() + PAGE_OPENS_S) * 1000) if later else 0,
            **({'waitlist': 1000, 'claim_ms': PAGE_HOLD_MS} if line else {})})
        if status != 201:
            raise RuntimeError(f'item {product["item"]}: {answer}')
    return [int(product['item']) for product in products]


def start_service(lab, ns, where, keys, redis, postgres, until_idle=5, **more):
    """where: its words for the addresses of the appliance. What it did stands in the summary that it writes when nothing is left to
    do."""
    summary = lab.unique('service.json')
    options = {'redis': redis.address, 'postgres': postgres.conninfo, 'keys': keys.path, 'items': f'{HOT}-{LESSER[-1]}',
               'until_idle': until_idle, 'json': summary, **PROVIDER, **more}
    flags = [word for name, value in options.items() for word in (f'--{name.replace("_", "-")}', value)]
    return fgtest.Process(lab, [fgtest.program('order-service'), *where, *flags], ns=ns), summary


def finish_service(service, summary):
    code = service.wait(60)
    if code:
        raise SystemExit(f'the order service ended with {code}')
    with open(summary) as f:
        return json.load(f)


def start_shoppers(lab, link, gate, seed):
    return lab.blast(
        link.b, gate.keys, interface=link.b_if, server=link.a_ip, server_mac=link.a_mac, source_base='198.19.0.1',
        sources=SOURCES, shoppers=SHOPPERS, items=f'{HOT}-{LESSER[-1]}', zipf=0.8, hot=f'{HOT}:0.4', packets=PACKETS,
        rate=SHOPPERS_RATE, duplicates=0.05, replays=0.02, forged=0.005, malformed=0.005, blocked_sources=BLOCKED,
        blocked_rate=BLOCKED_RATE, overrate_sources=OVERRATE, overrate_rate=OVERRATE_RATE, served=True, confirm=0, cancel=0.05,
        confirm_delay_ms=600, again_ms=1500, again=1, timeout_ms=300, retries=12, drain_seconds=40, seed=seed).start()


def sale_items(gate):
    """Without those of the page."""
    return [i for i in gate.get('/v1/items?limit=1000')['items'] if int(i['item']) < front.PAGE_ITEM]


class Watch:
    """Live view: one line a second; and the outage of Redis in the middle."""

    def __init__(self, gate, redis, web):
        self.gate, self.redis, self.web = gate, redis, web
        self.began, self.last = time.monotonic(), None
        self.peak, self.lag_max, self.redis_seconds = 0, 0, 0.0
        self.stopped_at = self.note = None

    def look(self):
        items = sale_items(self.gate)
        stats, sink = self.gate.get('/v1/stats'), self.gate.sink('redis')
        hot = next(i for i in items if i['item'] == str(HOT))
        answers = sum(stats['answers'].values())
        now = time.monotonic()
        rate = (answers - self.last[1]) / (now - self.last[0]) if self.last else 0
        self.last = (now, answers)
        self.peak = max(self.peak, rate)
        self.lag_max = max(self.lag_max, sink['lag'])
        dropped = sum(n for name, n in stats['filter'].items() if name not in ('order', 'pass'))
        line = (f'{now - self.began:5.0f} s  hot: {hot["sold"]:4d} sold {hot["reserved"]:4d} held {hot["available"]:4d} left'
                f'  others: {sum(i["sold"] for i in items) - hot["sold"]:5d} sold'
                f' {sum(i["available"] for i in items) - hot["available"]:5d} left'
                f'  {rate:7,.0f} answers/s  {self.web.answers():6,.0f} by HTTPS  {dropped:9,d} dropped'
                f'  Redis {sink["state"]}, lag {sink["lag"]}')
        print(line, flush=True)

    def step(self):
        """One second of the sale."""
        age = time.monotonic() - self.began
        if self.stopped_at is None and age > REDIS_AWAY[0]:
            self.redis.stop()
            self.stopped_at = time.monotonic()
            print('         Redis is stopped; the sale goes on', flush=True)
        elif self.stopped_at and not self.redis_seconds and age > REDIS_AWAY[1]:
            self.redis.start()
            self.redis_seconds = time.monotonic() - self.stopped_at
            print('         Redis is back, empty', flush=True)
        self.look()
        time.sleep(max(0.0, 1 - (time.monotonic() - self.began) % 1))


def watch_sale(gate, redis, blast, web):
    watch = Watch(gate, redis, web)
    while blast.process.running():
        watch.step()
        if time.monotonic() - watch.began > SALE_SECONDS_MAX:
            blast.process.terminate()
            raise SystemExit(f'the sale did not end within {SALE_SECONDS_MAX} s')
    if not watch.redis_seconds:
        raise SystemExit('the sale was over before Redis was stopped and started')
    for name in ('redis', 'postgres'):
        fgtest.wait_until(lambda n=name: gate.sink(n)['lag'] == 0, 30, f'{name} has caught up')
    watch.look()
    return watch


# ---- the verdict -----------------------------------------------------------------------------------------


def look_at_postgres(postgres):
    """Orders of the appliance beside payments of the service, as somebody at the order backend would compare them. The page's
    orders have no payment of the service."""
    orders, sold, differ, page = postgres.sql(f"""
        SELECT count(*), coalesce(sum(o.quantity) FILTER (WHERE o.state = 'sold' AND o.item < {front.PAGE_ITEM}), 0),
               count(*) FILTER (WHERE (o.item IS NULL OR o.item < {front.PAGE_ITEM})
                                AND (o.state = 'sold') IS DISTINCT FROM (p.state = 'confirmed')),
               count(*) FILTER (WHERE o.item >= {front.PAGE_ITEM})
        FROM floodgate.orders o FULL JOIN order_service.payments p
        ON o.user_id = p.user_id AND replace(o.order_id::text, '-', '') = p.order_id""")[0]
    return {'in_postgres': int(orders), 'sold_in_postgres': int(sold), 'orders_unlike_payments': int(differ), 'page_orders': int(page)}


def unsold_while_wanted(items, blast):
    """Units that are free although shoppers still asked for them at the end."""
    wanting = {i['item']: i['wanting'] for i in blast['items']}
    return sum(min(i['available'], wanting.get(i['item'], 0)) for i in items)


def summarise(watch, blast, http, buyer, told, items, stats, audit, service, books):
    hot = next(i for i in items if i['item'] == str(HOT))
    log, redis = audit['log'], audit['redis']
    drops = {**{f'filter {name}': n for name, n in stats['filter'].items() if name not in ('order', 'pass') and n},
             **{f'worker {name}': n for name, n in stats['drops'].items() if n}}
    return {
        'audit': audit['audit'], 'oversold': audit['oversold'],
        'unsold_while_wanted': unsold_while_wanted(items, blast),
        'units': sum(i['total'] for i in items), 'sold': sum(i['sold'] for i in items),
        'left': sum(i['available'] for i in items), 'reserved': sum(i['reserved'] for i in items),
        'hot': {name: hot[name] for name in ('item', 'name', 'total', 'available', 'reserved', 'sold')},
        'shoppers': SHOPPERS, 'http': http, 'browser': buyer, 'by_hand': books['page_orders'] - told, 'packets': sum(n for name, n in blast['sent'].items() if name not in ('blocked', 'overrate')), 'sent': blast['sent'],
        'answered': {name: n for name, n in stats['answers'].items() if n},
        'acknowledged': audit['client']['acknowledged'], 'in_log': log['orders'], 'in_redis': redis['orders'],
        'unanswered': blast['unanswered'], 'contradictions': blast['contradictions'],
        'expired': stats['stock']['expired'], 'cancelled': stats['stock']['cancelled'],
        'sold_in_log': sum(i['sold'] for i in audit['items'] if int(i['item']) < front.PAGE_ITEM),
        'confirmed_units': service['units']['confirmed'],
        'paid_units': service['charged_units'] - service['refunded_units'],
        **books, 'payments': service['payments'], 'charges': service['charges'], 'refunds': service['refunds'],
        'charged_twice': service['charged_twice'], 'payments_open': sum(service['payments'][s] for s in ('taken', 'charged', 'declined')),
        'handed_off': sum(w['handed_off'] for w in stats['workers']),
        'drops': drops, 'latency_us': blast['latency_us'],
        'answers_per_s': blast['answers_per_s'], 'answers_per_s_peak': watch.peak,
        'redis_away_s': round(watch.redis_seconds, 1), 'redis_lag_max': watch.lag_max,
        'problems': audit['problems'],
    }


def failures(s):
    """What was not as it must be."""
    checks = [
        (s['audit'] == 'pass', 'the audit failed'),
        (s['oversold'] == 0, f'{s["oversold"]} units oversold'),
        (s['unsold_while_wanted'] == 0, f'{s["unsold_while_wanted"]} units unsold while wanted'),
        (s['hot']['sold'] == HOT_UNITS, f'{s["hot"]["sold"]} of {HOT_UNITS} units of the hot item sold'),
        (s['acknowledged'] + s['by_hand'] == s['in_log'] == s['in_redis'] == s['in_postgres'],
         'acknowledged, logged and replicated orders differ'),
        (s['http']['contradictions'] == 0, f'{s["http"]["contradictions"]} answers over HTTPS contradict an earlier one'),
        (s['http']['given_up'] == 0, f'{s["http"]["given_up"]} orders over HTTPS had no answer'),
        (s['http']['told'].get('SOLD', 0) > 0, 'nothing was sold over HTTPS'),
        (s['browser'] in ('bought', 'not installed'), f'the browser did not buy: {s["browser"]}'),
        (s['contradictions'] == 0, f'{s["contradictions"]} answers contradict the protocol or an earlier answer'),
        (s['packets'] >= PACKETS_SHOPPERS, f'only {s["packets"]} order packets of shoppers'),
        (s['drops'].get('filter blocked', 0) > 0, 'no packet of a blocked source was dropped'),
        (s['drops'].get('filter rate-order', 0) > 0, 'no packet over its rate was dropped'),
        (s['drops'].get('worker tag', 0) > 0, 'no forged packet was dropped'),
        (any(n.startswith(('filter bad-', 'filter order-')) for n, v in s['drops'].items() if v), 'no malformed packet was dropped'),
        (s['expired'] > 0 and s['cancelled'] > 0, 'no order expired or was cancelled'),
        (s['sold_in_postgres'] == s['sold_in_log'], 'units sold in PostgreSQL and in the log differ'),
        (s['orders_unlike_payments'] == 0, f'{s["orders_unlike_payments"]} orders in PostgreSQL do not agree with their payment'),
        (s['payments_open'] == 0, f'{s["payments_open"]} payments are still under way'),
        (s['confirmed_units'] == s['sold_in_log'], 'units of confirmed payments and units sold differ'),
        (s['paid_units'] == s['sold_in_log'], 'units charged and not refunded, and units sold differ'),
        (s['charged_twice'] == 0, f'{s["charged_twice"]} orders were charged twice'),
        (s['payments']['lapsed'] > 0, 'every payment was answered'),
        (s['redis_lag_max'] > 0, 'Redis was never behind'),
    ]
    return [text for good, text in checks if not good]


def show(s, wrong):
    def times(kind):
        t = s['latency_us'][kind]
        return f'p50 {t["p50"] / 1e3:.2f} ms, p99 {t["p99"] / 1e3:.2f} ms, p99.9 {t["p999"] / 1e3:.2f} ms ({t["count"]:,d})'

    rows = [
        ('units', f'{s["units"]:,d} of 51 items: {s["sold"]:,d} sold, {s["reserved"]:,d} held, {s["left"]:,d} left'),
        ('hot item', f'{s["hot"]["sold"]:,d} sold of {s["hot"]["total"]:,d}'),
        ('oversold', s['oversold']),
        ('unsold while wanted', s['unsold_while_wanted']),
        ('orders', f'acknowledged {s["acknowledged"]:,d}' + (f' + {s["by_hand"]:,d} by hand on the page' if s['by_hand'] else '') +
                   f' = log {s["in_log"]:,d} = Redis {s["in_redis"]:,d} ='
                   f' PostgreSQL {s["in_postgres"]:,d};'
                   f' {s["cancelled"]:,d} cancelled, {s["expired"]:,d} expired, their units sold again'),
        ('payments', f'{s["confirmed_units"]:,d} units confirmed = {s["paid_units"]:,d} paid = {s["sold_in_log"]:,d} sold;'
                     f' {s["payments"]["cancelled"]:,d} declined, {s["payments"]["lapsed"]:,d} never answered or too late,'
                     f' {s["refunds"]:,d} of {s["charges"]:,d} charges refunded'),
        ('packets', f'{s["packets"]:,d} of {s["shoppers"]:,d} shoppers; ' +
                    ', '.join(f'{n:,d} {name}' for name, n in s['sent'].items() if n)),
        ('HTTPS', f'{s["http"]["requests"]:,d} requests of {s["http"]["shoppers"]:,d} shoppers; told: ' +
                  ', '.join(f'{n:,d} {name}' for name, n in s['http']['told'].items()) +
                  f'; p50 {s["http"]["latency_us"]["p50"] / 1e3:.2f} ms, p99 {s["http"]["latency_us"]["p99"] / 1e3:.2f} ms'),
        ('browser', {'bought': 'Chromium bought one unit on the page, and one more after waiting in line for it',
                     'not installed': 'left out: chromium is not installed'}.get(s['browser'], s['browser'])),
        ('answers', ', '.join(f'{n:,d} {name}' for name, n in s['answered'].items())),
        ('dropped', ', '.join(f'{n:,d} {name}' for name, n in s['drops'].items())),
        ('speed', f'{s["answers_per_s"]:,.0f} orders answered a second, {s["answers_per_s_peak"]:,.0f} at the peak'),
        ('accepted in', times('accepted')),
        ('rejected in', times('rejected')),
        ('handed off', f'{s["handed_off"]:,d} packets went to the worker that owns their user'),
        ('Redis', f'away for {s["redis_away_s"]} s, at most {s["redis_lag_max"]:,d} records behind, filled again from the log'),
        ('audit', s['audit']),
    ]
    print()
    for name, text in rows:
        print(f'{name:>20}  {text}')
    for text in s['problems'][:20] + wrong:
        print(f'{"WRONG":>20}  {text}')


def write_json(path, summary):
    with open(path + '.new', 'w') as f:
        json.dump(summary, f, indent=2)
        f.write('\n')
    os.replace(path + '.new', path)


def audit_sale(lab, gate, redis, postgres, clients, complete):
    report = lab.unique('audit.json')
    code, text = lab.audit(*(['--client-complete'] if complete else []), log=gate.log_dir, redis=redis.address, client=clients,
                           postgres=postgres.conninfo, json=report)
    if code == 2:
        raise SystemExit(f'the audit could not be made:\n{text}')
    with open(report) as f:
        return json.load(f)


class Sale:
    """All parts of it, from the start to the summary."""

    def __init__(self, lab, o):
        self.lab = lab
        self.redis = lab.redis()  # keeps nothing on disk: it comes back empty, and is filled again from the log
        self.postgres = lab.postgres()
        self.link = lab.pair()
        self.gate, self.desk = start_appliance(lab, self.link, self.redis, self.postgres, o.workers)
        self.web = front.Web(lab, self.desk.b, f'floodgate_servers {self.desk.a_ip}:4600', self.gate.keys,
                             [*range(HOT, LESSER[-1] + 1), *add_page_items(self.gate)], o.listen)
        print(f'demo: the shop is at {self.web.url} (on this machine, with a certificate of its own)', flush=True)

    def run(self, seed):
        blast = start_shoppers(self.lab, self.link, self.gate, seed)
        service = start_service(self.lab, self.desk.b, ['--server', self.desk.a_ip], self.gate.keys, self.redis, self.postgres)
        shoppers = front.Shoppers(self.lab, self.web, f'{HOT}-{LESSER[-1]}', HOT, 0.4, WEB_SECONDS, seed)
        buyer = front.Buyer(self.lab, self.web)
        watch = watch_sale(self.gate, self.redis, blast, self.web)
        http, bought = shoppers.finish(SALE_SECONDS_MAX), buyer.finish()
        seen = blast.finish(check=False)
        charged = finish_service(*service)
        for name in ('redis', 'postgres'):
            fgtest.wait_until(lambda n=name: self.gate.sink(n)['lag'] == 0, 30, f'{name} has caught up')
        clients = [path for path in (blast.audit, shoppers.audit, buyer.audit) if path]
        return watch, seen, http, (bought, len(buyer.told)), charged, clients, sale_items(self.gate), self.gate.get('/v1/stats')

    def judge(self, watch, seen, http, bought, charged, clients, items, stats):
        books, (bought, told) = look_at_postgres(self.postgres), bought
        print('demo: comparing log, Redis, PostgreSQL and what the shoppers were told', flush=True)
        # an order by hand is in no file
        audit = audit_sale(self.lab, self.gate, self.redis, self.postgres, clients, books['page_orders'] == told)
        return summarise(watch, seen, http, bought, told, items, stats, audit, charged, books)


def sale(lab, o):
    browser = 'one with Chromium' if front.browser_installed() else 'none with a real browser (chromium is not installed)'
    print('demo: Redis, PostgreSQL, the appliance, nginx, an order service, 20,000 shoppers by packets, '
          f'{front.SHOPPERS:,d} over HTTPS, {browser}, 200 attackers', flush=True)
    parts = Sale(lab, o)
    result = parts.run(o.seed)
    if not o.serve:
        parts.gate.stop()
        print('demo: the appliance has stopped', flush=True)
    return parts, parts.judge(*result)


def serve(lab, parts):
    """Until Ctrl-C; then whether log, Redis and PostgreSQL still agree."""
    ends = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ends.set())
    start_service(lab, parts.desk.b, ['--server', parts.desk.a_ip], parts.gate.keys, parts.redis, parts.postgres, until_idle=0)
    print(f"""
demo: all is running. Ctrl-C ends it, and removes everything.
  the shop    {parts.web.url}   (the browser warns of the certificate: it was made for this demo)
  the sale    {fgtest.program('fgctl')} --socket {parts.gate.socket} item list
  PostgreSQL  psql '{parts.postgres.conninfo}'
  Redis       redis-cli -s {parts.redis.socket}""", flush=True)
    ends.wait()
    parts.gate.stop()
    audit = audit_sale(lab, parts.gate, parts.redis, parts.postgres, [], False)
    print(f'\ndemo: ended; {audit["log"]["orders"]:,d} orders in log, Redis and PostgreSQL: audit {audit["audit"]}', flush=True)
    return audit['audit'] == 'pass'


def main():
    o = options()
    fgtest.handle_signals()
    with fgtest.Lab(keep=o.keep) as lab:
        lab.detached = o.serve  # Ctrl-C ends the demo, and the demo its parts
        try:
            parts, summary = sale(lab, o)
        except (Exception, SystemExit):
            print(lab.logs(), file=sys.stderr)
            raise
        wrong = failures(summary)
        summary['failures'] = wrong
        show(summary, wrong)
        if o.json:
            write_json(o.json, summary)
        served = not o.serve or serve(lab, parts)
        if o.keep:
            print(f'{"kept":>20}  {lab.dir}')
    return 1 if wrong or not served else 0


if __name__ == '__main__':
    try:
        sys.exit(main())
    except fgtest.Skip as reason:
        sys.exit(f'demo: {reason}')
