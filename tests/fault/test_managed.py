#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""Servers as clouds run them: passwords that rotate, replicas beside a primary, a fail-over, names that nobody answers."""

import os
import signal
import socket
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgfake import FakeRedis  # noqa: E402
from fgtest import wait_until  # noqa: E402

SMALL = {'eal.huge': 'no', 'eal.mbufs': 1024, 'workers.idle': 'sleep', 'log.segment_bytes': '64k', 'limits.items_max': 16,
         'limits.orders_max': 1024, 'limits.users_max': 1024, 'limits.deferred_max': 1024, 'limits.parked_max': 64,
         'redis.retry_ms_max': 200}


def live(gate):
    return gate.sink('redis')['state'] == 'live'


@fgtest.timeout(120)
def test_a_password_rotates(lab):
    """the password file is read at each connection: after a rotation the sink is live again without a restart"""
    redis = lab.redis(password='first')
    path = lab.unique('password')

    def write(text):
        with open(path + '.new', 'w', encoding='ascii') as f:
            f.write(text + '\n')
        os.chmod(path + '.new', 0o600)
        os.rename(path + '.new', path)

    write('first')
    gate = lab.daemon(device='net_null0', redis=redis, settings={**SMALL, 'redis.password_file': path}).start()
    wait_until(lambda: live(gate), 20, 'the first password is good')
    redis.command('CONFIG', 'SET', 'requirepass', 'second')
    redis.command('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes')
    wait_until(lambda: gate.sink('redis')['state'] == 'away', 20, 'the first password is good no more')
    write('second')
    gate.api('POST', '/v1/items', {'item': 1, 'total': 10})
    wait_until(lambda: live(gate), 20, 'the second password is used')
    gate.stop()


@fgtest.timeout(120)
def test_a_fail_over(lab):
    """of several servers the primary is used; after a fail-over the other one is, and nothing is lost"""
    old, new = lab.redis(port=fgtest.free_port()), lab.redis(port=fgtest.free_port())
    new.command('REPLICAOF', '127.0.0.1', old.port)
    wait_until(lambda: 'master_link_status:up' in new.command('INFO', 'replication'), 20, 'the replica follows')
    gate = lab.daemon(device='net_null0', redis=f'{new.address}, {old.address}', settings=SMALL).start()
    gate.api('POST', '/v1/items', {'item': 1, 'total': 10})
    wait_until(lambda: live(gate) and old.command('SMEMBERS', '{floodgate}:items') == ['1'], 20, 'the primary is used')
    wait_until(lambda: new.command('SMEMBERS', '{floodgate}:items') == ['1'], 20, 'the replica has it')
    new.command('REPLICAOF', 'NO', 'ONE')
    old.command('REPLICAOF', '127.0.0.1', new.port)
    gate.api('POST', '/v1/items', {'item': 2, 'total': 10})
    wait_until(lambda: sorted(new.command('SMEMBERS', '{floodgate}:items')) == ['1', '2'] and live(gate), 20,
               'the new primary is used')
    gate.stop()


class Cluster:
    """Two nodes; the second has all slots."""

    def __init__(self, lab):
        self.nodes = [self._node(lab) for _ in range(2)]
        first, second = self.nodes
        second.command('CLUSTER', 'ADDSLOTSRANGE', 0, 16383)
        first.command('CLUSTER', 'MEET', '127.0.0.1', second.port, second.bus)
        for node in self.nodes:
            wait_until(lambda: 'cluster_state:ok' in node.command('CLUSTER', 'INFO'), 60, 'the nodes know each other')  # pylint: disable=cell-var-from-loop
        self.slot = first.command('CLUSTER', 'KEYSLOT', '{floodgate}:items')

    @staticmethod
    def _node(lab):
        node = fgtest.Redis(lab, port=fgtest.free_port())
        node.bus = fgtest.free_port()
        node.options += ['--cluster-enabled', 'yes', '--cluster-port', node.bus]
        return node.start()

    def move(self):
        """The slot of all our keys goes to the first node, as redis-cli --cluster reshard does it."""
        to, origin = self.nodes
        ids = [node.command('CLUSTER', 'MYID') for node in self.nodes]
        to.command('CLUSTER', 'SETSLOT', self.slot, 'IMPORTING', ids[1])
        origin.command('CLUSTER', 'SETSLOT', self.slot, 'MIGRATING', ids[0])
        while keys := origin.command('CLUSTER', 'GETKEYSINSLOT', self.slot, 10):
            origin.command('MIGRATE', '127.0.0.1', to.port, '', 0, 10000, 'KEYS', *keys)
        for node in self.nodes:
            node.command('CLUSTER', 'SETSLOT', self.slot, 'NODE', ids[0])


@fgtest.timeout(120)
def test_a_cluster(lab):
    """the node that MOVED names is used, by sink and inbound commands; the slot moves to another node: so does the appliance"""
    cluster = Cluster(lab)
    first, second = cluster.nodes
    gate = lab.daemon(device='net_null0', redis=f'127.0.0.1:{first.port}', settings={**SMALL, 'redis.commands': 'yes'}).start()

    def serves(node, *numbers):
        gate.api('POST', '/v1/items', {'item': numbers[-1], 'total': 10})
        wait_until(lambda: items(node) == sorted(map(str, numbers)) and live(gate), 30, 'the node is used')
        command = node.command('XADD', '{floodgate}:commands', '*', 'op', 'confirm', 'user', 1, 'order', '0' * 32)
        wait_until(lambda: command in str(node.command('XRANGE', '{floodgate}:results', '-', '+')), 30, 'a result')
        assert gate.get('/v1/status')['inbound']['state'] == 'live', gate.get('/v1/status')['inbound']

    serves(second, 1)
    cluster.move()
    serves(first, 1, 2)
    first.process.signal(signal.SIGSTOP)  # no answer: the server of the list is this one, too
    wait_until(lambda: gate.sink('redis')['state'] == 'away', 30, 'it hangs')
    first.process.signal(signal.SIGCONT)
    serves(first, 1, 2, 3)
    assert gate.stop() == 0


@fgtest.timeout(60)
def test_nodes_that_name_each_other(lab):
    """two nodes that say MOVED to each other, or name none: asked with growing pauses, away with the node's words"""
    fakes = [FakeRedis(lab, tcp=True) for _ in range(2)]
    for one, other in (fakes, fakes[::-1]):
        one.lies = {name: f'-MOVED 7 {other.address}\r\n'.encode() for name in ('HMGET', 'WATCH')}
    gate = lab.daemon(device='net_null0', redis=fakes[0].address, settings=SMALL).start()
    wait_until(lambda: all(fake.connections > 5 for fake in fakes), 30, 'each is followed to the other')
    told = gate.sink('redis')
    assert told['state'] == 'away' and 'MOVED 7 127.0.0.1:' in told['error'], told
    began, before = time.monotonic(), sum(fake.connections for fake in fakes)
    wait_until(lambda: sum(fake.connections for fake in fakes) >= before + 10, 30, 'more attempts')
    assert time.monotonic() - began > 0.5, 'each waits up to redis.retry_ms_max'
    for words in ('MOVED', 'MOVED 7', 'MOVED 7 ', 'MOVED 7 :', 'MOVED 7 ?:1', 'MOVED 7 [::1:99999', 'ASK 7 127.0.0.1:1',
                  'TRYAGAIN later', 'CLUSTERDOWN the cluster is down', 'MOVED 7 ' + 'x' * 5000 + ':1'):
        fakes[0].lies = {name: f'-{words}\r\n'.encode() for name in ('HMGET', 'WATCH')}
        fakes[0].drop()
        wait_until(lambda: words[:20] in gate.sink('redis')['error'], 20, words)  # pylint: disable=cell-var-from-loop
    fakes[0].lies = {name: f'-MOVED 7 :{fakes[1].address.split(":")[1]}\r\n'.encode() for name in ('HMGET', 'WATCH')}
    fakes[1].lies, before = {}, fakes[1].connections
    wait_until(lambda: fakes[1].connections > before, 20, 'no host is this host')
    assert gate.stop() == 0


def items(redis):
    """The items that it has; None while it cuts connections off, as one that is promoted does."""
    try:
        return sorted(redis.command('SMEMBERS', '{floodgate}:items'))
    except OSError:
        return None


def sentinel(lab, primary):
    """A Sentinel that watches the primary, and decides alone; its port."""
    folder, port = lab.unique('sentinel'), fgtest.free_port()
    os.mkdir(folder)
    config = os.path.join(folder, 'sentinel.conf')
    with open(config, 'w', encoding='ascii') as f:
        f.write(f'port {port}\nbind 127.0.0.1\ndir {folder}\nsentinel monitor shop 127.0.0.1 {primary} 1\n'
                'sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n')
    lab.start('redis-server', config, '--sentinel')
    return port


def knows(port, replica):
    with socket.create_connection(('127.0.0.1', port), 5) as s:
        s.sendall(b'SENTINEL REPLICAS shop\r\n')
        return str(replica.port).encode() in s.recv(65536)


@fgtest.timeout(120)
def test_sentinel_names_the_primary(lab):
    """Sentinels say which Redis is the primary; when that one dies, the one that they promote is used, and nothing is lost"""
    old, new = lab.redis(port=fgtest.free_port()), lab.redis(port=fgtest.free_port())
    new.command('REPLICAOF', '127.0.0.1', old.port)
    wait_until(lambda: 'master_link_status:up' in new.command('INFO', 'replication'), 20, 'the replica follows')
    port = sentinel(lab, old.port)
    gate = lab.daemon(device='net_null0', redis=f'127.0.0.1:1, 127.0.0.1:{port}',
                      settings={**SMALL, 'redis.sentinel': 'shop'}).start()
    gate.api('POST', '/v1/items', {'item': 1, 'total': 10})
    wait_until(lambda: live(gate) and old.command('SMEMBERS', '{floodgate}:items') == ['1'], 20, 'the primary is used')
    wait_until(lambda: new.command('SMEMBERS', '{floodgate}:items') == ['1'], 20, 'the replica has it')
    wait_until(lambda: knows(port, new), 30, 'the Sentinel knows of the replica')
    old.kill()
    gate.api('POST', '/v1/items', {'item': 2, 'total': 10})
    wait_until(lambda: items(new) == ['1', '2'] and live(gate), 60, 'the promoted one is used')
    gate.stop()


@fgtest.timeout(60)
def test_sentinel_knows_no_such_primary(lab):
    """a name that Sentinel does not know: the sink is away, and says so"""
    redis = lab.redis(port=fgtest.free_port())
    port = sentinel(lab, redis.port)
    gate = lab.daemon(device='net_null0', redis=f'127.0.0.1:{port}', settings={**SMALL, 'redis.sentinel': 'stall'}).start()
    wait_until(lambda: "the Sentinel knows no primary 'stall'" in gate.sink('redis')['error'], 20, 'it says why')
    assert gate.sink('redis')['state'] == 'away'
    gate.stop()


@fgtest.timeout(120)
def test_dead_names_hold_no_stop(lab):
    """a name server that never answers: the stop waits for no look-up of Redis, libpq or librdkafka"""
    ns = lab.namespace('nowhere')
    gate = lab.daemon(ns, device='net_null0', redis='redis.example.test:6379', settings={
        **SMALL, 'postgres.conninfo': 'host=postgres.example.test dbname=shop user=shop connect_timeout=60',
        'kafka.brokers': 'kafka.example.test:9092'})
    resolv = lab.unique('resolv.conf')
    with open(resolv, 'w', encoding='ascii') as f:
        f.write('nameserver 192.0.2.1\noptions timeout:20 attempts:3\n')
    ns.ip('link', 'set', 'lo', 'up')
    ns.ip('addr', 'add', '192.0.2.1/32', 'dev', 'lo')
    silent = ns.socket()
    silent.bind(('192.0.2.1', 53))
    gate.start(wrapper=('unshare', '-m', 'sh', '-c', f'mount --bind {resolv} /etc/resolv.conf && exec "$@"', 'sh'))
    wait_until(lambda: gate.sink('redis')['state'] == 'away', 30, 'the name is looked up in vain')
    asked = b''
    silent.settimeout(20)
    while not all(name in asked for name in (b'redis', b'postgres', b'kafka')):
        asked += silent.recv(512)
    began = time.monotonic()
    assert gate.stop() == 0
    print(f'# stopped in {time.monotonic() - began:.1f} s')
    fgtest.soon(began, 6, 'it stops')
    assert 'sink postgres: ' in gate.output() and 'it is left behind' in gate.output(), gate.output()[-1000:]
    silent.close()


if __name__ == '__main__':
    fgtest.main()
