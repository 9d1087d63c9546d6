#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Snapshots and retention in a running sale: made, loaded, damaged, missing, foreign; segments that go, and stay."""

import glob
import os
import shutil
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
from fgsale import HOT, Sale, fgtest  # noqa: E402
from fgtest import wait_until  # noqa: E402

# snapshots every few hundred records, segments of 1023 records, nothing kept for its own sake
OFTEN = {'log.snapshot_records': 500, 'log.segment_bytes': '64k', 'log.keep_bytes': 0}


def log(sale):
    return sale.gate.get('/v1/status')['log']


def snapshots(sale):
    return sorted(int(os.path.basename(p)[:20]) for p in glob.glob(os.path.join(sale.gate.log_dir, '*.fgs')))


def snapshot_path(sale, seq):
    return os.path.join(sale.gate.log_dir, f'{seq:020}.fgs')


def damage(path):
    with open(path, 'r+b') as f:
        f.seek(os.path.getsize(path) // 2)
        byte = f.read(1)
        f.seek(-1, os.SEEK_CUR)
        f.write(bytes([byte[0] ^ 1]))


def refuses(sale, *words):
    """The daemon does not start, and says why; it changed nothing."""
    files = {p: os.path.getsize(p) for p in glob.glob(os.path.join(sale.gate.log_dir, '*.fg*'))}
    sale.gate.start(ready=False)
    code = sale.gate.process.wait(30)
    text = sale.gate.output()
    assert code == 1 and all(w in text for w in words), (code, text[-2000:])
    assert files == {p: os.path.getsize(p) for p in glob.glob(os.path.join(sale.gate.log_dir, '*.fg*'))}
    print(f'# {[line for line in text.splitlines() if "error" in line][-1].split("error", 1)[1].strip()}')


@fgtest.timeout(120)
def test_old_segments_go_while_it_sells(lab):
    """snapshots are made in the flood, segments behind them and Redis go; kill -9 and restart; the audit passes"""
    sale = Sale(lab, total=2500, lesser=4, redis=lab.redis(persist=True), settings=OFTEN)
    sale.shop(seconds=6)
    wait_until(lambda: log(sale)['segments_retired'] >= 2, 60, 'old segments are removed')
    before = log(sale)
    assert before['first_seq'] > 1 and before['snapshot']['older_seq'] + 1 >= before['first_seq'], before
    assert before['segments'] < before['durable_seq'] // 1023 + 1, before
    sale.gate.kill()
    sale.gate.start()
    assert 'snapshot of record' in sale.gate.output(), sale.gate.output()
    assert log(sale)['snapshot']['seq'] >= before['snapshot']['seq']
    wait_until(lambda: len(snapshots(sale)) <= 2, 10, 'older snapshots are removed')
    wait_until(lambda: sale.item()['sold'] > 500, 20, 'it sells on')
    sale.enough()
    sale.wave_done()
    wait_until(lambda: not any(sale.item(number)['reserved'] for number in sale.totals), 20, 'the last hold has ended')
    done = sale.gate.fgctl('log', 'snapshot')
    assert done['seq'] in snapshots(sale), (done, snapshots(sale))
    assert sale.gate.fgctl('log', 'snapshot') == done, 'nothing new, no new snapshot'
    audit = sale.finish()
    print(f'# retired {before["segments_retired"]} segments, snapshots of {snapshots(sale)}, log from {before["first_seq"]}')
    assert audit['log']['sold'] > 500, audit['log']


@fgtest.timeout(120)
def test_a_sink_that_never_came_holds_segments_back(lab):
    """Redis is configured and away: nothing that it lacks is removed; it comes, and they go"""
    redis = lab.redis()
    redis.kill()
    sale = Sale(lab, total=2500, lesser=4, redis=redis, settings=OFTEN)
    sale.shop(seconds=5)
    wait_until(lambda: log(sale)['snapshot']['made'] >= 3 and log(sale)['durable_seq'] > 3000, 60, 'snapshots are made')
    assert log(sale)['first_seq'] == 1 and log(sale)['segments_retired'] == 0, log(sale)
    redis.start()
    wait_until(lambda: log(sale)['segments_retired'] >= 1, 60, 'Redis has caught up, segments are removed')
    sale.enough()
    sale.finish()


@fgtest.timeout(120)
def test_a_sink_holds_no_more_than_its_bound(lab):
    """Redis stays away: said when half of sink_keep_bytes is used; then segments go; it comes and is filled; audit"""
    redis = lab.redis()
    redis.kill()
    sale = Sale(lab, total=2500, lesser=4, redis=redis, settings={**OFTEN, 'log.sink_keep_bytes': '512k'})
    alarm = lambda: [a['text'] for a in sale.gate.get('/v1/status')['alarms'] if a['name'] == 'retention']  # noqa: E731
    sale.shop(seconds=8)
    told = wait_until(alarm, 60, 'it is said before')
    sale.gate.alarm_fires('retention', 'warning')
    assert 'redis lacks 0 MiB of the log; beyond' in told[0], told
    now = log(sale)
    assert now['segments_retired'] == 0 or now['segments_bytes'] >= 512 << 10, now
    wait_until(lambda: log(sale)['segments_retired'] >= 2, 60, 'segments go')
    redis.start()
    wait_until(lambda: sale.gate.sink('redis')['state'] == 'live', 60, 'Redis is filled from a snapshot')
    sale.gate.alarm_clears('retention')
    sale.enough()
    sale.finish()


@fgtest.timeout(120)
def test_by_default_the_log_stays_whole(lab):
    """with the default keep_bytes no segment of an ordinary sale goes, snapshots or not: the audit has all of it"""
    sale = Sale(lab, total=1500, lesser=2, settings={**OFTEN, 'log.keep_bytes': None})
    sale.shop(seconds=3)
    wait_until(lambda: log(sale)['snapshot']['made'] >= 3, 60, 'snapshots are made')
    assert log(sale)['first_seq'] == 1 and log(sale)['segments_retired'] == 0
    sale.enough()
    audit = sale.finish()
    assert audit['log']['first_seq'] == 1, audit['log']


@fgtest.timeout(120)
def test_bad_snapshots(lab):
    """the newest damaged: the one before is taken and it is said; all damaged: refused, or record 1 if that is there"""
    sale = Sale(lab, total=2500, lesser=4, settings=OFTEN)
    sale.shop(seconds=5)
    wait_until(lambda: log(sale)['segments_retired'] >= 1, 60, 'old segments are removed')
    sale.enough()
    sale.wave_done()
    wait_until(lambda: sale.item()['reserved'] == 0, 30, 'all holds have ended')
    item = sale.item()
    sale.gate.stop()
    older, newest = snapshots(sale)
    damage(snapshot_path(sale, newest))
    sale.gate.start()
    assert f'{newest:020}.fgs: the snapshot is damaged' in sale.gate.output(), sale.gate.output()
    assert f'recovery begins with the snapshot of record {older}' in sale.gate.output()
    assert sale.item() == item, 'the same state from the snapshot before'
    wait_until(lambda: newest not in snapshots(sale), 20, 'a new one is made, the bad one removed')
    sale.gate.stop()
    two = snapshots(sale)
    assert older in two and len(two) == 2, (older, two)
    for seq in two:
        damage(snapshot_path(sale, seq))
    refuses(sale, 'the snapshot is damaged')
    for seq in two:
        damage(snapshot_path(sale, seq))  # the same bit again: whole
    sale.gate.start()
    assert sale.item() == item
    sale.gate.stop()
    for seq in two:
        shutil.move(snapshot_path(sale, seq), sale.gate.dir)
    refuses(sale, 'records 1 to', 'there is no snapshot')
    for seq in two:
        shutil.move(os.path.join(sale.gate.dir, f'{seq:020}.fgs'), sale.gate.log_dir)
    sale.gate.start()
    sale.finish()


@fgtest.timeout(120)
def test_snapshots_and_segments_of_another_log(lab):
    """a snapshot or a segment of another appliance, a snapshot without its log, one ahead of its log: refused"""
    mine = Sale(lab, total=50, lesser=0)
    other = os.path.join(mine.gate.dir, 'other')
    mine.gate.fgctl('log', 'snapshot')
    mine.gate.stop()
    foreign = snapshots(mine)[0]
    shutil.move(mine.gate.log_dir, other)
    mine.gate.start(new_log=True)
    mine.open_items(70, 1)
    mine.gate.fgctl('log', 'snapshot')
    mine.gate.stop()
    own = snapshots(mine)[0]
    aside = os.path.join(mine.gate.dir, 'aside')
    os.mkdir(aside)
    shutil.move(snapshot_path(mine, own), aside)
    shutil.copy(os.path.join(other, f'{foreign:020}.fgs'), mine.gate.log_dir)
    refuses(mine, 'belongs to appliance')
    segment = os.path.join(mine.gate.log_dir, f'{1:020}.fgj')
    shutil.move(segment, aside)
    refuses(mine, 'but no segment of its log')
    os.unlink(snapshot_path(mine, foreign))
    shutil.copy(os.path.join(other, f'{1:020}.fgj'), os.path.join(mine.gate.log_dir, f'{2:020}.fgj'))
    refuses(mine, 'the header says that it begins with record 1')
    os.unlink(os.path.join(mine.gate.log_dir, f'{2:020}.fgj'))
    shutil.move(os.path.join(aside, f'{1:020}.fgj'), mine.gate.log_dir)
    shutil.move(os.path.join(aside, f'{own:020}.fgs'), mine.gate.log_dir)
    with open(segment, 'r+b') as f:  # a log that lost its end, such as an old copy
        f.seek(64 * 2)
        f.write(bytes(64 * 200))
    refuses(mine, 'the log ends before snapshot')


@fgtest.timeout(90)
def test_memory_is_marked(lab):
    """durability = memory: said in the log, in status, as an alarm and by health; no snapshot is made of it"""
    sale = Sale(lab, total=50, lesser=0, settings={'log.durability': 'memory'})
    assert 'durability is memory' in sale.gate.output()
    status = sale.gate.get('/v1/status')
    assert status['log']['durability'] == 'memory', status['log']
    sale.gate.alarm_fires('memory', 'warning')
    assert 'memory' in sale.gate.get('/healthz')['warning']
    code, _, error = sale.gate.fgctl('log', 'snapshot', check=False)
    assert code == 4 and 'durability is memory' in error, (code, error)
    assert HOT in sale.totals and not snapshots(sale)
    sale.gate.settings['log.durability'] = 'disk'
    sale.gate.write_config()
    sale.gate.restart()
    sale.gate.alarm_clears('memory')


if __name__ == '__main__':
    fgtest.main()
