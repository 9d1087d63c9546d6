#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""fgctl capture: order packets that XDP takes away from tcpdump, as a file that Wireshark reads."""

import json
import os
import secrets
import shutil
import signal
import stat
import struct
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgshop import ITEM, Shop  # noqa: E402

SCRIPT = os.path.join(fgtest.ROOT, 'tools', 'wireshark', 'floodgate.lua')
NOBODY = '65534'
RATE = 10000  # requests a second, as docs/wireshark.md says


def frames(path):
    """[(ns, bytes)] of a capture; it must be whole."""
    with open(path, 'rb') as f:
        data = f.read()
    assert struct.unpack_from('<IHH', data) == (0xa1b23c4d, 2, 4), data[:24]
    found, at = [], 24
    while at < len(data):
        seconds, ns, kept, size = struct.unpack_from('<IIII', data, at)
        assert kept <= size and at + 16 + kept <= len(data), (at, kept, size)
        found.append((seconds * 10**9 + ns, data[at + 16:at + 16 + kept]))
        at += 16 + kept
    return found


def tshark(lab, keys, path, *names):
    """[{field: text}] of each frame, by our dissector; as nobody, because as root tshark runs no scripts."""
    if not shutil.which('tshark'):
        raise fgtest.Skip('tshark is not installed')
    folder = lab.unique('shark')
    os.mkdir(folder)
    for name in (SCRIPT, path):
        shutil.copy(name, folder)
    os.chmod(lab.dir, 0o755)
    os.chmod(folder, 0o755)
    for name in os.listdir(folder):
        os.chmod(os.path.join(folder, name), 0o644)
    known = ','.join(f'{number}:{secret.hex()}' for number, secret in keys.secrets.items())
    done = subprocess.run(['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', 'tshark', '-n', '-2', '-X',
                           f'lua_script:{folder}/floodgate.lua', '-o', f'floodgate.keys:{known}', '-r',
                           os.path.join(folder, os.path.basename(path)), '-T', 'fields',
                           *(word for name in names for word in ('-e', f'floodgate.{name}'))],
                          capture_output=True, text=True, timeout=100, cwd=folder, check=False,
                          env={'PATH': os.environ['PATH'], 'HOME': folder, 'LC_ALL': 'C.UTF-8'})
    assert done.returncode == 0 and not done.stderr, done.stderr
    return [dict(zip(names, line.split('\t'))) for line in done.stdout.splitlines()]


class Capture:
    """fgctl capture, under way."""

    def __init__(self, lab, gate, *words):
        self.path, self.gate = lab.unique('orders.pcap'), gate
        self.process = fgtest.Process(lab, [fgtest.program('fgctl'), '--socket', gate.socket, '--json', 'capture', self.path,
                                            *map(str, words)], name='capture')
        fgtest.wait_until(lambda: self.count()['running'], 20, 'the capture runs')

    def count(self):
        return self.gate.get('/v1/capture')

    def interrupt(self):
        self.process.popen.send_signal(signal.SIGINT)
        return self.finish()

    def finish(self):
        assert self.process.wait(60) == 0, self.process.output()
        fgtest.wait_until(lambda: not self.count()['running'], 20, 'the capture has ended')
        return json.loads(self.process.output())


@fgtest.timeout(120)
def test_capture(lab):
    """requests of a user and their replies, read by tshark; a second capture is refused; Ctrl-C leaves a whole file"""
    s = Shop(lab, workers=2, v6=True)
    capture = Capture(lab, s.gate, '--seconds', 600, '--user', 5)
    code, _, said = s.gate.fgctl('capture', lab.unique('other'), check=False)
    assert code == 1 and 'another capture runs' in said, (code, said)
    status, order = s.reserve(5)
    assert status == 'RESERVED' and s.reserve(6)[0] == 'RESERVED'
    assert s.backend.confirm(5, order).status == 'SOLD' and s.reserve(5, quantity=500)[0] != 'RESERVED'
    s.shop.send('RESERVE', secrets.token_bytes(16), user=7, item=ITEM, quantity=1)
    fgtest.wait_until(lambda: os.path.getsize(capture.path) and len(frames(capture.path)) >= 6, 20, 'three requests and replies')
    said = capture.interrupt()
    assert said['frames'] == len(frames(capture.path)) >= 6 and not said['skipped'] and not said['lost'], said
    assert stat.S_IMODE(os.stat(capture.path).st_mode) == 0o600
    rows = tshark(lab, s.gate.keys, capture.path, 'op', 'user', 'request_in', 'reply_in', 'tag.status', 'order_id')
    requests = [r for r in rows if r['user']]
    replies = [r for r in rows if not r['user']]
    assert {r['user'] for r in requests} == {'5'} and len(requests) == len(replies), rows
    assert all(r['reply_in'] for r in requests) and all(r['request_in'] for r in replies), rows
    assert {r['tag.status'] for r in rows} <= {'1', 'True', 'Good'}, rows
    entries = [e for e in s.gate.get('/v1/audit')['entries'] if e['path'] == '/v1/capture']
    assert [e['code'] for e in entries] == [409, 200] and '"user":"5"' in entries[1]['body'], entries


@fgtest.timeout(120)
def test_rate(lab):
    """under a flood a bounded number of requests is taken, in the order of time, and what was left out is counted"""
    s = Shop(lab, workers=2, **{'filter.order_rate': 0})
    capture = Capture(lab, s.gate, '--seconds', 3)
    summary = lab.blast(s.link.b, s.gate.keys, interface=s.link.b_if, server=s.link.a_ip, source_base='198.18.0.10', items=ITEM, seconds=4, window=256,
                        no_huge=True).run()
    said = capture.finish()
    assert summary['contradictions'] == 0, summary
    found = frames(capture.path)
    assert said['frames'] == len(found) and said['skipped'] > 0, said
    assert 100 < len(found) <= 2 * RATE * 4, said
    # a correction of the clock may move it back a little
    assert all(after >= before - 2000000 for (before, _), (after, _) in zip(found, found[1:]))


@fgtest.timeout(120)
def test_ends(lab):
    """a client that leaves frees the place also when no packet comes; the daemon stops beside a capture"""
    s = Shop(lab)
    capture = Capture(lab, s.gate, '--seconds', 600)
    capture.process.kill()
    fgtest.wait_until(lambda: not capture.count()['running'], 20, 'the place is free')
    again = Capture(lab, s.gate, '--seconds', 600)
    assert s.reserve(1)[0] == 'RESERVED'
    fgtest.wait_until(lambda: again.count()['frames'] >= 2, 20, 'request and reply')
    assert s.gate.stop() == 0
    assert again.process.wait(60) == 0, again.process.output()
    assert len(frames(again.path)) >= 2


if __name__ == '__main__':
    fgtest.main()
