#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The demo as a newcomer runs it, and that it would not be content with a sale that went wrong."""

import json
import os
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', '..', 'tools', 'runner'))
sys.dont_write_bytecode = True
import demo  # noqa: E402
import fgtest  # noqa: E402

_summary = {}


@fgtest.timeout(400)
def test_demo(lab):
    """tools/demo sells every unit of the hot item, oversells none, and its audit passes"""
    report = lab.unique('demo.json')
    done = subprocess.run([os.path.join(fgtest.ROOT, 'tools', 'demo'), '--no-setup', '--json', report],
                          capture_output=True, text=True, timeout=380)
    assert done.returncode == 0, done.stdout + done.stderr
    with open(report) as f:
        _summary.update(json.load(f))
    s = _summary
    assert s['audit'] == 'pass' and s['oversold'] == 0 and s['unsold_while_wanted'] == 0
    assert s['hot']['sold'] == 1000
    assert s['packets'] >= 500000
    assert s['acknowledged'] == s['in_log'] == s['in_redis'] == s['in_postgres'] > 8500  # units that came back were sold again
    assert s['confirmed_units'] == s['paid_units'] == s['sold_in_log'] and s['charged_twice'] == 0
    assert s['charges'] > 8000 and s['payments']['cancelled'] > 100 and s['payments']['lapsed'] > 100
    assert s['redis_away_s'] > 1 and s['redis_lag_max'] > 0
    for text in ('hot:', 'Redis is stopped', 'Redis is back', 'oversold', 'accepted in'):
        assert text in done.stdout, text


def test_verdict():
    """every way in which the demo's sale can go wrong makes it fail"""
    if not _summary:
        raise fgtest.Skip('the demo did not run')
    assert demo.failures(_summary) == []
    wrong = [{'audit': 'fail'}, {'oversold': 1}, {'unsold_while_wanted': 1}, {'hot': {**_summary['hot'], 'sold': 999}},
             {'in_log': _summary['in_log'] + 1}, {'in_redis': 0}, {'contradictions': 1}, {'packets': 499999},
             {'in_postgres': 0}, {'sold_in_postgres': 0}, {'orders_unlike_payments': 1}, {'payments_open': 1}, {'confirmed_units': 8499}, {'paid_units': 8501}, {'charged_twice': 1},
             {'payments': {**_summary['payments'], 'lapsed': 0}}, {'drops': {}}, {'expired': 0}, {'redis_lag_max': 0}]
    for change in wrong:
        assert demo.failures({**_summary, **change}), change


def test_unsold_while_wanted():
    """free units count as unsold while wanted only where somebody still asked"""
    items = [{'item': 1, 'available': 3}, {'item': 2, 'available': 5}, {'item': 3, 'available': 0}]
    assert demo.unsold_while_wanted(items, {'items': [{'item': 1, 'wanting': 2}, {'item': 3, 'wanting': 9}]}) == 2
    assert demo.unsold_while_wanted(items, {'items': []}) == 0


if __name__ == '__main__':
    fgtest.main()
