#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""fgctl doctor on this machine, with real servers and without a daemon. The checks one by one: tests/unit/test_doctor.c."""

import json
import os
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402


def doctor(gate, *words):
    """(exit code, {check: finding}) of fgctl doctor --json."""
    argv = [fgtest.program('fgctl'), 'doctor', '--json', '--config', gate.config, *words]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    try:
        return done.returncode, {c['check']: c for c in json.loads(done.stdout)['checks']}
    except ValueError:
        raise AssertionError((argv, done.returncode, done.stdout, done.stderr)) from None


def machine(lab, redis, **settings):
    """A configuration whose daemon never starts."""
    return lab.daemon(device='net_null0', redis=redis, settings={'eal.huge': 'no', **settings})


def test_real_servers(lab):
    """without a daemon: a real Redis is asked, its policy is found, and its end"""
    redis = lab.redis(persist=True)
    gate = machine(lab, redis, **{'kafka.brokers': f'127.0.0.1:{fgtest.free_port()}', 'kafka.topic': 'x'})
    _, found = doctor(gate)
    assert len(found) > 30
    wrong = {name: c['cause'] for name, c in found.items()
             if name.startswith(('redis', 'keys', 'interface')) and c['verdict'] not in ('good', 'skipped')}
    assert not wrong, wrong
    assert found['redis-version']['verdict'] == found['redis-policy']['verdict'] == 'good', found
    assert found['redis-persistence']['verdict'] == 'good', found['redis-persistence']
    assert found['kafka']['verdict'] == 'warning' and 'refused' in found['kafka']['cause'], found['kafka']
    redis.command('CONFIG', 'SET', 'maxmemory-policy', 'allkeys-lru')
    redis.command('CONFIG', 'SET', 'appendonly', 'no')
    code, found = doctor(gate)
    assert code == 5 and found['redis-policy']['verdict'] == 'fault', found['redis-policy']
    assert found['redis-persistence']['verdict'] == 'warning', found['redis-persistence']
    redis.command('CONFIG', 'SET', 'save', '60 1')
    assert doctor(gate, '--only', 'redis-persistence')[1]['redis-persistence']['verdict'] == 'good'
    # of several servers the first that answers is asked, as by the daemon
    gate.settings['redis.address'] = f'127.0.0.1:{fgtest.free_port()}, {redis.address}'
    gate.write_config()
    found = doctor(gate, '--only', 'redis-persistence')[1]['redis-persistence']
    assert found['verdict'] == 'good', found
    redis.kill()
    _, found = doctor(gate)
    assert found['redis']['verdict'] == 'warning' and found['redis-policy']['verdict'] == 'skipped', found['redis']


def test_fix(lab):
    """--fix runs the command of a check that it may, and checks again; what it measures leaves no file"""
    gate = machine(lab, None, **{'metrics.listen': '0.0.0.0:9460'})
    os.mkdir(gate.log_dir)
    os.chmod(gate.keys.path, 0o640)
    code, found = doctor(gate, '--only', 'keys-mode')
    assert (code, found['keys-mode']['verdict'], found['keys-mode']['fixed']) == (0, 'warning', False), found
    assert found['keys-mode']['command'] == f'chmod 0600 {gate.keys.path}', found
    before = os.stat(gate.config).st_mtime_ns
    code, found = doctor(gate, '--only', 'metrics-public', '--fix')
    assert (found['metrics-public']['verdict'], os.stat(gate.config).st_mtime_ns) == ('warning', before), found
    code, found = doctor(gate, '--only', 'keys-mode', '--fix')
    assert (code, found['keys-mode']['verdict'], found['keys-mode']['fixed']) == (0, 'good', True), found
    assert os.stat(gate.keys.path).st_mode & 0o777 == 0o600
    doctor(gate, '--only', 'disk-latency')
    assert os.listdir(gate.log_dir) == []


def test_text_and_mistakes(lab):
    """text for people; an unknown check and a wrong configuration are errors"""
    gate = machine(lab, None)
    os.chmod(gate.keys.path, 0o644)

    def run(*words):
        done = subprocess.run([fgtest.program('fgctl'), 'doctor', *words], capture_output=True, text=True, timeout=60,
                              check=False)
        return done.returncode, done.stdout, done.stderr

    code, out, _ = run('--config', gate.config, '--only', 'keys-mode')
    assert code == 0 and out.splitlines()[0].startswith('warning  keys-mode: [orders] keys = '), out
    assert out.splitlines()[1:] == [f'         run: chmod 0600 {gate.keys.path}', 'faults: 0, warnings: 1, good: 0, skipped: 0']
    code, _, err = run('--config', gate.config, '--only', 'nothing')
    assert code == 2 and 'no such check' in err, err
    code, _, err = run('--config', '/nowhere')
    assert code == 6 and '/nowhere' in err, err


if __name__ == '__main__':
    fgtest.main()
