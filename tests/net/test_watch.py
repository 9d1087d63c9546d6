#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The read-only listener of a running daemon: by curl, by promtool, and by Debian's Prometheus."""

import json
import os
import re
import socket
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgprometheus import Prometheus  # noqa: E402
from fgshop import Shop  # noqa: E402

LISTEN = '127.0.0.1:9460'  # in the namespace of the daemon


def curl(ns, path, *options):
    """(HTTP status, body) by Debian's curl, in the namespace."""
    said = subprocess.run([*ns.enter(), 'curl', '-s', '-m', '10', '-w', '\n%{http_code}', *options, f'http://{LISTEN}{path}'],
                          capture_output=True, text=True, check=False, timeout=30)
    body, _, code = said.stdout.rpartition('\n')
    return int(code), body


def listeners(gate):
    """TCP addresses at which the daemon listens, by the word of the kernel."""
    said = gate.ns.run('ss', '-H', '-l', '-t', '-n', '-p')
    return [line.split()[3] for line in said.splitlines() if f'pid={gate.process.pid},' in line]


def test_off_by_default(lab):
    """without [metrics] listen the daemon listens at no TCP port"""
    s = Shop(lab)
    assert listeners(s.gate) == []
    s.audit(lab)


def histograms_add_up(stats):
    """A thread counts an event and adds it to a histogram one after the other: they agree when nothing happens."""
    latency, commits = stats['latency'], stats['commits']['records']
    return (latency['decide']['count'] == stats['workers'][0]['orders'] >= 1
            and latency['durable']['count'] == latency['send']['count'] >= 1
            and (commits['count'], commits['sum']) == (stats['log']['commits'], stats['log']['records'])
            and stats['commits']['took_ns']['count'] == commits['count'] and stats['commits']['took_ns']['p99'] > 1000)


def test_curl_and_promtool(lab):
    """curl reads the three pages and can change nothing; promtool dislikes nothing; both sockets show the same numbers"""
    s = Shop(lab, **{'metrics.listen': LISTEN})
    assert listeners(s.gate) == [LISTEN]
    assert s.reserve(1)[0] == 'RESERVED'
    s.settle(100, 99, 1, 0)
    fgtest.wait_until(lambda: histograms_add_up(s.gate.get('/v1/stats')), 10, 'each histogram has what the counters count')
    status, page = curl(s.gate.ns, '/metrics')
    assert status == 200, page
    tool = subprocess.run(['promtool', 'check', 'metrics'], input=page, capture_output=True, text=True, check=False,
                          timeout=30)
    assert (tool.returncode, tool.stdout, tool.stderr) == (0, '', ''), (tool.stdout, tool.stderr)
    assert '\nfloodgate_item_units{item="7",state="reserved"} 1\n' in page
    names = set(re.findall(r'^# TYPE (\w+) ', page, re.M))
    assert names == set(re.findall(r'^# TYPE (\w+) ', s.gate.api('GET', '/metrics')[1], re.M))
    assert curl(s.gate.ns, '/healthz') == (200, '{"healthy":true}')
    status, text = curl(s.gate.ns, '/status')
    mine, theirs = json.loads(text), s.gate.get('/v1/status')
    assert (mine['log']['durable_seq'], mine['state']) == (theirs['log']['durable_seq'], theirs['state']), mine
    assert set(theirs) - set(mine) == {'api'}, set(theirs) ^ set(mine)
    for method, path in (('POST', '/v1/items/7/close'), ('DELETE', '/v1/filter/block'), ('PATCH', '/v1/items/7')):
        assert curl(s.gate.ns, path, '-X', method)[0] == 404, (method, path)
    assert curl(s.gate.ns, '/metrics', '-X', 'POST')[0] == 405
    assert s.gate.get('/v1/items/7')['state'] == 'open'
    s.audit(lab)


def as_nobody(gate, socket, *words):
    """fgctl by a user without rights: (exit code, output and error text)."""
    said = subprocess.run(['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', fgtest.program('fgctl'), '--socket', socket,
                           *words], capture_output=True, text=True, check=False, timeout=30)
    return said.returncode, said.stdout + said.stderr


def test_viewer_socket_and_audit_trail(lab):
    """a user of the viewer's socket reads and changes nothing; the trail names who changed what, also across a restart"""
    folder = lab.unique('run')
    os.mkdir(folder)
    os.chmod(folder, 0o755)
    viewer = f'{folder}/viewer.sock'
    os.chmod(lab.dir, 0o755)
    s = Shop(lab, **{'api.viewer': viewer, 'api.viewer_mode': '0666', 'api.mode': '0660'})
    assert as_nobody(s.gate, viewer, 'health') == (0, 'healthy\n')
    code, text = as_nobody(s.gate, viewer, 'item', 'list')
    assert code == 0 and 'shoe' in text, text
    code, text = as_nobody(s.gate, viewer, 'stats', '--json')
    assert code == 0 and json.loads(text)['stock'] == s.gate.fgctl('stats')['stock'], text
    for words in (('pause', '7'), ('keys', 'reload'), ('order', 'show', '1', '0' * 32), ('audit',)):
        code, text = as_nobody(s.gate, viewer, *words)
        assert code != 0 and 'no such path' in text, (words, code, text)
    assert s.gate.get('/v1/items/7')['state'] == 'open'
    os.chmod(os.path.dirname(s.gate.socket), 0o755)
    os.chmod(s.gate.socket, 0o666)
    code, text = as_nobody(s.gate, s.gate.socket, 'pause', '7')
    assert code == 0, text
    s.gate.fgctl('resume', '7')
    assert s.gate.fgctl('stock', 'remove', '7', '101', check=False)[0] != 0
    wanted = [('root', '/v1/items/7/stock', 409), ('root', '/v1/items/7/resume', 200), ('nobody', '/v1/items/7/pause', 200)]

    def trail():
        entries = s.gate.fgctl('audit', '--limit', '3')
        assert all(e['command'] == 'fgctl' and abs(e['time_ms'] / 1000 - time.time()) < 60 for e in entries), entries
        return [(e['user'], e['path'], e['code']) for e in entries]

    assert trail() == wanted
    s.gate.kill()
    s.gate.start()
    assert trail() == wanted
    assert s.gate.stop() == 0 and not os.path.exists(viewer)
    code, text = lab.audit(log=s.gate.log_dir)
    assert code == 0, text


def test_rates_change_while_it_runs(lab):
    """rates and monitor mode: in force at once, shown beside the file, in the audit trail, and those of the file after a restart"""
    s = Shop(lab)

    def over_rate():
        return s.gate.get('/v1/stats')['filter']['rate-order']

    def ask(times):
        for _ in range(times):
            s.shop.send('STOCK', item=7)

    rates = s.gate.fgctl('filter', 'rates')
    assert rates['in_force'] == rates['file'] and rates['file']['order_rate'] == 2000 and rates['file']['monitor'] is False, rates
    code, _, text = s.gate.fgctl('filter', 'set', '--order-burst', '0', check=False)
    assert code != 0 and 'order_burst = 0 is not in' in text, text
    assert s.gate.fgctl('filter', 'rates') == rates and over_rate() == 0
    changed = s.gate.fgctl('filter', 'set', '--order-rate', '1', '--order-burst', '2')
    assert (changed['in_force']['order_rate'], changed['in_force']['order_burst'], changed['file']) == (1, 2, rates['file'])
    ask(30)
    fgtest.wait_until(lambda: over_rate() >= 20, 10, 'the new rate drops packets')
    s.gate.fgctl('filter', 'set', '--order-rate', '0')
    assert s.reserve(1)[0] == 'RESERVED'
    before = over_rate()  # what was sent before the reservation has been counted
    ask(30)
    assert s.reserve(2)[0] == 'RESERVED' and over_rate() == before, 'no rate: nothing is dropped'
    s.gate.fgctl('filter', 'set', '--monitor', 'true')
    fgtest.wait_until(lambda: s.alarms().get('monitor') == 'warning', 10, 'monitor mode is told')
    trail = [(e['path'], e['code'], json.loads(e['body'])) for e in s.gate.fgctl('audit', '--limit', '4')]
    assert trail == [('/v1/filter/rates', 200, {'monitor': True}), ('/v1/filter/rates', 200, {'order_rate': 0}),
                     ('/v1/filter/rates', 200, {'order_rate': 1, 'order_burst': 2}), ('/v1/filter/rates', 400, {'order_burst': 0})]
    assert s.gate.stop() == 0
    s.gate.start()
    assert s.gate.fgctl('filter', 'rates') == rates
    s.audit(lab)


def test_taken_port(lab):
    """a start says which address is taken, and --check which address this machine lacks"""
    s = Shop(lab, **{'metrics.listen': LISTEN})
    other = lab.daemon(s.link.b, ports={'shop': {'interface': s.link.b_if}},
                       settings={'metrics.listen': '192.0.2.7:9460', 'eal.huge': 'no'})
    code, text = other.check()
    assert code != 0 and '[metrics] listen: cannot listen at 192.0.2.7:9460: Cannot assign requested address' in text, text
    with s.link.b.inside():
        taken = socket.create_server(('127.0.0.1', 9460))
    other.settings['metrics.listen'] = LISTEN
    other.write_config()
    other.start(ready=False)
    fgtest.wait_until(lambda: not other.running(), 60, 'the daemon refuses the address')
    taken.close()
    assert f'metrics: cannot listen at {LISTEN}: Address already in use' in other.output(), other.output()
    s.audit(lab)


@fgtest.timeout(180)
def test_prometheus(lab):
    """every panel and every rule finds data in Debian's Prometheus; alerts fire and clear with their alarms"""
    redis, archive = lab.redis(), lab.unique('archive')
    os.mkdir(archive)
    s = Shop(lab, redis=redis, workers=2, **{'redis.commands': 'yes', 'metrics.listen': LISTEN, 'log.archive': archive})
    prometheus = Prometheus(lab, s.gate.ns)
    status, order = s.reserve(1)
    assert status == 'RESERVED'
    redis.command('XADD', '{floodgate}:commands', '*', 'op', 'confirm', 'user', '1', 'order', order.hex())
    # those of a pair and of a fleet: tests/fault/test_pair_address.py, test_fleet.py
    assert prometheus.panels_have_data(lambda query: not re.search('floodgate_(pair|fleet)_', query)) > 80
    rules = prometheus.rules()
    assert len(rules) > 20
    for rule in rules:
        selector = re.sub(r' (==|>=) \d+$', '', rule['query'])
        assert selector != rule['query'] and prometheus.query(selector), rule['name']
    said = s.gate.get('/v1/stats')['alarm_levels']
    ruled = {alarm for rule in rules for alarm in re.findall(r'alarm="(\w+)"', rule['query'])}
    assert ruled == set(said), ruled ^ set(said)
    fgtest.wait_until(lambda: all(r['health'] == 'ok' for r in prometheus.rules()), 20, 'all rules were evaluated')
    fgtest.wait_until(lambda: not {'FloodgateAlarmSink', 'FloodgateDown'} & set(prometheus.firing()), 20, 'all is quiet')
    redis.kill()
    wanted = {'FloodgateAlarmSink': 'warning', 'FloodgateAlarmInbound': 'warning'}
    fgtest.wait_until(lambda: wanted.items() <= prometheus.firing().items(), 30, 'both alerts fire')
    redis.start()
    prometheus.alert_clears('FloodgateAlarmSink')
    with fgtest.held(s.gate.worker_thread(1)):
        prometheus.alert_fires('FloodgateUnhealthy')
    prometheus.alert_clears('FloodgateUnhealthy')
    s.audit(lab)
    fgtest.wait_until(lambda: prometheus.up() == [0.0], 20, 'Prometheus sees the daemon gone')
    prometheus.alert_fires('FloodgateDown')
    s.gate.start()
    prometheus.alert_clears('FloodgateDown')


if __name__ == '__main__':
    fgtest.main()
