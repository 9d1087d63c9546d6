#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""What a pair must refuse, and what it must live through: disks that are new, old, of another history, or slow; an arbiter
whose answers are late; clocks that are wrong and jump."""

import glob
import json
import os
import random
import shutil
import socket
import subprocess
import sys
import threading
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgdisk import preloaded  # noqa: E402
from fgpair import ARBITER, PairSale  # noqa: E402

ENDED = 75
RESTORED_WORD = 'lacks records that the pair had acknowledged'


# ---- disks --------------------------------------------------------------------------------------


def alone(lab, **options):
    """A pair whose first box sells on alone after its standby died; and an image of its log from before that."""
    sale = PairSale(lab, **options)
    first, second = sale.pair.boxes
    sale.shop(seconds=6)
    sale.sells(300)
    image = lab.unique('image')
    second.gate.kill()
    shutil.copytree(second.gate.log_dir, image)
    first.wait('solo')
    sale.sells(300)
    sale.wave_done()
    return sale, first, second, image


def refuses(box):
    """It runs, leads nothing, and says that its log lacks records."""
    def told():
        view = box.view()
        assert view.get('role') not in ('leader', 'solo', 'standby'), view
        return RESTORED_WORD in str(view)
    box.start()
    fgtest.wait_until(told, 30, f'box {box.node} refuses to lead')
    box.gate.alarm_fires('refused', 'alarm')


def replaced(box, image):
    shutil.rmtree(box.gate.log_dir, ignore_errors=True)
    if image:
        shutil.copytree(image, box.gate.log_dir)


@fgtest.timeout(180)
def test_lost_disk(lab):
    """the only leader comes back with an empty disk, then with an older one, its standby long gone: it refuses to lead, and
    so does the standby; with its own disk it leads"""
    sale, first, second, image = alone(lab)
    kept = lab.unique('kept')
    first.gate.kill()
    shutil.copytree(first.gate.log_dir, kept)
    replaced(first, None)
    first.start()
    assert first.gate.process.wait(20) == 1 and 'is its disk mounted' in first.gate.output()
    replaced(first, image)
    refuses(first)
    first.gate.kill()
    second.start()
    fgtest.pause(4, 'longer than a peer is waited for')
    assert second.role() not in ('leader', 'solo'), 'a standby of long ago leads'
    second.gate.alarm_fires('refused', 'warning')
    replaced(first, kept)
    first.start()
    sale.pair.published(30)
    second.gate.alarm_clears('refused')
    assert sale.pair.leader() is first
    sale.shop(seconds=3)
    sale.sells()
    sale.finish()


@fgtest.timeout(180)
def test_other_history(lab):
    """an old image went on without the pair, further than the pair itself: it neither leads nor joins by sequence"""
    sale, first, second, image = alone(lab)
    last = first.gate.get('/v1/status')['log']['durable_seq']
    first.gate.kill()
    kept = lab.unique('kept')
    shutil.copytree(first.gate.log_dir, kept)
    replaced(first, image)
    first.gate.settings['pair.enabled'] = 'no'
    first.gate.write_config()
    first.gate.start()
    for n in range(1 + (last - first.gate.get('/v1/status')['log']['durable_seq']) // 2 + 50):
        first.gate.api('PATCH', '/v1/items/1', {'name': f'of another history {n}'})
    assert first.gate.get('/v1/status')['log']['durable_seq'] > last
    first.gate.stop()
    first.gate.settings['pair.enabled'] = 'yes'
    first.gate.write_config()
    refuses(first)
    first.gate.kill()
    replaced(first, kept)
    first.start()
    second.start()
    sale.pair.published(30)
    sale.shop(seconds=3)
    sale.sells()
    sale.finish()


@fgtest.timeout(180)
def test_empty_box(lab):
    """a box with an empty disk, and a leader's log that no longer begins early enough: it is filled from the leader's snapshot
    while that sells, joins, and takes over; killed while it puts the snapshot in the place of its log, it finishes that"""
    sale = PairSale(lab, settings={'log.segment_bytes': '64k', 'log.snapshot_records': 2000, 'log.keep_bytes': 0})
    first, second = sale.pair.boxes
    sale.shop(seconds=12)
    sale.sells(300)
    second.gate.kill()
    first.wait('solo')

    def retired():
        first.gate.fgctl('log', 'snapshot')
        return not os.path.exists(f'{first.gate.log_dir}/{1:020}.fgj')
    fgtest.wait_until(lambda: sale.sells(100) or retired(), 60, 'old segments are gone', 0.5)
    first.gate.kill()  # the newest records are no longer in memory
    first.start()
    first.wait('solo')
    old = lab.unique('old')
    shutil.copytree(second.gate.log_dir, old)
    for image in (None, old):  # an empty box; one that is too far behind
        replaced(second, image)
        sale.keep_shopping(6, seconds=12)
        second.start()
        assert second.gate.process.wait(30) == ENDED, second.gate.output()
        (snapshot,) = glob.glob(f'{second.gate.log_dir}/fill/*.fgs')
        assert 'the snapshot of record' in second.gate.output(), second.gate.output()
    second.gate.settings['log.keep_bytes'] = '1g'  # the first one is not to be filled later
    second.gate.write_config()
    # as if power had failed when the old segments were removed, and the new one had begun
    for path in glob.glob(f'{second.gate.log_dir}/*.fgj'):
        os.unlink(path)
    sale.pair.join(second)
    assert 'filled from the leader' in second.gate.output() and not os.path.exists(snapshot)
    sale.sells()
    first.gate.kill()
    second.wait('solo')
    sale.sells()
    sale.wave_done()
    sale.pair.join(first)
    sale.finish()


@fgtest.timeout(240)
def test_out_and_in_again(lab):
    """a pair becomes one appliance while it sells, and later a pair anew, with other keys in etcd: as docs/pair.md says"""
    sale = PairSale(lab)
    first, second = sale.pair.boxes
    sale.shop(seconds=10)
    sale.sells(300)
    first.gate.fgctl('pair', 'solo')
    first.wait('solo')
    second.gate.stop()
    sale.sells()
    first.gate.stop()
    first.gate.settings['pair.enabled'] = 'no'
    first.gate.write_config()
    first.gate.start()
    first.leads = lambda: True  # of an appliance alone
    sale.sells()
    sale.pair.etcd.ctl('del', '--prefix', 'floodgate/pair/')
    shutil.rmtree(second.gate.log_dir)
    first.gate.settings['pair.enabled'] = 'yes'
    first.gate.write_config()
    sale.pair.etcd.begin('pair', first.gate.config)
    first.gate.stop()
    del first.leads
    first.start()
    first.wait('solo')
    sale.pair.join(second)
    sale.sells()
    first.gate.kill()
    second.wait('solo')
    sale.sells()
    sale.wave_done()
    sale.pair.join(first)
    sale.finish()


@fgtest.timeout(240)
def test_slow_disks(lab):
    """a sync of five seconds at the standby, then at the leader: it sells on, by at most one change of the leader each"""
    sale = PairSale(lab, start=False, settings={'log.commit': 'plain'})
    folders = []
    for box in sale.pair.boxes:
        folder, library = preloaded(lab, 'faulty.c', f'disk{box.node}')
        folders.append(folder)
        box.wrapper = ['env', f'LD_PRELOAD={library}', f'FG_FAULTS={folder}']
    sale.begin()
    for standby in (True, False):
        sale.shop(seconds=12)
        sale.sells(300)
        leader = sale.pair.leader()
        slow = sale.pair.other(leader) if standby else leader
        epoch = leader.view()['epoch']
        path = os.path.join(folders[slow.node], 'slow')
        with open(path, 'w', encoding='utf-8'):
            pass
        began = time.monotonic()
        if standby:
            leader.wait('solo')
            sale.sells()
        fgtest.wait_until(lambda b=began: time.monotonic() > b + 5, 10, 'five seconds have passed')
        os.unlink(path)
        for box in sale.pair.boxes:
            if not box.gate.running():
                box.gate.kill()
                box.start()
        sale.pair.published(40, restart=ENDED)
        sale.sells()
        now = sale.pair.leader().view()['epoch']
        print(f'# slow {"standby" if standby else "leader"}: epoch {epoch}, then {now}')
        assert now <= epoch + 3, 'it does not flap'
        sale.wave_done()
    sale.finish()


# ---- the arbiter ---------------------------------------------------------------------------------


class Late(threading.Thread):
    """A way to one member of etcd that hands on what a client says `delay` seconds late."""

    def __init__(self, pair, port):
        super().__init__(daemon=True)
        self.pair, self.target, self.delay = pair, port, 0
        with pair.net.inside():
            self.listener = socket.create_server((ARBITER, port + 1000))
        self.start()

    def run(self):
        while True:
            try:
                client, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self.relay, args=(client,), daemon=True).start()

    def relay(self, client):
        with self.pair.net.inside():
            server = socket.socket()
        try:
            server.connect((ARBITER, self.target))
        except OSError:
            client.close()
            return
        threading.Thread(target=self.pump, args=(client, server, True), daemon=True).start()
        self.pump(server, client, False)

    def pump(self, source, sink, late):
        try:
            while data := source.recv(65536):
                if late and self.delay:
                    fgtest.pause(self.delay, 'it is late')
                sink.sendall(data)
        except OSError:
            pass
        for s in (source, sink):
            try:
                s.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


@fgtest.timeout(240)
def test_late_swaps(lab):
    """each word to etcd arrives 1.5 seconds late, its answers are not waited for: the standby dies, then the leader too, in
    the middle of it; one history"""
    sale = PairSale(lab, start=False)
    ways = [Late(sale.pair, member.client) for member in sale.pair.etcd.members]
    for box in sale.pair.boxes:
        box.gate.settings['pair.arbiter'] = ', '.join(f'{ARBITER}:{way.target + 1000}' for way in ways)
        box.gate.write_config()
    sale.begin()
    chance = random.Random(7)
    for _ in range(3):
        sale.shop(seconds=10)
        sale.sells(300)
        leader = sale.pair.leader()
        standby = sale.pair.other(leader)
        for way in ways:
            way.delay = 1.5
        standby.gate.kill()
        fgtest.pause(chance.uniform(0.3, 2), 'a swap of the leader may be on its way')
        leader.gate.kill()
        standby.start()
        fgtest.pause(chance.uniform(0, 1), 'the standby asks')
        for way in ways:
            way.delay = 0
        leader.start()
        sale.pair.published(60, restart=ENDED)
        sale.sells()
        sale.wave_done()
    sale.finish()
    for way in ways:
        way.listener.close()


def times(folder):
    """Holds that ended early, by how much at most; how far the time of a record went back behind a change of the leader."""
    done = subprocess.run([fgtest.program('fglog'), folder, '--json'], capture_output=True, text=True, check=True, timeout=60)
    deadlines, early_ms, back_ms, before, newest = {}, 0, 0, 0, 0
    for r in map(json.loads, done.stdout.splitlines()):
        if r['type'] == 'batch':
            continue
        if r['type'] == 'epoch':  # written before the sale goes on
            before = newest
            continue
        newest = max(newest, r['time_ms'])
        back_ms = max(back_ms, before - r['time_ms'])
        if r['type'] in ('reserved', 'extended', 'offered'):
            deadlines[r['user'], r['order']] = r['arg']
        elif r['type'] == 'expired':
            early_ms = max(early_ms, deadlines[r['user'], r['order']] - r['time_ms'])
    return early_ms, back_ms


# ---- clocks --------------------------------------------------------------------------------------


@fgtest.timeout(240)
def test_clocks(lab):
    """the standby's clock is five seconds ahead, then behind, and jumps: an alarm; after a take-over no hold ends early, and
    the sale's time does not go back"""
    sale = PairSale(lab, start=False, hold_ms=8000)
    folder, library = preloaded(lab, 'clockshift.c', 'clock')
    offset = os.path.join(folder, 'offset')

    def shift(seconds):
        with open(offset + '.new', 'w', encoding='utf-8') as f:
            f.write(str(seconds))
        os.rename(offset + '.new', offset)
    shift(0)
    second = sale.pair.boxes[1]
    second.wrapper = ['env', f'LD_PRELOAD={library}', f'FG_CLOCK={offset}']
    sale.begin()
    for seconds in (5, -5):
        leader = sale.pair.boxes[0]
        second.gate.stop()
        shift(seconds)
        second.start()
        sale.pair.published(30)
        sale.shop(seconds=6)
        sale.sells(300)
        fgtest.wait_until(lambda: abs(leader.view().get('skew_ms', 0)) > 4000, 10, 'the skew is measured')
        leader.gate.alarm_fires('skew', 'warning')
        leader.gate.kill()
        second.wait('solo')
        sale.sells()
        shift(-seconds)
        sale.sells()
        sale.wave_done()
        sale.pair.join(leader)
        second.gate.fgctl('pair', 'switch')
        leader.wait('solo', 'leader')
        fgtest.wait_until(lambda: not second.gate.running(), 20, 'the old leader ends')
        second.gate.kill()
        second.start()
        sale.pair.published(30)
    shift(0)
    sale.finish()
    early_ms, back_ms = times(sale.last.gate.log_dir)
    print(f'# holds ended up to {early_ms} ms early; the time went back by up to {back_ms} ms')
    assert early_ms <= 0, f'a hold ended {early_ms} ms before its deadline'
    assert back_ms <= 50, f'the time went back by {back_ms} ms'


if __name__ == '__main__':
    fgtest.main()
