#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tools/bench: the frame, with a benchmark that the test makes up."""

import contextlib
import importlib.machinery
import importlib.util
import io
import json
import os
import subprocess
import sys
import types

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402

TOOL = os.path.join(fgtest.ROOT, 'tools', 'bench')


def load():
    loader = importlib.machinery.SourceFileLoader('fg_bench_tool', TOOL)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
    loader.exec_module(module)
    return module


BENCH = load()
Row = BENCH.fgbench.Row


def made_up(calls):
    """Our figure 10, 20, 30 next to theirs of 10, 10, 30."""
    ours, theirs = iter((10, 20, 30)), iter((10, 10, 30))

    def us(bench):
        calls.append('us')
        assert os.path.isdir(bench.lab.dir)
        return {'ours': next(ours)}

    def them(bench):
        calls.append('them')
        return {'theirs': next(theirs)}

    return types.SimpleNamespace(
        CONTENDERS=[('us', us), ('them', them)],
        ROWS=[Row('ours', 'orders/s', 'higher', 21), Row('theirs', 'frames/s', 'lower', 10),
              Row('ratio', 'ratio', 'higher', 1, derive=lambda v: v['ours'] / v['theirs'])])


def test_rounds():
    """contenders take turns; ratios are taken within a round; medians, extremes and targets are right"""
    calls = []
    rows = BENCH.measure('x', made_up(calls), types.SimpleNamespace(runs=3, seconds=1))
    assert calls == ['us', 'them'] * 3
    found = [(r['case'], r['value'], r['min'], r['max'], r['met']) for r in rows]
    assert found == [('ours', 20, 10, 30, False), ('theirs', 10, 10, 30, True), ('ratio', 1, 1, 2, True)], found
    assert Row('x', 'u', 'lower').result('b', [1])['met'] is None
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        BENCH.table(rows)
    lines = out.getvalue().splitlines()
    assert lines[0].split() == ['BENCH', 'CASE', 'MEDIAN', 'MIN', 'MAX', 'UNIT', 'TARGET', 'MET']
    assert lines[1].split() == ['x', 'ours', '20', '10', '30', 'orders/s', '>=', '21', 'NO']
    assert lines[2].split()[-3:] == ['<=', '10', 'yes']


def test_failure():
    """a contender that fails ends the run, and its Lab is removed"""
    left = []

    def fails(bench):
        left.append(bench.lab.dir)
        raise RuntimeError('no luck')

    module = types.SimpleNamespace(CONTENDERS=[('us', fails)], ROWS=[Row('ours', 'orders/s', 'higher')])
    try:
        BENCH.measure('x', module, types.SimpleNamespace(runs=3, seconds=1))
    except RuntimeError as error:
        assert str(error) == 'no luck'
    else:
        raise AssertionError('the failure was swallowed')
    assert len(left) == 1 and not os.path.exists(left[0])


def test_usage():
    """unknown names and values out of range are refused; --list names what there is"""
    for argv, said in ((['nothing'], 'no such benchmark: nothing; there are: '), (['--runs', '0'], 'from 1 to 101'),
                       (['--seconds', 'x'], 'from 1 to 600'), (['--scale', '2'], 'from 0.0001 to 1')):
        done = subprocess.run([TOOL, *argv], capture_output=True, text=True, timeout=30)
        assert done.returncode == 2 and said in done.stderr, done.stderr
    done = subprocess.run([TOOL, '--list'], capture_output=True, text=True, timeout=30)
    assert done.returncode == 0 and '\necho ' in done.stdout, done.stdout


def test_compare(lab):
    """two files side by side: yardsticks first, ratios of what both have, a word on the rest; a wrong file is named"""
    rows = BENCH.measure('x', made_up([]), types.SimpleNamespace(runs=3, seconds=1))
    paths = [lab.unique('a.json'), lab.unique('b.json'), lab.unique('c.json')]
    for path, factor, some in ((paths[0], 1, rows), (paths[1], 3, rows[:2])):
        with open(path, 'w') as f:
            json.dump({'yardsticks': {'an addition': 0.2 * factor}, 'rows': [{**r, 'value': r['value'] * factor} for r in some]}, f)
    done = subprocess.run([TOOL, '--compare', *paths[:2]], capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stderr) == (0, ''), done
    lines = done.stdout.splitlines()
    assert lines[1].split() == ['yardstick', 'an', 'addition', '0.2', '0.6', 'ns', '3.000'], lines
    assert lines[2].split() == ['x', 'ours', '20', '50%', '60', '17%', 'orders/s', '3.000'], lines
    assert lines[-1] == f'1 figures only in {paths[0]}', lines
    for text, said in (('{', 'Expecting'), ('[]', 'not a file that'), ('{"rows": [{}]}', 'not a file that')):
        with open(paths[2], 'w') as f:
            f.write(text)
        done = subprocess.run([TOOL, '--compare', paths[0], paths[2]], capture_output=True, text=True, timeout=30)
        assert done.returncode == 1 and done.stderr.startswith(f'bench: {paths[2]}: ') and said in done.stderr, done
    done = subprocess.run([TOOL, '--compare', paths[0], '/nothing'], capture_output=True, text=True, timeout=30)
    assert done.returncode == 1 and '/nothing' in done.stderr and 'Traceback' not in done.stderr, done


def test_figures(lab):
    """the table of all hosts: a column each, a row for each figure of any; benchmarks not run again keep theirs"""
    rows = BENCH.measure('x', made_up([]), types.SimpleNamespace(runs=3, seconds=1))
    def host(rows):
        return {'machine': {'cpu': 'C', 'cpus': 2, 'kernel': '6'}, 'yardsticks': {'an addition': 0.2}, 'rows': rows}
    found = {'a': host(rows), 'b': host(rows[:1])}
    lines = BENCH.fgfigures.table(found, BENCH.short, BENCH.spread).splitlines()
    assert lines[0] == '| figure | unit | target | a | b |' and '| C, 2 CPUs; 6 | C, 2 CPUs; 6 |' in lines[2], lines
    assert lines[4] == '| `x`: ours | orders/s | ≥ 21 | 20 ± 50% (missed) | 20 ± 50% (missed) |', lines
    assert lines[5].endswith('| 10 ± 100% |  |') and len(lines) == 7, lines
    again = BENCH.fgfigures.merged(host([{'bench': 'x', 'case': 'old'}, {'bench': 'y'}]), host(rows))
    assert [r['bench'] for r in again['rows']] == ['x', 'x', 'x', 'y'] and again['rows'][0]['case'] == 'ours', again


def test_table_of_hosts():
    """docs/performance.md has what --figures would write"""
    with open(BENCH.PAGE) as f:
        page = f.read()
    table = BENCH.fgfigures.table(BENCH.fgfigures.hosts(BENCH.FIGURES), BENCH.short, BENCH.spread)
    assert BENCH.fgfigures.BEGIN + '\n' + table in page, 'run tools/bench --figures'


def bench(lab, name, *words):
    """{case: row} of one short round; it leaves nothing behind."""
    fgtest.program('floodgate'), fgtest.program('fgctl'), fgtest.program('fgblast')
    path = os.path.join(lab.dir, 'rows.json')
    process = subprocess.Popen([TOOL, name, '--runs', '1', '--seconds', '1', '--no-build', '--no-wait', '--json', path, *words],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        out, _ = process.communicate(timeout=230)
    finally:
        process.terminate()
        process.wait()
    if 'skipped' in out:
        raise fgtest.Skip(out.strip().splitlines()[-1])
    assert process.returncode == 0, out
    assert [p for p in fgtest.marks() if os.path.basename(p).startswith(f'fg{process.pid}-')] == []
    with open(path) as f:
        found = json.load(f)
    assert len(found['yardsticks']) == 2 and min(found['yardsticks'].values()) > 0, found['yardsticks']
    assert all(0 <= r['busy'] <= 1 for r in found['rows']), found['rows']
    return {r['case']: r for r in found['rows']}


@fgtest.timeout(120)
def test_echo(lab):
    """one short round of the echo benchmark gives figures and leaves nothing behind"""
    rows = bench(lab, 'echo')
    assert rows['answered orders, one worker']['value'] > 1000 and rows['testpmd 5tswap echo']['value'] > 1000
    assert rows['orders : echo']['target'] == 0.6


@fgtest.timeout(180)
def test_sale(lab):
    """the great sale at a two-thousandth of its size: nothing oversold, nothing left, and the audit passes"""
    rows = {case: row['value'] for case, row in bench(lab, 'sale-600m', '--scale', '0.0005').items()}
    for case in ('wrong answers', 'requests never answered', 'oversold', 'unsold while wanted',
                 'differences that the audit found'):
        assert rows[case] == 0, (case, rows)
    assert rows['requests'] >= 300_000 and rows['duplicates sent'] > 500 and rows['expired'] > 50, rows
    ended = rows['confirmed'] + rows['cancelled'] + rows['expired'] - rows['of the confirmed, after they had expired']
    assert rows['confirmed'] >= 3900 and rows['orders accepted'] == ended, rows


@fgtest.timeout(180)
def test_accept(lab):
    """a second of acceptances: all are on disk before they are acknowledged, and all answers are right"""
    rows = bench(lab, 'accept')
    assert rows['orders accepted, durable on disk']['value'] > 100 and rows['accepted in, p50']['value'] > 10, rows
    assert rows['orders accepted, durable on disk']['target'] == 2e6


@fgtest.timeout(180)
def test_replay(lab):
    """a second of replay: each reply of a pass through the file is right, and the flood is answered"""
    rows = bench(lab, 'replay')
    assert rows['replies checked']['value'] == 8192 and rows['answered rejected orders, one worker']['value'] > 1000, rows
    assert rows['of it, port and loop (testpmd)']['value'] > 0 and rows['an order']['value'] > 0, rows


@fgtest.timeout(120)
def test_rivals(lab):
    """one short round beside Redis and PostgreSQL: all sell as much as there is, and figures for all of them"""
    rows = bench(lab, 'rivals')
    assert all(r['value'] > 0 for r in rows.values()), rows
    assert rows['floodgate : redis, lua, sold out']['target'] == 40


@fgtest.timeout(240)
def test_pair(lab):
    """one short round of a pair: each fault is survived, and figures for all of them"""
    rows = bench(lab, 'pair')
    assert all(r['value'] > 0 for r in rows.values()), rows
    assert rows['fault to first acceptance, all kinds, p50']['target'] == 400


@fgtest.timeout(180)
def test_growth(lab):
    """one short round on a small scale: every size is measured, and the ratios"""
    rows = bench(lab, 'growth', '--scale', '0.001')
    assert rows['rejected, 10M users and orders']['value'] > 10 and rows['rejected, 10k items : 1']['target'] == 1.5


@fgtest.timeout(180)
def test_load(lab):
    """one short sweep: over capacity packets are dropped and counted, the rest is answered, and acceptances come through"""
    rows = {case: row['value'] for case, row in bench(lab, 'load').items()}
    assert rows['300 % offered: answered'] > 1000 and rows['300 % offered: dropped'] > 0, rows
    assert rows['300 % offered: accepted'] > 0 and rows['300 % offered: new orders among the answers'] > 0.3, rows


@fgtest.timeout(180)
def test_load_of_a_veth(lab):
    """the same sweep over AF_XDP"""
    rows = {case: row['value'] for case, row in bench(lab, 'load', '--port', 'af_xdp').items()}
    assert 1000 < rows['capacity'] < 5e6, rows
    assert rows['50 % offered: accepted, p50'] > 10 and rows['300 % offered: new orders among the answers'] > 0.3, rows


@fgtest.timeout(240)
def test_latency(lab):
    """one short round over a veth: both answer at half load, acceptances are durable, and beside them there are syncs"""
    rows = {case: row['value'] for case, row in bench(lab, 'latency').items()}
    assert rows['offered'] > 0 and rows['floodgate: rejected, p50'] > 0 and rows['testpmd: echo, p50'] > 0, rows
    assert rows['write and fdatasync, beside rejections, p50'] > 5 and rows['write and fdatasync, nothing else, p99'] > 5, rows
    assert rows['offered'] < 5000 or rows['floodgate: accepted, p50'] > 10, rows  # a busy machine: too few for any


@fgtest.timeout(120)
def test_budget(lab):
    """the stages of a packet have cycles and instructions, and are all of it; a wrong reply would end the program"""
    if not os.path.exists(os.path.join(fgtest.BUILD, 'tools', 'bench.d', 'budget', 'bench_budget')):
        raise fgtest.Skip('bench_budget is not built: the budget is counted on x86-64 only')
    rows = bench(lab, 'budget')
    for way in ('ring', 'ring, instructions', 'handed off', 'memif', 'memif echo'):
        stages = {case: row['value'] for case, row in rows.items() if row['unit'] not in ('frames', 'ratio') and case.startswith(way + ': ')}
        whole = stages.pop(f'{way}: all of it')
        stages.pop('memif: cycles added to the echo', None)
        assert whole > 10 and abs(sum(stages.values()) - whole) < 0.02 * whole, (way, stages, whole)
    for stage in ('tag check: fields, key, SipHash of the request', 'engine: decision', 'reply: payload and headers'):
        assert rows[f'ring: {stage}']['value'] > 1 and rows[f'ring, instructions: {stage}']['value'] > 10, stage
    cores = {case: row['value'] for case, row in rows.items() if case.startswith('two cores: ')}
    assert len(cores) == 4 and cores['two cores: the worker that receives and sends'] > 10, cores
    assert cores['two cores: the worker that decides'] > 10, cores


@fgtest.timeout(120)
def test_idle(lab):
    """one short round under each idle policy: the flood is answered, and a worker that sleeps leaves the CPU alone"""
    rows = bench(lab, 'idle')
    assert all(rows[f'{policy}: p99']['value'] > 0 for policy in ('spin', 'yield', 'sleep')), rows
    assert rows['sleep: CPU while idle']['value'] < rows['spin: CPU while idle']['value'], rows
    assert all(rows[f"{policy}: others' write and fdatasync, p50"]['value'] > 5 for policy in ('spin', 'yield', 'sleep')), rows


@fgtest.timeout(240)
def test_gateway(lab):
    """one short round of orders over HTTP: each contender answers, and 500 event streams hear of a change"""
    for path, what in (('/usr/lib/nginx/modules/ngx_http_lua_module.so', 'libnginx-mod-http-lua'), ('/usr/bin/wrk', 'wrk'),
                       ('/usr/share/lua/5.1/nginx/redis.lua', 'lua-nginx-redis')):
        if not os.path.exists(path):
            raise fgtest.Skip(f'{what} is not installed')
    rows = {case: row['value'] for case, row in bench(lab, 'gateway', '--scale', '0.005').items()}
    for name in ('return 200', 'sold out', 'lua, udp', 'lua, redis'):
        assert rows[f'{name}: answers'] > 10, rows
    assert 0 < rows['idle event streams: one event to all'] < 30, rows
    assert rows['orders over TLS, whole machine'] > 10, rows


if __name__ == '__main__':
    fgtest.main()
