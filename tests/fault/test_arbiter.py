#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""lib/arbiter against real etcd: compare-and-swap by several members, members that die, answers that come too late,
certificates, passwords, and servers that are no etcd."""

import contextlib
import os
import socket
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgetcd import ADDRESS, Client, Etcd, Proxy  # noqa: E402
from fgtls import Authority  # noqa: E402

REGISTER, FLOOR = 'pair/register', 'pair/floor'


@contextlib.contextmanager
def client(cluster, *words, **options):
    c = Client(cluster, *words, **options)
    try:
        yield c
        assert c.close() == 0
    finally:
        c.process.kill()
        c.process.wait()


def test_compare_and_swap(lab):
    """a key is made, changed and guarded by its revision alone; another key may be the guard; a lost swap changes nothing"""
    with client(Etcd(lab)) as c:
        first = c.read(REGISTER)
        assert (first['result'], first['revision'], first['value']) == ('done', 0, ''), first
        made = c.swap(REGISTER, 0, REGISTER, 'epoch=1')
        assert made['result'] == 'done' and made['revision'] > first['store'], made
        assert c.swap(REGISTER, 0, REGISTER, 'epoch=9')['result'] == 'lost'
        assert c.swap(REGISTER, made['revision'] + 1, REGISTER, 'epoch=9')['result'] == 'lost'
        found = c.read(REGISTER)
        assert (found['revision'], found['value']) == (made['revision'], 'epoch=1'), found
        floor = c.swap(REGISTER, made['revision'], FLOOR, '1:40')
        assert floor['result'] == 'done' and c.read(FLOOR)['value'] == '1:40'
        assert c.read(REGISTER)['revision'] == made['revision'], 'the guard is compared, not changed'
        again = c.swap(REGISTER, made['revision'], REGISTER, 'epoch=2')
        assert again['result'] == 'done' and again['revision'] > floor['revision'], again
        assert c.swap(REGISTER, made['revision'], FLOOR, '1:99')['result'] == 'lost' and c.read(FLOOR)['value'] == '1:40'
        long = 'v' * 4000
        assert c.swap('long', 0, 'long', long)['result'] == 'done' and c.read('long')['value'] == long


def test_many_keys_at_once(lab):
    """128 keys are compared and written together; a lost commit changes nothing and brings all values; changes come in order"""
    with client(Etcd(lab)) as c:
        first = c.commit(('pool/1', 0, 'a'), ('pool/2', 0, 'b'), ('map', 0, '-'))
        assert first['result'] == 'done' and first['values'] == {}, first
        rev = first['store']
        assert c.changes('pool/', 0)['values'] == {'pool/1': [rev, 'a'], 'pool/2': [rev, 'b']}
        made = c.swap('map', 0, 'map', 'm')
        lost = c.commit(('pool/1', rev, 'x'), ('pool/2', rev, 'y'), ('map', 0, '-'))
        assert lost['result'] == 'lost' and lost['store'] == made['revision'], lost
        assert lost['values'] == {'pool/1': [rev, 'a'], 'pool/2': [rev, 'b'], 'map': [made['revision'], 'm']}, lost
        gone = c.commit(('pool/1', rev, 'x'), ('pool/9', 5, '-'))
        assert gone['result'] == 'lost' and gone['values'] == {'pool/1': [rev, 'a'], 'pool/9': [0, '']}, gone
        second = c.commit(('pool/1', rev, 'x'), ('map', made['revision'], '-'))
        assert second['result'] == 'done', second
        found = c.changes('pool/', rev)
        assert found['result'] == 'done' and found['values'] == {'pool/1': [second['store'], 'x']}, found
        assert found['store'] >= second['store'] and c.changes('pool/', found['store'])['values'] == {}
        assert c.changes('map', 0)['values'] == {'map': [made['revision'], 'm']}
        for n in range(3):  # three commits of 128: more than a page, whose end cuts the second one
            done = c.commit(*((f'many/{n}/{i}', 0, 'v' * 100) for i in range(128)))
            assert done['result'] == 'done', done
            if n == 0:
                assert c.commit(('many/odd', 0, 'v'))['result'] == 'done'
        assert len(c.changes('many/', 0)['values']) == 385
        over = c.commit(*((f'many/0/{i}', 1, 'w') for i in range(128)))
        assert over['result'] == 'lost' and len(over['values']) == 128


class Watch(contextlib.AbstractContextManager):
    """A watch of the keys pool/..., by a client of its own."""

    def __init__(self, cluster, since, *words, endpoints=None):
        self.client = Client(cluster, endpoints, words=words)
        self.client.send('watch', 'pool/', since)

    def told(self):
        """(revision, values) of what it tells next."""
        answer = self.client.answer()
        assert 'told' in answer, answer
        return answer['told'], answer['values']

    def ended(self):
        """Why; whatever it told before."""
        while 'ended' not in (answer := self.client.answer()):
            pass
        return answer['ended']

    def __exit__(self, *_):
        assert self.client.close() == 0


def test_watch(lab):
    """a watch tells of changes from a revision on, in their order; it is cut; a compaction and the end of etcd end it"""
    cluster = Etcd(lab, members=1)
    with client(cluster) as c:
        first = c.swap('pool/1', 0, 'pool/1', 'a')['revision']
        second = c.swap('pool/2', 0, 'pool/2', 'b')['revision']
        c.swap('map', 0, 'map', 'm')
        with Watch(cluster, first) as w:
            assert w.told() == (first, {})
            assert w.told() == (second, {'pool/2': [second, 'b']})
            both = c.commit(('pool/1', first, 'x'), ('pool/3', 0, 'y'))['store']
            assert w.told() == (both, {'pool/1': [both, 'x'], 'pool/3': [both, 'y']})
            cluster.ctl('del', 'floodgate/test/pool/3')
            assert w.told() == (both + 1, {}), 'what was deleted is not told'
            w.client.send('cut')
            assert 'cut' in w.ended()
        cluster.ctl('compact', str(both))
        with Watch(cluster, first) as w:
            assert 'compacted' in w.ended()
        with Watch(cluster, both + 1) as w:
            assert w.told() == (both + 1, {})
            cluster.members[0].kill()
            assert w.ended()
        with Watch(cluster, both) as w:
            assert ADDRESS in w.ended()


def test_watch_of_no_etcd(lab):
    """what no etcd tells ends a watch, which tells nothing of it"""
    cluster = Etcd(lab, members=1)
    answers = [b'null\n', b'{}\n', b'{"result": 7}\n', b'{"error": {"message": "no"}}', b'{"result": {"events": [{}]}}\n', b'x' * 200000,
               b'{"result": {"created": true}}\n{"result": {"events": [{"kv": {"key": "eA==", "mod_revision": "9"}}]}}\n']
    server = NoEtcd(cluster.ns, answers)
    for _ in answers:
        with Watch(cluster, 5, endpoints=f'{ADDRESS}:{server.port}') as w:
            while 'ended' not in (answer := w.client.answer()):
                assert (answer['told'], answer['values']) == (5, {}), answer
            assert answer['ended'], answer
    server.listener.close()


def test_one_winner(lab):
    """two clients at different members: of two swaps from the same revision exactly one wins, each time"""
    cluster = Etcd(lab)
    ends = cluster.endpoints.split(', ')
    with client(cluster, ends[0]) as a, client(cluster, ends[1]) as b:
        won = {'a': 0, 'b': 0, 'unknown': 0}
        for _ in range(50):
            revision = a.read(REGISTER)['revision']
            answers = {}
            threads = [threading.Thread(target=lambda n=n, c=c: answers.update({n: c.swap(REGISTER, revision, REGISTER, n)}))
                       for n, c in (('a', a), ('b', b))]
            for t in threads:
                t.start()
            for t in threads:
                t.join()
            if any(x['result'] not in ('done', 'lost') for x in answers.values()):
                won['unknown'] += 1  # the members chose another leader just now
                continue
            winners = [n for n, answer in answers.items() if answer['result'] == 'done']
            assert len(winners) == 1, answers
            assert b.read(REGISTER)['value'] == winners[0]
            won[winners[0]] += 1
    print(f'# {won}')
    assert won['unknown'] < 10, won


def settle(c, text):
    """Writes the register, whatever it takes: reads, and swaps from what was read, until a swap is done."""
    swaps = []

    def done():
        found = c.read(REGISTER)
        if found['result'] == 'done':
            swaps.append(c.swap(REGISTER, found['revision'], REGISTER, text))
        return swaps and swaps[-1]['result'] == 'done'
    fgtest.wait_until(done, 30, f'{text} is written')
    return swaps[-1]


@fgtest.timeout(120)
def test_members_die(lab):
    """the leader dies: another is asked; a majority dies: away, or unknown and resolved by a new swap when it is back"""
    cluster = Etcd(lab, quick=True)
    with client(cluster) as c:
        settle(c, 'first')
        leader = cluster.leader()
        leader.kill()
        done = settle(c, 'second')
        other = next(m for m in cluster.members if m is not leader)
        other.kill()
        began = time.monotonic()
        lost = c.read(REGISTER)
        assert lost['result'] == 'away' and ADDRESS in lost['error'], lost
        fgtest.soon(began, 6, 'a read ends')
        answer = c.swap(REGISTER, done['revision'], REGISTER, 'third')
        assert answer['result'] in ('unknown', 'away'), answer
        other.start()
        leader.start()
        fgtest.wait_until(lambda: c.read(REGISTER)['result'] == 'done', 30, 'the majority is back')
        now = c.read(REGISTER)
        settle(c, 'fourth')
        assert now['value'] in ('second', 'third') and (answer['result'] == 'unknown' or now['value'] == 'second'), (answer, now)


def test_an_answer_that_comes_too_late(lab):
    """a swap whose answer is lost is unknown, is sent to nobody else, and may have taken place: a new swap settles it"""
    cluster = Etcd(lab, members=1)
    proxy = Proxy(cluster.ns, cluster.members[0].client)
    try:
        with client(cluster, f'{ADDRESS}:{proxy.port}, {cluster.endpoints}', timeout_ms=1000) as c, client(cluster) as direct:
            began = time.monotonic()
            answer = c.swap(REGISTER, 0, REGISTER, 'late')
            assert answer['result'] == 'unknown', answer
            fgtest.soon(began, 5, 'a swap ends')
            fgtest.wait_until(lambda: direct.read(REGISTER)['value'] == 'late', 10, 'it has taken place')
            # the endpoint that was silent is asked last now
            assert c.swap(REGISTER, 0, REGISTER, 'again')['result'] == 'lost'
            found = c.read(REGISTER)
            assert (found['result'], found['value']) == ('done', 'late'), found
    finally:
        proxy.close()


def test_certificates(lab):
    """members and client know each other by certificates; a stranger's, or none, is away with the reason"""
    folder = lab.unique('tls')
    os.mkdir(folder)
    authority, stranger = Authority(folder, 'authority'), Authority(folder, 'stranger')
    cert, key = authority.make('server', f'IP:{ADDRESS}')
    mine, mine_key = authority.make('client', 'DNS:client')
    cluster = Etcd(lab, members=1, tls=(cert, key, authority.cert))
    with client(cluster, words=(authority.cert, mine, mine_key)) as c:
        fgtest.wait_until(lambda: c.read(REGISTER)['result'] == 'done', 30, 'etcd answers over TLS')
        assert c.swap(REGISTER, 0, REGISTER, 'safe')['result'] == 'done'
    for words, said in (((stranger.cert, mine, mine_key), 'certificate'), ((authority.cert, '-', '-'), ''), ((), '')):
        with client(cluster, words=words) as c:
            answer = c.read(REGISTER)
            assert answer['result'] == 'away' and ADDRESS in answer['error'] and said in answer['error'], (words, answer)


def test_password(lab):
    """user and password; a wrong one is refused; a rotated one is followed; a file that is missing is named"""
    cluster = Etcd(lab, members=1)
    path = lab.unique('password')

    def write(secret):
        with open(path, 'w', encoding='utf-8') as f:
            f.write(secret + '\n')
        os.chmod(path, 0o600)

    cluster.ctl('user', 'add', 'root:one')
    cluster.ctl('user', 'grant-role', 'root', 'root')
    cluster.ctl('auth', 'enable')
    write('one')
    with client(cluster, words=('-', '-', '-', 'root', path)) as c, client(cluster) as nobody:
        assert c.swap(REGISTER, 0, REGISTER, 'mine')['result'] == 'done'
        made = c.swap('pool/1', 0, 'pool/1', 'a')['revision']
        with Watch(cluster, made - 1, '-', '-', '-', 'root', path) as w:
            assert [w.told() for _ in range(2)] == [(made - 1, {}), (made, {'pool/1': [made, 'a']})]
            w.client.send('cut')
            assert 'cut' in w.ended()
        with Watch(cluster, made) as w:
            assert 'a watch ended' in w.ended()
        refused = nobody.swap(REGISTER, 0, REGISTER, 'not mine')
        assert refused['result'] == 'refused' and ADDRESS in refused['error'], refused
        cluster.ctl('--user=root:one', 'user', 'passwd', 'root', '--interactive=false', stdin='two\n')
        old = c.read(REGISTER)  # a new password ends the logins of the old one
        assert old['result'] == 'refused' and 'authentication failed' in old['error'], old
        write('two')
        found = c.read(REGISTER)
        assert (found['result'], found['value']) == ('done', 'mine'), found
        cluster.ctl('--user=root:two', 'user', 'passwd', 'root', '--interactive=false', stdin='three\n')
        os.remove(path)
        missing = c.read(REGISTER)
        assert missing['result'] == 'refused' and path in missing['error'], missing


NONSENSE = (b'', b'null', b'[]', b'{', b'{}', b'{"header": 7}', b'{"header": {"revision": 7}}', b'{"header": {"revision": "x"}}',
            b'{"header": {"revision": "99999999999999999999"}, "succeeded": true}', b'{"header": {"revision": "5"}, "succeeded": "yes"}',
            b'{"header": {"revision": "5"}, "kvs": 7}', b'{"header": {"revision": "5"}, "kvs": [{"mod_revision": "5", "value": "a"}]}',
            b'{"header": {"revision": "5"}, "kvs": [{"mod_revision": "5", "value": "' + b'QUFB' * 3000 + b'"}]}',
            b'{"header": {"revision": "5"}, "kvs": [{}, {}]}', b'x' * 200000, b'\xff\x00{}')


UNDERSTOOD = {'read': [b'{"header": {"revision": "5"}, "succeeded": "yes"}'],
              'swap': [body for body in NONSENSE if body.startswith(b'{"header": {"revision": "5"}, "kvs"')]}


class NoEtcd:
    """An HTTP server that is no etcd: gives each answer once."""

    def __init__(self, ns, answers, status=b'200 OK'):
        with ns.inside():
            self.listener = socket.create_server((ADDRESS, 0))
        self.port, self.answers, self.status = self.listener.getsockname()[1], list(answers), status
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        for body in self.answers:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            with contextlib.suppress(OSError), peer:
                request = b''
                while b'\r\n\r\n' not in request:
                    request += peer.recv(65536)
                peer.sendall(b'HTTP/1.1 ' + self.status + b'\r\nContent-Length: %d\r\nConnection: close\r\n\r\n' % len(body) + body)
                peer.shutdown(socket.SHUT_WR)
                while peer.recv(65536):
                    pass


def test_no_etcd(lab):
    """answers that no etcd gives: a read is away, a swap unknown, never done; the client lives"""
    cluster = Etcd(lab, members=1)
    for status in (b'200 OK', b'503 Service Unavailable'):
        for method in ('read', 'swap'):
            server = NoEtcd(cluster.ns, NONSENSE, status)
            with client(cluster, f'{ADDRESS}:{server.port}') as c:
                for body in NONSENSE:
                    answer = c.read(REGISTER) if method == 'read' else c.swap(REGISTER, 5, REGISTER, 'x')
                    wanted = {'read': 'away', 'swap': 'unknown'}[method]
                    if status.startswith(b'200') and body in UNDERSTOOD[method]:
                        wanted = {'read': 'done', 'swap': 'lost'}[method]  # fields that are missing have their default
                    assert answer['result'] == wanted, (method, status, body[:80], answer)
                    assert bool(answer['error']) == (wanted in ('away', 'unknown')), answer
            server.listener.close()


def test_options(lab):
    """an endpoint without a port, with a path, or none, is refused before anything is asked"""
    cluster = Etcd(lab, members=1)
    for endpoints, said in (('127.0.0.1', '127.0.0.1: not HOST:PORT'), ('a:1/x', 'a:1/x: not HOST:PORT'), (', ', 'no endpoint'),
                            (', '.join(f'h:{n}' for n in range(10)), 'more than 9 endpoints')):
        c = Client(cluster, endpoints)
        assert c.process.wait(10) == 1, (endpoints, said)
        c.process.stdin.close()
        c.process.stdout.close()


if __name__ == '__main__':
    fgtest.main()
