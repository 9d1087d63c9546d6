#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The Redis sink over TLS: a real server with certificates made here; right, wrong, missing and renewed ones."""

import os
import socket
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import test_redis as base  # noqa: E402
from test_redis import fgtest  # noqa: E402


def openssl(*words):
    done = subprocess.run(['openssl', *words], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr


class Authority:
    """Makes certificates that its own vouches for."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self.key = self.path(name, 'pem'), self.path(name, 'key')
        openssl('req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '2',
                '-subj', f'/CN={name}', '-keyout', self.key, '-out', self.cert)

    def path(self, name, ending):
        return os.path.join(self.folder, f'{name}.{ending}')

    def make(self, name, alternatives):
        """(certificate, key) of a server or a client."""
        cert, key, request, ext = (self.path(name, e) for e in ('pem', 'key', 'csr', 'ext'))
        with open(ext, 'w', encoding='utf-8') as f:
            f.write(f'subjectAltName={alternatives}\n')
        openssl('req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj', f'/CN={name}',
                '-keyout', key, '-out', request)
        openssl('x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-CAcreateserial', '-days', '2',
                '-extfile', ext, '-out', cert)
        return cert, key


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Secure:
    """A Redis with a TLS port, and its authority."""

    def __init__(self, lab, clients='no', names='IP:127.0.0.1'):
        self.folder = lab.unique('tls')
        os.mkdir(self.folder)
        self.authority = Authority(self.folder, 'authority')
        self.other = Authority(self.folder, 'stranger')
        self.client = self.authority.make('client', 'DNS:client')
        cert, key = self.authority.make('server', names)
        self.port, self.redis = free_port(), fgtest.Redis(lab, persist=True)
        self.redis.options += ['--tls-port', self.port, '--tls-cert-file', cert, '--tls-key-file', key,
                               '--tls-ca-cert-file', self.authority.cert, '--tls-auth-clients', clients]
        self.redis.start()
        self.address = f'127.0.0.1:{self.port}'


def follows(driver, redis, address, tls, **more):
    driver.start(address, tls=tls, **more)
    driver.load()
    driver.caught_up()
    driver.stop()
    base.compare(driver, redis)


def is_away(driver, address, tls, text):
    driver.start(address, tls=tls, timeout=3000)
    status = driver.in_state('away')
    assert text in status['error'], status
    driver.stop(drain=0)


def test_right_certificates(lab):
    """by address, by name, with a certificate of our own where the server asks for one, and large batches"""
    s, driver = Secure(lab, names='IP:127.0.0.1,DNS:redis.example'), base.Driver(lab)
    follows(driver, s.redis, s.address, (s.authority.cert, '-', '-', '-'))
    follows(driver, s.redis, s.address, (s.authority.cert, '-', '-', 'redis.example'))
    s.redis.command('CONFIG', 'SET', 'tls-auth-clients', 'yes')
    driver.load(300, 200)
    follows(driver, s.redis, s.address, (s.authority.cert, *s.client, '-'), batch=20000, timeout=10000)


def test_wrong_certificates(lab):
    """an authority that we do not know, a name that is another's, no certificate where one is asked for, no TLS"""
    s, driver = Secure(lab, clients='yes'), base.Driver(lab)
    driver.load()
    own = s.client
    is_away(driver, s.address, (s.other.cert, *own, '-'), 'certificate')
    is_away(driver, s.address, (s.authority.cert, *own, 'redis.example'), 'mismatch')
    is_away(driver, s.address, (s.authority.cert, *own, '127.0.0.2'), 'mismatch')
    is_away(driver, s.address, (s.authority.cert, '-', '-', '-'), 'TLS')
    is_away(driver, s.address, (s.authority.cert, *s.other.make('spy', 'DNS:spy'), '-'), 'TLS')
    is_away(driver, s.address, (s.authority.cert, own[0], s.other.key, '-'), s.other.key)
    is_away(driver, s.address, (s.folder + '/none.pem', *own, '-'), s.folder + '/none.pem')
    is_away(driver, s.address, (), '')
    plain = fgtest.Redis(lab, port=free_port()).start()
    is_away(driver, f'127.0.0.1:{plain.port}', (s.authority.cert, '-', '-', '-'), 'no answer')
    assert s.redis.command('DBSIZE') == 0 and plain.command('DBSIZE') == 0
    follows(driver, s.redis, s.address, (s.authority.cert, *own, '-'))


@fgtest.timeout(90)
def test_silent_server(lab):
    """a server that takes the connection and never shakes hands: away within the timeout"""
    s, driver = Secure(lab), base.Driver(lab)
    driver.load()
    with socket.socket() as listener:
        listener.bind(('127.0.0.1', 0))
        listener.listen(16)
        driver.start(f'127.0.0.1:{listener.getsockname()[1]}', tls=(s.authority.cert, '-', '-', '-'), timeout=300)
        assert 'no answer within 300 ms' in driver.in_state('away', seconds=5)['error']
        began = time.monotonic()
        driver.stop(drain=200)
        assert time.monotonic() - began < 2


@fgtest.timeout(90)
def test_killed_and_renewed(lab):
    """kill -9 in the midst of a load, and certificates of another authority afterwards: read anew, nothing doubled"""
    s, driver = Secure(lab), base.Driver(lab)
    trusted = os.path.join(s.folder, 'trusted.pem')
    os.link(s.authority.cert, trusted)
    driver.start(s.address, tls=(trusted, '-', '-', '-'), batch=50)
    for _ in range(4):
        driver.load(20)
        s.redis.kill()
        driver.load(5)
        s.redis.start()
    driver.caught_up()
    s.redis.stop()
    cert, key = s.other.make('renewed', 'IP:127.0.0.1')
    at = s.redis.options.index('--tls-cert-file')
    s.redis.options[at + 1], s.redis.options[at + 3] = cert, key
    s.redis.start()
    driver.in_state('away', text='certificate')
    os.unlink(trusted)
    os.link(s.other.cert, trusted)
    driver.load()
    driver.caught_up()
    driver.stop()
    base.compare(driver, s.redis)


if __name__ == '__main__':
    fgtest.main()
