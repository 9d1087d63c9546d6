#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The daemon as a black box: order packets in, replies and log out, across starts, stops and kills."""

import glob
import json
import os
import signal
import socket
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgdisk  # noqa: E402
import fgtest  # noqa: E402
from fgshop import ITEM, SMALL, NsClient, Shop, add_item, workers  # noqa: E402

TEN = {'total': 10}


def run_an_order(s):
    order, other = os.urandom(16), os.urandom(16)
    reply = s.shop.reserve(1, ITEM, 1, order)
    assert (reply.status, reply.quantity, reply.item) == ('RESERVED', 1, ITEM), reply
    assert 55000 < reply.deadline_ms - time.time() * 1000 < 65000, reply
    again = s.shop.reserve(1, ITEM, 1, order)
    assert (again.status, again.deadline_ms) == ('RESERVED', reply.deadline_ms), 'the same answer to a repeat'
    assert s.shop.reserve(1, ITEM, 2, order).status == 'CONFLICT'
    assert s.shop.query(1, order).status == 'RESERVED'
    assert s.shop.confirm(1, order).status == 'DENIED', 'a shop may not confirm'
    assert s.backend.confirm(1, order).status == 'SOLD'
    assert s.monitor.query(1, order).status == 'SOLD'
    second = s.shop.reserve(2, ITEM, 3, other)
    assert (second.status, second.quantity) == ('RESERVED', 3), second
    assert s.shop.cancel(2, other).status == 'CANCELLED'
    assert s.monitor.query(3, os.urandom(16)).status == 'UNKNOWN_ORDER'
    assert s.monitor.stock(ITEM).status == 'ON_SALE'
    assert s.monitor.stock(8).status == 'UNKNOWN_ITEM'
    s.settle(10, 9, 0, 1)


def test_an_order_over_ipv4(lab):
    """reserve, repeat, confirm, cancel, query and stock over IPv4"""
    run_an_order(Shop(lab, TEN))


def test_an_order_over_ipv6(lab):
    """reserve, repeat, confirm, cancel, query and stock over IPv6"""
    run_an_order(Shop(lab, TEN, v6=True))


def test_two_workers_one_queue(lab):
    """two workers behind one queue: users are handed to their owner, the last unit is sold by either"""
    s = Shop(lab, {'total': 40}, workers=2)
    sold = [s.reserve(user)[0] for user in range(1, 61)]
    assert sold.count('RESERVED') == 40 and sold.count('SOLD_OUT') == 20, sold
    assert workers(s.gate, 'rx')[1] == 0 and workers(s.gate, 'handed_off')[0] > 10
    assert workers(s.gate, 'tx')[1] == 0, 'replies leave by the queue that the request came in by'
    assert min(workers(s.gate, 'orders_in_memory')) > 5
    s.settle(40, 0, 40, 0)


def test_four_workers_two_queues(lab):
    """four workers behind two queues of one veth"""
    s = Shop(lab, {'total': 30}, queues=2, workers=4)
    sold = [s.reserve(user)[0] for user in range(1, 41)]
    assert sold.count('RESERVED') == 30 and sold.count('SOLD_OUT') == 10, sold
    assert sum(workers(s.gate, 'rx')) >= 40 and workers(s.gate, 'rx')[2:] == [0, 0]
    s.settle(30, 0, 30, 0)


def test_every_idle_policy(lab):
    """spin, yield and sleep, two workers on one CPU: orders are answered, SIGTERM ends it"""
    s = Shop(lab, {'total': 40}, workers=2, **{'workers.cpus': '0,0'})
    for user, idle in enumerate(('spin', 'yield', 'sleep'), 1):
        s.gate.settings['workers.idle'] = idle
        s.gate.write_config()
        s.gate.restart()
        for order in range(10):
            assert s.reserve(10 * user + order)[0] == 'RESERVED'
            fgtest.pause(0.005, 'the thread of the log falls asleep between two orders')
        rang = sum(workers(s.gate, 'rang'))
        assert rang == 0 if idle == 'spin' else rang >= 3, f'{idle}: the log was woken {rang} times for 10 orders'
    assert s.gate.stop() == 0


def sleeps(gate):
    """A function that tells how often each worker has slept since. A sched_yield is none: the kernel counts it as involuntary."""
    def count():
        counts = []
        for task in fgtest.threads(gate.process.pid, 'worker'):
            with open(f'/proc/{gate.process.pid}/task/{task}/status', encoding='ascii') as f:
                counts += [int(line.split()[1]) for line in f if line.startswith('voluntary_ctxt_switches')]
        return counts
    before = count()
    assert len(before) == 2, before
    return lambda: [b - a for a, b in zip(before, count())]


@fgtest.timeout(120)
def test_idle_workers_leave_the_cpu(lab):
    """a worker that yields or sleeps does leave its CPU to the kernel's threads many times a second, one that spins never"""
    s = Shop(lab, TEN, workers=2, **{'workers.cpus': '0,0'})
    for idle, least in (('spin', 0), ('yield', 6), ('sleep', 100)):
        s.gate.settings['workers.idle'] = idle
        s.gate.write_config()
        s.gate.restart()
        began, slept = time.monotonic(), sleeps(s.gate)
        if least:
            fgtest.wait_until(lambda: min(slept()) >= least, 40, f'a worker that is told to {idle} leaves the CPU')  # noqa: B023
            assert max(slept()) <= 20000 * (time.monotonic() - began), 'not in each loop'
        else:
            fgtest.pause(1, 'the interval that is measured')
            assert min(slept()) <= 5, slept()
    assert s.gate.stop() == 0


def test_the_log_comes_first(lab):
    """the thread that writes the log has real-time priority, the least there is, and no other thread has"""
    if subprocess.run(['chrt', '-r', '1', 'true'], stderr=subprocess.DEVNULL, check=False).returncode:
        raise fgtest.Skip('real-time priorities are refused here')
    s = Shop(lab, TEN)
    policies = fgtest.of_threads(s.gate.process.pid, os.sched_getscheduler)
    journal, = fgtest.threads(s.gate.process.pid, 'fg-journal')
    assert policies.pop(journal) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR, policies
    assert os.sched_getparam(journal).sched_priority == 1
    assert set(policies.values()) == {os.SCHED_OTHER}, policies


def test_frames_that_get_no_answer(lab):
    """wrong tag, unknown key, wrong length and magic get no answer and are counted"""
    s = Shop(lab, TEN)
    good = s.shop.packet('QUERY', user=1)
    forged = good[:56] + bytes(b ^ 1 for b in good[56:])
    unknown = good[:4] + struct.pack('<H', 999) + good[6:]
    for bad in (forged, unknown, good[:-1], good + b'\0', b'XX' + good[2:]):
        s.shop.socket.send(bad)
    assert s.shop.receive(0.3) is None

    def counted():
        stats = s.gate.get('/v1/stats')
        drops = stats['drops']
        return (drops['tag'], drops['key'], drops['length'] + drops['magic'] + fgtest.malformed(stats))
    fgtest.wait_until(lambda: counted() == (1, 1, 3), 5, 'each is counted')
    assert s.shop.query(1, bytes(16)).status == 'UNKNOWN_ORDER'


def test_kernel_traffic_passes(lab):
    """what is no order packet goes on to the kernel: ping over both protocols"""
    s = Shop(lab, TEN)
    for ip in (s.link.a_ip, s.link.a_ip6):
        assert ' 0% packet loss' in s.link.b.run('ping', '-c', '2', '-i', '0.1', '-W', '2', ip)


def test_kill_and_restart(lab):
    """kill -9: a restart needs no cleaning and knows every acknowledged order"""
    s = Shop(lab, {'total': 20}, workers=2)
    held = {user: s.reserve(user)[1] for user in range(1, 13)}
    for user in (1, 2, 3):
        assert s.backend.confirm(user, held[user]).status == 'SOLD'
    assert s.shop.cancel(4, held[4]).status == 'CANCELLED'
    for workers_count in (2, 1, 3):
        s.gate.kill()
        s.gate.settings['workers.count'] = workers_count
        s.gate.write_config()
        s.gate.start()
        assert s.totals() == (20, 9, 8, 3)
        for user, order in held.items():
            want = 'SOLD' if user < 4 else 'CANCELLED' if user == 4 else 'RESERVED'
            assert s.shop.query(user, order).status == want
            if want != 'CANCELLED':
                assert s.reserve(user, order=order)[0] == want, 'idempotent over a restart'
    got = [s.reserve(user)[0] for user in range(100, 115)]
    assert got.count('RESERVED') == 9 and got.count('SOLD_OUT') == 6, got


def test_sigterm_under_load(lab):
    """SIGTERM while orders come in: exit 0, and every order that was acknowledged is in the log"""
    s = Shop(lab, {'total': 100000}, workers=2, **{'filter.order_rate': 0})
    acknowledged, users = [], {}

    def shop():
        n = 0
        while s.gate.running():
            n += 1
            order = os.urandom(16)
            users[order] = n
            try:
                s.shop.send('RESERVE', order, user=n, item=ITEM, quantity=1)
            except OSError:
                return
            while (reply := s.shop.receive(0.0005)):
                if reply.status == 'RESERVED':
                    acknowledged.append(reply.order_id)

    thread = threading.Thread(target=shop)
    thread.start()
    fgtest.wait_until(lambda: len(acknowledged) > 100, 20, 'orders are acknowledged')
    begin = time.monotonic()
    assert s.gate.stop() == 0
    fgtest.soon(begin, 8, 'it stops')
    thread.join()
    while (reply := s.shop.receive(0.1)):
        if reply.status == 'RESERVED':
            acknowledged.append(reply.order_id)
    s.gate.start()
    for order in acknowledged[-300:]:
        assert s.shop.query(users[order], order).status == 'RESERVED'
    assert s.totals()[2] >= len(set(acknowledged)) > 100


def test_item_commands(lab):
    """items and stock by the control API: conflicts, removal from slices, changes in force at once"""
    s = Shop(lab, {'total': 10}, workers=2)
    api = s.gate.api
    assert api('POST', '/v1/items', {'item': 7, 'total': 1})[0] == 409
    assert s.reserve(1)[0] == 'RESERVED' and s.reserve(2)[0] == 'RESERVED'
    status, text = api('POST', '/v1/items/7/stock', {'remove': 9})
    assert status == 409 and '8' in json.dumps(text), (status, text)
    assert api('POST', '/v1/items/7/stock', {'remove': 8})[0] == 200
    assert s.reserve(3)[0] == 'SOLD_OUT'
    assert api('POST', '/v1/items/7/stock', {'add': 1})[0] == 200
    assert s.reserve(3)[0] == 'RESERVED'
    s.settle(3, 0, 3, 0)
    assert api('PATCH', '/v1/items/7', {'paused': True})[0] == 200
    assert s.shop.once('RESERVE', os.urandom(16), user=4, item=ITEM, quantity=1)[0] == 'PAUSED'
    assert api('POST', '/v1/items/99/stock', {'add': 1})[0] == 404


def test_keys_reload(lab):
    """keys are replaced while orders run: the new one works at once, the old one gets no answer"""
    s = Shop(lab, TEN, workers=2)
    old = s.shop.secret
    s.gate.keys.secrets[1] = os.urandom(16)
    s.gate.keys.write()
    assert s.gate.api('POST', '/v1/keys/reload')[0] in (200, 204)
    assert s.shop.silence('STOCK', item=ITEM)
    s.shop.secret = s.gate.keys.secrets[1]
    assert s.shop.stock(ITEM).status == 'ON_SALE'
    with open(s.gate.keys.path, 'w') as f:
        f.write('1 shop nonsense\n')
    status, answer = s.gate.api('POST', '/v1/keys/reload')
    assert status == 400 and ':1' in json.dumps(answer), (status, answer)
    assert s.shop.stock(ITEM).status == 'ON_SALE', 'a wrong file changes nothing'
    s.gate.keys.secrets[1] = old
    s.gate.keys.write()
    s.gate.process.signal(signal.SIGHUP)
    s.shop.secret = old
    assert s.shop.stock(ITEM).status == 'ON_SALE', 'SIGHUP reloads too'


def test_redis_follows(lab):
    """Redis is replicated to; without it the sale goes on and the status says so"""
    redis = lab.redis(persist=True)
    s = Shop(lab, TEN, redis=redis, **{'redis.timeout_ms': '200ms', 'redis.retry_ms_max': '200ms'})
    assert s.reserve(1)[0] == 'RESERVED'
    status = lambda: s.gate.get('/v1/status')  # noqa: E731
    fgtest.wait_until(lambda: s.gate.sink('redis')['lag'] == 0 and s.gate.sink('redis')['state'] == 'live', 5, 'Redis follows')
    redis.kill()
    assert s.reserve(2)[0] == 'RESERVED'
    fgtest.wait_until(lambda: s.gate.sink('redis')['state'] == 'away', 5, 'Redis is away')
    fgtest.wait_until(lambda: status()['state'] == 'degraded', 5, 'degraded')
    assert s.gate.healthy(), 'degraded, but healthy'
    assert s.gate.sink('redis')['lag'] > 0
    redis.start()
    fgtest.wait_until(lambda: s.gate.sink('redis')['state'] == 'live' and s.gate.sink('redis')['lag'] == 0, 5, 'caught up')


def test_a_port_without_kernel(lab):
    """net_null: receives, counts frames that are no orders, stops"""
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048})
    gate.start()
    fgtest.wait_until(lambda: workers(gate, 'other')[0] > 1000, 5, 'frames of net_null are counted')
    assert gate.get('/v1/stats')['ports'][0]['rx_packets'] > 1000
    assert gate.stop() == 0


def test_host_without_kernel(lab):
    """a port without a kernel behind it answers ARP, neighbour discovery and ping, and sells"""
    link = lab.pair(neighbours=False)
    link.a.ip('addr', 'flush', 'dev', link.a_if)  # no address: this kernel answers nothing
    gate = lab.daemon(link.a, ports={'shop': {'device': f'net_af_packet0,iface={link.a_if}',
                                              'address': f'{link.a_ip}, {link.a_ip6}'}}, settings=SMALL)
    ping = lambda *words: link.b.run('ping', '-n', '-c', '2', '-i', '0.2', '-W', '2', *words, check=False)  # noqa: E731
    assert ' 0% packet loss' not in ping(link.a_ip), 'nobody is there yet'
    link.b.ip('neigh', 'flush', 'all')
    gate.start()
    for address in (link.a_ip, link.a_ip6):
        for size in ('0', '56', '333', '1400'):
            out = ping('-s', size, address)
            assert ' 0% packet loss' in out, out
    assert ' 0% packet loss' not in ping('198.18.0.77'), 'not our address'
    assert workers(gate, 'neighbour')[0] >= 18, gate.get('/v1/stats')
    add_item(gate, 5)
    for address in (link.a_ip, link.a_ip6):
        assert NsClient(link.b, address, gate.keys).reserve(1, ITEM, 1).status == 'RESERVED'
    before = workers(gate, 'neighbour')[0]
    link.b.run('ping', '-n', '-f', '-c', '3000', '-i', '0', '-q', link.a_ip, check=False)
    fgtest.wait_until(lambda: workers(gate, 'neighbour')[0] > before, 5, 'pings are answered')
    assert gate.stop() == 0


def test_hugepages_of_a_killed_daemon(lab):
    """hugepages: used when they are free, and those of a killed daemon are taken back"""
    def free():
        with open('/proc/meminfo') as f:
            return next(int(line.split()[1]) for line in f if line.startswith('HugePages_Free'))
    if free() < 64:
        raise fgtest.Skip('fewer than 64 hugepages are free')
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048, 'eal.huge': 'yes'})
    files = lambda: glob.glob(f'/dev/hugepages/{gate.tag}*')  # noqa: E731
    for _ in range(3):
        gate.start()
        assert 'no hugepages' not in gate.output()
        used = len(files())
        assert used, 'it uses hugepages'
        gate.kill()
    gate.start()
    assert len(files()) == used, 'nothing piles up'
    gate.stop()
    assert not files(), 'a clean stop leaves nothing'


def test_pins_in_a_private_mount_namespace(lab):
    """pins that end with the daemon, as under `ip netns exec`, are said at start; those that stay are not"""
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if, settings=SMALL)
    private = ('unshare', '-m', '--propagation', 'private', 'sh', '-c', 'mount -t bpf none /sys/fs/bpf && exec "$@"', 'sh')
    gate.start(wrapper=private)
    lines = [line for line in gate.output().splitlines() if 'lie in a mount namespace of this process' in line]
    assert len(lines) == 1 and ' warning ' in lines[0] and 'ip netns exec' in lines[0], gate.output()
    gate.stop()
    gate.start()
    assert 'lie in a mount namespace' not in gate.output(), gate.output()
    assert ' ready: 1 worker, 1 queue, ' in gate.output(), gate.output()
    gate.stop()


def only_mount(options):
    """A wrapper of a command: the only hugetlbfs that it sees, or none."""
    mount = f'mount -t hugetlbfs -o {options} none /dev/hugepages' if options else 'true'
    return ('unshare', '-m', '--propagation', 'private', 'sh', '-c',
            f'while umount /dev/hugepages 2>/dev/null; do :; done; {mount} && exec "$@"', 'sh')


def test_hugepages_that_cannot_be_used(lab):
    """hugepages: read-only, limited, of another size, without mount, reserved: it starts, and says which it is"""
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048, 'eal.huge': 'yes'})
    cases = [('', 'no hugetlbfs is mounted'), ('pagesize=2M,ro', '/dev/hugepages is mounted read-only'),
             ('pagesize=2M,size=8M', 'the limit of the mount /dev/hugepages leaves 8 MiB')]
    if os.path.exists('/sys/kernel/mm/hugepages/hugepages-1048576kB'):
        cases.append(('pagesize=1G', 'in pages of 1048576 KiB'))
    for options, words in cases:
        gate.start(wrapper=only_mount(options))
        lines = [line for line in gate.output().splitlines() if 'no hugepages' in line]
        assert len(lines) == 1 and words in lines[0] and 'MiB are needed' in lines[0], gate.output()
        assert ' error ' not in gate.output(), gate.output()
        gate.stop()


def test_one_file_prefix_twice(lab):
    """a second process of the same file_prefix is told who has it; a killed one is waited for"""
    gate = lab.daemon(device='net_null0', settings=SMALL).start()
    other = lab.daemon(device='net_null0', settings={**SMALL, 'eal.file_prefix': gate.tag})
    other.start(ready=False)
    assert other.process.wait(20) == 1, other.output()
    errors = [line for line in other.output().splitlines() if ' error ' in line]
    words = f'file_prefix {gate.tag} is in use by process {gate.process.popen.pid};'
    assert len(errors) == 1 and words in errors[0], other.output()
    assert gate.healthy()
    gate.restart(kill=True)
    assert gate.stop() == 0


def test_telemetry(lab):
    """DPDK's telemetry socket shows workers, stock and drops, without hugepages too"""
    s = Shop(lab, TEN, workers=2)
    assert s.reserve(1)[0] == 'RESERVED'
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as t:
        t.connect(f'/var/run/dpdk/{s.gate.tag}/dpdk_telemetry.v2')
        t.recv(16384)
        answers = {}
        for command in ('workers', 'stock', 'drops'):
            t.send(f'/floodgate/{command}'.encode())
            answers[command] = json.loads(t.recv(65536))[f'/floodgate/{command}']
    assert answers['workers']['worker0']['orders'] == 1 and answers['stock']['reserved'] == 1, answers
    assert answers['drops']['tag'] == 0


def test_systemd_is_told(lab):
    """NOTIFY_SOCKET gets READY=1 and STOPPING=1"""
    path = lab.unique('notify')
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as n:
        n.bind(path)
        n.settimeout(10)
        gate.start(wrapper=['env', f'NOTIFY_SOCKET={path}'])
        assert n.recv(256).startswith(b'READY=1')
        gate.stop()
        assert n.recv(256).startswith(b'STOPPING=1')


def test_what_is_wrong_is_said(lab):
    """--check and a start that cannot succeed say why, and exit 1"""
    gate = lab.daemon(device='net_null0', settings=SMALL)
    code, text = gate.check()
    assert code == 0 and 'ok' in text and 'MiB' in text, text
    gate.settings['workers.count'] = 65
    gate.settings['log.batch_max'] = 'many'
    gate.write_config()
    code, text = gate.check()
    assert code == 1 and len(text.splitlines()) == 2 and f'{gate.config}:' in text, text
    del gate.settings['workers.count'], gate.settings['log.batch_max']
    cases = [({'shop': {'interface': 'nosuchif'}}, 'nosuchif'), ({'shop': {'device': 'net_nosuch0'}}, 'net_nosuch0')]
    for ports, word in cases:
        gate.ports = ports
        gate.write_config()
        gate.start(ready=False)
        assert gate.process.wait(20) == 1 and word in gate.output(), gate.output()
        assert 'port shop' in gate.output()


def test_only_one_writer(lab):
    """a second daemon on the same log is refused and leaves the first alone"""
    s = Shop(lab, TEN)
    other = lab.daemon(device='net_null0', settings={**SMALL, 'log.dir': s.gate.log_dir})
    other.start(ready=False)
    assert other.process.wait(20) == 1 and s.gate.log_dir in other.output(), other.output()
    assert s.reserve(1)[0] == 'RESERVED'


def test_second_signal_ends_at_once(lab):
    """while a stop waits for a Redis that is away, a second signal ends it at once, with 1"""
    s = Shop(lab, TEN, redis=f'unix:{lab.dir}/nowhere')
    s.gate.process.signal(signal.SIGTERM)
    fgtest.wait_until(lambda: ' stopping' in s.gate.output(), 5, 'it stops')
    fgtest.pause(0.5, 'less than the 2 s that it waits for Redis')
    assert s.gate.running()
    begin = time.monotonic()
    s.gate.process.signal(signal.SIGINT)
    assert s.gate.process.wait(5) == 1
    fgtest.soon(begin, 1, 'it ends at once')
    s.gate.start()
    assert s.totals() == (10, 10, 0, 0)


def test_a_worker_that_stands_still(lab):
    """a worker that makes no loop for 2 s is unhealthy, and healthy again when it goes on"""
    gate = lab.daemon(device='net_null0', settings={**SMALL, 'eal.mbufs': 2048, 'workers.count': 2})
    gate.start()
    with fgtest.held(gate.worker_thread(1)):
        fgtest.wait_until(lambda: gate.api('GET', '/healthz')[0] == 503, 5, 'unhealthy')
        fgtest.wait_until(lambda: gate.get('/v1/status')['workers_stalled'] == 1 and 'worker 1 is stalled' in gate.output(), 5,
                          'it is told')
        gate.alarm_fires('workers', 'alarm')
    fgtest.wait_until(gate.healthy, 5, 'healthy again')
    gate.alarm_clears('workers')
    assert gate.stop() == 0


def full_disk(lab, disk):
    s = Shop(lab, {'total': 3000}, **{'log.dir': f'{disk}/log', 'log.segment_bytes': '64k', 'filter.order_rate': 0})
    fgdisk.fill(f'{disk}/filler')
    statuses = []
    while 'BUSY' not in statuses and len(statuses) < 2000:
        s.shop.send('RESERVE', os.urandom(16), user=len(statuses) + 1, item=ITEM, quantity=1)
        reply = s.shop.receive(0.3)
        statuses.append(reply and reply.status)
    assert statuses[-1] == 'BUSY' and set(statuses[:-1]) <= {'RESERVED', None}, statuses[-5:]
    fgtest.wait_until(lambda: s.gate.api('GET', '/healthz')[0] == 503 and s.gate.get('/v1/status')['log']['state'] == 'full', 5,
                      'it is told')
    assert s.monitor.query(1, os.urandom(16)).status == 'UNKNOWN_ORDER'
    os.unlink(f'{disk}/filler')
    fgtest.wait_until(s.gate.healthy, 5, 'healthy when there is room')
    assert s.reserve(5000)[0] == 'RESERVED'
    assert s.gate.stop() == 0


def test_a_full_disk(lab):
    """no room for the log: what needs a record is BUSY, rejections go on; with room again it sells"""
    with fgdisk.tmpfs(lab, '1m') as disk:
        full_disk(lab, disk)


if __name__ == '__main__':
    fgtest.main()
