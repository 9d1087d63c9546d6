# SPDX-License-Identifier: BSD-3-Clause
"""Harness: the cases that a sink of any kind has to pass; a test file names those that its kind
runs:

    fgsinkcases.use(globals(), fgsinkredis.Redis, 'normal_flow', 'kill', ...)

makes test_normal_flow, test_kill ... in that file. In each case a log that grows is followed while
its server, or the sink, is killed, frozen, emptied or wrong; at the end everything that the server
holds is compared with the ledger, and where the auditor knows the kind, with the log. Numbers that
differ by kind stand in its class (fgsink.Server).
"""

import os
import random
import shutil
import threading
import time

import fgtest
from fgsink import STATES, Log
from fgtest import wait_until


def use(names, kind, *cases, suite=None):
    """Makes the cases of the suite, by default this one, tests of the calling file."""
    for case in cases:
        names['test_' + case] = _test((suite or globals())[case], kind)


def _test(case, kind):
    def test(lab):
        case(kind, lab)
    test.__name__ = 'test_' + case.__name__
    test.__doc__ = case.__doc__.format(name=kind.NAME)
    if hasattr(case, 'seconds'):
        test.seconds = case.seconds
    return test


def end(server, log, slots=(0,), space=None, seconds=20, **options):
    """All sinks reach the end of the log and stop; the ledger, with which the contents agree."""
    for slot in slots:
        log.caught_up(slot, seconds)
    for slot in slots:
        log.stop(slot)
    return server.compare(log, space, **options)


# ---- the ordinary ------------------------------------------------------------------------------


def normal_flow(kind, lab):
    """a growing log is followed live, in several transactions, and stop drains"""
    server, log = kind(lab, **kind.OPTIONS), Log(lab)
    log.load(10)
    server.follow(log)
    for _ in range(20):
        log.load(5)
    log.caught_up()
    server.compare(log)
    log.load(100, 200)
    took = log.stop(drain=20000)
    ledger = server.compare(log)
    assert len(ledger['orders']) > 1000 and {o['state'] for o in ledger['orders']} >= STATES
    assert {event[1] for event in ledger['events']} > {'extended', 'user', 'sold-late', 'closed', 'waiting', 'offered', 'left', 'line-set', 'lease', 'return'} and ledger['denied']
    assert any(i['refunded'] for i in ledger['items']) and any(o['late'] for o in ledger['orders'])
    assert took < 20000


def batch_sizes(kind, lab):
    """batches of 1, 7 and 100000 records leave the same in {name}"""
    sizes = {'batch_1': 1, 'batch_7': 7, 'batch_100000': 100000}
    server = kind(lab, spaces=tuple(sizes))
    for space, batch in sizes.items():
        log = Log(lab)
        log.load(20)
        server.follow(log, batch=batch, space=space)
        log.caught_up()
        log.load(20)
        end(server, log, space=space)


# ---- the server goes away ----------------------------------------------------------------------


def comes_later(kind, lab):
    """{name} is not there at the start: away, with the reason; it comes and is filled"""
    server, log = kind(lab), Log(lab)
    server.stop()
    server.follow(log)
    log.load()
    status = log.in_state('away')
    assert status['error'] and server.away_words() in status['error'] and status['lag'] > 0, status
    server.start()
    end(server, log)


@fgtest.timeout(150)
def kill(kind, lab):
    """kill -9 of {name}, which keeps its data, at random moments of the load: nothing doubled, nothing lost"""
    server, log = kind(lab, persist=True), Log(lab)
    server.follow(log, batch=50)
    chance = random.Random(log.seed)
    for _ in range(8):
        loader = threading.Thread(target=lambda: [log.load(4) for _ in range(25)])
        loader.start()
        fgtest.pause(chance.uniform(0, 0.15), 'the random moment of the kill')
        server.kill()
        loader.join()
        log.in_state('away')
        server.start()
    assert log.caught_up()['reconnects'] >= kind.KILL_RECONNECTS
    end(server, log)


def rolled_back(kind, lab):
    """{name} comes back with an older state: the sink resumes at the cursor in it"""
    server, log = kind(lab), Log(lab)
    server.follow(log)
    log.load(50)
    log.caught_up()
    server.save()
    before = server.cursor()
    after = log.load(50)
    log.caught_up()
    assert server.cursor() == after > before
    server.restore()
    log.load(5)
    end(server, log)


@fgtest.timeout(90)
def loses_all_while_down(kind, lab):
    """kill -9 of {name}, and a start with nothing: filled again from the first record"""
    server, log = kind(lab), Log(lab)
    server.follow(log)
    for _ in range(3):
        log.load(20)
        log.caught_up()
        server.kill()
        log.load(5)
        server.start_empty()
        server.remade(log)
        log.caught_up()
        server.compare(log)
    log.stop()


@fgtest.timeout(90)
def emptied(kind, lab):
    """{name} is emptied on a live connection, while busy and while idle: filled again, without a reconnect"""
    server, log = kind(lab), Log(lab)
    server.follow(log, batch=20)
    for _ in range(5):
        log.load(10)
        server.wipe()
        log.load(10)
        server.remade(log)
        status = log.caught_up()
        server.compare(log)
    server.wipe()  # nothing is written any more: only a poll of the cursor shows it
    server.remade(log)
    wait_until(server.cursor, 10, 'an idle sink notices')
    end(server, log)
    assert status['reconnects'] == 0, status


def stopped_process(kind, lab):
    """SIGSTOP of {name}: away within the timeout, the log grows on; SIGCONT: caught up, nothing doubled"""
    server, log = kind(lab), Log(lab)
    server.follow(log, timeout=kind.TIMEOUT_MS)
    log.load()
    log.caught_up()
    server.freeze()
    try:
        began = time.monotonic()
        log.load(50)
        fgtest.soon(began, 5, 'the log does not wait for the sink')
        status = log.in_state('away')
        assert status['error'] and server.no_answer(kind.TIMEOUT_MS) in status['error'], status
        fgtest.pause(1, 'several attempts pile up in its sockets')
    finally:
        server.thaw()
    end(server, log, seconds=30)


def stop_while_it_hangs(kind, lab):
    """stop keeps its drain time when {name} hangs, and the next start, which meets it still frozen, resumes"""
    server, log = kind(lab), Log(lab)
    server.follow(log, timeout=60000)
    log.load()
    log.caught_up()
    server.freeze()
    try:
        log.load()
        wait_until(lambda: log.status()['lag'] > 0, 5, 'there is something to drain')
        took = log.stop(drain=400)
        assert 300 <= took, took
        if took >= kind.STOP_MS_MAX:
            raise fgtest.Timeout(f'it stops: after {took} ms')
        server.follow(log, timeout=kind.TIMEOUT_MS)
        assert log.status()['state'] != 'live'
    finally:
        server.thaw()
    end(server, log)


@fgtest.timeout(120)
def lost_answers(kind, lab):
    """connections cut in the middle of answers, also between a commit and its answer: nothing doubled"""
    server, log = kind(lab), Log(lab)
    proxy, through = server.proxy()
    chance = random.Random(log.seed)
    proxy.cut_after = lambda: chance.randrange(kind.CUTS['least'], kind.CUTS['most'])
    server.follow(log, batch=50, retry=5, **through)

    def enough():
        log.load(2)
        return proxy.cuts >= kind.CUTS['count']
    wait_until(enough, 60, f'{kind.CUTS["count"]} connections are cut', 0.005)
    proxy.cut_after = None
    end(server, log, seconds=30)
    print(f'# {proxy.cuts} connections cut')


def slow_server_gets_smaller_batches(kind, lab):
    """a batch that takes longer than the timeout is halved until it fits"""
    server, log = kind(lab, persist=True), Log(lab)
    server.slow_down()
    log.load(*kind.SLOW['load'])
    server.follow(log, batch=100000, timeout=kind.SLOW['timeout'], retry=20)
    assert log.caught_up(seconds=50)['reconnects'] >= kind.SLOW['reconnects']
    end(server, log)


def stop_in_mid_batch(kind, lab):
    """stop without draining at random moments of catching up, and start again: nothing doubled"""
    server, log = kind(lab), Log(lab)
    chance, cut = random.Random(log.seed), 0
    log.load(400, 100)
    for _ in range(15):
        server.follow(log, batch=chance.choice((10, 100, 1000)))
        fgtest.pause(chance.uniform(0, 0.05), 'the random moment of the stop')
        cut += log.status()['lag'] > 0
        assert log.stop(drain=0) < kind.STOP_MS_MAX
    assert cut, 'not one stop met a sink that was catching up'
    server.follow(log)
    end(server, log)


def two_writers(kind, lab):
    """two sinks of the same log write to the same place at once: each record is applied once"""
    spaces = {'batches_30_7': (30, 7), 'batches_30_30': (30, 30)}
    server = kind(lab, spaces=tuple(spaces))
    for space, batches in spaces.items():
        log = Log(lab)
        for slot, batch in enumerate(batches):
            server.follow(log, slot=slot, batch=batch, space=space)
        for _ in range(40):
            log.load(5)
        end(server, log, (0, 1), space)
    server.check_writers_met()


# ---- contents that are not ours, or not whole --------------------------------------------------


def cursor_ahead(kind, lab):
    """a cursor ahead of the log: refused, nothing written; an empty place resolves it without a restart"""
    server, log = kind(lab), Log(lab)
    server.follow(log)
    log.load()
    log.caught_up()
    server.set_cursor(10**9)
    log.load()
    status = log.in_state('refused', text='ahead of the log')
    for words in kind.REMEDY:
        assert words in status['error'], status
    assert server.cursor() == 10**9
    code, text = server.audit(log)
    assert code == 1 and f'{kind.SINK}-cursor' in text and 'ahead of the log' in text, text
    server.resolve()
    end(server, log)


def another_appliance(kind, lab):
    """the contents of another log are refused and left alone; another place beside them works"""
    server, first, second = kind(lab, spaces=(kind.SPACE, 't2')), Log(lab), Log(lab)
    server.follow(first)
    first.load()
    end(server, first)
    second.load(100)
    server.follow(second)
    second.in_state('refused', text='of log')
    code, text = server.audit(second)
    assert code == 1 and f'{kind.SINK}-cursor' in text, text
    server.compare(first)
    assert second.stop(drain=5000) < 2000, 'draining cannot help a refused sink'
    server.follow(second, space='t2')
    end(server, second, space='t2')
    server.compare(first)


def older_copy_grows(kind, lab):
    """an older copy of the log grows past the cursor: it stays refused, also after a restart; adopted, it is written anew"""
    server, log = kind(lab), Log(lab)
    server.follow(log)
    log.load()
    copy = f'{log.log_dir}-copy'
    log.caught_up()
    log.stop()
    shutil.copytree(log.log_dir, copy)
    server.follow(log)
    log.load()
    cursor = log.caught_up()['cursor']
    log.process.kill()
    shutil.rmtree(log.log_dir)
    os.rename(copy, log.log_dir)
    log.again()
    server.follow(log)
    log.in_state('refused', text='ahead of the log')
    while log.load(20) <= cursor + 100:
        pass
    log.in_state('refused', text='is not the one that was applied')
    assert server.cursor() == cursor, 'nothing was written'
    log.again()
    server.follow(log)
    log.in_state('refused', text='is not the one that was applied')
    log.load()
    assert log.status()['state'] == 'refused' and server.cursor() == cursor
    log.do('adopt 0')
    end(server, log)


def adopted_from_another_log(kind, lab):
    """contents of another log, and a person's decision: they are discarded, and this log is written from its beginning"""
    server, first, second = kind(lab), Log(lab), Log(lab)
    server.follow(first)
    first.load(100)
    first.caught_up()
    first.stop()
    second.load()
    server.follow(second)
    second.in_state('refused', text='of log')
    second.do('adopt 0')
    second.load()
    end(server, second)


def lost_cursor(kind, lab):
    """contents without a cursor are refused: counters would be added to them"""
    server, log = kind(lab), Log(lab)
    server.follow(log)
    log.load()
    log.caught_up()
    server.lose_cursor()
    log.in_state('refused', text=kind.LOST_CURSOR)
    log.load()
    server.resolve()
    end(server, log)


# ---- from a snapshot ---------------------------------------------------------------------------


@fgtest.timeout(150)
def fill_empty(kind, lab):
    """an empty {name} gets the snapshot and the log behind it; it is emptied, and gets them again"""
    server, log = kind(lab), Log(lab)
    log.retire(kind.FILL_RECORDS)
    log.load(20)
    server.subscribe()
    server.follow(log)
    log.caught_up(seconds=60)
    ledger = server.compare(log, filled=True)
    assert len(ledger['orders']) > 5000
    log.load(20)
    server.wipe()
    log.load(20)
    server.remade(log)
    end(server, log, seconds=60, filled=True)


@fgtest.timeout(150)
def fill_over_an_older_state(kind, lab):
    """a {name} that was away too long: readers see the old state, then the new one, and nothing in between"""
    server, log = kind(lab), Log(lab)
    server.follow(log)
    log.load(100)
    log.caught_up()
    log.stop()
    old = server.cursor()
    assert log.retire(kind.FILL_RECORDS) > old + 1
    log.load(10)
    reader = server.reader()
    wait_until(lambda: reader.has_read() or reader.error, 10, 'the reader reads')
    server.follow(log, batch=2000)
    for _ in range(20):
        log.load(2)
    end(server, log, seconds=60, filled=True)
    reader.end()


@fgtest.timeout(150)
def killed_while_filling(kind, lab):
    """kill -9 of {name}, and stops of the sink, in the midst of a fill: it begins again, and ends right"""
    server, log = kind(lab, persist=True), Log(lab)
    log.retire(kind.FILL_RECORDS)
    chance = random.Random(log.seed)
    server.follow(log, retry=20)
    for _ in range(6):
        fgtest.pause(chance.uniform(0, 0.2), 'the random moment of the kill')
        server.kill()
        server.start()
    for _ in range(2):
        assert log.stop(drain=0) < kind.STOP_MS_MAX
        server.follow(log)
        fgtest.pause(chance.uniform(0, 0.1), 'the random moment of the stop')
    end(server, log, seconds=60, filled=True)


# ---- TLS ---------------------------------------------------------------------------------------


def right_certificates(secure, lab):
    """each way to verify the server, and to be verified: followed by TLS"""
    server, log, ways = secure(lab), Log(lab), 0
    for load, options in server.right():
        server.follow(log, **options)
        log.load(*load)
        log.caught_up()
        server.check_encrypted()
        log.stop()
        server.compare(log)
        ways += 1
    assert ways


@fgtest.timeout(120)
def wrong_certificates(secure, lab):
    """strangers, other names, missing certificates, no TLS at one end: away, and it says why; nothing is written"""
    server, log = secure(lab, clients='yes'), Log(lab)
    log.load()
    ways = server.wrong()
    assert len(ways) > 3
    for options, text in ways:
        server.follow(log, timeout=3000, **options)
        log.in_state('away', text=text)
        log.stop(drain=0)
    server.check_untouched()
    *_, (_, options) = server.right()
    server.follow(log, **options)
    end(server, log)
