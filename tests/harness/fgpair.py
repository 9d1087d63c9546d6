# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a pair of appliances on one switch with their shoppers, three members of etcd, and a sale that outlives
the death of either."""

import http.client
import os
import time

import fgtest
from fgetcd import Etcd
from fgsale import POSTGRES, REDIS, SETTINGS, SHOPPERS, Sale
from fgtls import Authority

SHOP = '198.18.0.9'
ARBITER = '198.18.9.9'
PORT = 4610
TAKE_OVER = 10  # s; usually half of one
DECIDED = ('RESERVED', 'SOLD', 'SOLD_OUT')
# patient: a machine whose disk stands still for a moment is no dead peer
TIMES = {'pair.suspect_ms': '600ms', 'pair.stale_ms': '400ms', 'pair.drop_ms': '1s'}
RATE = 2500  # requests/s: two daemons, three members of etcd and the shoppers share the CPUs


class Switch:
    """A bridge in a namespace of its own; with an address, the namespace is a host on it."""

    def __init__(self, ns, name, address=None):
        self.ns, self.name = ns, name
        ns.ip('link', 'add', name, 'type', 'bridge', 'mcast_snooping', '0')
        ns.ip('link', 'set', name, 'up')
        if address:
            ns.ip('addr', 'add', f'{address}/24', 'dev', name)

    def plug(self, ns, interface, address):
        """A cable from an interface of ns; its end at the switch is named NAME-INTERFACE."""
        port = self.port(ns, interface)
        fgtest.command('ip', 'link', 'add', interface, 'netns', ns.name, 'type', 'veth', 'peer', 'name', port, 'netns',
                       self.ns.name)
        self.ns.ip('link', 'set', port, 'master', self.name, 'up')
        ns.ip('link', 'set', interface, 'addrgenmode', 'none')
        ns.ip('addr', 'add', f'{address}/24', 'dev', interface)
        ns.ip('link', 'set', interface, 'up')

    def port(self, ns, interface):
        return f'{ns.name.rsplit("-", 1)[1]}-{interface}'

    def unplug(self, ns, interface, back=False):
        """Or back in."""
        self.ns.ip('link', 'set', self.port(ns, interface), 'up' if back else 'down')


class Box:
    """One of the two appliances."""

    def __init__(self, pair, node):
        self.pair, self.node, self.wrapper = pair, node, ()  # wrapper: a command in front of the daemon
        self.ip, self.control = f'198.18.0.{node + 1}', f'198.18.9.{node + 1}'
        self.ns = pair.lab.namespace(f'box{node}')
        pair.shops.plug(self.ns, 'fga0', self.ip)
        pair.controls.plug(self.ns, 'fgc0', self.control)
        self.mac = self.ns.mac('fga0')
        cert, key = pair.authority.make(f'box{node}', f'IP:{self.control}')
        self.gate = pair.lab.daemon(self.ns, interface='fga0', redis=pair.redis, settings={
            **SETTINGS, 'workers.count': 1, **(REDIS if pair.redis else {}),
            **({**POSTGRES, 'postgres.conninfo': pair.postgres.conninfo} if pair.postgres else {}),
            'pair.enabled': 'yes', 'pair.node': node, 'pair.listen': f'{self.control}:{PORT}',
            'pair.peer': f'198.18.9.{2 - node}:{PORT}', 'pair.tls_ca': pair.authority.cert, 'pair.tls_cert': cert,
            'pair.tls_key': key, 'pair.arbiter': pair.etcd.endpoints, **TIMES, **pair.settings})
        if pair.boxes:  # the same keys for both
            self.gate.keys = pair.boxes[0].gate.keys
            self.gate.settings['orders.keys'] = self.gate.keys.path
            self.gate.write_config()

    def start(self):
        self.gate.start(ready=False, new_log=False, wrapper=self.wrapper)
        return self

    def view(self):
        """What it says of the pair; {} while it does not run, or stands still."""
        try:
            return self.gate.api('GET', '/v1/pair', seconds=1)[1] if self.gate.running() else {}
        except (OSError, http.client.HTTPException):
            return {}

    def role(self):
        return self.view().get('role')

    def leads(self):
        return self.role() in ('leader', 'solo')

    def wait(self, *roles, seconds=20):
        def there():
            if not self.gate.running():
                raise AssertionError(f'box {self.node} ended with {self.gate.process.popen.returncode}')
            return self.role() in roles
        fgtest.wait_until(there, seconds, f'box {self.node} is {" or ".join(roles)}')


class Pair:
    """boxes[0] begins the log, boxes[1] joins it."""

    def __init__(self, lab, redis=None, postgres=None, settings=None):
        self.lab, self.redis, self.postgres, self.settings = lab, redis, postgres, settings or {}
        self.net = lab.namespace('net')
        self.shops, self.controls = Switch(self.net, 'shops'), Switch(self.net, 'controls', ARBITER)
        self.etcd = Etcd(lab, quick=True, ns=self.net, address=ARBITER)
        self.shop = lab.namespace('shop')
        self.shops.plug(self.shop, 'fgb0', SHOP)
        folder = lab.unique('tls')
        os.mkdir(folder)
        self.authority = Authority(folder, 'pair')
        self.boxes = []
        for node in (0, 1):
            self.boxes.append(Box(self, node))
        self.led = self.boxes[0]  # led last, as far as is known: one that is stopped is not asked in vain

    def start_first(self):
        """The first box leads alone."""
        first = self.boxes[0]
        first.ns.run(fgtest.program('fgctl'), 'log', 'init', '--config', first.gate.config)
        self.etcd.begin('pair', first.gate.config)
        first.start()
        first.wait('solo')

    def start(self):
        self.start_first()
        self.join(self.boxes[1])

    def join(self, box, seconds=30):
        """It starts, catches up, and is published."""
        box.start()
        self.published(seconds)

    def published(self, seconds=30, restart=None):
        """restart: the exit code after which a box is started again, as systemd would."""
        def there():
            for box in self.boxes:
                if restart is not None and box.gate.process.popen.poll() == restart:
                    box.start()
            return sorted(b.role() or '' for b in self.boxes) == ['leader', 'standby']
        fgtest.wait_until(there, seconds, 'one leads, the other one stands by')

    def leader(self, seconds=20):
        """The box that leads."""
        def leading():
            for box in (self.led, self.other(self.led)):
                if box.leads():
                    self.led = box
                    return box
            return None
        return fgtest.wait_until(leading, seconds, 'one box leads')

    def other(self, box):
        return self.boxes[1 - box.node]

    def stop(self):
        """The standby first, so that both logs end alike, but for the leader's last epoch."""
        last = self.leader()
        for box in (self.other(last), last):
            if box.gate.running():
                box.gate.stop()


def decided(ask):
    """The answer to a question: workers of a box that has just begun to lead may still refuse for a moment."""
    def answer():
        reply = ask()
        return reply if reply.status != 'NOT_LEADER' else None
    return fgtest.wait_until(answer, TAKE_OVER, 'the workers of the new leader decide')


class PairSale(Sale):
    """A sale by a pair; its shoppers know both boxes."""

    def __init__(self, lab, total=6000, lesser=10, hold_ms=3000, redis=None, postgres=None, settings=None, alone=False,
                 start=True):
        self.lab, self.hold_ms, self.redis, self.postgres = lab, hold_ms, redis, postgres
        self.pair = Pair(lab, redis, postgres, settings)
        self.totals, self.waves, self.ended, self.last_order, self.complete = {}, [], 0, 0, True
        self.last = None  # the box that led at the end
        self.counts = {'orders': 0, 'orders_reserved': 0, 'orders_sold': 0, 'answers': 0, 'retry': 0, 'unanswered': 0}
        self.begin = lambda: (self.pair.start_first() if alone else self.pair.start(), self.open_items(total, lesser))
        if start:
            self.begin()

    @property
    def gate(self):
        """That of the box that leads."""
        return self.pair.leader().gate

    def shop(self, **options):
        self.wave_done()
        a, b = self.pair.boxes
        options = {**SHOPPERS, 'rate': RATE, 'interface': 'fgb0', 'server': a.ip, 'server_mac': a.mac, 'standby': b.ip,
                   'standby_mac': b.mac, 'items': f'1-{max(self.totals)}', 'user_base': 1 + 1000000 * len(self.waves),
                   'seed': 1 + len(self.waves), **options}
        self.waves.append(self.lab.blast(self.pair.shop, a.gate.keys, **options).start())
        self.last_order = time.monotonic() + options['seconds']

    def sells(self, more=200, seconds=20):
        """Until so many more orders are answered, and some accepted, by whoever leads."""
        self.keep_shopping(3, seconds=8)
        gate = self.gate
        reserved = lambda: gate.get('/v1/stats')['stock']['reserved']  # noqa: E731
        answered, before = self.answered(), reserved()
        fgtest.wait_until(lambda: self.answered() > answered + more and reserved() > before + 5, seconds, 'it sells')

    def take_over(self, old, end):
        """end() ends the leadership of `old`. The box that leads then; seconds until it led, and until it had decided 50
        orders."""
        began, new = time.monotonic(), self.pair.other(old)
        end()
        fgtest.wait_until(new.leads, TAKE_OVER, 'the standby leads', 0.005)
        led, self.pair.led = time.monotonic() - began, new
        decided = lambda: sum(new.gate.get('/v1/stats')['answers'][status] for status in DECIDED)  # noqa: E731
        fgtest.wait_until(lambda: decided() > 50, TAKE_OVER, 'it sells', 0.01)
        return new, led, time.monotonic() - began

    def finish(self, redis=True, stop=True):
        self.wave_done()
        self.last = self.pair.leader()
        if stop:
            self.pair.stop()
        return self.audit(redis)

    def logs(self):
        return {'log': self.last.gate.log_dir, 'peer': self.pair.other(self.last).gate.log_dir}
