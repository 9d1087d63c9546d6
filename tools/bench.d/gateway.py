# SPDX-License-Identifier: BSD-3-Clause
"""What an order over HTTP costs nginx: our module, next to `return 200`, Lua with UDP sockets, and Lua on Redis.

nginx has one CPU with one worker; the other one has everything else: the generator and the appliance behind a veth, or Redis. Sold out:
every answer is 409. Idle event streams, and orders over TLS on the whole machine, are measured by themselves.
"""

import contextlib
import json
import os
import re
import resource
import shutil
import subprocess

import fgtest
from fgbench import Row
from fggateway import LOCATIONS, PORT, Gateway
from fgshop import ITEM, NsClient

RUNS = 3
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), 'gateway')
PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'gateway', 'bench_gateway')
SYNC_PROGRAM = os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'sync', 'bench_sync')
RESERVE = os.path.join(os.path.dirname(HERE), 'rivals', 'reserve.lua')
LUA = ('/usr/lib/nginx/modules/ndk_http_module.so', '/usr/lib/nginx/modules/ngx_http_lua_module.so')
CONNECTIONS, PLENTY, ACCEPTED_RATE, STREAMS = 64, 10000000, 1000, 100000
SOLD_OUT, PLAIN = 'sold out', 'return 200'
BODY = '{"item":7,"quantity":1}'
TEXT = ('{"type":"urn:floodgate:problem:sold-out","title":"Sold out","status":409,"code":"SOLD_OUT","order":'
        '"00000000-0000-0000-0000-000000000000","item":"7","left":0,"retry_ms":1000}')

CPU, HALF = 'CPU time of nginx a request', 'p99 at half load'


def times(what, name, against, better, target):
    return Row(f'{name} : {against}, {what}', 'ratio', better, target, derive=lambda v: v[f'{name}: {what}'] / v[f'{against}: {what}'])


ROWS = [Row(f'{name}: {CPU}', 'us', 'lower') for name in (PLAIN, SOLD_OUT, 'lua, udp', 'lua, redis')]
ROWS += [times(CPU, SOLD_OUT, PLAIN, 'lower', 1.25), times(CPU, 'lua, udp', SOLD_OUT, 'higher', 4),
         times(CPU, 'lua, redis', SOLD_OUT, 'higher', None)]
ROWS += [Row(f'{name}: answers', '1/s', 'higher') for name in (PLAIN, SOLD_OUT, 'lua, udp', 'lua, redis')]
ROWS += [Row(f'{name}: answers a second of CPU time', '1/s', 'higher', derive=lambda v, name=name: 1e6 / v[f'{name}: {CPU}'])
         for name in (PLAIN, SOLD_OUT)]
ROWS += [Row(f'{name}: {HALF}', 'ms', 'lower') for name in (PLAIN, SOLD_OUT)]
ROWS += [Row(f'{SOLD_OUT}: p99 beyond {PLAIN}, half load', 'ms', 'lower', 1,
             derive=lambda v: v[f'{SOLD_OUT}: {HALF}'] - v[f'{PLAIN}: {HALF}']),
         Row('accepted, 1,000/s: p99', 'ms', 'lower'), Row(f'{PLAIN}, 1,000/s: p99', 'ms', 'lower'),
         Row('one disk sync, 1,000/s: p99', 'ms', 'lower'),
         Row(f'accepted: p99 beyond {PLAIN} and one sync', 'ms', 'lower', 1,
             derive=lambda v: v['accepted, 1,000/s: p99'] - v[f'{PLAIN}, 1,000/s: p99'] - v['one disk sync, 1,000/s: p99']),
         Row('idle event streams: memory of nginx', 'MiB', 'lower', 1536), Row('idle event streams: one event to all', 's', 'lower', 1),
         Row('orders over TLS, whole machine', 'orders/s', 'higher')]


@contextlib.contextmanager
def on_cpu(cpu):
    """What is started inside has this CPU and no other."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {cpu})
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def receivers():
    """The kernel's threads that receive for a device."""
    found = set()
    for pid in filter(str.isdigit, os.listdir('/proc')):
        with contextlib.suppress(OSError), open(f'/proc/{pid}/comm', encoding='ascii') as f:
            if f.read().startswith('napi/'):
                found.add(int(pid))
    return found


class Edge:
    """An appliance and nginx with one worker on the measured CPU; all else on the other one."""

    def __init__(self, bench, total=0, pinned=True, workers=1, **options):
        self.bench, self.pinned = bench, pinned
        with on_cpu(bench.generator_cpu) if pinned else contextlib.nullcontext():
            self.link = bench.lab.pair()
            self.gate = bench.lab.daemon(self.link.a, interface=self.link.a_if, settings={
                'workers.cpus': bench.generator_cpu, 'workers.idle': 'sleep', 'filter.order_rate': 0,
                'limits.orders_max': 2000000, 'limits.users_max': 2000000, 'eal.huge': 'yes' if bench.huge else 'no'})
            self.gate.start()
            self.gate.fgctl('item', 'add', ITEM, '--total', total or 1, '--hold', '1h')
            self.shop = NsClient(self.link.b, self.link.a_ip, self.gate.keys)
            if not total and self.shop.reserve(1, ITEM, 1).status != 'RESERVED':
                raise RuntimeError('the only unit was not to be had')
            top = f'worker_rlimit_nofile {resource.getrlimit(resource.RLIMIT_NOFILE)[1]}; '
            top += f'worker_cpu_affinity {1 << bench.cpu:b}; ' if pinned else ''
            options['top'] = top + options.get('top', '')
            self.web = Gateway(bench.lab, self.link.b, self.link.a_ip, self.gate.keys, workers=workers, **{
                'locations': LOCATIONS + f"location = /plain {{ default_type application/problem+json; return 200 '{TEXT}'; }}\n", **options}).start()
        self.worker = self.web.worker_pids()[0]
        if pinned:
            self.receive_elsewhere()

    def receive_elsewhere(self):
        """The appliance's end of the veth receives in a thread of the kernel, on the appliance's CPU, and not where nginx sends."""
        before = receivers()
        fgtest.command('ip', 'netns', 'exec', self.link.a.name, 'sh', '-c', f'echo 1 > /sys/class/net/{self.link.a_if}/threaded')
        for pid in receivers() - before:
            os.sched_setaffinity(pid, {self.bench.generator_cpu})

    def request(self, path, user='UUUUUUUUU'):
        name = self.bench.lab.unique('request')
        with open(name, 'w', encoding='ascii', newline='') as f:
            f.write(f'POST {path} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-User: {user}\r\n'
                    f'Idempotency-Key: {"K" * 32}\r\nContent-Length: {len(BODY)}\r\n\r\n{BODY}')
        return name

    def cpu_s(self):
        with open(f'/proc/{self.worker}/stat', encoding='ascii') as f:
            fields = f.read().rsplit(')', 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf('SC_CLK_TCK')

    def load(self, path, status, rate=0, connections=CONNECTIONS):
        """What the generator found, and the CPU time of nginx; every answer has this status."""
        self.bench.wait_for_quiet()
        before = self.cpu_s()
        found = json.loads(self.link.b.run('taskset', '-c', str(self.bench.generator_cpu), PROGRAM, 'load', str(PORT), self.request(path),
                                           str(connections), str(self.bench.seconds), str(rate)))
        if set(found['status']) != {str(status)}:
            raise RuntimeError(f'{path}: {found}; {self.web.errors()[-2000:]}')
        return {'cpu_us': 1e6 * (self.cpu_s() - before) / found['answers'], 'per_s': found['answers'] / found['seconds'],
                'p99_ms': found['p99_us'] / 1000}

    def figures(self, name, path, status):
        found = self.load(path, status)
        return {f'{name}: {CPU}': found['cpu_us'], f'{name}: answers': found['per_s']}


def ours(bench):
    edge = Edge(bench)
    found = {**edge.figures(PLAIN, '/plain', 200), **edge.figures(SOLD_OUT, '/v1/orders', 409)}
    rate = found[f'{SOLD_OUT}: answers'] / 2
    found[f'{PLAIN}: {HALF}'] = edge.load('/plain', 200, rate)['p99_ms']
    found[f'{SOLD_OUT}: {HALF}'] = edge.load('/v1/orders', 409, rate)['p99_ms']
    return found


def accepted(bench):
    edge = Edge(bench, total=PLENTY)
    done = subprocess.run(['taskset', '-c', str(bench.generator_cpu), SYNC_PROGRAM, os.path.join(bench.lab.dir, 'sync'), '128',
                           str(ACCEPTED_RATE), str(bench.seconds), 'usual'], stdout=subprocess.PIPE, text=True, check=True)
    return {f'{PLAIN}, 1,000/s: p99': edge.load('/plain', 200, ACCEPTED_RATE)['p99_ms'],
            'accepted, 1,000/s: p99': edge.load('/v1/orders', 200, ACCEPTED_RATE)['p99_ms'],
            'one disk sync, 1,000/s: p99': json.loads(done.stdout)['p99'] / 1000}


def lua(file, variables):
    """The locations of an API in Lua."""
    for module in LUA:
        if not os.path.exists(module):
            raise RuntimeError(f'{module} is not there: install the packages of tools/setup --for bench')
    return {'top': ''.join(f'load_module {m}; ' for m in LUA),
            'http': "lua_package_path '/usr/share/lua/5.1/?.lua;;'; lua_package_cpath '/usr/lib/x86_64-linux-gnu/lua/5.1/?.so;;';",
            'locations': LOCATIONS + f'location = /lua {{ {variables} content_by_lua_file {os.path.join(HERE, file)}; }}\n'}


def lua_udp(bench):
    edge = Edge(bench, **lua('orders.lua', ''))
    keys, shop = edge.gate.keys, next(number for number, role in edge.gate.keys.ROLES.items() if role == 'shop')
    edge.web.locations = lua('orders.lua', f'set $floodgate_server {edge.link.a_ip}; set $floodgate_key_id {shop}; '
                             f'set $floodgate_secret {keys.secrets[shop].hex()};')['locations']
    reload(edge)
    return edge.figures('lua, udp', '/lua', 409)


def reload(edge):
    edge.web.write_config()
    old = edge.worker
    edge.web.reload()
    edge.worker = fgtest.wait_until(lambda: [p for p in edge.web.worker_pids() if p != old], 20, 'the new worker')[0]


def lua_redis(bench):
    with on_cpu(bench.generator_cpu):
        server = bench.lab.redis()
    with open(RESERVE, encoding='utf-8') as f:
        sha = server.command('SCRIPT', 'LOAD', f.read())
    server.command('SET', 'left', 0)
    edge = Edge(bench, **lua('redis.lua', f'set $redis_socket {server.socket}; set $reserve_sha {sha};'))
    return edge.figures('lua, redis', '/lua', 409)


def memory_mib(pid):
    with open(f'/proc/{pid}/smaps_rollup', encoding='ascii') as f:
        return int(re.search(r'^Pss: +(\d+) kB', f.read(), re.M).group(1)) / 1024


def streams(bench):
    """As many workers of nginx, and clients' processes, as the files that a process may have ask for; nothing is pinned."""
    clients = max(10, int(STREAMS * bench.scale))
    processes = -(-clients // (resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 2000))
    each = -(-clients // processes)
    edge = Edge(bench, total=50, pinned=False, workers=processes, connections=each + 1500)
    request = bench.lab.unique('request')
    with open(request, 'w', encoding='ascii', newline='') as f:
        f.write('GET /v1/events HTTP/1.1\r\nHost: x\r\n\r\n')
    workers = fgtest.wait_until(lambda: len(edge.web.worker_pids()) == processes and edge.web.worker_pids(), 20, 'all workers')
    before = sum(map(memory_mib, workers))
    listeners = [edge.link.b.start(PROGRAM, 'events', str(PORT), request, str(each), str(n * each), stdin=subprocess.PIPE, name='streams')
                 for n in range(processes)]

    def said(n):
        """Whether all have said n lines; the last ones."""
        for one in listeners:
            if not one.running():
                raise RuntimeError(f'{one.output()}\n{edge.web.errors()[-2000:]}')
        lines = [one.output().splitlines() for one in listeners]
        return all(len(one) >= n for one in lines) and [one[-1] for one in lines]

    fgtest.wait_until(lambda: said(1), 300, f'{clients} streams are open')
    held = sum(map(memory_mib, workers)) - before
    for one in listeners:
        one.popen.stdin.write(b'now\n')
        one.popen.stdin.flush()
    edge.shop.reserve(2, ITEM, 1)
    heard = [line.split() for line in fgtest.wait_until(lambda: said(2), 90, 'all have heard')]
    if any(left != '0' for _, left in heard):
        raise RuntimeError(f'some of {clients} streams heard nothing: {heard}')
    return {'idle event streams: memory of nginx': held * STREAMS / (each * processes),
            'idle event streams: one event to all': max(float(seconds) for seconds, _ in heard)}


def machine(bench):
    if not shutil.which('wrk'):
        raise RuntimeError('wrk is not there: install the packages of tools/setup --for bench')
    cert, key = (os.path.join(bench.lab.dir, name) for name in ('cert.pem', 'key.pem'))
    fgtest.command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-subj', '/CN=localhost',
                   '-keyout', key, '-out', cert)
    edge = Edge(bench, total=PLENTY, pinned=False, workers=2,
                listen=f'listen 127.0.0.1:8443 ssl reuseport; ssl_certificate {cert}; ssl_certificate_key {key};')
    said = edge.link.b.run('wrk', '-t1', f'-c{CONNECTIONS}', f'-d{bench.seconds}s', '-s', os.path.join(HERE, 'orders-wrk.lua'),
                           'https://127.0.0.1:8443')
    if 'Non-2xx' in said:
        raise RuntimeError(said)
    return {'orders over TLS, whole machine': float(re.search(r'Requests/sec: +([\d.]+)', said).group(1))}


CONTENDERS = [('floodgate', ours), ('accepted', accepted), ('lua, udp', lua_udp), ('lua, redis', lua_redis), ('streams', streams),
              ('machine', machine)]
