#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Alert rules and dashboard: as tools/dashboards writes them, complete, and understood by promtool."""

import json
import os
import re
import subprocess
import sys
import tempfile

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtap  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
RULES = os.path.join(ROOT, 'config', 'prometheus-rules.yml')
# One sample every 15 s: none, warning, alarm, none. A rule follows at once, both ways, with the right severity.
LEVELS = '0 0 1 1 2 2 0 0'
EXPECTED = [('15s', None), ('45s', 'warning'), ('75s', 'critical'), ('105s', None)]


def read(*path):
    with open(os.path.join(ROOT, *path), encoding='utf-8') as file:
        return file.read()


def run(*argv):
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=False)
    assert done.returncode == 0, (argv, done.stdout)
    return done.stdout


def alarms():
    """Names of the table of alarms, which the unit test `health` compares with the code."""
    part = read('docs', 'operation.md').split('<!-- table of alarms')[1].split('<!-- end of the table of alarms')[0]
    names = re.findall(r'^\| `(\w+)` \|', part, re.M)
    assert len(names) > 15, part
    return names


def panels():
    made = json.loads(read('config', 'grafana-floodgate.json'))
    return [p for row in made['panels'] for p in (row, *row.get('panels', []))]


def queries():
    """As Prometheus gets them from Grafana."""
    exprs = [t['expr'] for p in panels() for t in p.get('targets', [])]
    return [e.replace('$__rate_interval', '10s').replace('$instance', '.*') for e in exprs]


def test_up_to_date():
    """the files are what the generator writes"""
    run(os.path.join(ROOT, 'tools', 'dashboards'), '--check')


def test_every_alarm_has_a_rule():
    """each alarm has a rule, and no text of a rule points to another line"""
    text = read('config', 'prometheus-rules.yml')
    ruled = re.findall(r'floodgate_alarm_level{alarm="(\w+)"}', text)
    assert sorted(ruled) == sorted(alarms()), set(ruled) ^ set(alarms())
    for line in re.findall(r'^ +(?:summary|description): (.*)', text, re.M):
        assert 'the same' not in line and 'as above' not in line and '`' not in line, line


def test_promtool_likes_them():
    """promtool check rules, check config"""
    assert 'SUCCESS' in run('promtool', 'check', 'rules', RULES)
    run('promtool', 'check', 'config', os.path.join(ROOT, 'config', 'prometheus.yml'))


def series(name, values):
    return f'      - series: \'{name}\'\n        values: \'{values}\'\n'



def annotated(text, alert):
    """{annotation: text} of a rule, with the instance put in."""
    part = re.search(rf'alert: {alert}\n.*?(?=      - alert|\Z)', text, re.S)[0]
    return {key: json.loads(value).replace('{{ $labels.instance }}', 'gate')
            for key, value in re.findall(r'^ +(summary|description): (.*)$', part, re.M)}


def test_each_alert_fires_and_clears():
    """promtool test rules: each alarm raises its alert with the right severity, and its end ends the alert"""
    text = read('config', 'prometheus-rules.yml')
    names = alarms()
    body = 'rule_files: [%s]\nevaluation_interval: 15s\ntests:\n  - interval: 15s\n    input_series:\n' % RULES
    body += series('up{job="floodgate",instance="gate"}', '1 1 0 0 0 0 1 1')
    body += series('floodgate_healthy{instance="gate"}', '1 1 0 0 0 0 1 1')
    for name in names:
        body += series(f'floodgate_alarm_level{{alarm="{name}",instance="gate"}}', LEVELS)
    body += '    alert_rule_test:\n'
    cases = [(f'FloodgateAlarm{name.capitalize()}', {'alarm': name, 'instance': 'gate'}, EXPECTED) for name in names]
    cases.append(('FloodgateDown', {'job': 'floodgate', 'instance': 'gate'},
                  [('15s', None), ('30s', None), ('60s', 'critical'), ('105s', None)]))
    cases.append(('FloodgateUnhealthy', {'instance': 'gate'}, [('15s', None), ('30s', 'critical'), ('105s', None)]))
    for alert, labels, expected in cases:
        for at, severity in expected:
            if severity is None:
                body += f'      - eval_time: {at}\n        alertname: {alert}\n        exp_alerts: []\n'
                continue
            body += (f'      - eval_time: {at}\n        alertname: {alert}\n        exp_alerts:\n          - exp_labels: '
                     + json.dumps({**labels, 'severity': severity}) + '\n            exp_annotations: '
                     + json.dumps(annotated(text, alert)) + '\n')
    with tempfile.NamedTemporaryFile('w', suffix='.yml', encoding='utf-8') as file:
        file.write(body)
        file.flush()
        assert 'SUCCESS' in run('promtool', 'test', 'rules', file.name)
    print(f'# {len(cases)} alerts, {sum(len(e) for _, _, e in cases)} moments')


def test_the_dashboard_shows_every_metric():
    """each metric of docs/metrics.md is in a panel, panels do not overlap, and promtool parses each query"""
    table = set(re.findall(r'^\| `(floodgate_\w+)` \|', read('docs', 'metrics.md'), re.M))
    shown = {name.removesuffix('_bucket') for query in queries() for name in re.findall(r'floodgate_\w+', query)}
    assert table == shown and len(table) > 100, table ^ shown
    ids, covered = set(), set()
    for p in panels():
        grid = p['gridPos']
        cells = {(x, y) for x in range(grid['x'], grid['x'] + grid['w']) for y in range(grid['y'], grid['y'] + grid['h'])}
        assert p['id'] not in ids and not cells & covered and grid['x'] + grid['w'] <= 24, p['title']
        ids.add(p['id'])
        covered |= cells
    with tempfile.NamedTemporaryFile('w', suffix='.yml', encoding='utf-8') as file:
        rules = [{'record': f'panel:{n}', 'expr': query} for n, query in enumerate(queries())]
        json.dump({'groups': [{'name': 'panels', 'rules': rules}]}, file)
        file.flush()
        assert f'{len(rules)} rules found' in run('promtool', 'check', 'rules', file.name)
    print(f'# {len(table)} metrics, {len(rules)} queries')


if __name__ == '__main__':
    sys.exit(fgtap.run(globals()))
