#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The harness itself: what the other black-box tests stand on."""

import os
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgdisk  # noqa: E402
import fgprocess  # noqa: E402
import fgtest  # noqa: E402
from fgtest import command  # noqa: E402


def test_ping_crosses_a_link(lab):
    """ping crosses a veth between two namespaces, IPv4 and IPv6"""
    link = lab.pair()
    for ip in (link.a_ip, link.a_ip6):
        out = link.b.run('ping', '-c', '2', '-i', '0.1', '-W', '2', ip)
        assert ' 0% packet loss' in out, out
    assert link.a.counters(link.a_if)['rx']['packets'] >= 4


def test_neighbours_are_asked_for_when_not_given(lab):
    """without static neighbours the two ends find each other"""
    link = lab.pair(neighbours=False)
    link.b.run('ping', '-c', '1', '-W', '2', link.a_ip)
    assert link.a_mac in link.b.ip('neigh', 'show', link.a_ip)


def test_links_are_apart(lab):
    """two links of one lab do not reach each other"""
    one, two = lab.pair(), fgtest.Link(lab.namespace('gate2'), lab.namespace('shop2'), net=1)
    done = subprocess.run([*one.b.enter(), 'ping', '-c', '1', '-W', '1', two.a_ip], capture_output=True, timeout=20)
    assert done.returncode != 0
    two.b.run('ping', '-c', '1', '-W', '2', two.a_ip)


def test_redis_keeps_what_it_should(lab):
    """a persistent Redis keeps its data over kill -9 and restart, another one does not"""
    kept, lost = lab.redis(persist=True), lab.redis()
    for server in (kept, lost):
        assert server.command('HSET', 'item', 'sold', 7, 'left', 'ä b') == 2
        assert server.hash('item') == {'sold': '7', 'left': 'ä b'}
        server.kill()
        server.start()
    assert kept.command('HGET', 'item', 'sold') == '7'
    assert lost.command('HGET', 'item', 'sold') is None
    try:
        kept.command('NONSENSE')
        raise AssertionError('a Redis error must be raised')
    except fgtest.RedisError as error:
        assert 'unknown command' in str(error)
    assert kept.stop() == 0


def test_redis_in_a_namespace(lab):
    """Redis listens on TCP inside a namespace, with a password"""
    link = lab.pair()
    redis = lab.redis(ns=link.a, port=6379, bind=link.a_ip, password='hush')
    assert redis.command('SET', 'k', 'v') == 'OK'
    out = link.b.run('redis-cli', '--no-auth-warning', '-a', 'hush', '-h', link.a_ip, 'GET', 'k')
    assert out.strip() == 'v', out


def test_postgres_keeps_what_it_should(lab):
    """a PostgreSQL of its own: a password, kill and start, SIGSTOP, wipe, nothing left"""
    other = fgtest.Lab()
    pg = other.postgres(password='secret', tcp=True)
    pg.sql('CREATE TABLE t (a int); INSERT INTO t VALUES (1), (NULL)')
    pg.kill()
    pg.start()
    assert pg.sql('SELECT * FROM t ORDER BY a') == [['1'], [None]]
    pg.pause()
    thaw = threading.Timer(1, pg.resume)
    began = time.monotonic()
    thaw.start()
    assert pg.sql('SELECT 1') == [['1']] and time.monotonic() - began > 0.9
    thaw.join()
    assert pg.stop() == 0
    pg.wipe()
    pg.start()
    try:
        pg.sql('SELECT * FROM t')
        raise AssertionError('the table is still there')
    except fgtest.SqlError as error:
        assert 'does not exist' in str(error), error
    try:
        pg._psql(pg.address + ' password=wrong', 'SELECT 1')
        raise AssertionError('any password will do')
    except fgtest.SqlError as error:
        assert 'password' in str(error), error
    family = pg.process.family()
    assert len(family) > 3
    other.close()
    assert not os.path.exists(other.dir) and not pg.process.running()


def test_process_states(lab):
    """processes are waited for, ended and killed by pid"""
    quick = lab.start('sh', '-c', 'echo out; echo err >&2; exit 3')
    assert quick.wait(5) == 3
    assert quick.output() == 'out\nerr\n'
    assert lab.start('sleep', '60').terminate() == -signal.SIGTERM
    stubborn = lab.start('sh', '-c', 'trap "" TERM; echo ready; while :; do sleep 0.1; done')
    fgtest.wait_until(lambda: 'ready' in stubborn.output(), 5, 'the shell is ready')
    try:
        stubborn.terminate(0.3)
        raise AssertionError('Timeout expected')
    except fgtest.Timeout:
        assert not stubborn.running()


def test_configuration_is_written(lab):
    """the daemon's configuration holds the lab's choices and the test's changes"""
    gate = lab.daemon(interface='veth0', settings={'workers.count': 2, 'filter.pins': None}, redis='h:1')
    with open(gate.config) as f:
        text = f.read()
    assert '[port shop]\ninterface = veth0\n' in text, text
    assert '[workers]\ncount = 2\n' in text and '[redis]\naddress = h:1\n' in text, text
    assert 'pins' not in text and f'keys = {gate.keys.path}' in text, text
    assert os.stat(gate.keys.path).st_mode & 0o777 == 0o600


def test_small_sale(lab):
    """daemon, Redis, load generator, fgctl and auditor work together, across a kill -9"""
    link, redis = lab.pair(), lab.redis()
    gate = lab.daemon(link.a, interface=link.a_if, redis=redis, settings={'workers.count': 2})
    code, out = gate.check()
    assert code == 0, out
    gate.start()
    gate.fgctl('item', 'add', 7)
    gate.fgctl('stock', 'add', 7, 10)
    blast = lab.blast(link.b, gate.keys, interface=link.b_if, server=link.a_ip, source_base=link.b_ip, sources=1,
                      items=7, orders=100)
    assert blast.run()['status']['SOLD_OUT'] >= 90
    gate.restart(kill=True)
    item = gate.fgctl('item', 'list')[0]
    assert (item['total'], item['sold'], item['available']) == (10, 10, 0), item
    status, answer = gate.api('GET', '/v1/items/8')
    assert status == 404, answer
    code, out, err = gate.fgctl('item', 'show', 8, check=False)
    assert code == 1, (out, err)
    assert gate.stop() == 0
    code, out = lab.audit(log=gate.log_dir, client=blast.audit, redis=redis.address)
    assert code == 0, out
    with open(blast.audit, 'rb') as f:
        damaged = f.read().replace(b'SOLD', b'CANCELLED', 1)
    with open(blast.audit, 'wb') as f:
        f.write(damaged)
    code, out = lab.audit(log=gate.log_dir, client=blast.audit)
    assert code == 1, out


CHILD = '''
import sys
sys.path.insert(0, {folder!r})
import fgtest
fgtest.handle_signals()
lab = fgtest.Lab()
link = lab.pair()
redis = lab.redis(ns=link.a)
link.b.start('sleep', '1000')
print(lab.tag, lab.dir, *[p.pid for p in lab.processes], flush=True)
import signal
import threading
signal.pause()
'''


def run_child(how):
    """Starts a program with a Lab in use, ends it by a signal; (tag, dir, pids) and whether it cleaned up."""
    folder = os.path.dirname(os.path.abspath(fgtest.__file__))
    child = subprocess.Popen([sys.executable, '-B', '-c', CHILD.format(folder=folder)], stdout=subprocess.PIPE,
                             text=True)
    tag, folder, *pids = child.stdout.readline().split()
    assert any(n.startswith(tag) for n in os.listdir('/run/netns'))
    child.send_signal(how)
    child.wait(20)
    child.stdout.close()
    fgtest.wait_until(lambda: not any(fgtest.lives(p) for p in pids), 5, 'the children are gone')
    return tag, folder


def marks(tag):
    return [p for p in fgtest.marks() if os.path.basename(p).startswith(tag)]


def test_threads_may_end(lab):
    """a process, or a thread of it, that ends while it is looked at is left out"""
    assert fgtest.threads(os.getpid(), 'python|test_harness') and not fgtest.threads(os.getpid(), 'no such name')
    child = lab.start('true')
    child.wait(10)
    assert fgtest.threads(child.pid) == {}

    def ends(error):
        def function(_thread):
            raise error
        return function

    for error in (FileNotFoundError, ProcessLookupError):
        assert fgtest.of_threads(os.getpid(), ends(error)) == {}, error
    try:
        fgtest.of_threads(os.getpid(), ends(PermissionError))
    except PermissionError:
        return
    raise AssertionError('any other error is told')


def test_nothing_is_left(lab):
    """closing a lab leaves no process, namespace, pin, hugepage file or folder"""
    inner = fgtest.Lab()
    link = inner.pair()
    sleeper = link.a.start('sleep', '1000')
    gate = inner.daemon(link.a, interface=link.a_if)
    if os.path.ismount(fgtest.BPFFS):
        os.mkdir(gate.pins)
    assert marks(inner.tag)
    inner.close()
    assert not sleeper.running() and not os.path.exists(inner.dir)
    assert marks(inner.tag) == []


def test_signals_clean_up():
    """SIGTERM and SIGINT to a running test leave nothing"""
    for how in (signal.SIGTERM, signal.SIGINT):
        tag, folder = run_child(how)
        assert marks(tag) == [], marks(tag)
        assert not os.path.exists(folder)


def test_killed_runs_are_swept():
    """after SIGKILL of a test its processes end, and the rest is found and swept"""
    tag, _ = run_child(signal.SIGKILL)
    assert len([p for p in fgtest.leftovers() if os.path.basename(p).startswith(tag)]) == 3  # 2 namespaces, folder
    fgtest.sweep_stale()
    assert marks(tag) == []


def write_test(lab, body):
    path = lab.unique('inner.py')
    folder = os.path.dirname(os.path.abspath(fgtest.__file__))
    with open(path, 'w') as f:
        f.write(f'import sys, time\nsys.path.insert(0, {folder!r})\nimport fgtest\n{body}\nfgtest.main()\n')
    began = time.monotonic()
    done = subprocess.run([sys.executable, '-B', path], capture_output=True, text=True, timeout=50)
    return done.returncode, done.stdout + done.stderr, time.monotonic() - began


def test_runner_reports(lab):
    """the runner tells passed, failed, skipped and timed-out tests apart; what was late, not what was wrong, is tried again"""
    code, out, took = write_test(lab, '''
def test_good(lab):
    pass
def test_bad(lab):
    lab.start('sh', '-c', 'echo what it said').wait(5)
    assert 1 == 2, 'the reason'
def test_skipped():
    raise fgtest.Skip('no such thing')
@fgtest.timeout(1)
def test_slow(lab):
    fgtest.pause(30, 'longer than it may take')
attempts = []
def test_late_once(lab):
    attempts.append(lab.dir)
    fgtest.wait_until(lambda: len(attempts) == 2, 0.1, 'the second attempt')
    assert not __import__('os').path.exists(attempts[0])
replies = [fgtest.LATE[-1]('no answer'), TimeoutError('timed out')]
def test_no_reply():
    if replies:
        raise replies.pop()
''')
    assert code == 1, out
    lines = [line for line in out.splitlines() if not line.startswith('#')]
    assert lines == ['1..6', 'ok 1 - test good', 'not ok 2 - test bad', 'ok 3 - test skipped # SKIP no such thing',
                     'not ok 4 - test slow (second attempt)', 'ok 5 - test late once (second attempt)',
                     'not ok 6 - test no reply (second attempt)'], out
    assert out.count('the reason') == 2 and out.count('a second attempt') == 3, 'what is wrong is wrong'
    assert '# what it said' in out and 'the reason' in out and 'took too long' in out, out
    assert took < 20
    code, out, _ = write_test(lab, 'def test_good():\n    pass')
    assert code == 0, out


def test_mounts_are_taken_away():
    """what a test mounted in its folder and did not unmount; a folder that cannot be removed is a failure"""
    fgdisk.unshare_mounts()
    inner = fgtest.Lab()
    for point in ('point', 'point/deeper'):
        os.mkdir(f'{inner.dir}/{point}')
        command('mount', '-t', 'tmpfs', 'fgtest', f'{inner.dir}/{point}')
    busy = inner.start('sleep', '1000', cwd=f'{inner.dir}/point/deeper')
    inner.close()
    assert not os.path.exists(inner.dir) and not busy.running()
    inner = fgtest.Lab()
    remove, fgtest.remove_folder = fgtest.remove_folder, lambda _: False
    try:
        inner.close()
        raise AssertionError('it is told')
    except RuntimeError as error:
        assert inner.dir in str(error), error
    finally:
        fgtest.remove_folder = remove
        remove(inner.dir)


def test_children_are_waited_for():
    """children of a program that a Lab kills end by themselves before the Lab is gone, also when they are stopped"""
    inner = fgtest.Lab()
    parent = inner.start('sh', '-c', '(while kill -0 $$; do sleep 0.05; done; sleep 0.5) & wait', cwd=inner.dir)
    child = fgtest.wait_until(lambda: fgprocess.descendants(parent.pid), 5, 'the child runs')[0]  # others are its sleeps
    os.kill(child, signal.SIGSTOP)
    inner.close()
    assert not fgtest.lives(child)


if __name__ == '__main__':
    fgtest.main()
