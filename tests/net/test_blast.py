#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""fgblast, the load generator: options, pcap files, a sale over a veth, what it does when it is lied to or stopped."""

import os
import struct
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402

ITEM, UNITS, HOLD = 7, 60, '1s'


def run(*argv):
    done = subprocess.run([fgtest.program('fgblast'), *map(str, argv)], capture_output=True, text=True, timeout=60)
    return done.returncode, done.stdout, done.stderr


def frames(path):
    """The frames of a classic pcap file of this byte order."""
    with open(path, 'rb') as f:
        data = f.read()
    assert struct.unpack('<IHHIIII', data[:24]) == (0xa1b2c3d4, 2, 4, 0, 0, 65535, 1)
    at, found = 24, []
    while at < len(data):
        length, = struct.unpack('<I', data[at + 8:at + 12])
        found.append(data[at + 16:at + 16 + length])
        at += 16 + length
    assert at == len(data)
    return found


def file_run(lab, name, *more):
    keys = fgtest.Keys(os.path.join(lab.dir, 'keys')) if not os.path.exists(os.path.join(lab.dir, 'keys')) else None
    path = os.path.join(lab.dir, name)
    code, _, err = run('--pcap', path, '--keys', keys.path if keys else os.path.join(lab.dir, 'keys'), '--server',
                       '198.18.0.1', '--source-base', '198.18.0.9', '--server', '[2001:db8::1]:4600', '--source-base',
                       '2001:db8::9', '--packets', 2000, '--retries', 0, '--shoppers', 3000, '--window', 3000, *more)
    assert code == 0, err
    return frames(path)


def test_wrong_options(lab):
    """wrong options: exit 2, and the message names option, value and range"""
    base = ['--keys', 'k', '--server', '198.18.0.1', '--source-base', '198.18.0.9', '--seconds', '1']
    for argv, said in ((['--shoppers', '0'], '--shoppers: 0: not a number from 1 to 16777216'),
                       (['--forged', '2'], '--forged: 2: not a share from 0 to 1'),
                       (['--server', 'x'], '--server: x: not IPV4'),
                       ([], '--interface, --device, --pcap'),
                       (['surplus'], 'surplus: not an option')):
        code, out, err = run(*base, *argv)
        assert (code, out) == (2, '') and said in err, (argv, code, err)
    code, out, _ = run('--help')
    assert code == 0 and '--blocked-sources' in out
    code, _, err = run(*base, '--pcap', lab.unique('x'))
    assert code == 3 and 'k:' in err, err  # no key file


def test_pcap(lab):
    """pcap: both IP versions, all shapes; the same seed and nonce give the same packets"""
    noise = ['--forged', '0.1', '--malformed', '0.1', '--duplicates', '0.1']
    first = file_run(lab, 'a', '--seed', 9, '--nonce', 5, *noise)
    assert file_run(lab, 'b', '--seed', 9, '--nonce', 5, *noise) == first
    assert file_run(lab, 'c', '--seed', 10, '--nonce', 5, *noise) != first
    assert 2000 <= len(first) <= 2010
    v4 = [f for f in first if f[12:14] == b'\x08\x00']
    v6 = [f for f in first if f[12:14] == b'\x86\xdd']
    assert len(v4) + len(v6) == len(first) and min(len(v4), len(v6)) > 800
    good = [f for f in v4 if len(f) == 106 and f[14] == 0x45 and f[20:22] == b'\x40\x00' and f[42:46] == b'FG\x02\x01']
    assert len(good) > 600
    for f in good:
        assert f[26:28] == b'\xc6\x12' and f[30:34] == b'\xc6\x12\x00\x01' and f[36:38] == b'\x11\xf8'
    assert {f[20:22] for f in v4} == {b'\x40\x00', b'\x20\x00'}  # some are fragments
    assert len(set(first)) < len(first)  # some are duplicates
    link = os.path.join(lab.dir, 'null')
    os.symlink('/dev/null', link)
    code, _, err = run('--pcap', os.path.join(lab.dir, 'd'), '--keys', os.path.join(lab.dir, 'keys'), '--server', '198.18.0.1',
                       '--source-base', '198.18.0.9', '--packets', 10, '--retries', 0, '--audit', link)
    assert code != 0 and 'not an ordinary file' in err and os.path.islink(link), (code, err)


def gate_and_link(lab):
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if, settings={'filter.order_rate': 0})
    gate.start()
    gate.fgctl('item', 'add', ITEM, '--total', UNITS, '--hold', HOLD)
    return gate, link


def blast(lab, gate, link, **more):
    options = {'interface': link.b_if, 'server': [link.a_ip, link.a_ip6], 'source_base': ['198.18.0.10', '2001:db8:0::10'],
               'items': ITEM, 'shoppers': 300, 'rate': 4000, 'cpu': max(os.sched_getaffinity(0)), **more}
    return lab.blast(link.b, gate.keys, **options)


def test_sale(lab):
    """a sale over a veth, IPv4 and IPv6: every unit is sold although a part is not paid; the audit agrees"""
    gate, link = gate_and_link(lab)
    found = blast(lab, gate, link, seconds=3, confirm=0.5, cancel=0.2, late=0.5, again_ms=100, duplicates=0.05,
                  replays=0.05, forged=0.05, malformed=0.05)
    summary = found.run()
    item = summary['items'][0]
    assert summary['finished'] and summary['contradictions'] == 0 and summary['unanswered'] == 0, summary
    assert item['sold'] == UNITS and item['wanting'] > 0, item
    assert summary['units_reserved'] > UNITS  # came back, and were sold again
    assert min(summary['sent'][k] for k in ('duplicate', 'replay', 'forged', 'malformed')) > 0
    assert gate.fgctl('item', 'list')[0]['sold'] == UNITS
    code, text = lab.audit('--client-complete', log=gate.log_dir, client=found.audit)
    assert code == 0, text
    gate.stop()


def test_contradictions(lab):
    """answers to sources that should be blocked: exit 1, with examples"""
    gate, link = gate_and_link(lab)
    found = blast(lab, gate, link, orders=10, rate=50, blocked_sources='198.18.0.200', blocked_rate=100)
    found.start()
    assert found.process.wait(60) == 1, found.process.output()
    summary = found.summary()
    assert summary['wrong']['BLOCKED'] == summary['contradictions'] > 0
    assert 'filter' in summary['examples'][0]
    gate.fgctl('block', 'add', '198.18.0.200')
    assert blast(lab, gate, link, orders=10, rate=50, blocked_sources='198.18.0.200', blocked_rate=100).run()[
        'contradictions'] == 0
    gate.stop()


def test_stopped(lab):
    """SIGTERM: the client file and the summary are written all the same"""
    gate, link = gate_and_link(lab)
    found = blast(lab, gate, link, seconds=60, progress_json=True).start()
    fgtest.wait_until(lambda: '"units_sold"' in found.process.output(), 20, 'progress is shown')
    assert not os.path.exists(found.audit)
    found.process.terminate()
    assert found.process.popen.returncode == 0
    with open(found.audit) as f:
        lines = f.read().splitlines()
    assert lines[0] == '# fgblast 1' and len(lines) == found.summary()['orders'] + 1
    order, user, item, quantity, status = lines[1].split()
    assert len(order) == 32 and int(user) >= 1 and (int(item), int(quantity)) == (ITEM, 1) and status
    assert [f for f in os.listdir(lab.dir) if '.audit.' in f] == []
    gate.stop()


def test_nobody_there(lab):
    """no server on the link: says so after some seconds, exit 3"""
    link = lab.pair(neighbours=False)
    link.a.ip('addr', 'flush', 'dev', link.a_if)
    keys = fgtest.Keys(lab.unique('keys'))
    began = time.monotonic()
    found = lab.blast(link.b, keys, interface=link.b_if, server='198.18.0.1', source_base='198.18.0.10', seconds=1)
    found.start()
    assert found.process.wait(30) == 3
    assert 'no host on this link answers' in found.process.output()
    fgtest.soon(began, 25, 'it gives up')


if __name__ == '__main__':
    fgtest.main()
