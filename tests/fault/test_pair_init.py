#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""`fgctl pair init`: the first register in a real etcd, and the certificates of a pair."""

import json
import os
import re
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgetcd import Etcd  # noqa: E402

FGCTL = os.path.join(fgtest.BUILD, 'app/fgctl/fgctl')
HOSTS = '198.18.9.1,2001:db8::2'


def fgctl(*words, ns=None, code=0):
    argv = [*(ns.enter() if ns else []), FGCTL, *map(str, words)]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == code, (words, done)
    return done.stdout + done.stderr


def write_config(lab, keys, arbiter, **settings):
    """A configuration of one box; its path and the folder of its log."""
    path, log, secrets = lab.unique('pair.conf'), lab.unique('log'), lab.unique('keys')
    with open(secrets, 'w', encoding='utf-8') as f:
        f.write('1 shop 00112233445566778899aabbccddeeff\n')
    with open(path, 'w', encoding='utf-8') as f:
        f.write(f'[port p]\ninterface = eth0\n[orders]\nkeys = {secrets}\n[log]\ndir = {log}\n[pair]\nnode = 0\n'
                f'enabled = {settings.get("enabled", "yes")}\nlisten = 198.18.9.1:4610\npeer = 198.18.9.2:4610\n'
                f'tls_ca = {keys}/ca.pem\ntls_cert = {keys}/node0.pem\ntls_key = {keys}/node0.key\n'
                f'arbiter = {arbiter}\n')
    return path, log


def test_register(lab):
    """the first register has the log's id; there is one only; without a log, a pair or an arbiter there is none"""
    etcd, keys = Etcd(lab), lab.unique('certs')
    fgctl('pair', 'init', '--keys', keys, '--hosts', HOSTS)
    config, log = write_config(lab, keys, etcd.endpoints)
    assert 'there is no log in' in fgctl('pair', 'init', '--config', config, ns=etcd.ns, code=6)
    log_id = re.search(r'id (\w{16})', fgctl('log', 'init', '--dir', log))[1]
    off, _ = write_config(lab, keys, etcd.endpoints, enabled='no')
    assert 'enabled = no' in fgctl('pair', 'init', '--config', off, ns=etcd.ns, code=6)
    answer = json.loads(fgctl('pair', 'init', '--json', '--config', config, ns=etcd.ns))
    assert answer == {'log_id': log_id, 'node': 0}
    text = etcd.ctl('get', '--print-value-only', 'floodgate/pair/register')
    assert text.startswith(f'floodgate-pair 1 epoch 0 leader 0 mode solo log {log_id} '), (text, log_id)
    again = fgctl('pair', 'init', '--config', config, ns=etcd.ns, code=1)
    assert 'there is a register of this pair already; nothing was changed' in again and log_id in again
    assert etcd.ctl('get', '--print-value-only', 'floodgate/pair/register') == text
    for member in etcd.members:
        member.kill()
    assert '127.0.0.1:23' in fgctl('pair', 'init', '--config', config, ns=etcd.ns, code=4)


def test_sample_of_etcd(lab):
    """a real etcd takes every setting of config/etcd-floodgate.conf from its environment"""
    ns = lab.namespace('etcd')
    with open(os.path.join(fgtest.ROOT, 'config/etcd-floodgate.conf'), encoding='utf-8') as f:
        settings = dict(re.findall(r'^(ETCD_\w+)=(.+)$', f.read(), re.M))
    used = {name: value.replace('192.0.2.1', '127.0.0.1') for name, value in settings.items()}
    used['ETCD_INITIAL_CLUSTER'] = used['ETCD_INITIAL_CLUSTER'].split(',', maxsplit=1)[0]
    used['ETCD_DATA_DIR'] = lab.unique('etcd')
    member = ns.start('env', *(f'{name}={value}' for name, value in used.items()), 'etcd')
    fgtest.wait_until(lambda: 'ready to serve client requests' in member.output() or not member.running(), 30, 'etcd serves')
    for name, value in used.items():
        assert f'used environment variable {name}={value}' in member.output(), (name, member.output())


def doctor(config, check, ns=None):
    """(verdict, cause) of one check."""
    said = subprocess.run([*(ns.enter() if ns else []), FGCTL, 'doctor', '--json', '--config', config, '--only', check],
                          capture_output=True, text=True, timeout=60, check=False)
    found = json.loads(said.stdout)['checks'][0]
    return found['verdict'], found.get('cause', '')


def test_doctor(lab):
    """the doctor reads the certificates and the register as the daemon would"""
    etcd, keys = Etcd(lab, members=1), lab.unique('certs')
    fgctl('pair', 'init', '--keys', keys, '--hosts', HOSTS)
    config, log = write_config(lab, keys, etcd.endpoints)
    assert doctor(config, 'pair-certificates') == ('good', '')
    assert doctor(config, 'pair-expiry') == ('good', '')
    assert doctor(config, 'pair-members')[0] == 'warning'
    verdict, cause = doctor(config, 'pair-arbiter', etcd.ns)
    assert verdict == 'fault' and 'no register of this pair below floodgate/pair/' in cause, cause
    fgctl('log', 'init', '--dir', log)
    fgctl('pair', 'init', '--config', config, ns=etcd.ns)
    assert doctor(config, 'pair-arbiter', etcd.ns) == ('good', '')
    assert doctor(config, 'pair-arbiter')[0] == 'fault', 'no etcd outside of its namespace'
    assert doctor(config, 'pair-clocks')[0] == 'skipped'
    os.replace(f'{keys}/node1.key', f'{keys}/node0.key')
    assert 'is not the key of' in doctor(config, 'pair-certificates')[1]
    os.replace(f'{keys}/node1.pem', f'{keys}/node0.pem')
    assert 'is not made for the host of [pair] listen' in doctor(config, 'pair-certificates')[1]
    other = lab.unique('certs')
    fgctl('pair', 'init', '--keys', other, '--hosts', HOSTS)
    os.replace(f'{other}/ca.pem', f'{keys}/ca.pem')
    assert 'is none of the authority' in doctor(config, 'pair-certificates')[1]


def verify(folder, name, host, ok=True):
    flag = '-verify_ip' if re.match(r'[\d.]+$|.*::', host) else '-verify_hostname'
    done = subprocess.run(['openssl', 'verify', '-CAfile', f'{folder}/ca.pem', '-purpose', 'sslserver', flag, host,
                           f'{folder}/{name}.pem'], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode == 0) == ok, done


def test_certificates(lab):
    """both certificates hold for their host alone; a second call renews them by the same authority; keys are private"""
    folder = lab.unique('certs')
    assert 'a new authority' in fgctl('pair', 'init', '--keys', folder, '--hosts', HOSTS)
    verify(folder, 'node0', '198.18.9.1')
    verify(folder, 'node1', '2001:db8::2')
    verify(folder, 'node0', '198.18.9.2', ok=False)
    for name in os.listdir(folder):
        mode = os.stat(os.path.join(folder, name)).st_mode & 0o777
        assert mode == (0o600 if name.endswith('.key') else 0o644), name
    with open(f'{folder}/ca.pem', encoding='ascii') as f:
        authority = f.read()
    assert 'by the authority in' in fgctl('pair', 'init', '--keys', folder, '--hosts', 'a.example, b.example')
    with open(f'{folder}/ca.pem', encoding='ascii') as f:
        assert f.read() == authority
    verify(folder, 'node1', 'b.example')
    verify(folder, 'node0', 'a.example')
    assert os.path.exists(f'{folder}/node0.pem.old') and os.path.exists(f'{folder}/node1.key.old')
    with open(f'{folder}/ca.key', 'w', encoding='ascii') as f:
        f.write('none\n')
    assert "are not an authority's" in fgctl('pair', 'init', '--keys', folder, '--hosts', HOSTS, code=6)
    assert '--hosts' in fgctl('pair', 'init', '--keys', folder, '--hosts', 'one', code=2)


if __name__ == '__main__':
    fgtest.main()
