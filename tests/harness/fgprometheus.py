# SPDX-License-Identifier: BSD-3-Clause
"""Harness: Debian's Prometheus with our alert rules, and the queries of our dashboard."""

import http.client
import json
import os
import urllib.parse

import fgtest


class Prometheus:
    """Debian's Prometheus with our rules, in the namespace of the daemon, which it scrapes each second."""

    def __init__(self, lab, ns):
        self.ns, folder = ns, lab.unique('prometheus')
        os.mkdir(folder)
        with open(f'{fgtest.ROOT}/config/prometheus.yml', encoding='utf-8') as sample:
            text = sample.read()
        text = text.replace('5s', '1s')
        with open(f'{fgtest.ROOT}/config/prometheus-rules.yml', encoding='utf-8') as sample:
            rules = sample.read()
        with open(f'{folder}/prometheus-rules.yml', 'w', encoding='utf-8') as out:
            out.write(rules.replace('for: 15s', 'for: 1s'))  # tests/unit/dashboards.py tests the file as it is
        with open(f'{folder}/prometheus.yml', 'w', encoding='utf-8') as out:
            out.write(text)
        self.process = ns.start('prometheus', f'--config.file={folder}/prometheus.yml', f'--storage.tsdb.path={folder}/data',
                                '--web.listen-address=127.0.0.1:9090')
        fgtest.wait_until(lambda: self.up() == [1.0], 60, 'Prometheus has scraped the appliance')

    def get(self, path, **query):
        with self.ns.inside():
            connection = http.client.HTTPConnection('127.0.0.1', 9090, timeout=10)
            connection.connect()
        connection.request('GET', f'{path}?{urllib.parse.urlencode(query)}')
        answer = connection.getresponse()
        text = answer.read().decode()
        connection.close()
        assert answer.status == 200, (path, query, text)
        return json.loads(text)['data']

    def query(self, expr):
        """Values of the series that the expression gives now."""
        return [float(series['value'][1]) for series in self.get('/api/v1/query', query=expr)['result']]

    def up(self):
        try:
            return self.query('up{job="floodgate"}')
        except (OSError, http.client.HTTPException, AssertionError):
            return []

    def firing(self):
        """{alert: severity}"""
        return {a['labels']['alertname']: a['labels']['severity'] for a in self.get('/api/v1/alerts')['alerts']
                if a['state'] == 'firing'}

    def rules(self):
        return [rule for group in self.get('/api/v1/rules')['groups'] for rule in group['rules']]

    def alert_fires(self, name):
        fgtest.wait_until(lambda: name in self.firing(), 30, f'alert {name} fires')

    def alert_clears(self, name):
        fgtest.wait_until(lambda: name not in self.firing(), 40, f'alert {name} clears')

    def panels_have_data(self, wanted):
        """Each panel does whose query is wanted(query)."""
        queries = {name: query for name, query in panel_queries().items() if wanted(query)}
        empty = set(queries)
        assert empty

        def all_have_data():
            empty.difference_update({name for name in empty if self.query(queries[name])})
            return not empty
        try:
            fgtest.wait_until(all_have_data, 60, 'each panel has data', 0.2)
        except fgtest.Timeout as error:
            raise fgtest.Timeout(f'no data: {sorted(empty)}') from error
        return len(queries)


def panel_queries():
    """{title and letter: expression} of the dashboard, as Grafana sends it."""
    with open(f'{fgtest.ROOT}/config/grafana-floodgate.json', encoding='utf-8') as file:
        rows = json.load(file)['panels']
    panels = [p for row in rows for p in (row, *row.get('panels', []))]
    return {f'{p["title"]} {t["refId"]}': t['expr'].replace('$__rate_interval', '8s').replace('$instance', '.*')
            for p in panels for t in p.get('targets', [])}
