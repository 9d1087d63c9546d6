#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The disk under the log: full, read-only, missing, taken, damaged, torn, failing. All in a sale where that makes sense.

The program lives in a mount namespace of its own, so that whatever it mounts ends with it.
"""

import contextlib
import glob
import os
import random
import resource
import shutil
import signal
import struct
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
from fgdisk import ext4, file_system, fill, preloaded, tmpfs, unshare_mounts  # noqa: E402
from fgsale import HOT, Sale, fgtest  # noqa: E402
from fgtest import command, wait_until  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
RECORD = HEADER = 64
SMALL = {'limits.orders_max': 20000, 'limits.users_max': 20000, 'eal.huge': 'no', 'eal.mbufs': 4096}


# ---- disks ----------------------------------------------------------------------------------------------


# ---- full ------------------------------------------------------------------------------------------------


def answers(sale, *names):
    now = sale.gate.get('/v1/stats')['answers']
    return sum(now[n] for n in names)


def decisions(sale):
    now = sale.gate.get('/v1/stats')['stock']
    return sum(now[n] for n in ('reserved', 'sold', 'cancelled', 'expired'))


def log_state(sale):
    return sale.gate.get('/v1/status')['log']['state']


def sell_on_a_full_disk(lab, disk):
    """A flood; the disk fills, stays full for longer than orders are held, and has room again; twice. Its archive is
    missing, so no old segment may go."""
    sale = Sale(lab, total=500, lesser=8, hold_ms=2000, redis=lab.redis(persist=True), desk=True,
                settings={'log.dir': f'{disk}/log', 'log.segment_bytes': '64k', 'log.archive': f'{disk}/missing'})
    sale.gate.log_dir = f'{disk}/log'
    sale.shop(seconds=14)
    sale.add_item(99, 0)
    shopper = sale.client()
    assert shopper.reserve(99, 99, 1).status == 'SOLD_OUT'
    wait_until(lambda: sale.item()['available'] == 0, 20, 'the hot item is sold out')
    for _ in range(2):
        sale.keep_shopping(8, seconds=14)
        sale.add_stock(HOT, 3000)  # else there may be nothing to write
        fill(f'{disk}/filler')
        wait_until(lambda: log_state(sale) == 'full', 20, 'the log is full')
        status, body = sale.gate.api('GET', '/healthz')
        assert status == 503 and 'log full' in str(body), (status, body)
        status = sale.gate.get('/v1/status')
        assert status['state'] == 'unhealthy' and sale.gate.log_dir in status['log']['error'], status
        durable, busy = status['log']['durable_seq'], answers(sale, 'BUSY')
        wait_until(lambda: answers(sale, 'BUSY') > busy + 20, 10, 'what needs a record is BUSY')
        began = time.monotonic()
        while time.monotonic() < began + 2.5:
            assert shopper.reserve(99, 99, 1).status == 'SOLD_OUT', 'rejections go on'
            assert shopper.query(99, os.urandom(16)).status == 'UNKNOWN_ORDER', 'questions are answered'
        status = sale.gate.get('/v1/status')
        assert status['log']['state'] == 'full' and status['log']['durable_seq'] == durable, status
        os.unlink(f'{disk}/filler')
        began = time.monotonic()
        wait_until(sale.gate.healthy, 30, 'there is room again')
        print(f'# healthy {time.monotonic() - began:.2f} s after room was made')
        sale.keep_shopping(3, seconds=8)
        accepted = answers(sale, 'RESERVED', 'SOLD')
        sale.add_stock(HOT, 300)
        wait_until(lambda: answers(sale, 'RESERVED', 'SOLD') > accepted + 100, 20, 'it sells again')
    sale.enough()
    audit = sale.finish()
    assert audit['log']['sold'] > 500, audit['log']
    assert sale.gate.output().count('there is room again') == 2, 'twice full, twice told'


@fgtest.timeout(120)
def test_a_full_tmpfs_in_a_sale(lab):
    """full disk in a flood: acceptances are BUSY, rejections go on, status says so; with room it sells again; audit"""
    with tmpfs(lab) as disk:
        sell_on_a_full_disk(lab, disk)


@fgtest.timeout(120)
def test_a_full_ext4_in_a_sale(lab):
    """the same on ext4"""
    with ext4(lab) as disk:
        sell_on_a_full_disk(lab, disk)


@fgtest.timeout(120)
def test_kill_and_stop_on_a_full_disk(lab):
    """full disk: kill -9 and SIGTERM, and a start while it is still full, lose nothing that was acknowledged"""
    with ext4(lab) as disk:
        sale = Sale(lab, total=3000, lesser=3, hold_ms=3000,
                    settings={'log.dir': f'{disk}/log', 'log.segment_bytes': '64k', 'log.archive': f'{disk}/missing'})
        sale.gate.log_dir = f'{disk}/log'
        sale.shop(seconds=12)
        wait_until(lambda: answers(sale, 'RESERVED') > 300, 20, 'it sells')
        fill(f'{disk}/filler')
        wait_until(lambda: log_state(sale) == 'full', 20, 'the log is full')
        sale.gate.kill()
        sale.gate.start(ready=False)
        wait_until(lambda: ' ready: ' in sale.gate.output(), 20, 'it starts on a full disk')
        began = time.monotonic()
        sale.gate.stop()
        fgtest.soon(began, 10, 'it ends within the time for what is under way')
        os.unlink(f'{disk}/filler')
        sale.gate.start()
        sale.keep_shopping(3, seconds=8)
        accepted = answers(sale, 'RESERVED', 'SOLD')
        wait_until(lambda: answers(sale, 'RESERVED', 'SOLD') > accepted + 100, 30, 'it sells again')
        sale.enough()
        sale.finish()


def log_of(sale):
    return sale.gate.get('/v1/status')['log']


def first_seqs(folder):
    return sorted(int(os.path.basename(p)[:20]) for p in glob.glob(f'{folder}/*.fgj'))


FEW = {'rate': 200, 'shoppers': 1000, 'items': '1-4'}


def hold(sale):
    """An order of an item of its own, for extend()."""
    order = os.urandom(16)
    sale.complete = False  # no shopper's file names it
    sale.add_item(50, 100)
    assert sale.client().reserve(50, 50, 1, order).status == 'RESERVED'
    return order


def extend(sale, order, done, seconds=90):
    """A long log of few orders: extends one again and again, and asks after each hundred whether it is done."""
    backend = sale.client('backend')
    until, end = int(time.time() * 1000) + 3600000, time.monotonic() + seconds
    while not done():
        assert time.monotonic() < end, log_of(sale)
        for _ in range(100):
            until += 1
            backend.socket.send(fgclient.request(backend.key_id, backend.secret, 'EXTEND', order, user=50, until_ms=until))
        status = backend.extend(50, order, until + 1).status  # waits: no burst longer than a receive queue
        assert status == 'RESERVED', status
        until += 1


@fgtest.timeout(180)
def test_the_log_outgrows_its_disk(lab):
    """a disk smaller than keep_bytes: segments that snapshots have passed go before a sale is refused; said; audit"""
    size = 2 << 20
    with tmpfs(lab, '2m') as disk:
        sale = Sale(lab, total=400, lesser=3, hold_ms=60000, desk=True, settings={
            'log.dir': f'{disk}/log', 'log.segment_bytes': '64k', 'log.snapshot_records': 5000})
        sale.gate.log_dir = f'{disk}/log'
        code, text = sale.gate.check()
        assert 'keep_bytes: warning: ' in text and 'old segments go sooner' in text, (code, text)
        order = hold(sale)
        sale.shop(seconds=15, **FEW)
        extend(sale, order, lambda: log_of(sale)['durable_seq'] * RECORD > size + (size >> 1))
        log = log_of(sale)
        assert log['state'] == 'ok' and log['segments_forced'] >= 3 and log['first_seq'] > 1, log
        wait_until(lambda: 'too small for [log] keep_bytes' in alarms(sale).get('retention', ''), 10, 'it is said')
        assert 'no room, orders' not in sale.gate.output(), 'no order was refused for it'
        sale.enough()
        sale.finish()


def leave_a_full_disk(lab, settings, before_full, left=0):
    """Others fill the disk but for `left` bytes while old segments are there: it sells on by itself."""
    with ext4(lab) as disk:
        sale = Sale(lab, total=400, lesser=3, hold_ms=60000, desk=True,
                    settings={'log.dir': f'{disk}/log', 'log.segment_bytes': '64k', **settings})
        sale.gate.log_dir = f'{disk}/log'
        order = hold(sale)
        extend(sale, order, lambda: before_full(log_of(sale)))
        assert log_of(sale)['first_seq'] == 1, log_of(sale)
        sale.shop(seconds=20, **FEW)
        os.kill(sale.gate.process.pid, signal.SIGSTOP)  # else we take the room that it makes meanwhile
        fill(f'{disk}/filler')
        os.truncate(f'{disk}/filler', os.path.getsize(f'{disk}/filler') - left)
        os.kill(sale.gate.process.pid, signal.SIGCONT)
        began, end = time.monotonic(), log_of(sale)['durable_seq'] + 12 * 1024
        extend(sale, order, lambda: log_of(sale)['durable_seq'] > end)
        assert log_of(sale)['first_seq'] > 1, log_of(sale)
        print(f'# 12288 records after {time.monotonic() - began:.2f} s, {log_of(sale)["segments_forced"]} segments went')
        assert sale.client().cancel(50, order).status == 'CANCELLED'
        wait_until(sale.gate.healthy, 10, 'it is healthy')
        sale.enough()
        sale.finish()


@fgtest.timeout(120)
def test_a_full_disk_is_left(lab):
    """others fill the disk to the last byte: what snapshots have passed goes, whatever keep_bytes says; it sells on"""
    leave_a_full_disk(lab, {'log.snapshot_records': 1000},
                      lambda log: log['snapshot']['made'] >= 2 and log['segments'] >= 8)


@fgtest.timeout(120)
def test_a_full_disk_is_left_by_a_snapshot(lab):
    """the same with no snapshot so far, and no room for a segment: a snapshot that fits is made, segments go"""
    leave_a_full_disk(lab, {'log.snapshot_records': 0, 'log.segment_bytes': '256k'}, lambda log: log['segments'] >= 4,
                      left=200 << 10)


def limited(sale, which, soft):
    """Sets a limit of the running daemon; the one before."""
    before = resource.prlimit(sale.gate.process.pid, which)
    resource.prlimit(sale.gate.process.pid, which, (soft, before[1]))
    return before


@fgtest.timeout(120)
def test_a_limit_of_the_file_size(lab):
    """RLIMIT_FSIZE below a segment: FULL and no death by SIGXFSZ; nothing old goes in vain; later it sells on; audit"""
    sale = Sale(lab, total=400, lesser=3, hold_ms=60000, desk=True,
                settings={'log.segment_bytes': '1m', 'log.snapshot_records': 0})
    order = hold(sale)
    sale.shop(seconds=10, **FEW)
    before = limited(sale, resource.RLIMIT_FSIZE, 512 << 10)
    backend = sale.client('backend')
    until = int(time.time() * 1000) + 3600000
    for n in range(200):
        if log_state(sale) == 'full':
            break
        for k in range(200):
            backend.socket.send(fgclient.request(backend.key_id, backend.secret, 'EXTEND', order, user=50,
                                                 until_ms=until + 200 * n + k))
    wait_until(lambda: log_state(sale) == 'full', 10, 'the log is full')
    assert 'File too large' in log_of(sale)['error'], log_of(sale)
    assert sale.client().query(99, os.urandom(16)).status == 'UNKNOWN_ORDER', 'questions are answered'
    resource.prlimit(sale.gate.process.pid, resource.RLIMIT_FSIZE, before)
    wait_until(sale.gate.healthy, 10, 'it is healthy')
    assert sale.client().cancel(50, order).status == 'CANCELLED'
    sale.enough()
    sale.finish()


@fgtest.timeout(120)
def test_no_free_descriptor(lab):
    """no descriptor is left, and the log needs a segment: FULL, not failed, nor moved away; later it sells on; audit"""
    sale = Sale(lab, total=400, lesser=3, hold_ms=60000, desk=True, settings={'log.segment_bytes': '64k'})
    order = hold(sale)
    backend, shopper = sale.client('backend'), sale.client()
    until = int(time.time() * 1000) + 3600000
    before = limited(sale, resource.RLIMIT_NOFILE, 3)
    for k in range(4000):  # more than the segments that are there
        backend.socket.send(fgclient.request(backend.key_id, backend.secret, 'EXTEND', order, user=50, until_ms=until + k))
    wait_until(lambda: 'no room' in sale.gate.output(), 20, 'the log is full')
    assert shopper.query(99, os.urandom(16)).status == 'UNKNOWN_ORDER', 'questions are answered'
    wait_until(lambda: 'alarm log: log full' in sale.gate.output(), 10, 'it is said')
    resource.prlimit(sale.gate.process.pid, resource.RLIMIT_NOFILE, before)
    wait_until(sale.gate.healthy, 20, 'it is healthy')
    assert shopper.cancel(50, order).status == 'CANCELLED'
    assert 'moved away' not in sale.gate.output() and 'Too many open files' in sale.gate.output()
    sale.finish()


# ---- the archive -----------------------------------------------------------------------------------------


def union(sale, archive):
    """A folder of links to the archive's segments and to the log's: what docs/log.md tells to do."""
    folder = sale.lab.unique('whole')
    os.mkdir(folder)
    for path in glob.glob(f'{archive}/*/*.fgj') + glob.glob(f'{sale.gate.log_dir}/*.fg[js]'):
        with contextlib.suppress(FileExistsError):
            os.symlink(path, f'{folder}/{os.path.basename(path)}')
    return folder


@fgtest.timeout(180)
def test_the_archive_has_what_went(lab):
    """old segments go only after they were copied, through kill -9 too; archive and log together pass the audit"""
    archive = lab.unique('archive')
    os.mkdir(archive)
    sale = Sale(lab, total=400, lesser=3, hold_ms=60000, desk=True, settings={
        'log.snapshot_records': 500, 'log.segment_bytes': '64k', 'log.keep_bytes': 0, 'log.archive': archive})
    order = hold(sale)
    sale.shop(seconds=10, **FEW)
    extend(sale, order, lambda: log_of(sale)['segments_retired'] >= 2)
    sale.gate.kill()
    part = glob.glob(f'{archive}/*')[0] + '/00000000000000099999.fgj.part'
    with open(part, 'wb') as f:
        f.write(b'half')
    sale.gate.start()
    before = log_of(sale)['segments_retired']
    extend(sale, order, lambda: log_of(sale)['segments_retired'] > before)
    assert 'archive' not in alarms(sale), alarms(sale)
    sale.enough()
    sale.finish()
    assert first_seqs(sale.gate.log_dir)[0] > 1
    code, text = lab.audit(log=union(sale, archive), client=[w.audit for w in sale.waves])
    assert code == 0, (code, text)
    listed = subprocess.run([fgtest.program('fglog'), union(sale, archive), '--to', '3'], check=True, capture_output=True,
                            text=True).stdout
    assert listed.splitlines()[0].split()[0] == '1', listed


@fgtest.timeout(180)
def test_an_archive_that_is_full_or_missing(lab):
    """nothing goes that cannot be copied: alarm, degraded, it sells on; with room the copies go on where they ended"""
    with tmpfs(lab, '1m') as archive:
        sale = Sale(lab, total=400, lesser=3, hold_ms=60000, desk=True, settings={
            'log.snapshot_records': 500, 'log.segment_bytes': '64k', 'log.keep_bytes': 0, 'log.archive': archive})
        order = hold(sale)
        sale.shop(seconds=10, **FEW)
        extend(sale, order, lambda: 'No space left' in alarms(sale).get('archive', ''))
        sale.gate.alarm_fires('archive', 'warning')
        status = sale.gate.get('/v1/status')
        assert status['state'] == 'degraded' and sale.gate.healthy(), status
        assert status['log']['segments_archived'] >= 10 and 'No space' in status['log']['archive_error'], status['log']
        last = first_seqs(f'{archive}/*')[-1]
        end = log_of(sale)['durable_seq'] + 5000
        extend(sale, order, lambda: log_of(sale)['durable_seq'] > end)
        assert log_of(sale)['first_seq'] <= last + 1023, (log_of(sale), last)
        command('mount', '-o', 'remount,size=64m', archive)
        extend(sale, order, lambda: log_of(sale)['first_seq'] > last + 2 * 1023)
        sale.gate.alarm_clears('archive', 30)
        sale.enough()
        sale.finish()


# ---- directories -----------------------------------------------------------------------------------------


def refused(gate, *words, seconds=20):
    """A start that must fail, with these words in what it says."""
    gate.start(ready=False)
    code = gate.process.wait(seconds)
    text = gate.output()
    assert code == 1, (code, text)
    for word in words:
        assert word in text, (word, text)
    return text


def small_gate(lab, **settings):
    return lab.daemon(device='net_null0', settings={**SMALL, **settings})


def test_directories_that_cannot_be_used(lab):
    """log folder without its parents: made; a file, on a read-only disk, in use: refused with its name and the cause"""
    gate = small_gate(lab, **{'log.dir': f'{lab.dir}/missing/parents/log'})
    gate.start()
    assert gate.stop() == 0 and os.listdir(f'{lab.dir}/missing/parents/log'), 'parents are made'
    file = lab.unique('file')
    with open(file, 'w', encoding='utf-8') as f:
        f.write('not a folder\n')
    gate = small_gate(lab, **{'log.dir': file})
    refused(gate, f'{file}: not a folder')
    with tmpfs(lab) as disk:
        gate = small_gate(lab, **{'log.dir': f'{disk}/log'})
        refused(gate, f'{disk}/log/next.tmp: cannot allocate: No space left on device')
        gate.settings['log.segment_bytes'] = '1m'
        gate.write_config()
        gate.start()
        gate.stop()
        command('mount', '-o', 'remount,ro', disk)
        refused(gate, f'{disk}/log', 'Read-only file system')
        fresh = small_gate(lab, **{'log.dir': f'{disk}/other'})
        refused(fresh, f'{disk}/other: cannot be created: Read-only file system')
        command('mount', '-o', 'remount,rw', disk)
        gate.start()
        second = small_gate(lab, **{'log.dir': f'{disk}/log'})
        refused(second, f'{disk}/log: the log is in use by process {gate.process.pid}')
        assert gate.healthy(), 'the first does not notice'
        gate.stop()


# ---- ways of committing ----------------------------------------------------------------------------------


def test_ways_of_committing(lab):
    """each way of [log] commit is in use and told, or plain where it is refused; a change is durable; one log for all"""
    log = lab.unique('log')
    for way in ('plain', 'dsync', 'uring', 'auto'):
        gate = small_gate(lab, **{'log.dir': log, 'log.commit': way})
        gate.start(new_log=way == 'plain')
        told = gate.get('/v1/status')['log']['commit']
        print(f'# {way}: {told}')
        refused_here = 'no direct writes here' in gate.output() or f'{way} 0' in gate.output()
        assert told in ('plain', 'dsync', 'uring') if way == 'auto' else told == ('plain' if refused_here else way), told
        before = gate.get('/v1/status')['log']['durable_seq']
        if way == 'plain':
            status, body = gate.api('POST', '/v1/items', {'item': 1, 'name': 'new', 'total': 3, 'hold_ms': 60000})
            assert status == 201, body
        for i in range(3):
            status, body = gate.api('PATCH', '/v1/items/1', {'name': f'{way} {i}'})
            assert status == 200, body
        assert gate.get('/v1/status')['log']['durable_seq'] >= before + 6, 'a batch record and one more, each time'
        gate.kill()
    gate.start()
    assert gate.get('/v1/items/1')['name'] == 'auto 2'
    gate.stop()


def sell_on(lab, kind):
    """A sale whose log lies on such a file system; kill -9 in each way of committing, and the next one goes on."""
    with file_system(lab, kind) as disk:
        sale = Sale(lab, total=4000, lesser=3, hold_ms=3000,
                    settings={'log.dir': f'{disk}/log', 'log.segment_bytes': '1m', 'log.commit': 'plain'})
        sale.gate.log_dir = f'{disk}/log'
        told = []
        for way in ('plain', 'dsync', 'uring'):
            sale.keep_shopping(2, seconds=6)
            told.append(sale.gate.get('/v1/status')['log']['commit'])
            before = answers(sale, 'RESERVED')
            wait_until(lambda b=before: answers(sale, 'RESERVED') > b + 200, 20, f'it sells by {way}')
            sale.gate.kill()
            sale.gate.settings['log.commit'] = {'plain': 'dsync', 'dsync': 'uring', 'uring': 'auto'}[way]
            sale.gate.write_config()
            sale.gate.start()
        print(f'# {kind}: committed by {told}')
        sale.keep_shopping(2, seconds=6)
        sale.add_stock(HOT, 300)
        wait_until(lambda: answers(sale, 'RESERVED') > 200, 20, 'it sells on')
        sale.enough()
        audit = sale.finish()
        assert audit['log']['sold'] > 100, audit['log']


@fgtest.timeout(120)
def test_ways_of_committing_on_ext4(lab):
    """a sale with kill -9, each way of committing in turn, the log on ext4; audit"""
    sell_on(lab, 'ext4')


@fgtest.timeout(120)
def test_ways_of_committing_on_xfs(lab):
    """the same on xfs"""
    sell_on(lab, 'xfs')


@fgtest.timeout(120)
def test_ways_of_committing_on_btrfs(lab):
    """the same on btrfs, which copies on write"""
    sell_on(lab, 'btrfs')


# ---- damage ----------------------------------------------------------------------------------------------


def segments(sale):
    """[(path, first sequence)] of the log, in order."""
    paths = sorted(glob.glob(f'{sale.gate.log_dir}/*.fgj'))
    return [(p, int(os.path.basename(p)[:20])) for p in paths]


def offset_of(path, seq):
    return HEADER + (seq - int(os.path.basename(path)[:20])) * RECORD


def last_seq(sale):
    path, first = segments(sale)[-1]
    with open(path, 'rb') as f:
        data = f.read()
    seq = first
    while struct.unpack_from('<Q', data, offset_of(path, seq))[0] == seq:
        seq += 1
    return seq - 1


def flip(path, offset):
    with open(path, 'r+b') as f:
        f.seek(offset)
        byte = f.read(1)[0]
        f.seek(offset)
        f.write(bytes([byte ^ 0x10]))


def sold_something(lab, changes=0, **options):
    """A finished sale. changes: so often is an item's name set first, which makes the log long on any machine."""
    sale = Sale(lab, total=400, lesser=3, hold_ms=1000, **options)
    for i in range(changes):
        assert sale.gate.api('PATCH', '/v1/items/1', {'name': f'name {i}'})[0] == 200
    sale.shop(seconds=2)
    sale.finish()
    return sale


def expect_corrupt(sale, path, seq):
    refused(sale.gate, f'{path}: record {seq} at offset {offset_of(path, seq)} is ', 'corrupt')
    code, text = sale.lab.audit(log=sale.gate.log_dir)
    assert code != 0 and os.path.basename(path) in text, (code, text)


def test_a_damaged_record(lab):
    """a flipped bit in the middle of the log: start and audit refuse it with file, record and offset; mended it starts"""
    sale = sold_something(lab)
    path, _ = segments(sale)[0]
    choice = random.Random(seed())
    for _ in range(3):
        seq = choice.randrange(2, last_seq(sale) - 200)
        where = offset_of(path, seq) + choice.randrange(RECORD)
        flip(path, where)
        expect_corrupt(sale, path, seq)
        flip(path, where)
    sale.gate.start()
    sale.finish()


def test_a_damaged_segment(lab):
    """damage in a segment that is not the last: record, header, missing file; each refused by name"""
    sale = sold_something(lab, changes=600, settings={'log.segment_bytes': '64k'})
    assert len(segments(sale)) >= 3, segments(sale)  # a missing last one would look like an earlier end
    (path, first), (second, second_first) = segments(sale)[:2]
    choice = random.Random(seed())
    for seq in (choice.randrange(2, second_first - 2), second_first - 1):
        flip(path, offset_of(path, seq) + 8)
        expect_corrupt(sale, path, seq)
        flip(path, offset_of(path, seq) + 8)
    flip(second, 24)
    refused(sale.gate, f'{second}: the header at offset 0 is corrupt')
    flip(second, 24)
    os.rename(second, second + '.away')
    refused(sale.gate, f'records {second_first} to', 'are missing', os.path.basename(second))
    os.rename(second + '.away', second)
    assert first == 1
    sale.gate.start()
    sale.finish()


def test_a_torn_tail(lab):
    """what a crash left half written behind the end is cut, said so, and nothing else changes"""
    sale = sold_something(lab)
    path, _ = segments(sale)[-1]
    before, end = sale.audit(), last_seq(sale)
    choice = random.Random(seed())
    with open(path, 'r+b') as f:
        f.seek(offset_of(path, end - 1))
        whole = f.read(RECORD)
        torn = struct.pack('<Q', end + 1) + whole[8:40] + bytes(24)
        for tail in (torn, torn + choice.randbytes(5 * RECORD), choice.randbytes(3 * RECORD + 17)):
            f.seek(offset_of(path, end + 1))
            f.write(tail)
            f.flush()
            sale.gate.start()
            assert 'unfinished records that were never acknowledged' in sale.gate.output(), sale.gate.output()
            assert f': {end} records' in sale.gate.output(), sale.gate.output()
            sale.gate.stop()
            after = sale.audit()
            assert after['items'] == before['items'] and after['log']['last_seq'] == end


# ---- errors ----------------------------------------------------------------------------------------------


def seed():
    number = int(os.environ.get('FG_SEED') or random.randrange(1 << 32))
    print(f'# seed {number} (FG_SEED={number} repeats it)')
    return number


class FailingDisk:
    """Starts daemons whose fdatasync or pwrite can be made to fail."""

    def __init__(self, lab):
        self.dir, library = preloaded(lab, 'faulty.c', 'faults')
        self.wrapper = ['env', f'LD_PRELOAD={library}', f'FG_FAULTS={self.dir}']

    def fail(self, what):
        with open(os.path.join(self.dir, what), 'w', encoding='utf-8'):
            pass

    def heal(self):
        for what in ('sync', 'write', 'snapshot', 'slow', 'slow-load', 'fast-clock'):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.dir, what))


def lose_the_disk(lab, what, kill):
    disk = FailingDisk(lab)
    sale = Sale(lab, start=False, hold_ms=3000, redis=lab.redis(persist=True), settings={'log.commit': 'plain'})
    sale.gate.start(wrapper=disk.wrapper)
    sale.open_items(3000, 5)
    sale.shop(seconds=8)
    wait_until(lambda: answers(sale, 'RESERVED') > 500, 20, 'it sells')
    disk.fail(what)
    wait_until(lambda: log_state(sale) == 'failed', 10, 'the log has failed')
    status, body = sale.gate.api('GET', '/healthz')
    assert status == 503 and 'log failed' in str(body) and 'Input/output error' in str(body), (status, body)
    assert sale.gate.get('/v1/status')['state'] == 'unhealthy'
    disk.heal()
    unavailable = answers(sale, 'UNAVAILABLE')
    wait_until(lambda: answers(sale, 'UNAVAILABLE') > unavailable + 50, 15, 'everything is UNAVAILABLE')
    decided, durable = decisions(sale), sale.gate.get('/v1/status')['log']['durable_seq']
    status, body = sale.gate.api('POST', f'/v1/items/{HOT}/stock', {'add': 5})
    assert status >= 500, (status, body)
    refused = answers(sale, 'UNAVAILABLE')
    wait_until(lambda: answers(sale, 'UNAVAILABLE') > refused + 50, 15, 'more of them are refused')
    status = sale.gate.get('/v1/status')
    assert status['log']['state'] == 'failed' and status['log']['durable_seq'] == durable, 'a failed log stays failed'
    assert decisions(sale) == decided, 'nothing is decided any more'
    if kill:
        sale.gate.kill()
    else:
        sale.gate.process.signal(signal.SIGTERM)
        assert sale.gate.process.wait(15) in (0, 1), sale.gate.output()[-2000:]
    sale.gate.start()
    sale.keep_shopping(3, seconds=8)
    accepted = answers(sale, 'RESERVED', 'SOLD')
    wait_until(lambda: answers(sale, 'RESERVED', 'SOLD') > accepted + 50, 30, 'after a restart it sells again')
    sale.enough()
    sale.finish()


@fgtest.timeout(120)
def test_a_sync_that_fails(lab):
    """fdatasync fails in a flood: UNAVAILABLE and unhealthy for good; after SIGTERM and restart it sells; audit"""
    lose_the_disk(lab, 'sync', kill=False)


@fgtest.timeout(120)
def test_a_write_that_fails(lab):
    """pwrite fails in a flood: the same, ended by kill -9"""
    lose_the_disk(lab, 'write', kill=True)


def alarms(sale):
    return {a['name']: a['text'] for a in sale.gate.get('/v1/status')['alarms']}


@fgtest.timeout(120)
def test_a_disk_that_stands_still(lab):
    """a sync that takes seconds: an alarm while it waits, rejections go on, nothing is lost; then the answers come"""
    disk = FailingDisk(lab)
    sale = Sale(lab, start=False, hold_ms=60000, desk=True, settings={'log.commit': 'plain'})
    sale.gate.start(wrapper=disk.wrapper)
    sale.open_items(4000, 5)
    sale.add_item(99, 0)
    shopper = sale.client()
    assert 'disk' not in alarms(sale)
    sale.shop(seconds=10)
    wait_until(lambda: answers(sale, 'RESERVED') > 200, 20, 'it sells')
    before = min(w['gave_way'] for w in sale.gate.get('/v1/stats')['workers'])
    disk.fail('slow')
    wait_until(lambda: 'waits for the disk' in alarms(sale).get('disk', ''), 20, 'the alarm is raised')
    sale.gate.alarm_fires('disk', 'warning')
    assert sale.gate.healthy() and log_state(sale) == 'ok', 'slow is not broken'
    durable = sale.gate.get('/v1/status')['log']['durable_seq']
    assert shopper.reserve(99, 99, 1).status == 'SOLD_OUT', 'rejections go on'
    given = lambda: [w['gave_way'] for w in sale.gate.get('/v1/stats')['workers']]  # noqa: E731
    wait_until(lambda: min(given()) >= before + 8, 5, f'each worker sleeps 8 times for the disk, {before} before, {given()}')
    assert sale.gate.get('/v1/status')['log']['durable_seq'] == durable, 'nothing is durable meanwhile'
    accepted = answers(sale, 'RESERVED', 'SOLD')
    disk.heal()
    wait_until(lambda: answers(sale, 'RESERVED', 'SOLD') > accepted + 50, 20, 'the answers come')
    log = sale.gate.get('/v1/status')['log']
    assert log['commits_slow'] >= 1 and log['commit_max_ms'] >= 1000, log
    sale.gate.alarm_clears('disk')
    sale.enough()
    sale.finish()


def snapshot_refused(sale, word):
    """No snapshot, said everywhere; the sale goes on; nothing of it is left on disk."""
    status, body = sale.gate.api('POST', '/v1/log/snapshot')
    assert status == 503 and word in body['error']['message'], (status, body)
    wait_until(lambda: word in alarms(sale).get('snapshot', ''), 10, 'the alarm is raised')
    sale.gate.alarm_fires('snapshot', 'warning')
    status = sale.gate.get('/v1/status')
    assert status['state'] == 'degraded' and word in status['log']['snapshot']['error'], status
    assert status['log']['snapshot']['failures'] > 0 and status['log']['state'] == 'ok', status['log']
    assert sale.gate.healthy(), 'a snapshot is no part of the sale'
    assert not glob.glob(os.path.join(sale.gate.log_dir, 'snapshot.tmp')), os.listdir(sale.gate.log_dir)
    accepted = answers(sale, 'RESERVED', 'SOLD')
    wait_until(lambda: answers(sale, 'RESERVED', 'SOLD') > accepted + 50, 20, 'it sells on')


def snapshot_made(sale):
    before = sale.gate.get('/v1/status')['log']['snapshot']['made']
    status, body = sale.gate.api('POST', '/v1/log/snapshot')
    assert status == 200, (status, body)
    after = sale.gate.get('/v1/status')['log']['snapshot']
    assert after['made'] > before and after['error'] == '', after
    sale.gate.alarm_clears('snapshot')


@fgtest.timeout(120)
def test_a_snapshot_that_fails(lab):
    """fdatasync of a snapshot fails in a flood: alarm, degraded, healthy, it sells on; later it works; audit"""
    disk = FailingDisk(lab)
    sale = Sale(lab, start=False, hold_ms=3000)
    sale.gate.start(wrapper=disk.wrapper)
    sale.open_items(4000, 5)
    sale.shop(seconds=8)
    wait_until(lambda: answers(sale, 'RESERVED') > 200, 20, 'it sells')
    disk.fail('snapshot')
    snapshot_refused(sale, 'Input/output error')
    disk.heal()
    snapshot_made(sale)
    sale.enough()
    sale.finish()


@fgtest.timeout(120)
def test_a_long_start_says_how_far_it_is(lab):
    """a snapshot that takes seconds to load: lines that say how far it is; then it sells on; audit"""
    disk = FailingDisk(lab)
    sale = Sale(lab, total=400, lesser=3, hold_ms=1000)
    sale.shop(seconds=2)
    sale.wave_done()
    snapshot_made(sale)
    sale.gate.stop()
    disk.fail('slow-load')
    sale.gate.start(wrapper=disk.wrapper)
    disk.heal()
    told = [line for line in sale.gate.output().splitlines() if 'loading the snapshot: order ' in line]
    print(f'# {told}')
    orders = sale.gate.get('/v1/status')['ledger']['orders']
    assert told and f' of {orders}' in told[-1], sale.gate.output()[-2000:]
    sale.shop(seconds=2)
    sale.finish()


@fgtest.timeout(120)
def test_log_is_taken_away(lab):
    """the directory of the log is moved away and back, its lock is removed: alarm, unhealthy; moved back it goes on; audit"""
    sale = Sale(lab, total=400, lesser=3, hold_ms=1000)
    sale.shop(seconds=2)
    log, aside = sale.gate.log_dir, sale.gate.log_dir + '-aside'

    def alarm():
        status = sale.gate.get('/v1/status')
        return status['state'], [a['text'] for a in status['alarms'] if a['name'] == 'log']

    for take, give in ((lambda: os.rename(log, aside), lambda: os.rename(aside, log)),
                       (lambda: os.rename(f'{log}/lock', f'{log}/lock-aside'), lambda: os.rename(f'{log}/lock-aside', f'{log}/lock'))):
        assert alarm() == ('running', [])
        take()
        wait_until(lambda: alarm()[0] == 'unhealthy' and alarm()[1], 10, 'it is noticed')  # a stalled worker is unhealthy, too
        assert 'moved away' in alarm()[1][0] and not sale.gate.healthy()
        give()
        wait_until(lambda: alarm() == ('running', []), 20, 'it is over')
    sale.finish()


@fgtest.timeout(120)
def test_workers_get_their_orders(lab):
    """workers for whom it takes seconds to get their orders: lines that say how far it is; kill -9; audit"""
    disk = FailingDisk(lab)
    sale = Sale(lab, total=400, lesser=3, hold_ms=1000, settings={'workers.count': 4})
    sale.shop(seconds=2)
    sale.wave_done()
    orders = sale.gate.get('/v1/status')['ledger']['orders']
    assert orders > 100
    sale.gate.kill()
    disk.fail('fast-clock')
    sale.gate.start(wrapper=disk.wrapper, ready=False)
    wait_until(lambda: f'giving each worker its orders: order {4 * orders} of {4 * orders}' in sale.gate.output() or
               not sale.gate.running(), 60, 'it says how far it is')
    told = [line for line in sale.gate.output().splitlines() if 'giving each worker' in line]
    print(f'# {told}')
    assert len(told) == 2 and f'order {2 * orders} of {4 * orders}' in told[0], sale.gate.output()[-2000:]
    sale.gate.kill()
    disk.heal()
    sale.gate.start()
    sale.shop(seconds=2)
    sale.finish()


@fgtest.timeout(120)
def test_no_room_for_a_snapshot(lab):
    """a snapshot that would take the log's last room is not begun: alarm, degraded, it sells on; then there is room"""
    with tmpfs(lab) as disk:
        sale = Sale(lab, total=9000, lesser=3, settings={'log.dir': f'{disk}/log', 'log.segment_bytes': '1m'})
        sale.gate.log_dir = f'{disk}/log'
        sale.shop(seconds=8)
        wait_until(lambda: answers(sale, 'RESERVED') > 4000, 20, 'a snapshot takes more than a little')
        with open(f'{disk}/filler', 'wb') as f:
            free = os.statvfs(disk)
            f.write(bytes(free.f_bavail * free.f_frsize - (3 << 19)))  # 1.5 segments stay
        snapshot_refused(sale, 'stay free for the log')
        os.unlink(f'{disk}/filler')
        snapshot_made(sale)
        sale.enough()
        sale.finish()


if __name__ == '__main__':
    if os.geteuid() == 0:
        unshare_mounts()
    fgtest.main()
