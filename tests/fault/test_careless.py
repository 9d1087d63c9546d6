#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Careless operators and rude clients: wrong files, taken ports and sockets, signals at bad moments, floods of rubbish.

Each wrong thing has a defined answer that says what and where; a sale that runs is never disturbed by it.
"""

import json
import os
import random
import re
import signal
import socket
import stat
import subprocess
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
from fgsale import HOT, Sale, fgtest  # noqa: E402
from fgtest import command, wait_until  # noqa: E402

SMALL = {'limits.orders_max': 20000, 'limits.users_max': 20000, 'eal.huge': 'no', 'eal.mbufs': 4096}
ORDER_PORT = 4600


def small_gate(lab, ports=None, ns=None, **settings):
    return lab.daemon(ns, ports=ports or {'shop': {'device': 'net_null0'}}, settings={**SMALL, **settings})


def refused(gate, *words, seconds=20):
    """A start that must fail with exit code 1 and these words in what it says, once."""
    gate.start(ready=False)
    code = gate.process.wait(seconds)
    text = gate.output()
    assert code == 1, (code, text)
    for word in words:
        assert word in text, (word, text)
    return text


def refused_both_ways(gate, *words):
    """By --check and by a start, with the same words."""
    code, text = gate.check()
    assert code == 1 and all(word in text for word in words), (code, words, text)
    refused(gate, *words)


def line_of(gate, key):
    with open(gate.config, encoding='utf-8') as f:
        return next(n for n, line in enumerate(f, 1) if re.match(rf'{key}\b', line))


# ---- configuration ---------------------------------------------------------------------------------------


def test_wrong_settings(lab):
    """a wrong value, an unknown setting, a missing one: refused with file, line, value and what is accepted"""
    cases = [('workers.count', 65, '65', '1..64'), ('log.batch_max', 'many', 'many', '1..65536'),
             ('api.mode', '0999', '0999', '0600'), ('log.durability', 'tape', 'tape', 'disk'),
             ('limits.orders_max', -1, '-1', '64..2000000000'), ('redis.timeout_ms', '2 days', '2 days', '10'),
             ('workers.handoff', 1000, '1000', 'power of two'), ('filter.pins', 'relative', 'relative', '')]
    for name, value, *words in cases:
        gate = small_gate(lab, **({'redis.address': '127.0.0.1:1'} if name.startswith('redis') else {}), **{name: value})
        key = name.split('.')[1]
        refused_both_ways(gate, f'{gate.config}:{line_of(gate, key)}: ', key, *words)
    gate = small_gate(lab, **{'workers.cuont': 2})
    refused_both_ways(gate, f'{gate.config}:{line_of(gate, "cuont")}: ', 'cuont')
    gate = small_gate(lab, **{'orders.keys': None})
    refused_both_ways(gate, f'{gate.config}:', '[orders] keys')
    with open(gate.config, 'w', encoding='utf-8') as f:
        f.write('this is no ini file\n')
    refused_both_ways(gate, f'{gate.config}:1: ')
    os.unlink(gate.config)
    refused_both_ways(gate, gate.config, 'No such file')
    done = subprocess.run([fgtest.program('floodgate'), '--confg', 'x'], capture_output=True, text=True, timeout=20)
    assert done.returncode == 2 and 'usage' in done.stderr, done


@fgtest.timeout(180)
def test_check_and_start_say_the_same(lab):
    """what a setting names is missing or unusable: --check and the start refuse it with the same line, without a panic"""
    def written(name, text):
        path = lab.unique(name)
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        return path

    properties = written('properties', 'compression.type = lz4\nsecurity.protocol = nosuch\n')
    cases = [('workers.cpus', '1023', 'this process may not use CPU 1023', 'accepted: 0'),
             ('log.dir', written('file', 'x') + '/log', 'Not a directory'),
             ('api.group', 'nosuchgroup', 'no group "nosuchgroup"'),
             ('api.socket', f'{lab.dir}/no/such/folder/sock', f'{lab.dir}/no/such: No such file or directory'),
             ('api.socket', written('precious', 'x'), 'is not a socket'),
             ('kafka.properties_file', properties, f'{properties}:2: ', 'nosuch'),
             ('postgres.conninfo', 'nosuchword', 'not a connection string')]
    for name, value, *words in cases:
        section, key = name.split('.')
        more = {'kafka.brokers': '127.0.0.1:1'} if section == 'kafka' else {}
        gate = small_gate(lab, **more, **{name: value})
        line = f'{gate.config}:{line_of(gate, key)}: [{section}] {key}: '
        refused_both_ways(gate, line, *words)
        assert 'PANIC' not in gate.output() and gate.output().count(line) == 1, gate.output()
    link = lab.pair()
    gate = small_gate(lab, {'shop': {'interface': 'nosuchif'}}, link.a)
    refused_both_ways(gate, '[port shop]', 'no interface nosuchif')


@fgtest.timeout(120)
def test_wrong_key_files_fail_the_check(lab):
    """a key file with bad digits, a wrong role, a doubled key, mode 0666 or no key: --check refuses it as the start does"""
    gate = small_gate(lab)
    path, secret = gate.keys.path, gate.keys.secrets[1].hex()
    for text, mode, *words in ((f'1 shop {secret[:-2]}zz\n', 0o600, f'{path}:1: '), ('', 0o600, path),
                               (f'1 boss {secret}\n', 0o600, f'{path}:1: '), (f'1 shop {secret}\n', 0o666, '0666'),
                               (f'1 shop {secret}\n2 shop {secret}\n', 0o600, f'{path}:2: ')):
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        os.chmod(path, mode)
        refused_both_ways(gate, f'{gate.config}:{line_of(gate, "keys")}: [orders] keys: ', *words)
        assert secret not in gate.output() and secret[:-2] not in gate.check()[1]


@fgtest.timeout(120)
def test_limits_below_the_logs_need(lab):
    """a log with more items than items_max: --check and the start refuse it; with room for them both take it"""
    gate = small_gate(lab, **{'limits.items_max': 3}).start()
    for item in (1, 2, 3):
        assert gate.api('POST', '/v1/items', {'item': item, 'total': 1})[0] == 201
    assert gate.check()[0] == 0, 'beside the running daemon, too'
    gate.stop()
    gate.settings['limits.items_max'] = 2
    gate.write_config()
    refused_both_ways(gate, 'items_max = 2 is too small for the log: it has 3 items')
    gate.settings['limits.items_max'] = 3
    gate.write_config()
    assert gate.check()[0] == 0
    gate.start()
    assert gate.stop() == 0


def test_one_wrong_line_of_a_list(lab):
    """a block list with a repeated and a broken line: --check and the start name them, and the rest is in force"""
    path = lab.unique('blocked')
    with open(path, 'w', encoding='utf-8') as f:
        f.write('198.18.1.0/24\n198.18.2.0/24\n198.18.1.0/24\n' + 'x' * 300 + '\n198.18.3.0/24 - feed\n')
    gate = small_gate(lab, **{'filter.block_file': path})
    words = (f'{path}:3: the prefix is in line 1 already', '(and 1 more lines are wrong): 4')
    code, text = gate.check()
    assert code == 0 and all(word in text for word in ('warning: ', *words)), (code, text)
    gate.start()
    listed = json.dumps(gate.get('/v1/filter/block'))
    assert all(f'198.18.{i}.0/24' in listed for i in (1, 2, 3)), listed
    wait_until(lambda: 'lists' in [a['name'] for a in gate.get('/v1/status')['alarms']], 10, 'the alarm')
    assert all(word in gate.output() for word in words), gate.output()
    assert gate.stop() == 0


def test_wrong_keys(lab):
    """key file missing, writable by others, a folder, damaged: refused with its name (and line), never its secret"""
    gate = small_gate(lab)
    path, secret = gate.keys.path, gate.keys.secrets[1].hex()
    os.unlink(path)
    refused_both_ways(gate, f'{gate.config}:{line_of(gate, "keys")}: ', path, 'no such file')
    os.mkdir(path)
    refused(gate, path)
    os.rmdir(path)
    gate.keys.write()
    os.chmod(path, 0o666)
    refused(gate, path, '0666', '0600')
    os.chmod(path, 0o600)
    for number, text in ((2, f'1 shop {secret}\n2 boss {secret[::-1]}\n'), (1, f'1 shop {secret[:-1]}\n'),
                         (1, f'0 shop {secret}\n'), (3, f'1 shop {secret}\n\n1 backend {secret[::-1]}\n'),
                         (1, f'1 shop {secret} more\n')):
        with open(path, 'w', encoding='utf-8') as f:
            f.write(text)
        said = refused(gate, f'{path}:{number}: ')
        assert secret not in said and secret[::-1] not in said and secret[:-1] not in said, said
    with open(path, 'w', encoding='utf-8') as f:
        f.write('# nothing\n')
    refused(gate, path)
    gate.keys.write()
    gate.start()
    assert gate.stop() == 0


# ---- ports and sockets -----------------------------------------------------------------------------------


def test_wrong_ports(lab):
    """no such interface, a queue that it lacks, XDP of another program, no such device: refused, named, undone"""
    link = lab.pair()
    gate = small_gate(lab, {'shop': {'interface': 'nosuchif'}}, link.a)
    refused(gate, 'port shop', 'nosuchif')
    gate = small_gate(lab, {'shop': {'interface': link.a_if, 'queues': 2}}, link.a)
    refused(gate, '[port shop]: queue 1 does not start', link.a_if, f'ethtool -L {link.a_if} rx 2')
    gate = small_gate(lab, {'shop': {'device': 'net_nosuch0'}}, link.a)
    refused(gate, 'port shop', 'net_nosuch0')
    link = fgtest.Link(link.a, link.b, net=1)
    gate = small_gate(lab, {'shop': {'interface': link.a_if}}, link.a)
    other = lab.blast(link.a, gate.keys, interface=link.a_if, server=link.b_ip, server_mac=link.b_mac,
                      source_base=link.a_ip, seconds=60, rate=10, no_huge=True, window=1).start()
    wait_until(lambda: 'prog/xdp' in link.a.ip('link', 'show', 'dev', link.a_if), 20, 'another program has the interface')
    refused(gate, link.a_if, 'another XDP program')
    assert other.process.running() and 'prog/xdp' in link.a.ip('link', 'show', 'dev', link.a_if), 'it is left alone'
    other.process.kill()
    command(*link.a.enter(), 'ip', 'link', 'set', 'dev', link.a_if, 'xdp', 'off')
    gate.start()
    assert gate.stop() == 0


@fgtest.timeout(120)
def test_a_second_daemon(lab):
    """started twice, with the same or a copied configuration: the second is refused, the first sells on untouched"""
    sale = Sale(lab, total=2000, lesser=3, desk=True)
    wave = {'seconds': 12, 'rate': 1500, 'timeout_ms': 1000}
    sale.shop(**wave)
    wait_until(lambda: sale.answered() > 500, 20, 'the first one sells')
    gate, link = sale.gate, sale.link
    extra = fgtest.Link(link.a, lab.namespace('more'), net=2)
    same = small_gate(lab, {'shop': {'interface': link.a_if}}, link.a)
    same.config, same.log_begun = gate.config, True
    refused(same, 'in use by process', str(gate.process.pid))
    copies = {'log': (link.a_if, {}, ('pins', 'in use by another daemon')),
              'log and pins': (link.a_if, {'filter.pins': gate.pins + 'x'}, ('another XDP program',)),
              'log and interface': (extra.a_if, {}, ('pins', 'in use by another daemon')),
              'log, interface and pins': (extra.a_if, {'filter.pins': gate.pins + 'x'},
                                          ('control socket', 'another daemon'))}
    for number, (own, (interface, changes, words)) in enumerate(copies.items()):
        sale.keep_shopping(6, **wave)
        settings = {'filter.pins': gate.pins, 'api.socket': gate.socket, 'log.dir': f'{lab.dir}/copied{number}', **changes}
        said = refused(small_gate(lab, {'shop': {'interface': interface}}, link.a, **settings), *words)
        print(f'# a copy with its own {own}: ' + said.strip().splitlines()[-2].split('error', 1)[-1].strip())
        before = sale.answered()
        wait_until(lambda: sale.answered() > before + 200, 10, f'the first one goes on after a copy with its own {own}')
        assert gate.healthy() and gate.fgctl('status')['state'] == 'running'
        assert sale.client().stock(HOT).status in ('ON_SALE', 'SOLD_OUT')
    sale.enough()
    sale.finish()
    if sale.counts['retry'] > 20:  # a matter of time, which a busy machine has too little of
        raise fgtest.Timeout(f'{sale.counts["retry"]} requests had no answer within a second')


def test_control_sockets(lab):
    """the path of the control socket: a file, of a live daemon, of a dead one, without a folder, mode and removal"""
    gate = small_gate(lab)
    with open(gate.socket, 'w', encoding='utf-8') as f:
        f.write('precious\n')
    refused(gate, gate.socket, 'is not a socket')
    with open(gate.socket, encoding='utf-8') as f:
        assert f.read() == 'precious\n', 'a file is not removed'
    os.unlink(gate.socket)
    gate.start()
    assert stat.S_IMODE(os.stat(gate.socket).st_mode) == 0o660
    other = small_gate(lab, **{'api.socket': gate.socket})
    refused(other, gate.socket, 'another daemon')
    assert gate.healthy(), 'the socket of the first still works'
    gate.kill()
    assert os.path.exists(gate.socket), 'a killed daemon leaves its socket'
    gate.start()
    assert gate.stop() == 0 and not os.path.exists(gate.socket)
    gate.settings['api.socket'] = f'{lab.dir}/no/such/folder/sock'
    gate.write_config()
    refused(gate, f'{lab.dir}/no/such/folder')
    gate.settings['api.group'] = 'nosuchgroup'
    gate.settings['api.socket'] = f'{lab.dir}/sock'
    gate.write_config()
    refused(gate, 'nosuchgroup')


# ---- signals and reloads ---------------------------------------------------------------------------------


@fgtest.timeout(90)
def test_reloads_in_a_flood(lab):
    """keys reloaded in a flood by API and SIGHUP, broken and mended: the sale never stops, broken ones change nothing"""
    sale = Sale(lab, total=3000, lesser=3, desk=True)
    sale.shop(seconds=6)
    wait_until(lambda: sale.answered() > 300, 20, 'fgblast has read its keys')
    keys = sale.gate.keys
    buyer = sale.client()
    for i in range(6):
        with open(keys.path, 'w', encoding='utf-8') as f:
            f.write(('1 shop nonsense\n', '', '1 shop ' + '0' * 32 + '\n')[i % 3])
        if i % 2:
            status, body = sale.gate.api('POST', '/v1/keys/reload')
            assert status == 400 and keys.path in str(body), (status, body)
        else:
            before = sale.gate.output().count('keys not reloaded')
            sale.gate.process.signal(signal.SIGHUP)
            wait_until(lambda: sale.gate.output().count('keys not reloaded') > before, 5, 'SIGHUP is taken')
        order = os.urandom(16)
        assert buyer.reserve(10 ** 9 + i, HOT, 1, order).status in ('RESERVED', 'SOLD_OUT'), 'the old keys stay'
        keys.write()
        assert sale.gate.api('POST', '/v1/keys/reload')[0] in (200, 204)
    fresh = os.urandom(16)
    with open(keys.path, 'a', encoding='utf-8') as f:
        f.write(f'4 backend {fresh.hex()}\n')
    boss = sale.client('backend')
    boss.key_id, boss.secret = 4, fresh
    sale.gate.process.signal(signal.SIGHUP)
    assert boss.query(1, bytes(16)).status == 'UNKNOWN_ORDER', 'SIGHUP puts the new keys in force'
    keys.write()
    assert sale.gate.api('POST', '/v1/keys/reload')[0] in (200, 204)
    try:
        answer = boss.query(1, bytes(16))
        raise AssertionError(f'a key that is gone still works: {answer}')
    except fgclient.NoReply:
        pass
    sale.enough()
    sale.wave_done()
    sale.gate.stop()
    code, text = lab.audit(log=sale.gate.log_dir, client=[w.audit for w in sale.waves])
    assert code == 0 and 'oversold 0' in text, text


@fgtest.timeout(90)
def test_sigterm_in_a_flood(lab):
    """SIGTERM in a flood, three times: exit 0, what was decided is answered or UNAVAILABLE; restart; audit"""
    sale = Sale(lab, total=5000, lesser=5, redis=lab.redis(persist=True))
    sale.shop(seconds=10)
    for _ in range(3):
        sale.keep_shopping(1, seconds=5)
        wait_until(lambda: sale.answered() > 500, 20, 'it sells')
        began = time.monotonic()
        sale.gate.process.signal(signal.SIGTERM if _ else signal.SIGINT)
        code = sale.gate.process.wait(15)
        print(f'# exit {code} after {time.monotonic() - began:.2f} s')
        assert code == 0, sale.gate.output()[-2000:]
        assert 'not everything' not in sale.gate.output(), sale.gate.output()[-2000:]
        sale.gate.start()
    sale.enough()
    sale.finish()


@fgtest.timeout(90)
def test_sigterm_twice(lab):
    """SIGTERM twice, at once and 1 to 20 ms apart, in a flood: it ends at once with 0 or 1, and nothing is lost"""
    sale = Sale(lab, total=5000, lesser=5)
    sale.shop(seconds=10)
    codes = []
    for gap_ms in (0, 0, 1, 5, 20):
        sale.keep_shopping(1, seconds=5)
        wait_until(lambda: sale.answered() > 300, 20, 'it sells')
        sale.gate.process.signal(signal.SIGTERM)
        fgtest.pause(gap_ms / 1000, 'the gap between the signals')
        sale.gate.process.signal(signal.SIGTERM)
        codes.append(sale.gate.process.wait(5))
        sale.gate.start()
    print(f'# exit codes {codes}')
    assert set(codes) <= {0, 1}, codes
    sale.enough()
    sale.finish()


@fgtest.timeout(90)
def test_signals_while_it_starts(lab):
    """SIGTERM and SIGHUP at any moment of a start: it ends by itself, and the next start is whole"""
    gate = small_gate(lab)
    seed = int(os.environ.get('FG_SEED') or random.randrange(1 << 32))
    print(f'# seed {seed} (FG_SEED={seed} repeats it)')
    choice, codes = random.Random(seed), []
    for i in range(8):
        gate.start(ready=False)
        wait = choice.uniform(0, 0.6)
        fgtest.pause(wait, 'the random moment of the start')
        if i % 2:
            gate.process.signal(signal.SIGHUP)
        gate.process.signal(signal.SIGTERM)
        codes.append(gate.process.wait(15))
    print(f'# exit codes {codes}')
    # before it has set up its handlers a signal has its usual effect
    assert set(codes) <= {0, 1, -signal.SIGTERM, -signal.SIGHUP} and 0 in codes, codes
    gate.start()
    assert gate.stop() == 0


# ---- rude clients ----------------------------------------------------------------------------------------


class Rude(threading.Thread):
    """Sends rubbish of every shape to the order port from the desk until it is stopped."""

    def __init__(self, sale, good, seed):
        super().__init__(daemon=True)
        self.random, self.sent, self.ending = random.Random(seed), 0, False
        with sale.desk.b.inside():
            self.plain = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            self.raw = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
        self.plain.bind((sale.desk.b_ip, 0))
        self.plain.setblocking(False)
        self.target, self.source = sale.desk.a_ip, sale.desk.b_ip
        self.good = good  # would reserve a unit, as it is

    def run(self):
        while not self.ending:
            for _ in range(20):
                self.random.choice((self.noise, self.changed, self.fragments, self.headers))()
                self.sent += 1
            fgtest.pause(0.002, 'the pace of the rubbish')

    def noise(self):
        self.send(self.random.randbytes(self.random.choice((0, 1, 63, 64, 65, 500, 1400))))

    def changed(self):
        """A good packet with some bits flipped: forged."""
        packet = bytearray(self.good)
        for bit in self.random.sample(range(64 * 8), self.random.randrange(1, 4)):
            packet[bit // 8] ^= 1 << bit % 8
        self.send(bytes(packet))

    def fragments(self):
        """One order packet in two IP fragments, and fragments that never end."""
        number = self.random.randrange(1, 65536)
        udp = self.udp(self.good)
        cut = 8 * self.random.randrange(1, 8)
        self.send_raw(self.ip(len(udp[:cut]), number, 0x2000) + udp[:cut])
        if self.random.random() < 0.5:
            self.send_raw(self.ip(len(udp[cut:]), number, cut // 8) + udp[cut:])

    def headers(self):
        """IP options, wrong UDP lengths, lengths beyond the frame."""
        udp = bytearray(self.udp(self.good))
        which = self.random.randrange(3)
        if which == 0:
            self.send_raw(self.ip(len(udp), 7, 0, options=b'\x01' * 4) + bytes(udp))
        else:
            udp[4:6] = self.random.choice((0, 7, 71, 73, 1500, 65535)).to_bytes(2, 'big')
            self.send_raw(self.ip(len(udp), 7, 0) + bytes(udp[:len(udp) - 8 * (which - 1)]))

    def udp(self, payload):
        source = self.plain.getsockname()[1]
        return b''.join(n.to_bytes(2, 'big') for n in (source, ORDER_PORT, 8 + len(payload), 0)) + payload

    def ip(self, length, number, fragment, options=b''):
        words = 5 + len(options) // 4
        return bytes((0x40 | words, 0)) + (4 * words + length).to_bytes(2, 'big') + number.to_bytes(2, 'big') + \
            fragment.to_bytes(2, 'big') + bytes((64, 17, 0, 0)) + socket.inet_aton(self.source) + \
            socket.inet_aton(self.target) + options

    def send(self, data):
        try:
            self.plain.sendto(data, (self.target, ORDER_PORT))
        except OSError:
            pass

    def send_raw(self, data):
        try:
            self.raw.sendto(data, (self.target, 0))
        except OSError:
            pass


@fgtest.timeout(90)
def test_rubbish_does_not_stop_good_clients(lab):
    """forged, malformed, fragmented, truncated and random packets by the thousand: no answer, good clients unharmed"""
    seed = int(os.environ.get('FG_SEED') or random.randrange(1 << 32))
    print(f'# seed {seed} (FG_SEED={seed} repeats it)')
    sale = Sale(lab, total=3000, lesser=5, desk=True)
    shopper = sale.client()
    good = fgclient.request(1, sale.gate.keys.secrets[1], 'RESERVE', os.urandom(16), user=10 ** 9, item=HOT, quantity=1)
    rude = [Rude(sale, good, seed + i) for i in range(2)]
    for one in rude:
        one.start()
    sale.shop(seconds=6, rate=3000, forged=0.3, malformed=0.3)
    wait_until(lambda: sale.answered() > 500, 20, 'good clients are answered')
    slowest = 0
    for i in range(50):
        began = time.monotonic()
        assert shopper.query(i, os.urandom(16)).status == 'UNKNOWN_ORDER'
        slowest = max(slowest, time.monotonic() - began)
        fgtest.pause(0.05, 'the queries are spread over the rubbish')
    for one in rude:
        one.ending = True
        one.join()
    sent = sum(one.sent for one in rude)
    for one in rude:
        try:
            answer = one.plain.recv(2048)
            raise AssertionError(f'rubbish was answered: {answer.hex()}')
        except BlockingIOError:
            pass
    sale.enough()
    summary = sale.wave_done()
    stats = sale.gate.get('/v1/stats')
    dropped = sum(stats['drops'].values()) + fgtest.malformed(stats) + stats['filter']['fragment']
    forged = summary['sent']['forged'] + summary['sent']['malformed']
    print(f'# {sent} + {forged} rude packets, {dropped} dropped by name; slowest of 50 questions {slowest * 1000:.0f} ms')
    assert sent > 2000 and dropped > (sent + forged) * 0.7, (sent, forged, stats['drops'], stats['filter'])
    assert stats['drops']['tag'] > 0 and stats['filter']['fragment'] > 0 and fgtest.malformed(stats) > 0
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
