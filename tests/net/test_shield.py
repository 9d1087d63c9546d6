#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The filter and the penalty box as a black box: an attack of 1,000 sources, nginx behind the port, the penalty box, restarts."""

import concurrent.futures
import http.client
import json
import os
import secrets
import shutil
import socket
import statistics
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgflood  # noqa: E402
import fgtest  # noqa: E402
from fgshop import ITEM, SMALL, NsClient  # noqa: E402

SPOOFED = '198.18.128.0/17'  # fgflood.py's sources
SLOWER = 8                   # how many times as long a good client's median may take under attack ...
SLOWER_MS = 40               # ... and this, on a machine with two cores that the attacker shares


class Shield:
    """A daemon on a veth, nginx with our sample configuration in the same namespace, and shoppers at the other end."""

    def __init__(self, lab, nginx=False, device=None, link=None, sample=None, **settings):
        self.lab, self.link = lab, link or lab.pair()
        port = {'device': device.format(self.link.a_if)} if device else {'interface': self.link.a_if}
        self.gate = lab.daemon(self.link.a, **port, settings={**SMALL, 'log.durability': 'memory', **settings})
        self.gate.start()
        self.link.route_to_b(SPOOFED)
        status, answer = self.gate.api('POST', '/v1/items', {'item': ITEM, 'total': 1000})
        assert status == 201, answer
        self.nginx_dir = self.start_nginx(sample) if nginx else None

    def start_nginx(self, change=None):
        """Our sample, with its log in the folder; change: what is different in it."""
        if not shutil.which('nginx'):
            raise fgtest.Skip('nginx is not installed')
        folder = self.lab.unique('nginx')
        os.makedirs(os.path.join(folder, 'shop'))
        with open(os.path.join(folder, 'shop', 'index.html'), 'w') as f:
            f.write('in stock\n')
        paths = '\n'.join(f'{n}_temp_path {folder}/{n};' for n in ('client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'))
        with open(os.path.join(fgtest.ROOT, 'config', 'nginx-floodgate.conf')) as f:
            text = f.read().replace('/var/log/nginx/', folder + '/')
        sample = os.path.join(folder, 'nginx-floodgate.conf')
        with open(sample, 'w') as f:
            f.write(change(text) if change else text)
        config = os.path.join(folder, 'nginx.conf')
        with open(config, 'w') as f:  # one process: a killed master would leave its workers behind
            f.write(f'daemon off; master_process off; user root; pid {folder}/pid; error_log {folder}/error.log info;\n'
                    f'events {{ worker_connections 2048; }}\n'
                    f'http {{ access_log off; {paths}\ninclude {sample};\n'
                    f'server {{ listen 127.0.0.1:8080; root {folder}/shop; }} }}\n')
        self.nginx = self.link.a.start('nginx', '-c', config, '-p', folder, '-e', f'{folder}/error.log')
        fgtest.wait_until(lambda: self.http() == 200, 20, 'nginx answers')
        return folder

    def tcp(self, address=None, seconds=5):
        """A connection of a shopper to nginx."""
        s = self.link.b.socket(socket.SOCK_STREAM)
        s.settimeout(seconds)
        if address:
            s.bind((address, 0))
        s.connect((self.link.a_ip, 80))
        return s

    def http(self, address=None, seconds=5):
        """Status of one request on a connection of its own; None: no answer."""
        connection = http.client.HTTPConnection(self.link.a_ip, 80, timeout=seconds)
        try:
            connection.sock = self.tcp(address, seconds)
            connection.request('GET', '/')
            answer = connection.getresponse()
            answer.read()
            return answer.status
        except (OSError, http.client.HTTPException):
            return None
        finally:
            connection.close()

    def shopper(self, address, role='shop', patience=5.0):
        """Sends order packets from an address of side b."""
        return NsClient(self.link.b, self.link.a_ip, self.gate.keys, role, patience, source=address)

    def addresses(self, *addresses):
        """Further addresses of side b, that side a finds."""
        for address in addresses:
            self.link.b.ip('addr', 'add', f'{address}/24', 'dev', self.link.b_if)
            self.link.a.ip('neigh', 'replace', address, 'lladdr', self.link.b_mac, 'dev', self.link.a_if, 'nud',
                           'permanent')

    def flood(self, **options):
        argv = [fgflood.__file__, '--interface', self.link.b_if, '--dst-mac', self.link.a_mac, '--src-mac',
                self.link.b_mac, '--server', self.link.a_ip]
        for name, value in options.items():
            argv += ['--' + name, *(map(str, value) if isinstance(value, list) else [str(value)])]
        return self.link.b.start(*argv, name='flood')

    def flooded(self, within=60, **options):
        """The same until all is sent; what was sent. It does not wait until the process has ended (see fgflood.py)."""
        flood = self.flood(**options)
        said = fgtest.wait_until(lambda: flood.output().strip() or not flood.running(), within, 'all is sent')
        assert said is not True, 'the flood ended without a word'
        return json.loads(said)

    def stats(self):
        return self.gate.get('/v1/stats')

    def verdicts(self):
        return self.stats()['filter']

    def penalties(self):
        return {p['source']: p for p in self.gate.get('/v1/filter/penalties')['penalties']}

    def top(self, name):
        classes = {c['class']: c for c in self.gate.get('/v1/filter/top')['classes']}
        return {s['source']: s for s in classes[name]['sources']}


def malformed(verdicts):
    """Packets that were dropped for their shape, whatever was wrong with it."""
    return sum(n for name, n in verdicts.items() if name.startswith(('bad-', 'order-')) or name == 'fragment')


def quantile(values, share):
    return sorted(values)[min(len(values) - 1, int(share * len(values)))]


def at_end(pid, path):
    """Whether the process has the file open and stands at its end."""
    for name in os.listdir(f'/proc/{pid}/fd'):
        try:
            if os.readlink(f'/proc/{pid}/fd/{name}') == path:
                with open(f'/proc/{pid}/fdinfo/{name}', encoding='ascii') as f:
                    return int(f.readline().split()[1]) == os.path.getsize(path)
        except OSError:
            pass
    return False


def good_client(s, seconds):
    """(requests, failed, median ms, 95 % ms) of HTTP, and of orders, of one polite client."""
    orders, results = s.shopper(s.link.b_ip), {'http': [], 'order': []}
    failed = {'http': 0, 'order': 0}
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        for kind in results:
            began = time.monotonic()
            if kind == 'http':
                ok = s.http() == 200
            else:
                try:
                    ok = orders.stock(ITEM).status == 'ON_SALE'
                except fgclient.NoReply:
                    ok = False
            results[kind].append((time.monotonic() - began) * 1000)
            failed[kind] += not ok
        fgtest.pause(0.2, 'a polite pace')
    return {k: (len(v), failed[k], statistics.median(v), quantile(v, 0.95)) for k, v in results.items()}


def slow_clients(s, addresses, each):
    """Connections that say half a header and nothing more."""
    taken = []
    for address in addresses:
        for _ in range(each):
            try:
                connection = s.tcp(address)
                connection.send(b'GET / HTTP/1.1\r\nHost: sh')
                taken.append(connection)
            except OSError:
                pass
    return taken


# ---- the attack --------------------------------------------------------------------------------------------


@fgtest.timeout(180)
def test_attack_of_1000_sources(lab):
    """1,000 sources flood orders, SYNs, malformed packets and slow connections: a good client notices nothing"""
    s = Shield(lab, nginx=True, **{'filter.order_rate': 10, 'filter.order_burst': 10})
    crowd = [f'198.18.0.{n}' for n in range(100, 110)]
    s.addresses(*crowd)
    before = good_client(s, 5)
    verdicts = s.verdicts()
    flood = s.flood(sources=1000, rate=6000, seconds=9)
    slow = slow_clients(s, crowd, 30)
    fgtest.wait_until(lambda: malformed(s.verdicts()) > malformed(verdicts), 20, 'the attack is there')
    during = good_client(s, 6)
    sent = json.loads(fgtest.wait_until(lambda: flood.output().strip(), 60, 'all is sent'))
    after = s.verdicts()
    print(f'# sent {sent}; before {before}; during {during}; slow connections {len(slow)}')
    print(f'# verdicts {({k: v - verdicts.get(k, 0) for k, v in after.items()})}')
    for kind, (requests, failed, median, late) in during.items():
        assert requests >= 10 and failed == 0, f'{kind}: {failed} of {requests} failed under attack'
        limit = before[kind][2] * SLOWER + SLOWER_MS
        assert median <= limit, f'{kind}: median {median:.1f} ms under attack, {before[kind][2]:.1f} ms without'
    assert sent['sent'] >= 20000, 'the attack was none'
    assert malformed(after) - malformed(verdicts) >= sent['by_kind']['malformed'] * 0.9
    assert after['rate-order'] - verdicts['rate-order'] >= 1000, 'loud sources are cut to their rate'
    assert sum(s.stats()['drops'].values()) > 0, 'no forged order came as far as a tag check'
    for connection in slow:
        connection.close()


# ---- nginx -------------------------------------------------------------------------------------------------


@fgtest.timeout(120)
def test_nginx_limits(lab):
    """the sample configuration: 429 above the rate and above 20 connections, slow headers are cut off; others are served"""
    s = Shield(lab, nginx=True)
    s.addresses('198.18.0.50', '198.18.0.51')
    with_limit = []
    with concurrent.futures.ThreadPoolExecutor(10) as pool:
        def is_refused():
            with_limit.extend(pool.map(lambda _: s.http('198.18.0.50'), range(100)))
            return with_limit.count(429) >= 20
        fgtest.wait_until(is_refused, 30, 'it asks above the rate, and is refused')
    assert with_limit.count(200) >= 40, with_limit
    assert set(with_limit) == {200, 429}, with_limit
    assert s.http('198.18.0.51') == 200, 'another client is not touched'
    late = s.tcp('198.18.0.51', seconds=20)
    late.send(b'GET / HTTP/1.1\r\nHost: sh')
    began = time.monotonic()
    try:
        assert late.recv(100) in (b'',), 'an answer to half a request'
    except ConnectionResetError:
        pass
    assert time.monotonic() - began >= 3, 'cut off after 5 s'
    fgtest.soon(began, 15, 'it is cut off after 5 s')
    log = open(os.path.join(s.nginx_dir, 'error.log')).read()
    assert 'limiting requests' in log and 'client timed out' in log, log


@fgtest.timeout(120)
def test_penalty_by_nginx(lab):
    """a client that nginx refuses again and again is blocked before the kernel, and comes back when its time is over"""
    s = Shield(lab, nginx=True, **{'penalty.http': 20, 'penalty.first': '3s'})
    s.addresses('198.18.0.50', '198.18.0.51')
    log = os.path.join(s.nginx_dir, 'floodgate.log')
    follower = lab.start(fgtest.program('fgctl'), '--socket', s.gate.socket, 'penalty', 'follow', '--direct', log)
    fgtest.wait_until(lambda: at_end(follower.pid, log), 10, 'it follows from the end of the file')
    fgtest.wait_until(lambda: s.http('198.18.0.50', 1) is None or '198.18.0.50' in s.penalties(), 60, 'it is blocked', 0)
    penalty = s.penalties()['198.18.0.50']
    assert (penalty['class'], penalty['level']) == ('http', 1), penalty
    assert s.http('198.18.0.51') == 200, 'only the offender is blocked'
    block = [e for e in s.gate.get('/v1/filter/block')['prefixes'] if e['prefix'] == '198.18.0.50']
    assert block and block[0]['reason'] == 'penalty 1: http', block
    fgtest.wait_until(lambda: s.http('198.18.0.50', 1) in (200, 429), 30, 'its time is over')
    s.gate.restart(kill=True)
    fgtest.wait_until(lambda: s.http('198.18.0.51', 1) is None or '198.18.0.51' in s.penalties(), 60, 'another one, later', 0)
    assert s.penalties()['198.18.0.51']['class'] == 'http'
    s.gate.kill()
    with open(log, 'a') as f:
        f.write(offence_line('198.18.0.77', 0) * 30)
    fgtest.wait_until(lambda: 'it is tried again' in follower.output(), 20, 'the daemon is missed')
    fgtest.pause(11, 'an outage longer than the window of the box: the offences are none of now')
    s.gate.start()
    with open(log, 'a') as f:
        f.write(offence_line('198.18.0.78', 0) * 30 + offence_line('198.18.0.79', 3600) * 30)
    fgtest.wait_until(lambda: '198.18.0.78' in s.penalties(), 20, 'what is new is reported')
    assert not {'198.18.0.77', '198.18.0.79'} & set(s.penalties()), s.penalties()
    assert follower.running() and follower.output().count('tried again') <= 2, follower.output()


def offence_line(peer, age_s):
    return json.dumps({'msec': f'{time.time() - age_s:.3f}', 'peer': peer, 'client': peer, 'proxy': '0', 'forwarded': '',
                       'status': '429', 'limit_req': 'REJECTED', 'limit_conn': 'PASSED'}) + '\n'


def get(s, source, path='/', headers=''):
    """One request from this address; the status, None: no answer."""
    try:
        with s.tcp(source, 2) as c:
            c.sendall(f'GET {path} HTTP/1.1\r\nHost: shop\r\nConnection: close\r\n{headers}\r\n'.encode())
            return int(c.recv(4096).split()[1])
    except (OSError, IndexError):
        return None


@fgtest.timeout(120)
def test_forged_lines_block_nobody(lab):
    """what a client writes into its requests, an error log's line or a forged X-Forwarded-For, blocks nobody else"""
    s = Shield(lab, nginx=True, sample=lambda text: text.replace('    location / {', f"""
    location /static/ {{ root {lab.dir}; }}
    location / {{""", 1).replace('# set_real_ip_from  203.0.113.0/24;', 'set_real_ip_from 0.0.0.0/0;')
        .replace('# real_ip_header', 'real_ip_header'), **{'penalty.http': 20})
    s.addresses('198.18.0.50', '198.18.0.51')
    line = ('/static/%0A2026/11/29%2012:00:00%20[error]%201%231:%20*1%20limiting%20requests,%20excess:%201%20by%20zone%20x,'
            '%20client:%20198.18.7.9,%20%0A%7B%22peer%22:%22198.18.7.9%22%7D%0A')
    answers = [get(s, '198.18.0.50', line) for _ in range(25)]
    answers += [get(s, '198.18.0.51', headers='X-Forwarded-For: 198.18.7.9\r\n') for _ in range(150)]
    assert answers.count(404) >= 20 and answers.count(429) >= 50, answers
    for log in ('error.log', 'floodgate.log'):
        said = s.gate.fgctl('penalty', 'follow', '--all', '--direct', os.path.join(s.nginx_dir, log))
        assert said['reported'] == 0, (log, said)
    assert said['proxied'] >= 50 and said['strange'] == 0, said
    assert not s.penalties()


@fgtest.timeout(120)
def test_a_cdn_is_not_blocked(lab):
    """nginx behind a proxy: listed or not, the proxy is not blocked; each client that it names has limits of its own"""
    s = Shield(lab, nginx=True, sample=lambda text: text.replace('# 203.0.113.0/24 1;', '198.18.0.60/32 1;')
               .replace('# set_real_ip_from  203.0.113.0/24;', 'set_real_ip_from 198.18.0.60/32;')
               .replace('# real_ip_header', 'real_ip_header'), **{'penalty.http': 20})
    s.addresses('198.18.0.60', '198.18.0.61')
    log = os.path.join(s.nginx_dir, 'floodgate.log')
    named = [get(s, '198.18.0.60', headers='X-Forwarded-For: 192.0.2.7\r\n') for _ in range(120)]
    assert named.count(429) >= 30, named
    assert get(s, '198.18.0.60', headers='X-Forwarded-For: 192.0.2.8\r\n') == 200, 'another client of the same CDN'
    bare = [get(s, '198.18.0.60') for _ in range(120)]
    unlisted = [get(s, '198.18.0.61', headers='X-Forwarded-For: 192.0.2.7\r\n') for _ in range(120)]
    assert bare.count(429) >= 30 and unlisted.count(429) >= 30, (bare, unlisted)
    code, out, err = s.gate.fgctl('penalty', 'follow', '--all', log, check=False)
    assert code == 0 and json.loads(out)['reported'] == 0 and json.loads(out)['proxied'] >= 90, out
    assert '198.18.0.61 forwards for others' in err and not s.penalties(), err


@fgtest.timeout(60)
def test_limits_of_ipv6_count_by_network(lab):
    """nginx limits IPv6 clients by /64, however they rotate; IPv4 clients of a socket for both families by address"""
    s = Shield(lab, nginx=True, sample=lambda text: text.replace('    listen 80 default_server backlog=4096 deferred;\n', '')
               .replace('listen [::]:80 default_server backlog=4096 deferred;', 'listen [::]:80 default_server ipv6only=off;')
               .replace('# set_real_ip_from  203.0.113.0/24;', 'set_real_ip_from 198.18.0.60/32;')
               .replace('# real_ip_header', 'real_ip_header'))
    s.addresses('198.18.0.50', '198.18.0.51', '198.18.0.60')
    answers = [get(s, '198.18.0.50') for _ in range(100)]
    assert answers.count(429) >= 20 and get(s, '198.18.0.51') == 200, answers

    def rotating(n):
        return get(s, '198.18.0.60', headers=f'X-Forwarded-For: 2001:db8:0:{n}:{secrets.token_hex(2)}::{n}\r\n')

    answers = [rotating(5) for _ in range(100)]
    assert answers.count(429) >= 20, answers
    assert rotating(6) == 200, 'another network is not touched'


# ---- evidence ----------------------------------------------------------------------------------------------


def offend(shopper, times):
    """A shop's key confirms orders, which only a backend may: with a correct tag, another packet each time."""
    for _ in range(times):
        shopper.send('CONFIRM', secrets.token_bytes(16), user=1)
        fgtest.pause(0.002, 'the pace of the offences')


@fgtest.timeout(120)
def test_penalty_of_an_offender_over_restarts(lab):
    """in the strict mode offences block their source; block and level outlive kill -9, the next one is longer; release frees"""
    s = Shield(lab, **{'penalty.role': 30, 'penalty.first': '8s', 'penalty.mode': 'suspected'})
    s.addresses('198.18.0.60', '198.18.0.61')
    offender, other = s.shopper('198.18.0.60'), s.shopper('198.18.0.61')
    offend(offender, 29)
    fgtest.wait_until(lambda: s.top('role').get('198.18.0.60', {}).get('count') == 29, 10, 'all are counted')
    assert not s.penalties(), 'one below the threshold'
    fgtest.wait_until(lambda: offend(offender, 30) or '198.18.0.60' in s.penalties(), 20, 'it is blocked')
    assert s.top('role')['198.18.0.60']['proven'] == 0
    blocked = s.verdicts()['blocked']
    offend(offender, 5)
    assert s.verdicts()['blocked'] >= blocked + 5 and other.stock(ITEM).status == 'ON_SALE'
    s.gate.restart(kill=True)
    penalty = s.penalties()['198.18.0.60']
    assert (penalty['level'], penalty['class']) == (1, 'role') and penalty['left_ms'] <= 8000, penalty
    fgtest.wait_until(lambda: not s.penalties(), 20, 'its time is over')
    assert offender.stock(ITEM).status == 'ON_SALE'
    assert not s.gate.get('/v1/filter/block')['prefixes']
    s.gate.restart(kill=True)  # it knows the level of what is over
    fgtest.wait_until(lambda: offend(offender, 30) or '198.18.0.60' in s.penalties(), 20, 'it is blocked again')
    penalty = s.penalties()['198.18.0.60']
    assert penalty['level'] == 2 and penalty['left_ms'] > 60000, penalty
    assert s.gate.fgctl('penalty', 'release', '198.18.0.60') == {'released': 1, 'unchanged': 0}
    assert offender.stock(ITEM).status == 'ON_SALE'
    for words, left in ((('del',), []), (('add', '--replace', '--reason', 'for good'), ['for good'])):
        s.gate.fgctl('penalty', 'report', '198.18.0.60', '--count', 1000)
        fgtest.wait_until(lambda: '198.18.0.60' in s.penalties(), 20, 'it is blocked')
        s.gate.fgctl('block', words[0], '198.18.0.60', *words[1:])  # the operator's word goes before the box's
        assert s.gate.fgctl('penalty', 'release', '198.18.0.60') == {'released': 1, 'unchanged': 0} and not s.penalties()
        assert [e.get('reason') for e in s.gate.get('/v1/filter/block')['prefixes']] == left


@fgtest.timeout(120)
def test_forged_sources_are_no_evidence(lab):
    """bad tags and copies of good packets with a victim's address do not block the victim; the strict mode, asked for, does; allow spares"""
    s = Shield(lab, **{'penalty.bad_tag': 50, 'penalty.malformed': 50, 'penalty.user_denied': 30, 'filter.order_rate': 0})
    victim = s.shopper(s.link.b_ip)
    assert victim.stock(ITEM).status == 'ON_SALE'  # validated, if there were such a thing
    s.flooded(only=['order'], sources=1, base=s.link.b_ip, rate=1000, seconds=3)
    seen = fgtest.wait_until(lambda: s.top('bad-tag').get(s.link.b_ip), 10, 'the flood is seen')
    assert seen['count'] >= 1000 and seen['proven'] == 0, seen
    assert victim.stock(ITEM).status == 'ON_SALE' and not s.penalties()
    # Packets that were no offence when a client sent them, caught, and sent again with the victim's address
    # when they are one; no two are alike.
    caught = [victim.packet('RESERVE', secrets.token_bytes(16), user=77, item=ITEM, quantity=1) for _ in range(200)]
    s.gate.fgctl('user', 'deny', 77)
    for packet in caught:
        victim.socket.send(packet)
        fgtest.pause(0.002, 'the pace of the copies')
    fgtest.wait_until(lambda: s.top('user-denied').get(s.link.b_ip, {}).get('count', 0) >= 150, 10, 'they are counted')
    assert victim.stock(ITEM).status == 'ON_SALE' and not s.penalties()
    s.gate.settings['penalty.mode'] = 'suspected'
    s.gate.write_config()
    s.gate.restart()
    s.gate.fgctl('allow', 'add', s.link.b_ip)
    s.flooded(only=['order'], sources=1, base=s.link.b_ip, rate=1000, seconds=2)
    fgtest.wait_until(lambda: s.stats()['penalty']['spared'] >= 1, 10, 'the allow list spares')
    assert not s.penalties() and victim.stock(ITEM).status == 'ON_SALE'
    s.gate.fgctl('allow', 'del', s.link.b_ip)
    fgtest.wait_until(lambda: s.flooded(only=['order'], sources=1, base=s.link.b_ip, rate=1000, count=500)
                      and s.link.b_ip in s.penalties(), 40, 'the strict mode believes everything, from the next window on')


# ---- eyes --------------------------------------------------------------------------------------------------


@fgtest.timeout(120)
def test_monitor_samples_explain(lab):
    """monitor mode drops nothing and counts all; samples show what would be dropped, explain says why"""
    s = Shield(lab, **{'filter.monitor': 'yes', 'filter.sample_rate': 100, 'filter.order_rate': 5, 'filter.order_burst': 5})
    s.addresses('198.18.0.70')
    sink, polite = Sink(s.link.a), s.shopper('198.18.0.70')
    s.gate.fgctl('block', 'add', '198.18.200.0/24')
    s.flooded(only=['plain'], sources=1, base='198.18.200.5', rate=200, count=100)
    fgtest.wait_until(lambda: sink.seen.get('198.18.200.5') == 100, 10, 'every packet of a blocked source comes through')
    assert s.verdicts()['blocked'] == 100
    for _ in range(30):
        assert polite.stock(ITEM).status == 'ON_SALE'
    assert s.verdicts()['rate-order'] >= 10, 'judged and counted'
    s.gate.alarm_fires('monitor', 'warning')  # it must not be forgotten
    told = s.gate.fgctl('filter', 'explain', '198.18.200.77')
    assert told['monitor'] is True and told['order']['verdict'] == told['other']['verdict'] == 'blocked', told
    assert told['block']['prefix'] == '198.18.200.0/24' and told['allow'] is None, told
    samples = fgtest.wait_until(lambda: s.gate.fgctl('filter', 'samples', '--limit', 256), 10, 'samples come')
    mine = [x for x in samples if x['source'] == '198.18.200.5']
    assert mine and mine[0]['verdict'] == 'blocked' and 'UDP 20000 > 9999' in mine[0]['text'], samples
    assert s.top('dropped')['198.18.200.5']['count'] >= 1
    s.gate.settings['filter.monitor'] = 'no'
    s.gate.write_config()
    s.gate.restart()
    s.gate.alarm_clears('monitor')
    s.flooded(only=['plain'], sources=1, base='198.18.200.5', rate=200, count=100)
    assert s.verdicts()['blocked'] == 200 and sink.seen['198.18.200.5'] == 100
    flood = s.flood(only=['order'], sources=1, base='198.18.201.9', rate=500, seconds=60)
    told = fgtest.wait_until(lambda: [t for t in (s.gate.fgctl('filter', 'explain', '198.18.201.9'),)
                                      if t['order']['verdict'] == 'rate-order'], 20, 'it is over its rate')[0]
    assert told['order']['left'] == 0 and told['order']['rate'] == 5, told
    flood.terminate()
    assert told['monitor'] is False and told['syn']['verdict'] == told['other']['verdict'] == 'pass', told
    s.gate.fgctl('allow', 'add', '198.18.201.9')
    told = s.gate.fgctl('filter', 'explain', '198.18.201.9')
    assert told['order']['verdict'] == 'order' and 'allow list' in told['order']['why'], told


@fgtest.timeout(120)
def test_full_table(lab):
    """a flood of more sources than the table holds raises an alarm, and who was there before is still served"""
    s = Shield(lab, **{'filter.sources_max': 1024, 'filter.net_factor': 1, 'filter.order_rate': 50, 'filter.order_burst': 50})
    shopper = s.shopper(s.link.b_ip)
    for _ in range(5):
        assert shopper.stock(ITEM).status == 'ON_SALE'
        fgtest.pause(0.1, 'the table knows it after two units of time')
    flood = s.flood(only=['order'], sources=20000, rate=8000, seconds=60)
    s.gate.alarm_fires('filter', 'warning', 40)
    assert s.stats()['filter_events']['source-refused'] > 0
    told = s.gate.fgctl('filter', 'explain', s.link.b_ip)
    assert 'no slot' not in told['order']['why'], told
    for _ in range(20):
        assert shopper.stock(ITEM).status == 'ON_SALE' and shopper.sent <= 40
        fgtest.pause(0.05, 'a polite pace')
    flood.terminate()
    s.gate.alarm_clears('filter')


# ---- the same in user space --------------------------------------------------------------------------------


@fgtest.timeout(300)
def test_user_space(lab):
    """a port without XDP: the same verdicts and counters for the same packets, lists that survive kill -9"""
    links = [fgtest.Link(lab.namespace(f'gate{n}'), lab.namespace(f'shop{n}'), net=n) for n in (0, 1)]
    rates = {'filter.order_rate': 20, 'filter.order_burst': 50, 'filter.sample_rate': 10}
    xdp = Shield(lab, link=links[0], **rates)
    user = Shield(lab, link=links[1], device='net_af_packet0,iface={}', **rates)
    counted = []
    for s in (xdp, user):
        for ns in (s.link.a, s.link.b):  # the kernel says nothing of its own
            ns.run('sh', '-c', 'echo 1 >/proc/sys/net/ipv6/conf/all/disable_ipv6')
        s.gate.fgctl('block', 'add', '198.18.200.0/24')
        s.gate.fgctl('allow', 'add', '198.18.202.1')
        s.gate.restart(kill=True)
        before = s.verdicts()
        for options in ({'only': ['plain', 'order', 'syn'], 'sources': 20, 'base': '198.18.200.0', 'count': 600},
                        {'only': ['malformed'], 'sources': 50, 'base': '198.18.201.0', 'count': 600},
                        {'only': ['order'], 'sources': 1, 'base': '198.18.202.1', 'count': 600},
                        {'only': ['order'], 'sources': 1, 'base': '198.18.202.2', 'count': 600}):
            s.flooded(rate=1000, **options)
        got = lambda s=s, before=before: {k: v - before.get(k, 0) for k, v in s.verdicts().items()}  # noqa: E731
        fgtest.wait_until(lambda got=got: got()['blocked'] >= 600 and malformed(got()) >= 600
                          and got()['order'] + got()['rate-order'] >= 1200, 10, 'all frames are counted')
        counted.append(got())
        client_ok = s.shopper(s.link.b_ip).stock(ITEM).status
        assert client_ok == 'ON_SALE', client_ok
    print(f'# XDP {counted[0]}; user space {counted[1]}')
    for name in counted[0]:
        if name not in ('order', 'pass', 'rate-order'):  # what depends on the time, and what the kernel says itself
            assert counted[0][name] == counted[1][name], name
    assert counted[0]['blocked'] == malformed(counted[0]) == 600
    for c in counted:
        assert c['order'] + c['rate-order'] >= 1200 and 480 <= c['rate-order'] <= 560, c
    for s, interface in ((xdp, xdp.link.a_if), (user, '-')):
        samples = s.gate.fgctl('filter', 'samples', '--limit', 256)
        assert {'blocked', 'rate-order', 'bad-ipv4', 'order-length'} <= {x['verdict'] for x in samples}, samples
        assert {x['interface'] for x in samples} == {interface} and len(samples) <= 200, samples
        mine = [x for x in samples if x['source'].startswith('198.18.200.')]
        assert mine and {x['verdict'] for x in mine} == {'blocked'} and all(x['bytes'] for x in mine), samples
        assert any(a.startswith('198.18.200.') for a in s.top('dropped')), s.top('dropped')
    assert user.gate.fgctl('filter', 'explain', '198.18.200.1')['order']['verdict'] == 'blocked'
    assert [e['hits'] for e in user.gate.get('/v1/filter/block')['prefixes']] == [600]


# ---- it stays up -------------------------------------------------------------------------------------------


class Sink(threading.Thread):
    """What reaches a UDP port of the gate's kernel, by source."""

    def __init__(self, ns):
        super().__init__(daemon=True)
        self.seen, self.over = {}, False
        self.socket = ns.socket()
        self.socket.bind(('', 9999))
        self.socket.settimeout(0.2)
        self.start()

    def run(self):
        while not self.over:
            try:
                _, (address, _) = self.socket.recvfrom(2048)
                self.seen[address] = self.seen.get(address, 0) + 1
            except TimeoutError:
                pass


@fgtest.timeout(150)
def test_no_gap(lab):
    """a blocked source sends all the time: nothing gets through a stop, a restart, kill -9 or an upgrade; lists stay"""
    s = Shield(lab)
    sink = Sink(s.link.a)
    s.gate.fgctl('block', 'add', '198.18.200.0/24')
    s.gate.fgctl('allow', 'add', '198.18.7.0/24')
    floods = [s.flood(only=['plain', 'order'], sources=20, base=base, rate=500, seconds=100)
              for base in ('198.18.200.0', '198.18.201.0')]
    fgtest.wait_until(lambda: len(sink.seen) >= 20, 20, 'who is not blocked comes through')
    orders = [s.stats()['drops']['tag']]
    for number, kill in enumerate((False, True, False)):
        before = sum(sink.seen.values())
        if number == 2:  # another program: with other tunables
            s.gate.settings['filter.order_rate'] = 1234
            s.gate.write_config()
        s.gate.kill() if kill else s.gate.stop()
        fgtest.wait_until(lambda b=before: sum(sink.seen.values()) > b + 100, 20, 'the kernel goes on without the daemon')
        s.gate.start()
        assert [e['prefix'] for e in s.gate.get('/v1/filter/block')['prefixes']] == ['198.18.200.0/24']
        assert [e['prefix'] for e in s.gate.get('/v1/filter/allow')['prefixes']] == ['198.18.7.0/24']
        fgtest.wait_until(lambda: s.stats()['drops']['tag'] > 100, 20, 'orders of others reach the workers')
        orders.append(s.stats()['drops']['tag'])
    for flood in floods:
        flood.terminate()
    sink.over = True
    wrong = {a: n for a, n in sink.seen.items() if a.startswith('198.18.200.')}
    assert not wrong, f'a blocked source came through: {wrong}'
    assert not [a for a in s.top('bad-tag') if a.startswith('198.18.200.')], 'an order of a blocked source came through'
    assert s.verdicts()['blocked'] > 1000
    print(f'# through: {sum(sink.seen.values())} of who may, none of who may not; blocked {s.verdicts()["blocked"]}')


@fgtest.timeout(120)
def test_by_hand(lab):
    """fgctl filter status, detach and attach without a daemon: lists and rates come back as they were"""
    s = Shield(lab)
    sink = Sink(s.link.a)
    s.gate.fgctl('block', 'add', '198.18.200.0/24')

    def fgctl(*words, code=0):
        done = s.link.a.start(fgtest.program('fgctl'), '--json', 'filter', *words, '--pins', s.gate.pins)
        assert done.wait(20) == code, done.output()
        return done.output() if code else json.loads(done.output())

    def mode():
        return {i['interface']: i['mode'] for i in fgctl('status')['interfaces']}[s.link.a_if]

    assert mode() == 'native'
    assert 'attached already' in fgctl('attach', s.link.a_if, code=1)
    s.gate.stop()
    assert mode() == 'native'
    flood = s.flood(only=['plain', 'order'], sources=5, base='198.18.200.0', rate=200, seconds=60)
    fgtest.wait_until(lambda: fgctl('status')['verdicts']['blocked'] >= 100, 20, 'packets are blocked without a daemon')
    assert not sink.seen
    assert fgctl('detach', s.link.a_if) == {'detached': s.link.a_if}
    assert mode() == 'detached'
    fgtest.wait_until(lambda: sum(sink.seen.values()) > 100, 20, 'packets flow unfiltered')
    assert 'no filter of ours is attached' in fgctl('detach', s.link.a_if, code=1)
    state = os.path.join(s.gate.pins, 'fg_state')
    os.rename(state, state + '_aside')
    assert 'has other lists than' in fgctl('attach', s.link.a_if, code=1) and mode() == 'detached'
    os.rename(state + '_aside', state)
    assert fgctl('attach', s.link.a_if) == {'attached': s.link.a_if}
    fgtest.pause(0.5, 'frames that were under way before the filter arrive')
    through, blocked = sum(sink.seen.values()), fgctl('status')['verdicts']['blocked']
    fgtest.wait_until(lambda: fgctl('status')['verdicts']['blocked'] > blocked + 100, 20, 'the filter is back')
    assert sum(sink.seen.values()) == through
    s.gate.start()
    assert s.shopper(s.link.b_ip).stock(ITEM).status == 'ON_SALE'
    assert sum(sink.seen.values()) == through and mode() == 'native'
    assert 'no program of ours' in fgctl('attach', 'lo', code=1)

    def state():
        status = s.gate.api('GET', '/v1/status')[1]
        return status['ports'][0]['state'], status['state'], [a['level'] for a in status['alarms'] if a['name'] == 'link']

    assert state() == ('up', 'running', [])
    fgctl('detach', s.link.a_if)  # while the daemon runs: must not stay unseen
    fgtest.wait_until(lambda: state() == ('detached', 'unhealthy', ['alarm']), 10, 'the missing program is an alarm')
    s.gate.alarm_fires('link', 'alarm')
    assert not s.gate.healthy()
    fgctl('attach', s.link.a_if)
    fgtest.wait_until(lambda: state() == ('up', 'running', []), 20, 'it is over')
    s.gate.alarm_clears('link')
    assert s.shopper(s.link.b_ip).stock(ITEM).status == 'ON_SALE' and s.gate.api('GET', '/v1/stats')[1]['ports'][0]['link_lost'] == 0
    flood.terminate()


def after_a_boot(gate):
    """Stops it; a boot leaves no pins."""
    gate.stop()
    for pin in os.listdir(gate.pins):
        os.unlink(os.path.join(gate.pins, pin))


@fgtest.timeout(120)
def test_lists_from_files(lab):
    """a start that finds no lists, as after a boot, takes them from files; one that finds them leaves them alone"""
    blocked, allowed = (os.path.join(lab.dir, name) for name in ('blocked', 'allowed'))
    for path, text in ((blocked, '198.18.200.0/24 - robots\n'), (allowed, '198.18.200.9\n')):
        with open(path, 'w') as f:
            f.write(text)
    s = Shield(lab, **{'filter.block_file': blocked, 'filter.allow_file': allowed})

    def lists():
        return [[e['prefix'] for e in s.gate.get(f'/v1/filter/{name}')['prefixes']] for name in ('block', 'allow')]

    assert lists() == [['198.18.200.0/24'], ['198.18.200.9']] and '1 entries from' in s.gate.output()
    s.gate.alarm_fires('gateways', 'warning')  # nothing limits who is allowed
    s.gate.fgctl('block', 'add', '198.18.201.0/24')
    s.gate.fgctl('block', 'del', '198.18.200.0/24')
    s.gate.restart(kill=True)
    assert lists() == [['198.18.201.0/24'], ['198.18.200.9']], 'what was said later stands'
    after_a_boot(s.gate)
    with open(blocked, 'a') as f:
        f.write('nonsense\n')
    s.gate.start()
    assert lists() == [['198.18.200.0/24'], ['198.18.200.9']], 'the wrong line is left out, the others are not'
    s.gate.alarm_fires('lists', 'warning')  # of the wrong line
    assert f'{blocked}:2: "nonsense" is not a prefix' in s.gate.output(), s.gate.output()
    after_a_boot(s.gate)
    with open(blocked, 'w') as f:
        f.write('198.18.202.0/24\n')
    s.gate.settings['limits.user_rate'] = 5
    s.gate.write_config()
    s.gate.start()
    assert lists() == [['198.18.202.0/24'], ['198.18.200.9']]
    s.gate.alarm_clears('gateways')
    s.gate.alarm_clears('lists')


def test_generic_mode(lab):
    """generic = yes: works, is said by log and status, outlives kill -9; native again only after a detach"""
    link = lab.pair()
    gate = lab.daemon(link.a, ports={'shop': {'interface': link.a_if, 'generic': 'yes'}}, settings=SMALL)
    gate.start()
    assert gate.api('POST', '/v1/items', {'item': ITEM, 'total': 10})[0] == 201
    shopper = NsClient(link.b, link.a_ip, gate.keys, 'shop', 5.0)

    def mode():
        return gate.api('GET', '/v1/status')[1]['ports'][0]['xdp'], shopper.stock(ITEM).status

    assert mode() == ('generic', 'ON_SALE') and 'XDP in generic mode: slow' in gate.output()
    gate.restart(kill=True)
    assert mode() == ('generic', 'ON_SALE')
    gate.stop()
    gate.ports['shop']['generic'] = 'no'
    gate.write_config()
    gate.start(ready=False)
    assert gate.process.wait(30) == 1 and 'attached in generic mode, the configuration wants native' in gate.output()
    done = link.a.start(fgtest.program('fgctl'), 'filter', 'detach', link.a_if, '--pins', gate.pins)
    assert done.wait(20) == 0, done.output()
    gate.start()
    assert mode() == ('native', 'ON_SALE') and 'generic' not in gate.output()


def test_replies_of_our_own_redis(lab):
    """what the configured Redis behind a port answers does not fall under other_rate"""
    link = lab.pair()
    redis = lab.redis(ns=link.b, port=6379, bind=link.b_ip)
    s = Shield(lab, link=link, **{'filter.other_rate': 5, 'filter.other_burst': 5, 'redis.address': f'{link.b_ip}:6379',
                                  'redis.timeout_ms': '1s'})
    shopper = NsClient(link.b, link.a_ip, s.gate.keys, 'shop', patience=20)
    fgtest.wait_until(lambda: s.gate.sink('redis')['state'] == 'live', 20, 'Redis is reached')
    fgtest.pause(1.1, 'the list of servers is read each second')
    limited = s.gate.get('/v1/stats')['filter']['rate-other']
    for user in range(100):  # each with a reply of Redis, far more than 5 a second
        order = secrets.token_bytes(16)
        assert shopper.reserve(user, ITEM, 1, order).status == 'RESERVED'
        fgtest.wait_until(lambda: s.gate.sink('redis')['lag'] == 0, 10, 'Redis has it')  # noqa: B023
    assert s.gate.get('/v1/stats')['filter']['rate-other'] == limited
    assert s.gate.sink('redis')['reconnects'] == 0


if __name__ == '__main__':
    fgtest.main()
