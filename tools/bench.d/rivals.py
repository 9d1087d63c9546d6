# SPDX-License-Identifier: BSD-3-Clause
"""Reservations of one hot item: one worker of ours, one Redis with a Lua script, one core of PostgreSQL.

Sold out: 100 units, then a flood of rejections. Mix: the first tenth of all requests gets a unit, the rest is
rejected. Each has one CPU, and its client another one; order, user and item of every request are real, and the
answers are counted. Ours is durable before it is acknowledged, and authenticated both ways; Redis keeps nothing on
disk, or syncs its log once a second; PostgreSQL commits to disk.

Ours at a memif and Redis at a unix socket are what each does best on one machine. Over a veth, ours by AF_XDP and Redis by
TCP, both pay for the kernel's packets, as with an ordinary NIC.
"""

import json
import os
import re
import subprocess

import echo
import fgbench
import fgtest
from fgbench import Row

RUNS = 3
HERE = os.path.dirname(os.path.abspath(__file__))
CLIENT = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'rivals', 'bench_rivals')
SCRIPT = os.path.join(HERE, 'rivals', 'reserve.lua')
SHARE = 10          # one in so many requests of the mix gets a unit
WINDOW, RSIZE = 8192, 13  # of ours in the mix: acceptances wait for the disk, and the rings hold all of them
TOO_LONG = 60       # seconds
MIX_MAX = 8000000   # requests, each signed beforehand and kept in memory
PLENTY = 1 << 30    # units
REDIS_PORT = 6379   # in a namespace of its own
DEPTHS = (32, 128, 512)
CLIENTS = 16        # connections of pgbench
VETH_WINDOW, VETH_MIX = 256, 400000  # ours over a veth: a window that its queue has room for; requests a second of the mix

GATE, REDIS, AOF, PLAIN, TRY = ('floodgate', 'redis, lua', 'redis, lua, everysec', 'postgres, update',
                                'postgres, advisory try-lock')
GATE_VETH, REDIS_VETH = 'floodgate, AF_XDP on a veth', 'redis, lua, TCP on a veth'


def per_second(who, what):
    return Row(f'{who}: {what}', 'orders/s', 'higher')


def ratio(what, who, target=None):
    return Row(f'floodgate : {who}, {what}', 'ratio', 'higher', target,
               derive=lambda v: v[f'{GATE}: {what}'] / v[f'{who}: {what}'])


def veth_ratio(what):
    return Row(f'{GATE_VETH} : {REDIS_VETH}, {what}', 'ratio', 'higher',
               derive=lambda v: v[f'{GATE_VETH}: {what}'] / v[f'{REDIS_VETH}: {what}'])


ROWS = [*(per_second(who, 'sold out') for who in (GATE, REDIS, GATE_VETH, REDIS_VETH, PLAIN)),
        *(per_second(who, 'mix') for who in (GATE, REDIS, AOF, GATE_VETH, REDIS_VETH, PLAIN)),
        per_second(PLAIN, 'while it sells'), per_second(TRY, 'while it sells'),
        Row(f'{TRY}: told to try again', 'share', 'lower'),
        Row('redis, lua: pipeline depth', 'requests', 'lower'),
        ratio('sold out', REDIS, 40), ratio('mix', REDIS, 40), ratio('mix', AOF), veth_ratio('sold out'),
        veth_ratio('mix'), ratio('sold out', PLAIN), ratio('mix', PLAIN)]


def floodgate(bench):
    gate = bench.daemon().start()
    gate.fgctl('item', 'add', echo.ITEM, '--total', echo.UNITS, '--hold', '1h')
    flood = echo.load(bench, gate.keys)
    orders = min(MIX_MAX, 3000000 * bench.seconds)
    gate.fgctl('item', 'add', echo.ITEM + 1, '--total', orders // SHARE, '--hold', '1h')
    mix = bench.blast(gate.keys, device=bench.memif('client', RSIZE), flat=orders, packets=orders, seconds=TOO_LONG, shoppers=orders,
                      window=WINDOW, items=echo.ITEM + 1, user_base=1 << 40)
    gate.stop()
    check_mix(mix, orders)
    return {f'{GATE}: sold out': flood['answers_per_s'], f'{GATE}: mix': mix['answers_per_s']}


def floodgate_veth(bench):
    veth = fgbench.Veth(bench)
    gate = veth.daemon(workers__idle='spin').start()
    gate.fgctl('item', 'add', echo.ITEM, '--total', echo.UNITS, '--hold', '1h')
    flood = veth.blast(gate.keys, flat=echo.REQUESTS, shoppers=echo.REQUESTS, window=VETH_WINDOW, items=echo.ITEM)
    orders = VETH_MIX * bench.seconds
    gate.fgctl('item', 'add', echo.ITEM + 1, '--total', orders // SHARE, '--hold', '1h')
    mix = veth.blast(gate.keys, flat=orders, packets=orders, seconds=TOO_LONG, shoppers=orders, window=VETH_WINDOW,
                     items=echo.ITEM + 1, user_base=1 << 40)
    gate.stop()
    check_mix(mix, orders)
    return {f'{GATE_VETH}: sold out': flood['answers_per_s'], f'{GATE_VETH}: mix': mix['answers_per_s']}


def check_mix(mix, orders):
    told = mix['status'].get('RESERVED', 0)
    if mix['wrong_tags'] or mix['answers'] < 0.99 * orders or not 0.9 < told / (orders // SHARE) < 1.01:
        raise RuntimeError(f'{orders // SHARE} units, {orders} requests, {mix["answers"]} answers: {mix["status"]}')


class Redis:
    """One redis-server on the measured CPU, its client on the other; over a veth, or a unix socket."""

    def __init__(self, bench, everysec=False, link=None):
        where = {'ns': link.a, 'bind': link.a_ip, 'port': REDIS_PORT} if link else {}
        self.bench, self.server = bench, bench.lab.redis(persist=everysec, **where)
        self.enter, self.address = (link.b.enter(), f'{link.a_ip}:{REDIS_PORT}') if link else ([], self.server.socket)
        if everysec:
            self.server.command('CONFIG', 'SET', 'appendfsync', 'everysec')
            self.server.command('CONFIG', 'SET', 'auto-aof-rewrite-percentage', 0)  # no second process beside it
        pin(self.server.process.pid, bench.cpu)

    def reserve(self, orders, units, depth):
        done = subprocess.run([*self.enter, 'taskset', '-c', str(self.bench.generator_cpu), CLIENT, self.address, SCRIPT,
                               str(units), str(orders), str(depth)], capture_output=True, text=True, check=False)
        if done.returncode:
            raise RuntimeError(done.stderr.strip())
        found = json.loads(done.stdout)
        return found['orders'] / found['seconds']

    def best_depth(self):
        """The depth at which this server does most."""
        orders = 20000 * self.bench.seconds
        return max(DEPTHS, key=lambda depth: self.reserve(orders, orders // SHARE, depth))


def redis(bench):
    server = Redis(bench)
    depth, orders = server.best_depth(), 150000 * bench.seconds
    return {f'{REDIS}: sold out': server.reserve(orders, echo.UNITS, depth),
            f'{REDIS}: mix': server.reserve(orders, orders // SHARE, depth), 'redis, lua: pipeline depth': depth}


def redis_veth(bench):
    server = Redis(bench, link=bench.lab.pair())
    depth, orders = server.best_depth(), 150000 * bench.seconds
    return {f'{REDIS_VETH}: sold out': server.reserve(orders, echo.UNITS, depth),
            f'{REDIS_VETH}: mix': server.reserve(orders, orders // SHARE, depth)}


def redis_everysec(bench):
    server = Redis(bench, everysec=True)
    depth, orders = server.best_depth(), 150000 * bench.seconds
    return {f'{AOF}: mix': server.reserve(orders, orders // SHARE, depth)}


# One statement, prepared. Known orders end it with an error (primary key); limits of users are not asked of it.
STATEMENT = r"""\set id random(1, 9000000000000000000)
\set user random(1, 2000000000)
WITH taken AS (UPDATE item SET available = available - 1 WHERE id = 7 AND available > 0{lock} RETURNING id)
INSERT INTO orders (id, usr, item) SELECT :id, :user, id FROM taken;
"""
TRY_LOCK = ' AND pg_try_advisory_xact_lock(7)'
TABLES = """CREATE TABLE item (id bigint PRIMARY KEY, available bigint NOT NULL CHECK (available >= 0))
    WITH (fillfactor = 10);
CREATE TABLE orders (id bigint PRIMARY KEY, usr bigint NOT NULL, item bigint NOT NULL);
INSERT INTO item VALUES (7, 0)"""


class Postgres:
    """A PostgreSQL that syncs, with all of its processes on the measured CPU, pgbench on the other."""

    def __init__(self, bench, lock=''):
        self.bench, self.server = bench, bench.lab.postgres(durable=True, options=['shared_buffers=256MB'])
        self.server.sql(TABLES)
        for pid in self.server.process.family():
            pin(pid, bench.cpu)
        self.script = bench.lab.unique('reserve.sql')
        with open(self.script, 'w', encoding='ascii') as f:
            f.write(STATEMENT.format(lock=lock))
        os.chmod(self.script, 0o644)

    def sold(self):
        return int(self.server.sql('SELECT count(*) FROM orders')[0][0])

    def reserve(self, units, *limit):
        """(answers, answers per second, units sold)"""
        self.server.sql(f'UPDATE item SET available = {units}')
        self.server.sql('VACUUM item')
        before = self.sold()
        done = subprocess.run(
            ['taskset', '-c', str(self.bench.generator_cpu), os.path.join(self.server.binaries, 'pgbench'), '-n',
             '-M', 'prepared', '-c', str(CLIENTS), '-f', self.script, *map(str, limit), '-h', self.server.dir,
             '-p', str(self.server.port), '-U', self.server.user, self.server.database],
            capture_output=True, text=True, check=False)
        answers = re.search(r'transactions actually processed: (\d+)', done.stdout)
        tps = re.search(r'^tps = ([\d.]+)', done.stdout, re.MULTILINE)
        if done.returncode or not answers or not tps:
            raise RuntimeError(f'pgbench ended with {done.returncode}:\n{done.stderr}{done.stdout}')
        sold = self.sold() - before
        if sold > units:
            raise RuntimeError(f'{units} units, {sold} sold')
        return int(answers.group(1)), float(tps.group(1)), sold


def postgres(bench):
    server = Postgres(bench)
    orders = 10000 * bench.seconds // CLIENTS * CLIENTS
    _, selling, _ = server.reserve(PLENTY, '-T', bench.seconds)
    _, mix, _ = server.reserve(orders // SHARE, '-t', orders // CLIENTS)
    _, over, _ = server.reserve(echo.UNITS, '-T', bench.seconds)
    return {f'{PLAIN}: while it sells': selling, f'{PLAIN}: mix': mix, f'{PLAIN}: sold out': over}


def postgres_try(bench):
    answers, tps, sold = Postgres(bench, TRY_LOCK).reserve(PLENTY, '-T', bench.seconds)
    return {f'{TRY}: while it sells': tps * sold / answers, f'{TRY}: told to try again': 1 - sold / answers}


def pin(pid, cpu):
    """All threads, and with them all processes that it makes from now on."""
    fgtest.of_threads(pid, lambda thread: os.sched_setaffinity(thread, {cpu}))


CONTENDERS = [('floodgate', floodgate), ('redis', redis), ('redis everysec', redis_everysec),
              ('floodgate, veth', floodgate_veth), ('redis, veth', redis_veth), ('postgres', postgres),
              ('postgres try-lock', postgres_try)]
