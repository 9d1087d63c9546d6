# SPDX-License-Identifier: BSD-3-Clause
"""Rejected orders that one worker answers when nothing but the worker limits: no generator, and a port that costs little.

The daemon itself, with DPDK's net_pcap as its port: infinite_rx keeps the frames of a pcap file in memory and gives out
copies of them without end; what is sent is counted and freed. All ask for one item that is sold out, so that each
request may be answered again. Next to it, in turn, testpmd's 5tswap at the same port, which says what the port costs.
Before that the same file runs through once, into a file, and all replies are checked by a client that shares no code.
"""

import re
import statistics
import subprocess
import time

import fgclient
import fgtest
from fgframe import read_pcap
from fgbench import MAC_CLIENT, MAC_SERVER, SERVER, SHOPPERS, Row

ITEM, REQUESTS, MBUFS = 7, 8192, 32768

FLOODGATE = 'answered rejected orders, one worker'
TESTPMD = 'testpmd 5tswap at the same port'

ROWS = [
    Row(FLOODGATE, 'orders/s', 'higher', 10e6),
    Row(TESTPMD, 'frames/s', 'higher'),
    Row('an order', 'ns', 'lower', derive=lambda v: 1e9 / v[FLOODGATE]),
    Row('of it, port and loop (testpmd)', 'ns', 'lower', derive=lambda v: 1e9 / v[TESTPMD]),
    Row('replies checked', 'replies', 'higher'),
]


def record(bench, keys):
    """A pcap file of signed requests for the item."""
    path = bench.lab.unique('requests.pcap')
    subprocess.run([fgtest.program('fgblast'), '--pcap', path, '--keys', keys.path, '--server', SERVER, '--source-base',
                    SHOPPERS, '--server-mac', MAC_SERVER, '--client-mac', MAC_CLIENT, '--items', str(ITEM), '--shoppers',
                    str(REQUESTS), '--window', str(REQUESTS), '--orders', str(REQUESTS), '--retries', '0',
                    '--drain-seconds', '0'], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return path



def check_replies(bench, gate, path):
    """Plays the file once, into a file; the number of replies, all of them right."""
    out = bench.lab.unique('replies.pcap')
    gate.ports['shop']['device'] = f'net_pcap0,rx_pcap={path},tx_pcap={out}'
    gate.write_config()
    gate.start()  # all is answered UNKNOWN_ITEM or SOLD_OUT: the item may come too late
    fgtest.wait_until(lambda: sum(gate.get('/v1/stats')['answers'].values()) >= REQUESTS, 30, 'the file is answered')
    gate.stop()
    asked = {frame[42 + 8:42 + 24] for frame in read_pcap(path)}
    count = 0
    for frame in read_pcap(out):
        reply = fgclient.parse_reply(frame[42:], 1, gate.keys.secrets[1])
        if not reply or reply.order_id not in asked or reply.status != 'SOLD_OUT':
            raise RuntimeError(f'wrong reply: {frame.hex()}')
        asked.remove(reply.order_id)
        count += 1
    if asked:
        raise RuntimeError(f'{len(asked)} of {REQUESTS} requests were not answered')
    return count


def answered(gate):
    answers = gate.get('/v1/stats')['answers']
    return answers['SOLD_OUT'], sum(answers.values()), time.monotonic()


def floodgate(bench):
    gate = bench.daemon(eal__mbufs=MBUFS)
    path = record(bench, gate.keys)
    gate.ports['shop']['device'] = 'net_null0'
    gate.write_config()
    gate.start()
    gate.fgctl('item', 'add', ITEM)  # without a unit; the log keeps it
    gate.stop()
    checked = check_replies(bench, gate, path)
    gate.ports['shop']['device'] = f'net_pcap0,rx_pcap={path},infinite_rx=1'
    gate.write_config()
    gate.start()
    rejected, all_answers, began = answered(gate)
    time.sleep(bench.seconds)
    rejected_then, all_then, ended = answered(gate)
    gate.stop()
    if rejected_then - rejected != all_then - all_answers:
        raise RuntimeError(f'{all_then - all_answers} answers, of which {rejected_then - rejected} are rejections')
    return {FLOODGATE: (rejected_then - rejected) / (ended - began), 'replies checked': checked}


def testpmd(bench):
    path = record(bench, bench.keys())
    memory = [] if bench.huge else ['--no-huge', '-m', '512']
    process = bench.lab.start('stdbuf', '-oL', 'dpdk-testpmd', '--lcores', f'0@{bench.generator_cpu},1@{bench.cpu}', '--no-pci',
                              '--file-prefix', bench.lab.tag, '--vdev', f'net_pcap0,rx_pcap={path},infinite_rx=1', *memory,
                              '--', '--forward-mode=5tswap', '--burst=64', f'--total-num-mbufs={MBUFS}',
                              '--stats-period=1', stdin=subprocess.PIPE, name='testpmd')
    rates = []

    def enough():
        rates[:] = [int(n) for n in re.findall(r'Tx-pps:\s+(\d+)', process.output())][2:]
        return len(rates) >= bench.seconds or not process.running()

    fgtest.wait_until(enough, bench.seconds + 30, 'testpmd has told its rates', step=0.2)
    if not rates or not min(rates):
        raise RuntimeError(f'testpmd ended or stood still:\n{process.output()[-3000:]}')
    process.kill()
    return {TESTPMD: statistics.median(rates)}


CONTENDERS = [('floodgate', floodgate), ('testpmd', testpmd)]
