#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The kit for packet generators, tools/pktgen: its files are right, and what it starts does load the appliance."""

import importlib.util
import json
import os
import re
import shutil
import struct
import subprocess
import sys
import types

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgmemif  # noqa: E402
import fgtest  # noqa: E402
from fgframe import MAC_SERVER, SERVER, read_pcap  # noqa: E402
from fgshop import ITEM, SMALL, add_item, audited, workers  # noqa: E402

KIT = os.path.join(fgtest.ROOT, 'tools', 'pktgen')


def kit(name, *words, ns=None, seconds=60, check=True):
    done = subprocess.run([*(ns.enter() if ns else []), os.path.join(KIT, name), *map(str, words)], capture_output=True,
                          text=True, timeout=seconds)
    assert done.returncode == 0 or not check, done.stderr + done.stdout
    return done.stdout if check else (done.returncode, done.stdout + done.stderr)


def pcaps(lab, keys, *words, server=SERVER, mac=MAC_SERVER, packets=2000):
    folder = lab.unique('pcaps')
    kit('pcaps', '--keys', keys.path, '--server', server, '--server-mac', mac, '--items', ITEM, '--packets', packets,
        '--fgblast', fgtest.program('fgblast'), '--out', folder, *words)
    return folder


def rate(gate, seconds):
    return json.loads(kit('rate', '--json', '--seconds', seconds, '--socket', gate.socket, '--fgctl',
                          fgtest.program('fgctl')))


def is_signed(data, keys):
    """A UDP payload of the order port with a correct tag, over IPv4 without options."""
    return len(data) == 106 and data[36:38] == struct.pack('!H', fgclient.PORT) and (
        fgclient.TAG.unpack(data[98:])[0] == fgclient.siphash24(keys.secrets[1], data[42:]))


def sources(frames):
    return {data[26:30] for data in frames}


def test_files(lab):
    """pcaps: signed orders of different users, as many as asked for; forged, malformed, spoofed and blocked ones"""
    keys = fgtest.Keys(lab.unique('keys'))
    folder = pcaps(lab, keys, packets=4000)
    got = {name: read_pcap(f'{folder}/{name}.pcap') for name in
           ('reserve', 'short', 'mixed', 'forged', 'malformed', 'spoofed', 'blocked')}
    assert all(4000 <= len(frames) <= 4010 for name, frames in got.items() if name != 'short'), {k: len(v) for k, v in got.items()}
    good = {name: sum(is_signed(data, keys) for data in frames) for name, frames in got.items()}
    assert good['reserve'] == 4000 and good['short'] == len(got['short']) > 10, good
    assert len({data[66:74] for data in got['reserve']}) == 4000, 'a user each'
    assert len({data[50:66] for data in got['reserve']}) == 4000, 'an order each'
    assert all(data[:6] == bytes.fromhex(MAC_SERVER.replace(':', '')) for data in got['reserve'])
    assert 1900 < good['forged'] < 2100 and 1900 < good['spoofed'] < 2100 and good['malformed'] < 3500, good
    assert 3500 < good['mixed'] < 3999 and len({data[50:66] for data in got['mixed']}) < 3900, good
    assert len(sources(got['spoofed'])) > 1500 and len(sources(got['reserve'])) == 256
    assert sum(data[26:28] == b'\xc6\x13' for data in got['blocked']) > 3000
    assert os.stat(f'{folder}/reserve.pcap').st_mode & 0o077 == 0, 'whoever has the file can buy'
    code, said = kit('pcaps', '--keys', keys.path, '--server', SERVER, '--server-mac', MAC_SERVER, '--packets', 1, '--out',
                     folder, check=False)
    assert code == 2 and 'from 2 to 10000000' in said, said


def test_tcpreplay(lab):
    """tcpreplay over a veth: every packet of the file is answered, sold out after the stock, and again when repeated"""
    link = lab.pair()
    gate = lab.daemon(link.a, interface=link.a_if, settings={**SMALL, 'filter.order_rate': 0}).start()
    add_item(gate, 100)
    folder = pcaps(lab, gate.keys, '--only', 'reserve', '--source-base', '198.18.0.10', '--sources', 200,
                   server=link.a_ip, mac=link.a_mac)
    before = link.b.counters(link.b_if)['rx']['packets']
    said = kit('tcpreplay.sh', link.b_if, f'{folder}/reserve.pcap', 5000, 2, ns=link.b)
    sent, received = map(int, re.search(r'sent (\d+) received (\d+)', said).groups())
    assert sent >= 4000 and received >= 4000, said
    answers = gate.get('/v1/stats')['answers']
    assert answers['RESERVED'] == 200 and answers['SOLD_OUT'] == 3800, answers  # the second time the same
    assert link.b.counters(link.b_if)['rx']['packets'] - before >= sum(workers(gate, 'tx')) == 4000
    audited(lab, gate)


def test_testpmd(lab):
    """testpmd with net_pcap over memif: answers come back; rate tells what each worker did"""
    gate = lab.daemon(device=fgmemif.device(lab, 'server'), settings={
        **SMALL, 'eal.mbufs': 4096, 'filter.enabled': 'no', 'workers.count': 2}).start()
    add_item(gate, 100)
    folder = pcaps(lab, gate.keys, '--only', 'reserve')
    load = lab.start(os.path.join(KIT, 'testpmd.sh'), f'{folder}/reserve.pcap', fgmemif.device(lab, 'client'), 6, '--lcores',
                     '0,1@(0)', '--no-huge', '-m', '128', name='testpmd.sh', env={'MBUFS': '8192'})
    fgtest.wait_until(lambda: workers(gate, 'tx')[0] > 100, 30, 'it answers')
    found = rate(gate, 2)
    assert load.wait(40) == 0, load.output()
    assert not os.path.exists(f'/var/run/dpdk/pktgen{load.popen.pid}'), 'files of DPDK are left'
    sent, received, dropped = map(int, re.search(r'sent (\d+) received (\d+) dropped (\d+)', load.output()).groups())
    assert sent > 10000 and 1000 < received <= sent, load.output()
    first, second = found['workers']
    assert first['rx'] > 1000 and first['handed_off'] > 100 and second['rx'] == 0 and 0 < first['busy'] <= 1, found
    assert found['answers']['SOLD_OUT'] > 1000, found
    text = kit('rate', '--seconds', 0.1, '--socket', gate.socket, '--fgctl', fgtest.program('fgctl'))
    assert text.splitlines()[1].split()[0] == '0' and 'port shop: lost nothing' in text, text
    audited(lab, gate)


LUA = '''
local rates, now = {}, 0
pktgen = { set = function(port, what, value) if what == "rate" then rates[#rates + 1] = value end end,
           delay = function(ms) now = now + ms end, quit = function() print("end " .. table.concat(rates, " ")) end,
           start = function() end, stop = function() end, clear = function() end,
           portStats = function(port, kind) assert(kind == "port")
             return { [tonumber(port)] = { opackets = now * 1000, ipackets = now * 900 } } end }
package.loaded["Pktgen"] = true
dofile(arg[1])
'''


def test_pktgen_and_trex(lab):
    """Pktgen's and TRex's scripts parse, and run against a stand-in for the generator, which Debian does not have"""
    if not shutil.which('luac5.3'):
        raise fgtest.Skip('lua5.3 is not installed (tools/setup does)')
    script = os.path.join(KIT, 'pktgen.lua')
    fgtest.command('luac5.3', '-p', script)
    with open(f'{lab.dir}/double.lua', 'w') as f:
        f.write(LUA)
    said = fgtest.command('env', 'RATES=1 50', 'SECONDS=1', 'lua5.3', f'{lab.dir}/double.lua', script).splitlines()
    assert [line.split()[0] for line in said[1:3]] == ['1.00', '50.00'] and said[1].endswith('90.00%'), said
    assert said[-1] == 'end 1 50', said
    keys = fgtest.Keys(lab.unique('keys'))
    path = f'{pcaps(lab, keys, "--only", "short", packets=20000)}/short.pcap'
    library = types.ModuleType('trex_stl_lib.api')
    library.STLStream = lambda packet, mode: (packet, mode)
    library.STLPktBuilder = lambda pkt_buffer: pkt_buffer
    library.STLTXCont = lambda pps: pps
    sys.modules['trex_stl_lib'], sys.modules['trex_stl_lib.api'] = types.ModuleType('trex_stl_lib'), library
    sys.dont_write_bytecode = True
    spec = importlib.util.spec_from_file_location('trex', os.path.join(KIT, 'trex.py'))
    trex = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(trex)
    streams = trex.register().get_streams(tunables=['--file', path])
    assert [packet for packet, _ in streams] == read_pcap(path) and len(streams) > 50 and {m for _, m in streams} == {1}


if __name__ == '__main__':
    fgtest.main()
