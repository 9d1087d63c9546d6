#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""lib/replication: two processes with real logs, TLS between them, and three real members of etcd. One leads, the other
follows; each way in which one of them, the link or etcd can fail."""

import contextlib
import glob
import json
import os
import random
import shutil
import signal
import socket
import ssl
import struct
import subprocess
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgetcd import ADDRESS, Etcd  # noqa: E402
from fgtls import Authority  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
DRIVER = os.path.join(fgtest.BUILD, 'tests/fault/replication_driver')
PORTS = (7100, 7101)
RELAY = 7200
ENDED = 75
PREFIX = 'floodgate/pair/'
TERMS, PASSED = 1, 2  # notices


class Node:
    """A replication_driver. Its log stays over kill() and start()."""

    def __init__(self, pair, number):
        self.pair, self.number = pair, number
        self.folder, self.acked_file = pair.lab.unique(f'log{number}'), pair.lab.unique(f'acked{number}')
        self.words = {'node': number, 'dir': self.folder, 'listen': f'{ADDRESS}:{PORTS[number]}',
                      'peer': f'{ADDRESS}:{PORTS[1 - number]}', 'ca': pair.authority.cert, 'cert': pair.certs[number][0],
                      'key': pair.certs[number][1], 'arbiter': pair.etcd.endpoints, 'keys': 1, 'orders_max': 1000}
        self.process, self.origin, self.ended = None, None, threading.Event()
        self.wrapper = []  # a command in front of it

    def start(self, **words):
        self.origin = self.pair.next_origin()
        self.acked_file = self.pair.lab.unique(f'acked{self.origin}')
        words = {**self.words, 'origin': self.origin, 'acked': self.acked_file, **words}
        self.diagnostics = self.pair.lab.unique(f'node{self.number}.txt')
        with open(self.diagnostics, 'w', encoding='utf-8') as f:
            self.process = subprocess.Popen([*self.pair.etcd.ns.enter(), *self.wrapper, DRIVER, *(f'{k}={v}' for k, v in words.items())],
                                            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=f, text=True)
        self.pair.processes.append(self.process)
        return self

    def ask(self, *words):
        print(*words, file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, f'node {self.number} ended with {self.process.wait(10)}: {self.said()}'
        return json.loads(line)

    def view(self):
        return self.ask('view')

    def role(self):
        """'' when it has ended."""
        try:
            return self.view()['role']
        except (AssertionError, OSError):
            assert self.process.wait(10) == ENDED, self.said()
            return ''

    def gives_up(self, word):
        """It ends, as it is told to: what is said while it cannot is said again."""
        def ended():
            if self.role():
                with contextlib.suppress(AssertionError, OSError):
                    self.ask(word)
            return self.process.poll() is not None
        fgtest.wait_until(ended, 20, f'it ends after {word}', 1)
        assert self.process.wait(10) == ENDED, self.said()

    def said(self):
        with open(self.diagnostics, encoding='utf-8') as f:
            return f.read()[-2000:]

    def acked(self):
        """Records of this life that it acknowledged, also after its end."""
        with open(self.acked_file, 'rb') as f:
            return struct.unpack('<Q', f.read(8))[0]

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def quit(self):
        assert self.ask('quit') == {'stopped': True}
        assert self.process.wait(10) == 0

    def wait(self, condition, what, seconds=20):
        last = {}

        def met():
            last.update(self.view())
            return condition(last)
        try:
            fgtest.wait_until(met, seconds, f'node {self.number}: {what}')
        except fgtest.Timeout as error:
            raise fgtest.Timeout(f'{error}: {last}\n{self.said()}') from error
        return last

    def is_now(self, role, seconds=20):
        return self.wait(lambda v: v['role'] == role, role, seconds)

    def makes(self, n):
        """n more records, acknowledged."""
        before = self.view()['acked']
        self.ask('push', n)
        return self.wait(lambda v: v['acked'] >= before + n, f'{n} more records are acknowledged')


class Relay:
    """Between node 1 and node 0, so that the link can be cut one way or both, with nothing said to either side. Or between a
    node and a member of etcd."""

    def __init__(self, ns, port=RELAY, target=PORTS[0]):
        self.target = target
        self.gates = {'to0': threading.Event(), 'to1': threading.Event()}
        self.heal()
        self.ns, self.sockets, self.closed = ns, [], False
        self.carried = []  # bytes to node 1, by connection
        self.limit = 0  # the link is cut when one has carried so many; 0: it is not
        with ns.inside():
            self.listener = socket.create_server((ADDRESS, port))
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        while not self.closed:
            try:
                inner = self.listener.accept()[0]
                with self.ns.inside():
                    outer = socket.create_connection((ADDRESS, self.target), timeout=2)
            except OSError:
                continue
            outer.settimeout(None)
            self.sockets += [inner, outer]
            self.carried.append(0)
            threading.Thread(target=self.pump, args=(inner, outer, self.gates['to0']), daemon=True).start()
            threading.Thread(target=self.pump, args=(outer, inner, self.gates['to1'], len(self.carried) - 1), daemon=True).start()

    def pump(self, source, to, gate, number=None):
        try:
            while data := source.recv(65536):
                gate.wait()
                to.sendall(data)
                if number is not None:
                    self.carried[number] += len(data)
                    if self.limit and self.carried[number] >= self.limit:
                        self.cut('to0', 'to1')
        except OSError:
            pass
        for s in (source, to):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def cut(self, *ways):
        for way in ways:
            self.gates[way].clear()

    def heal(self):
        for gate in self.gates.values():
            gate.set()

    def close(self):
        self.closed = True
        self.heal()
        self.listener.close()
        for s in self.sockets:
            s.close()


class Pair:
    def __init__(self, lab):
        self.lab, self.processes, self.origins = lab, [], 0
        self.etcd = Etcd(lab, quick=True)
        folder = lab.unique('tls')
        os.mkdir(folder)
        self.authority, self.stranger = Authority(folder, 'authority'), Authority(folder, 'stranger')
        self.certs = [self.authority.make(f'box{n}', f'IP:{ADDRESS}') for n in (0, 1)]
        self.nodes = [Node(self, 0), Node(self, 1)]
        self.relay, self.arbiters = None, ([], [])  # relays to etcd, by node

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
            process.wait(10)
            with contextlib.suppress(BrokenPipeError):  # a word that it did not live to read
                process.stdin.close()
            process.stdout.close()
        for relay in (*([self.relay] if self.relay else []), *self.arbiters[0], *self.arbiters[1]):
            relay.close()

    def next_origin(self):
        self.origins += 1
        return self.origins

    def with_relay(self):
        self.relay = Relay(self.etcd.ns)
        self.nodes[1].words['peer'] = f'{ADDRESS}:{RELAY}'
        return self

    def with_arbiters(self):
        """Each node has its own way to each member of etcd."""
        for node, relays in zip(self.nodes, self.arbiters):
            relays.extend(Relay(self.etcd.ns, RELAY + 10 + 10 * node.number + n, m.client) for n, m in enumerate(self.etcd.members))
            node.words['arbiter'] = ', '.join(f'{ADDRESS}:{RELAY + 10 + 10 * node.number + n}' for n in range(len(relays)))
        return self

    def prepare(self):
        """Node 0 has a log, and the register says so. Both run."""
        first = self.nodes[0].start(begin=1)
        log = first.wait(lambda v: int(v['log'], 16), 'it has a log')['log']
        self.etcd.ctl('put', f'{PREFIX}register', subprocess.run([DRIVER, 'register', '0', log], capture_output=True, text=True,
                                                                 check=True).stdout)
        first.kill()
        for node in self.nodes:
            node.start()
        return self

    def together(self):
        """Node 0 leads, node 1 is its standby."""
        self.prepare()
        a, b = self.nodes
        a.is_now('leader')
        b.is_now('standby')
        return a, b

    def counted(self, node, lives):
        """Every record that one of these (origin, acknowledged) told is in node's log, in order."""
        log = node.ask('log')
        assert log['error'] == '', log
        for origin, acked in lives:
            assert acked == 0 or log.get(str(origin), 0) >= acked, (origin, acked, log)
        return log


def leader_of(pair, seconds=30):
    """The node that leads, once the other one stands by."""
    def leading():
        found = {n.role(): n for n in pair}
        return sorted(found) == ['leader', 'standby'] and found['leader']
    return fgtest.wait_until(leading, seconds, 'they are a pair')


def same_logs(a, b):
    """Both logs have the same records, once the leader makes no more."""
    def same():
        logs = a.ask('log'), b.ask('log')
        assert logs[0]['error'] == logs[1]['error'] == '', logs
        return a.view()['last'] == b.view()['committed'] and logs[0] == logs[1]
    fgtest.wait_until(same, 20, 'the standby has all')


@fgtest.timeout(120)
def test_one_leads(lab):
    """one leads, the other begins its log, follows and is published; both have the same records; a probe is answered"""
    with Pair(lab) as pair:
        a, b = pair.together()
        a.makes(5000)
        view = a.wait(lambda v: v['arbiter_ok'] and v['role'] == 'leader' and abs(v['skew_ms']) < 20, 'all is well')
        assert view['peer_name'] == 'box1' and view['link_error'] == '', view
        assert [h['role'] for h in view['history']][:3] == ['joining', 'solo', 'leader'], view
        assert view['mismatch'] == view['refusal'] == '', view
        assert view['led'] and view['lead_seq'] <= view['committed'] and not view['solo'], view
        assert not b.view()['led']
        same_logs(a, b)
        b.wait(lambda v: v['peer_passed'] == 4711, "the leader's sinks are known")
        assert a.view()['peer_passed'] == -1
        fgtest.wait_until(lambda: (p := a.ask('probe'))['proven'] and p['ms'] < 500, 10, 'a probe is answered soon')
        a.quit()
        b.is_now('solo')
        b.quit()


@fgtest.timeout(120)
def test_the_leader_is_killed(lab):
    """kill -9 in the middle of a burst: the other leads within a second with all that was acknowledged; the killed one rejoins,
    and what nobody was told of is cut from its log"""
    with Pair(lab) as pair:
        a, b = pair.together()
        origin = a.origin
        for _ in range(3):
            a.ask('burst', 20)
            before = a.acked()
            fgtest.wait_until(lambda: a.acked() > before + 2000, 20, 'a burst is under way')
            a.kill()
            killed = time.monotonic()
            b.wait(lambda v: v['led'], 'it leads')
            print(f'# led after {(time.monotonic() - killed) * 1000:.0f} ms')
            pair.counted(b, [(origin, a.acked())])
            fgtest.soon(killed, 5, 'the other one leads')
            b.makes(100)
            a.start()
            a.is_now('standby')
            b.is_now('leader')
            same_logs(b, a)
            a, b, origin = b, a, b.origin


@fgtest.timeout(120)
def test_the_leader_is_stopped(lab):
    """SIGSTOP of the leader in the middle of a burst: the other leads; resumed, it ends, and has acknowledged nothing since"""
    with Pair(lab) as pair:
        a, b = pair.together()
        a.ask('burst', 20)
        fgtest.wait_until(lambda: a.acked() > 1000, 20, 'a burst is under way')
        a.process.send_signal(signal.SIGSTOP)
        b.wait(lambda v: v['led'], 'it leads')
        acked = a.acked()
        a.process.send_signal(signal.SIGCONT)
        assert a.process.wait(20) == ENDED, a.said()
        assert a.acked() == acked
        pair.counted(b, [(a.origin, acked)])
        a.start()
        a.is_now('standby')
        same_logs(b, a)


@fgtest.timeout(120)
def test_the_standby_is_killed(lab):
    """the leader goes on alone; the standby rejoins, catches up from the disk, and is published again"""
    with Pair(lab) as pair:
        a, b = pair.together()
        a.ask('burst', 20)
        fgtest.wait_until(lambda: a.acked() > 1000, 20, 'a burst is under way')
        b.kill()
        a.is_now('solo')
        a.makes(1000)
        a.ask('burst', 0)
        a.makes(150000)  # more than memory holds
        b.start()
        b.is_now('standby')
        a.is_now('leader')
        same_logs(a, b)
        assert [h['role'] for h in a.view()['history']][-3:] == ['leader', 'solo', 'leader']


@fgtest.timeout(120)
def test_the_standby_is_stopped(lab):
    """SIGSTOP of the standby: the leader goes on alone; resumed, it neither leads nor ends, but follows again"""
    with Pair(lab) as pair:
        a, b = pair.together()
        b.process.send_signal(signal.SIGSTOP)
        a.is_now('solo')
        a.makes(1000)
        b.process.send_signal(signal.SIGCONT)
        b.is_now('standby')
        a.is_now('leader')
        same_logs(a, b)
        assert 'leader' not in [h['role'] for h in b.view()['history']]


@fgtest.timeout(120)
def test_force(lab):
    """a standby of an earlier time does not lead; forced, it does; and the other one, which acknowledged more, refuses"""
    with Pair(lab) as pair:
        a, b = pair.together()
        b.kill()
        a.is_now('solo')
        a.makes(100)
        a.kill()
        b.start()
        b.wait(lambda v: v['arbiter_ok'] and 'refused' in v['link_error'], 'it asked the arbiter and the peer')
        fgtest.pause(1, 'it would lead within that')
        assert b.view()['role'] == 'joining'
        b.ask('force')
        b.wait(lambda v: v['led'], 'it leads')
        b.makes(10)
        a.start()
        view = a.is_now('refused')
        assert 'acknowledged records' in view['reason'], view
        assert b.view()['role'] == 'solo'


@fgtest.timeout(120)
def test_switch(lab):
    """a planned switch: the standby leads, the leader ends and joins; nothing is lost; alone and together again"""
    with Pair(lab) as pair:
        a, b = pair.together()
        a.ask('burst', 10)
        fgtest.wait_until(lambda: a.acked() > 1000, 20, 'a burst is under way')
        a.gives_up('switch')
        b.wait(lambda v: v['led'], 'it leads')
        pair.counted(b, [(a.origin, a.acked())])
        a.start()
        a.is_now('standby')
        b.is_now('leader')
        b.ask('alone')
        b.is_now('solo')
        b.makes(10)
        b.ask('together')
        b.is_now('leader')
        a.is_now('standby')
        same_logs(b, a)


def check_cut(lab, *ways):
    with Pair(lab).with_relay() as pair:
        a, b = pair.together()
        a.ask('burst', 5)
        fgtest.wait_until(lambda: a.acked() > 100, 20, 'a burst is under way')
        pair.relay.cut(*ways)

        def leads_alone():
            return [n for n in (a, b) if n.role() == 'solo']
        winner = fgtest.wait_until(leads_alone, 20, 'one leads alone')[0]
        other = b if winner is a else a
        winner.makes(100)
        print(f'# node {winner.number} leads')
        pair.counted(winner, [(a.origin, a.acked())])
        pair.relay.heal()
        if winner is b:
            assert a.process.wait(20) == ENDED, a.said()
            a.start()
        other.is_now('standby')
        winner.is_now('leader')
        winner.ask('burst', 0)
        same_logs(winner, other)


@fgtest.timeout(120)
def test_link_cut_to_the_standby(lab):
    """the link carries nothing to the standby any more: one leads alone with all that was acknowledged; healed, both are a pair"""
    check_cut(lab, 'to1')


@fgtest.timeout(120)
def test_link_cut_to_the_leader(lab):
    """the link carries nothing to the leader any more: likewise"""
    check_cut(lab, 'to0')


@fgtest.timeout(120)
def test_link_cut_both_ways(lab):
    """the link carries nothing: likewise"""
    check_cut(lab, 'to0', 'to1')


def check_sides(lab, leader_is_lost):
    """The link is cut one way, each in turn, and one node has no etcd: the other one leads."""
    with Pair(lab).with_relay().with_arbiters() as pair:
        pair.together()
        for way in ('to0', 'to1'):
            leader = leader_of(pair.nodes)
            leader.ask('burst', 5)
            before = leader.view()['acked']
            leader.wait(lambda v, least=before + 100: v['acked'] > least, 'a burst is under way')
            lost = leader if leader_is_lost else pair.nodes[1 - leader.number]
            winner = pair.nodes[1 - lost.number]
            for relay in pair.arbiters[lost.number]:
                relay.cut('to0', 'to1')
            pair.relay.cut(way)
            winner.is_now('solo')
            winner.makes(100)
            pair.counted(winner, [(leader.origin, leader.acked())])
            for relay in (pair.relay, *pair.arbiters[lost.number]):
                relay.heal()
            if leader_is_lost:
                assert lost.process.wait(20) == ENDED, lost.said()
                lost.start()
            lost.is_now('standby')
            winner.is_now('leader')
            winner.ask('burst', 0)
            same_logs(winner, lost)


@fgtest.timeout(120)
def test_only_the_leader_has_etcd(lab):
    """the link carries nothing one way, and the standby has no etcd: the leader goes on alone; healed, both are a pair"""
    check_sides(lab, False)


@fgtest.timeout(120)
def test_only_the_standby_has_etcd(lab):
    """the link carries nothing one way, and the leader has no etcd: its standby leads with all that was acknowledged, and the
    old leader ends"""
    check_sides(lab, True)


@fgtest.timeout(120)
def test_etcd_is_away(lab):
    """without etcd the pair goes on, as its link is there; then the standby dies too: nothing is accepted, until etcd is back"""
    with Pair(lab) as pair:
        a, b = pair.together()
        for m in pair.etcd.members:
            m.kill()
        a.makes(1000)
        a.wait(lambda v: not v['arbiter_ok'] and v['arbiter_error'], 'the view says that the arbiter is away')
        assert a.view()['role'] == 'leader'
        b.kill()
        a.wait(lambda v: v['state'] == 'DROPPING', 'it needs the arbiter')
        before = a.view()
        a.wait(lambda v: not v['valid'], 'it does not speak for the pair any more')
        a.ask('push', 100)
        for m in pair.etcd.members:
            m.start()
        view = a.is_now('solo', 60)
        assert view['acked'] <= before['acked'] + 100
        a.wait(lambda v: v['acked'] >= before['acked'] + 100, 'what waited is acknowledged')


@fgtest.timeout(120)
def test_nothing_is_acknowledged_alone(lab):
    """the link is cut while etcd is away: the leader makes records for a moment, and acknowledges none that the standby lacks"""
    with Pair(lab).with_relay() as pair:
        a, b = pair.together()
        a.ask('burst', 20)
        fgtest.wait_until(lambda: a.acked() > 500, 20, 'a burst is under way')
        for m in pair.etcd.members:
            m.kill()
        pair.relay.cut('to0', 'to1')
        view = a.wait(lambda v: v['state'] == 'DROPPING', 'it would lead alone')
        assert view['made'] > view['acked'], view
        a.kill()
        for m in pair.etcd.members:
            m.start()
        b.wait(lambda v: v['led'], 'it leads', 60)
        pair.counted(b, [(a.origin, a.acked())])


@fgtest.timeout(120)
def test_certificates(lab):
    """strangers, the own certificate, and one of another address are refused, with the reason in the view; a rotated one is
    taken at the next connection"""
    with Pair(lab) as pair:
        pair.prepare()
        a, b = pair.nodes
        a.is_now('leader')
        b.kill()
        a.is_now('solo')
        elsewhere = pair.authority.make('elsewhere', 'IP:192.0.2.7')
        for words, said in (({'cert': pair.certs[0][0], 'key': pair.certs[0][1]}, 'certificate of this appliance'),
                            (dict(zip(('cert', 'key'), pair.stranger.make('spy', f'IP:{ADDRESS}'))), 'certificate'),
                            (dict(zip(('cert', 'key'), elsewhere)), 'address mismatch'),
                            ({'ca': pair.stranger.cert}, 'alert')):
            b.start(**words)
            view = a.wait(lambda v, said=said: said in v['link_error'], said)
            assert view['role'] == 'solo' and not view['linked'], view
            b.wait(lambda v: v['link_error'], 'says why')
            assert b.view()['role'] == 'joining'
            b.kill()
        b.start(key='/none/here.pem')
        b.wait(lambda v: '/none/here.pem' in v['link_error'], 'the file is named')
        b.kill()
        # rotation
        cert, key = pair.lab.unique('rotated.pem'), pair.lab.unique('rotated.key')
        for source, to in zip(pair.certs[1], (cert, key)):
            os.symlink(source, to)
        b.start(cert=cert, key=key)
        b.is_now('standby')
        assert a.view()['peer_name'] == 'box1'
        for source, to in zip(pair.authority.make('renewed', f'IP:{ADDRESS}'), (cert, key)):
            os.unlink(to)
            os.symlink(source, to)
        a.ask('alone')
        a.is_now('solo')
        a.ask('together')
        b.is_now('standby')
        a.wait(lambda v: v['peer_name'] == 'renewed', 'the other certificate is shown')


@fgtest.timeout(120)
def test_terms(lab):
    """a standby with smaller limits does not follow, and both say why; other keys are said, also when they are reloaded"""
    with Pair(lab) as pair:
        pair.nodes[1].words['orders_max'] = 999
        pair.prepare()
        a, b = pair.nodes
        a.is_now('solo')
        for node in (a, b):
            view = node.wait(lambda v: 'orders_max' in v['refusal'], 'the limits differ')
            assert view['role'] in ('solo', 'joining'), view
        b.wait(lambda v: v['links'] >= 3, 'it tries again and again')
        assert [n.view()['role'] for n in (a, b)] == ['solo', 'joining']
        b.kill()
        b.words['orders_max'] = 1001
        b.start(keys=2)
        b.is_now('standby')
        for node in (a, b):
            assert 'keys' in node.wait(lambda v: v['mismatch'], 'the keys differ')['mismatch']
        assert 'orders_max' in a.view()['refusal'], 'could not follow in turn'
        a.ask('terms', 2)
        for node in (a, b):
            node.wait(lambda v: not v['mismatch'], 'the keys are alike')


@fgtest.timeout(120)
def test_filled_from_a_snapshot(lab):
    """a leader that has removed old segments sends an empty standby its snapshot, while it makes records; killed in the middle,
    the standby is filled anew, cut off in the middle, it gets the rest; what it kept is the leader's file, and until then it has no
    name"""
    with Pair(lab) as pair:
        pair.with_relay().prepare()
        a, b = pair.nodes
        a.is_now('leader')
        b.kill()
        a.is_now('solo')
        a.makes(40000)
        # the driver has no ledger, which would know of epoch 1 without the first segment
        fgtest.wait_until(lambda: 'epoch 2' in pair.etcd.ctl('get', '--print-value-only', f'{PREFIX}floor'), 10, 'the floor rises')
        a.kill()
        shutil.rmtree(b.folder)
        segments = sorted(glob.glob(f'{a.folder}/*.fgj'))
        first = int(os.path.basename(segments[1])[:20])
        os.unlink(segments[0])
        content = random.Random(1).randbytes(48 << 20)  # its own checks are no business of the link
        with open(f'{a.folder}/{first + 7:020}.fgs', 'wb') as f:
            f.write(content)
        a.start()
        a.is_now('solo')
        a.ask('burst', 5)
        kept, part = f'{b.folder}/fill/{first + 7:020}.fgs', f'{b.folder}/fill/part'

        def half():
            b.wait(lambda v: v['state'] == 'FILLING' and v['fill_seq'] == first + 7 and v['fill_bytes'] > 4 << 20, 'on its way')
            if os.path.exists(kept):
                raise fgtest.Timeout('it was filled before this test looked')
            assert os.path.exists(part)
        b.start()
        half()
        assert a.view()['fill_seq'] == a.view()['held'] == first + 7, a.view()
        b.kill()
        pair.relay.limit = 16 << 20
        b.start()
        fgtest.wait_until(lambda: not pair.relay.gates['to1'].is_set(), 60, 'a third of it has come')
        connections = len(pair.relay.carried)
        b.wait(lambda v: not v['linked'], 'the link is lost')
        assert os.path.exists(part) and not os.path.exists(kept)
        pair.relay.limit = 0
        pair.relay.heal()
        before = a.view()['acked']
        assert b.process.wait(60) == ENDED and 'a snapshot of the leader is here' in b.said(), b.said()
        with open(kept, 'rb') as f:
            assert f.read() == content
        assert not os.path.exists(part)
        later = sum(pair.relay.carried[connections:])
        assert later < len(content) - (4 << 20), f'only the rest came: {later}'
        a.wait(lambda v: v['acked'] > before + 100, 'the leader goes on')
        assert a.view()['role'] == 'solo' and a.view()['held'] == first + 7, 'the segments behind it are held'


@fgtest.timeout(180)
def test_both_restart(lab):
    """both are killed at once, again and again: a pair comes of them each time, and nothing that was acknowledged is lost"""
    with Pair(lab) as pair:
        a, b = pair.together()
        lives = []
        for _ in range(4):
            leader = leader_of((a, b))
            leader.ask('burst', 10)
            fgtest.wait_until(lambda: leader.acked() > 500, 20, 'a burst is under way')
            for n in (a, b):
                n.process.kill()
            for n in (a, b):
                n.kill()
            lives.append((leader.origin, leader.acked()))
            for n in (b, a):
                n.start()
            leader = leader_of((a, b))
            leader.makes(10)
            pair.counted(leader, lives)
        leader = leader_of((a, b))
        same_logs(leader, b if leader is a else a)


@fgtest.timeout(120)
def test_strangers_at_the_port(lab):
    """whoever connects without TLS, or says nothing, neither stops the link nor takes its place"""
    with Pair(lab) as pair:
        a, b = pair.together()
        open_ones = []
        with pair.etcd.ns.inside():
            for _ in range(10):
                s = socket.create_connection((ADDRESS, PORTS[0]), timeout=5)
                s.sendall(b'GET / HTTP/1.1\r\n\r\n')
                open_ones.append(s)
            open_ones.append(socket.create_connection((ADDRESS, PORTS[0]), timeout=5))
        links = a.view()['links']
        a.makes(1000)
        b.kill()
        b.start()
        b.is_now('standby', 30)
        assert a.view()['links'] == links + 1
        for s in open_ones:
            s.close()


class FalsePeer:
    """Node 1 by its certificate: says what it is told to, in one piece with the end of the connection if so wanted."""

    def __init__(self, pair):
        cert, key = pair.certs[1]
        context = ssl.create_default_context(cafile=pair.authority.cert)
        context.load_cert_chain(cert, key)
        self.inbox, self.outbox = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = context.wrap_bio(self.inbox, self.outbox, server_hostname=ADDRESS)
        with pair.etcd.ns.inside():
            self.socket = socket.create_connection((ADDRESS, PORTS[0]), timeout=10)
        while not self.step(self.tls.do_handshake):
            self.hear()
        self.flush()

    def step(self, call, *words):
        try:
            call(*words)
            return True
        except ssl.SSLWantReadError:
            return False

    def hear(self):
        self.flush()
        data = self.socket.recv(65536)
        assert data, 'the node closed the connection'
        self.inbox.write(data)

    def flush(self):
        self.socket.sendall(self.outbox.read())

    def say(self, notices, ends=False):
        for kind, *values in notices:
            body = struct.pack(f'<{len(values)}Q', *values)
            head = struct.pack('<4sBBHI', b'FGPL', 1, kind, 0, 16 + len(body))
            self.tls.write(head + struct.pack('<I', crc32c(head + bytes(4) + body)) + body)
        if ends:
            self.step(self.tls.unwrap)
        self.flush()

    def close(self):
        self.socket.close()


def crc32c(data):
    crc = 0xffffffff
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (0x82f63b78 if crc & 1 else 0)
    return crc ^ 0xffffffff


@fgtest.timeout(60)
def test_last_words(lab):
    """what the peer said in one piece with the end of the connection counts"""
    with Pair(lab) as pair:
        pair.prepare()
        a, b = pair.nodes
        b.kill()
        a.is_now('solo')
        peer = FalsePeer(pair)
        links = a.view()['links']
        peer.say([(TERMS, 1, 1, 0, 0)])
        a.wait(lambda v: v['links'] == links + 1, 'the false peer is linked')
        peer.say([(PASSED, 4242)], ends=True)
        view = a.wait(lambda v: v['link_error'], 'the link has ended')
        assert view['peer_passed'] == 4242, view
        peer.close()


@fgtest.timeout(90)
def test_slow_memory(lab):
    """the disk is slow when a leader writes down which register it saw: its heartbeats do not wait, and the link stays"""
    compiler = shutil.which('cc') or shutil.which('gcc')
    if not compiler:
        raise fgtest.Skip('no C compiler')
    faults = lab.unique('faults')
    os.mkdir(faults)
    library, slow = os.path.join(faults, 'faulty.so'), os.path.join(faults, 'slow-memory')
    subprocess.run([compiler, '-shared', '-fPIC', '-O1', '-o', library, os.path.join(HERE, 'faulty.c'), '-ldl'], check=True,
                   capture_output=True)
    with Pair(lab) as pair:
        a, b = pair.nodes
        a.wrapper = ['env', f'LD_PRELOAD={library}', f'FG_FAULTS={faults}']
        pair.together()
        b.kill()
        a.is_now('solo')
        with open(slow, 'w', encoding='utf-8'):
            pass
        b.start()
        fgtest.wait_until(lambda: ' sync ' in pair.etcd.ctl('get', f'{PREFIX}register', '--print-value-only'), 20,
                          'the register names the standby')
        links = a.view()['links']
        fgtest.pause(1, 'the disk is slow')
        assert a.view()['state'] == 'PUBLISHING', a.view()
        assert b.view()['linked'] and a.view()['links'] == links, (a.view(), b.view())
        os.unlink(slow)
        a.is_now('leader')
        assert a.view()['links'] == links
        a.makes(100)


if __name__ == '__main__':
    fgtest.main()
