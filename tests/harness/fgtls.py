# SPDX-License-Identifier: BSD-3-Clause
"""Harness: certificates, and servers of sinks that speak TLS. The cases are in fgsinkcases.py."""

import os
import shutil

import fgtest
from fgsinkpostgres import Postgres
from fgsinkredis import Redis


class Authority:
    """Makes certificates that its own vouches for."""

    def __init__(self, folder, name):
        self.folder, self.name = folder, name
        self.cert, self.key = self.path(name, 'pem'), self.path(name, 'key')
        fgtest.command('openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes',
                       '-days', '2', '-subj', f'/CN={name}', '-keyout', self.key, '-out', self.cert)

    def path(self, name, ending):
        return os.path.join(self.folder, f'{name}.{ending}')

    def make(self, name, alternatives):
        """(certificate, key) of a server or a client."""
        cert, key, request, ext = (self.path(name, e) for e in ('pem', 'key', 'csr', 'ext'))
        with open(ext, 'w', encoding='utf-8') as f:
            f.write(f'subjectAltName={alternatives}\n')
        fgtest.command('openssl', 'req', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-subj',
                       f'/CN={name}', '-keyout', key, '-out', request)
        fgtest.command('openssl', 'x509', '-req', '-in', request, '-CA', self.cert, '-CAkey', self.key, '-CAcreateserial',
                       '-days', '2', '-extfile', ext, '-out', cert)
        return cert, key


class SecureRedis(Redis):
    """A Redis with a TLS port, and its authority. clients='yes': it asks for certificates of
    clients."""

    def __init__(self, lab, clients='no', names='IP:127.0.0.1,DNS:redis.example'):
        self.folder = lab.unique('tls')
        os.mkdir(self.folder)
        self.authority = Authority(self.folder, 'authority')
        self.other = Authority(self.folder, 'stranger')
        self.client = self.authority.make('client', 'DNS:client')
        cert, key = self.authority.make('server', names)
        port, redis = fgtest.free_port(), fgtest.Redis(lab, persist=True)
        redis.options += ['--tls-port', port, '--tls-cert-file', cert, '--tls-key-file', key, '--tls-ca-cert-file',
                          self.authority.cert, '--tls-auth-clients', clients]
        super().__init__(lab, redis=redis.start())
        self.address, self.plain = f'127.0.0.1:{port}', None

    def follow(self, log, *args, address=None, **options):
        super().follow(log, *args, address=address or self.address, **options)

    def right(self):
        """By address, by name; in large batches, with a certificate of the client's own, which is
        now asked for."""
        yield (20, 50), {'tls': (self.authority.cert, '-', '-', '-')}
        yield (20, 50), {'tls': (self.authority.cert, '-', '-', 'redis.example')}
        self.redis.command('CONFIG', 'SET', 'tls-auth-clients', 'yes')
        yield (300, 200), {'tls': (self.authority.cert, *self.client, '-'), 'batch': 20000, 'timeout': 10000}

    def wrong(self):
        """(options of follow(), words of the error)"""
        own, trusted, nowhere = self.client, self.authority.cert, self.folder + '/none.pem'
        self.plain = fgtest.Redis(self.lab, port=fgtest.free_port()).start()
        ways = [((self.other.cert, *own, '-'), 'certificate'),
                ((trusted, *own, 'other.example'), 'mismatch'),
                ((trusted, *own, '127.0.0.2'), 'mismatch'),
                ((trusted, '-', '-', '-'), 'TLS'),
                ((trusted, *self.other.make('spy', 'DNS:spy'), '-'), 'TLS'),
                ((trusted, own[0], self.other.key, '-'), self.other.key),
                ((nowhere, *own, '-'), nowhere),
                ((), '')]
        return [({'tls': tls}, text) for tls, text in ways] + [
            ({'address': f'127.0.0.1:{self.plain.port}', 'tls': (trusted, '-', '-', '-')}, 'no answer')]

    def check_untouched(self):
        assert self.redis.command('DBSIZE') == 0 and self.plain.command('DBSIZE') == 0

    def renew(self, cert, key):
        """Another certificate, from its next start on."""
        at = self.redis.options.index('--tls-cert-file')
        self.redis.options[at + 1], self.redis.options[at + 3] = cert, key


class SecurePostgres(Postgres):
    """A PostgreSQL that lets users in by TLS only, and its authority."""

    def __init__(self, lab, clients='no', names='IP:127.0.0.1'):  # pylint: disable=unused-argument
        os.chmod(lab.dir, 0o711)
        folder = lab.unique('tls')
        os.mkdir(folder)
        self.authority, self.stranger = Authority(folder, 'authority'), Authority(folder, 'stranger')
        cert, key = self.authority.make('server', names)
        shutil.chown(key, 'postgres')
        self.pg = lab.postgres(tcp=True, options=['ssl=on', f'ssl_cert_file={cert}', f'ssl_key_file={key}'])
        hba = os.path.join(self.pg.data, 'pg_hba.conf')
        with open(hba, encoding='ascii') as f:
            text = f.read()
        with open(hba, 'w', encoding='ascii') as f:
            f.write(text.replace('host all', 'hostssl all'))
        self.pg.superuser('SELECT pg_reload_conf()')
        fgtest.wait_until(lambda: self.refuses('sslmode=disable'), 10, 'no TLS, no entry')
        self.pg.conninfo, self.others = self.with_tls(mode='verify-ca'), []
        super().__init__(lab, pg=self.pg)

    def with_tls(self, authority=None, mode='verify-full'):
        return f'{self.pg.address} sslmode={mode} sslrootcert={(authority or self.authority).cert}'

    def refuses(self, words):
        try:
            self.pg._psql(f'{self.pg.address} {words}', 'SELECT 1')  # pylint: disable=protected-access
            return False
        except fgtest.SqlError:
            return True

    def right(self):
        yield (20, 50), {'conninfo': self.with_tls()}

    def wrong(self):
        elsewhere, plain = SecurePostgres(self.lab, names='DNS:elsewhere'), Postgres(self.lab, tcp=True)
        self.others = [elsewhere, plain]
        return [({'conninfo': conninfo}, text) for conninfo, text in (
            (self.with_tls(self.stranger), 'certificate verify failed'),
            (elsewhere.with_tls(), 'does not match host name'),
            (f'{plain.pg.address} sslmode=require', 'server does not support SSL'),
            (f'{self.pg.address} sslmode=disable', 'no pg_hba.conf entry'))]

    def check_encrypted(self):
        used = self.pg.superuser("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                                 "WHERE application_name = 'floodgate'")
        assert used == [['t']], used

    def check_untouched(self):
        assert [server.cursor() for server in (self, *self.others)] == [0, 0, 0]
