#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tools/wireshark/floodgate.lua, run by tshark: every vector of docs/protocol.md, times and retransmissions, tags,
and damaged captures.

Skipped (77) where tshark is not installed, or this machine cannot give it a user of its own: as root it runs no scripts.
"""

import os
import random
import re
import shutil
import struct
import subprocess
import sys
import tempfile

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtap  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'tests', 'harness'))
import fgframe  # noqa: E402

SCRIPT = os.path.join(ROOT, 'tools', 'wireshark', 'floodgate.lua')
NOBODY = '65534'
GOOD, BAD, UNVERIFIED = '1', '0', '2'
FUZZED = 1500  # packets

folder = None


def page():
    with open(os.path.join(ROOT, 'docs', 'protocol.md'), encoding='utf-8') as file:
        return file.read()


def vectors():
    """({key id: secret in hex}, [({'kind': 'request', 'op': ...}, packet)])"""
    keys, packets, about = {}, [], None
    for line in re.search(r'```vectors\n(.*?)```', page(), re.S)[1].splitlines():
        words = line.split()
        fields = dict(word.split('=', 1) for word in words[1:])
        if not words:
            continue
        if words[0] == 'key':
            keys[int(fields['id'])] = fields['secret']
        elif words[0] in ('request', 'reply'):
            about = {'kind': words[0], **fields}
        else:
            packets.append((about, bytes.fromhex(line)))
    return keys, packets


def turned(frame, v6):
    """From the server to the shopper. Checksums do not care for the order."""
    at, size = (22, 16) if v6 else (26, 4)
    ports = at + 2 * size
    return (frame[6:12] + frame[:6] + frame[12:at] + frame[at + size:at + 2 * size] + frame[at:at + size]
            + frame[ports + 2:ports + 4] + frame[ports:ports + 2] + frame[ports + 4:])


def on_wire(packet, reply=False, v6=False, sport=fgframe.SOURCE_PORT):
    frame = fgframe.frame(packet, v6, sport)
    return turned(frame, v6) if reply else frame


def capture(name, frames):
    """frames: [(seconds, bytes)]"""
    path = os.path.join(folder, name + '.pcap')
    with open(path, 'wb') as file:
        file.write(struct.pack('<IHHIIII', 0xa1b2c3d4, 2, 4, 0, 0, 65535, 1))
        for seconds, data in frames:
            file.write(struct.pack('<IIII', 1700000000 + int(seconds), round(seconds % 1 * 1e6), len(data), len(data)) + data)
    os.chmod(path, 0o644)
    return path


def tshark(*words, **preferences):
    """Its output; nothing on standard error, and no error in the script."""
    argv = ['tshark', '-n', '-X', f'lua_script:{folder}/floodgate.lua']
    for name, value in preferences.items():
        argv += ['-o', f'floodgate.{name}:{value}']
    if os.geteuid() == 0:
        argv = ['setpriv', f'--reuid={NOBODY}', f'--regid={NOBODY}', '--clear-groups', *argv]
    done = subprocess.run([*argv, *words], capture_output=True, text=True, timeout=100, check=False, cwd=folder,
                          env={'PATH': os.environ['PATH'], 'HOME': folder, 'LC_ALL': 'C.UTF-8'})
    assert done.returncode == 0, (words, done.returncode, done.stderr)
    assert not done.stderr and 'Lua Error' not in done.stdout, (words, done.stderr, done.stdout[-2000:])
    return done.stdout


def fields(path, *names, **preferences):
    """[{field: text}] of all frames, in two passes, as the graphical program shows them."""
    wanted = [word for name in names for word in ('-e', name if name.startswith('_ws') else f'floodgate.{name}')]
    out = tshark('-r', path, '-2', '-T', 'fields', *wanted, **preferences)
    # version 4.4 writes True where 4.0 writes 1
    words = [[{'True': '1', 'False': '0'}.get(word, word) for word in line.split('\t')] for line in out.splitlines()]
    return [dict(zip(names, line)) for line in words]


def pairs(keys):
    return ','.join(f'{number}:{secret}' for number, secret in keys.items())


def lua_table(name):
    with open(SCRIPT, encoding='utf-8') as file:
        body = re.search(rf'^local {name} = {{(.*?)}}', file.read(), re.M | re.S)[1]
    return {int(number): word for number, word in re.findall(r'\[(\d+)\] = "(\w+)"', body)}


def page_table(heading):
    part = page().split(f'\n## {heading}\n')[1].split('\n## ')[0]
    return {int(number): word for number, word in re.findall(r'^\| (\d+) \| (\w+) \|', part, re.M)}


# ---- the tests -------------------------------------------------------------------------------------------


def test_tables():
    """the script has the operations and statuses of the page"""
    assert lua_table('OPS') == page_table('Operations') and len(lua_table('OPS')) > 5
    assert lua_table('STATUSES') == page_table('Statuses') and len(lua_table('STATUSES')) > 20


def test_vectors():
    """every field, tag and pair of the test vectors, over IPv4 and IPv6"""
    keys, packets = vectors()
    ops = {name: number for number, name in page_table('Operations').items()}
    statuses = {name: number for number, name in page_table('Statuses').items()}
    names = ['kind', 'op', 'key_id', 'quantity', 'order_id', 'user', 'item', 'until_ms', 'deadline_ms', 'left', 'retry_ms',
             'status', 'flags', 'shard_map', 'cookie']
    assert len(packets) > 20
    for v6 in (False, True):
        path = capture('vectors', [(n / 1000, on_wire(packet, about['kind'] == 'reply', v6))
                                   for n, (about, packet) in enumerate(packets)])
        shown = fields(path, 'reply', *names[1:], 'ticket', 'expected_ms', 'waiting', 'tag.status', 'request_in', 'reply_in', 'retransmission',
                       '_ws.expert.message', keys=pairs(keys))
        assert len(shown) == len(packets)
        for n, ((about, _), row) in enumerate(zip(packets, shown)):
            where = (about, row)
            reply = about['kind'] == 'reply'
            assert set(about) <= set(names), about  # a field that the page has, and the script has not
            for name, text in about.items():
                if name == 'kind':
                    assert row['reply'] == str(int(reply)), where
                elif name == 'op':
                    assert int(row['op']) == ops[text], where
                elif name == 'status':
                    assert int(row['status']) == statuses[text], where
                elif name == 'deadline_ms' and row['ticket']:  # of a line: two numbers in its place
                    second = row['waiting'] if row['waiting'] else row['expected_ms']
                    assert int(row['ticket']) + (int(second) << 32) == int(text), where
                elif name == 'flags':
                    assert int(row['flags'], 16) == int(text, 0), where
                else:
                    assert row[name] == text, where
            assert row['tag.status'] == GOOD, where
            assert row['request_in' if reply else 'reply_in'] == str(n if reply else n + 2), where
            # a frame of this test has no UDP checksum over IPv6
            own = [text for text in row['_ws.expert.message'].split(',') if text and 'hecksum' not in text]
            assert not own or row['retransmission'] == '1', where


def test_tags():
    """a damaged tag is bad, a key that is not there leaves it unverified, and a key file serves as well"""
    keys, packets = vectors()
    packet = packets[0][1]
    damaged = [packet[:at] + bytes([packet[at] ^ bit]) + packet[at + 1:] for at in (8, 24, 55, 56, 63) for bit in (1, 128)]
    path = capture('tags', [(0, on_wire(p)) for p in (packet, *damaged)])

    def statuses(**preferences):
        return [row['tag.status'] for row in fields(path, 'tag.status', **preferences)]

    assert statuses(keys=pairs(keys)) == [GOOD] + len(damaged) * [BAD]
    assert set(statuses()) == {UNVERIFIED}
    assert set(statuses(keys=f'999:{keys[7]}')) == {UNVERIFIED}
    assert set(statuses(keys=f'7:{keys[8]}')) == {BAD}
    file = os.path.join(folder, 'keys')
    with open(file, 'w', encoding='utf-8') as out:
        out.write(f'# a comment\n\n7 shop {keys[7]}  # another\n8 backend {keys[8].upper()}\n')
    assert statuses(key_file=file) == [GOOD] + len(damaged) * [BAD]
    for wrong in ('7 shop 12\n', f'7 {keys[7]}\n', f'0 shop {keys[7]}\n', f'7 shop {keys[7]}00\n'):
        with open(file, 'w', encoding='utf-8') as out:
            out.write(wrong)
        assert set(statuses(key_file=file)) == {UNVERIFIED}, wrong
        said = tshark('-r', path, '-V', key_file=file)
        assert f'{file}:1: not' in said and keys[7] not in said, said
    assert 'cannot be read' in tshark('-r', path, '-V', key_file='/nowhere')
    assert keys[7] not in tshark('-r', path, '-V', keys=f'7={keys[7]}')


def with_cookie(packet, cookie):
    return packet[:52] + struct.pack('<I', cookie) + packet[56:]


def test_times_and_retransmissions():
    """a reply is timed from its own transmission and from the first; a repeat after the answer is none"""
    request, reply = vectors()[1][0][1], vectors()[1][1][1]
    path = capture('times', [
        (0.000, on_wire(with_cookie(request, 1))),
        (0.200, on_wire(with_cookie(request, 2))),                     # a retransmission
        (0.210, on_wire(with_cookie(request, 1), sport=40001)),        # of another client
        (0.250, on_wire(with_cookie(reply, 2), reply=True)),
        (0.260, on_wire(with_cookie(reply, 1), reply=True)),           # the late one
        (0.300, on_wire(with_cookie(request, 3))),                     # a question of its own
        (0.301, on_wire(with_cookie(reply, 3), reply=True)),
        (0.400, on_wire(with_cookie(reply, 99), reply=True)),          # of no request
    ])
    rows = fields(path, 'retransmission', 'first_in', 'request_in', 'reply_in', 'time', 'time_first', '_ws.expert.message')
    seen = [(r['retransmission'], r['first_in'], r['request_in'], r['reply_in'], r['time'][:5], r['time_first'][:5])
            for r in rows]
    assert seen == [
        ('0', '', '', '5', '', ''),
        ('1', '1', '', '4', '', ''),
        ('0', '', '', '', '', ''),
        ('', '', '2', '', '0.050', '0.250'),
        ('', '', '1', '', '0.260', '0.260'),
        ('0', '', '', '7', '', ''),
        ('', '', '6', '', '0.001', '0.001'),
        ('', '', '', '', '', ''),
    ], seen
    assert 'No request of this cookie' in rows[7]['_ws.expert.message'], rows[7]
    assert 'Retransmission' in rows[1]['_ws.expert.message'], rows[1]


def test_broken_rules():
    """a packet that the appliance would not answer says why"""
    request, reply = vectors()[1][0][1], vectors()[1][1][1]
    cases = [(request[:-1], 'not 64 bytes'), (request + b'x', 'not 64 bytes'), (b'', None), (b'xx' + request[2:], 'Wrong magic'),
             (request[:2] + b'\x09' + request[3:], 'Another version'), (request[:3] + b'\x63' + request[4:], 'Unknown operation'),
             (request[:40] + b'\x01' + request[41:], 'until_ms is set'), (request[:49] + b'\x01' + request[50:], 'must be zero'),
             (reply[:48] + b'\xee' + reply[49:], 'Unknown status')]
    path = capture('broken', [(0, on_wire(packet, packet[3:4] > b'\x7f')) for packet, _ in cases])
    rows = fields(path, '_ws.expert.message')
    for (packet, says), row in zip(cases, rows):
        assert says is None or says in row['_ws.expert.message'], (packet.hex(), says, row)


def test_ports():
    """the preference moves the dissector to other ports"""
    frames = [on_wire(vectors()[1][0][1])]
    moved = [frame.replace(struct.pack('!H', 4600), struct.pack('!H', 5700), 1) for frame in frames]
    path = capture('ports', [(0, frame) for frame in frames + moved])
    assert [bool(row['cookie']) for row in fields(path, 'cookie')] == [True, False]
    assert [bool(row['cookie']) for row in fields(path, 'cookie', ports='5700')] == [False, True]


def test_fuzzed():
    """damaged packets of every kind: no error in the script, in one pass and in two"""
    seed = int(os.environ.get('FG_SEED', '1'))
    draw = random.Random(seed)
    keys, packets = vectors()
    frames = []
    for n in range(FUZZED):
        packet = bytearray(draw.choice(packets)[1])
        for _ in range(draw.choice((0, 1, 1, 2, 8, 64))):
            packet[draw.randrange(64)] = draw.choice((0, 1, 0x7f, 0x80, 0xff, draw.randrange(256)))
        packet = bytes(packet)
        packet = draw.choice((packet, packet, packet, packet[:draw.randrange(65)], packet + draw.randbytes(draw.randrange(80))))
        frame = on_wire(packet, reply=draw.random() < 0.5, v6=draw.random() < 0.3)
        if draw.random() < 0.1:
            frame = frame[:draw.randrange(len(frame))]
        frames.append((n / 1000, frame))
    path = capture('fuzzed', frames)
    print(f'# seed {seed}, {FUZZED} packets')
    for words in (['-V'], ['-V', '-2']):
        said = tshark('-r', path, *words, keys=pairs(keys))
        assert said.count('Floodgate Order Packet') > FUZZED / 2


def main():
    global folder
    missing = [tool for tool in ('tshark', 'setpriv') if not shutil.which(tool)]
    if missing:
        print(f'skipped: {" and ".join(missing)} not installed')
        return 77
    with tempfile.TemporaryDirectory(prefix='fg-dissector-') as folder:
        os.chmod(folder, 0o755)
        shutil.copy(SCRIPT, folder)  # the source may lie where only root can read
        os.chmod(os.path.join(folder, 'floodgate.lua'), 0o644)
        return fgtap.run(globals())


if __name__ == '__main__':
    sys.exit(main())
