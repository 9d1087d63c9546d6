#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""Backup and restore as docs/data.md says it, while a sale runs; and files of a newer version, which are refused by name."""

import glob
import os
import shutil
import struct
import subprocess
import sys
import threading

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgshop import ITEM, Shop  # noqa: E402

VERSION_AT = 8  # in the first bytes of segments and snapshots, behind the magic number


class Buyers(threading.Thread):
    """Buys one unit after the other until it is told to stop; `sold`: [(user, order)] that were acknowledged."""

    def __init__(self, shop):
        super().__init__()
        self.shop, self.enough, self.sold = shop, threading.Event(), []

    def run(self):
        for user in range(1, 100000):
            if self.enough.is_set():
                return
            status, order = self.shop.reserve(user)
            if status == 'RESERVED' and self.shop.backend.confirm(user, order).status == 'SOLD':
                self.sold.append((user, order))

    def have(self, count):
        fgtest.wait_until(lambda: len(self.sold) >= count, 60, f'{count} units are sold')


def copy(log, to, buyers):
    """Snapshots first, then segments; buyers go on meanwhile."""
    os.mkdir(to)
    for kind in ('*.fgs', '*.fgj'):
        for path in sorted(glob.glob(f'{log}/{kind}')):
            shutil.copy(path, to)
        buyers.have(len(buyers.sold) + 5)


@fgtest.timeout(180)
def test_backup_and_restore(lab):
    """a copy made in mid-sale, put in the place of a lost log: all that was sold before the copy is sold, and it adds up"""
    s = Shop(lab, {'total': 100000, 'hold_ms': 3600000}, workers=2, **{'filter.order_rate': 0})
    buyers, backup = Buyers(s), lab.unique('backup')
    buyers.start()
    try:
        buyers.have(40)
        s.gate.fgctl('log', 'snapshot')
        buyers.have(80)
        before = list(buyers.sold)
        copy(s.gate.log_dir, backup, buyers)
        buyers.have(len(buyers.sold) + 20)
    finally:
        buyers.enough.set()
        buyers.join()
    s.gate.kill()
    assert glob.glob(f'{backup}/*.fgs'), 'the copy has the snapshot'
    os.rename(s.gate.log_dir, lab.unique('lost'))
    shutil.copytree(backup, s.gate.log_dir)
    s.gate.start()
    sold = s.gate.get(f'/v1/items/{ITEM}')['sold']
    assert len(before) <= sold < len(buyers.sold), (len(before), sold, len(buyers.sold))
    for user, order in before:
        assert s.backend.query(user, order).status == 'SOLD', (user, order.hex())
    assert s.reserve(200000)[0] == 'RESERVED', 'the sale goes on'
    s.audit(lab)


def newer(path, by=100):
    """The file with a higher version; what it was."""
    with open(path, 'r+b') as f:
        f.seek(VERSION_AT)
        version, = struct.unpack('<I', f.read(4))
        f.seek(VERSION_AT)
        f.write(struct.pack('<I', version + by))
    return version


def says(words, *expected):
    done = subprocess.run([fgtest.program(words[0]), *words[1:]], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode != 0 and all(word in done.stdout + done.stderr for word in expected), done


@fgtest.timeout(120)
def test_newer_formats(lab):
    """a log and a Redis of a newer version are refused by name, by every program that reads them; nothing is changed"""
    redis = lab.redis()
    s = Shop(lab, redis=redis, **{'redis.retry_ms_max': '200ms'})
    status, order = s.reserve(1)
    assert status == 'RESERVED'
    fgtest.wait_until(lambda: s.gate.sink('redis')['state'] == 'live' and s.gate.sink('redis')['lag'] == 0, 20, 'Redis has all')
    s.gate.stop()
    redis.command('HSET', '{floodgate}:cursor', 'format', '101')
    s.gate.start()
    fgtest.wait_until(lambda: s.gate.sink('redis')['state'] == 'refused', 20, 'the sink refuses')
    assert 'another format' in s.gate.sink('redis')['error'], s.gate.sink('redis')
    assert s.reserve(2)[0] == 'RESERVED', 'the sale goes on'
    s.gate.stop()
    segment = sorted(glob.glob(f'{s.gate.log_dir}/*.fgj'))[-1]
    name, version = os.path.basename(segment), newer(segment)
    with open(segment, 'rb') as f:
        held = f.read()
    expected = (name, f'segment version {version + 100}, this program knows {version}')
    code, text = s.gate.check()
    assert code == 1 and all(word in text for word in expected), text
    s.gate.start(ready=False)
    assert s.gate.process.wait(30) == 1 and all(word in s.gate.output() for word in expected), s.gate.output()
    says(['fgaudit', '--log', s.gate.log_dir], *expected)
    says(['fglog', s.gate.log_dir], *expected)
    says(['fglog', 'timeline', s.gate.log_dir], *expected)
    says(['fgctl', 'report', '--dir', s.gate.log_dir], *expected)
    says(['fgctl', 'order', 'trace', '1', order.hex(), '--dir', s.gate.log_dir], *expected)
    with open(segment, 'rb') as f:
        assert f.read() == held, 'nobody touched it'


if __name__ == '__main__':
    fgtest.main()
