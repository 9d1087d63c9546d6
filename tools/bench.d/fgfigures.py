# SPDX-License-Identifier: BSD-3-Clause
"""The figures of the hosts that the benches ran on, docs/figures/HOST.json, as a table of docs/performance.md.

A file is what `tools/bench --json` writes. The table is made anew from all of them, so that it cannot drift.
"""

import glob
import json
import os

BEGIN, END = '<!-- figures of all hosts: written by tools/bench --figures -->\n', '<!-- end of the figures -->\n'


def hosts(folder):
    """{host: what --json wrote}"""
    found = {}
    for path in sorted(glob.glob(os.path.join(folder, '*.json'))):
        with open(path) as f:
            found[os.path.basename(path)[:-5]] = json.load(f)
    return found


def merged(old, new):
    """`new`, with the rows of `old` for the benchmarks that were not run now."""
    run = {row['bench'] for row in new['rows']}
    kept = [row for row in old['rows'] if row['bench'] not in run]
    return {**new, 'rows': sorted(kept + new['rows'], key=lambda row: row['bench'])}


def table(found, short, spread):
    """Markdown: the machines, their yardsticks, then a row for each figure that any of them has."""
    def line(*cells):
        return '| ' + ' | '.join(str(c).replace('|', '/') for c in cells) + ' |\n'
    names = list(found)
    text = line('figure', 'unit', 'target', *names) + '|---' * (3 + len(names)) + '|\n'
    text += line('CPU; kernel', '', '', *(f'{f["machine"]["cpu"]}, {f["machine"]["cpus"]} CPUs; {f["machine"]["kernel"]}' for f in found.values()))
    for stick in dict.fromkeys(s for f in found.values() for s in f['yardsticks']):
        text += line(f'yardstick: {stick}', 'ns', '', *(short(f['yardsticks'].get(stick)) for f in found.values()))
    rows = {host: {(r['bench'], r['case'], r['unit']): r for r in f['rows']} for host, f in found.items()}
    for key in dict.fromkeys(k for each in rows.values() for k in each):
        one = next(each[key] for each in rows.values() if key in each)
        sign = '≥ ' if one['better'] == 'higher' else '≤ '
        text += line(f'`{key[0]}`: {key[1]}', key[2], '' if one['target'] is None else sign + short(one['target']),
                     *(cell(each[key], short, spread) if key in each else '' for each in rows.values()))
    return text


def cell(row, short, spread):
    around = f' ± {spread(row)}' if row['max'] > row['min'] and spread(row) else ''
    return short(row['value']) + around + (' (missed)' if row['met'] is False else '')


def write(page, text):
    """Puts the table between its marks. True when the page changed."""
    with open(page) as f:
        before = f.read()
    head, _, rest = before.partition(BEGIN)
    _, _, tail = rest.partition(END)
    after = head + BEGIN + '\n' + text + '\n' + END + tail
    if not tail or after == before:
        return False
    with open(page, 'w') as f:
        f.write(after)
    return True
