#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The PostgreSQL sink and fgaudit over TLS, as the connection string asks for it: a real server, certificates made here."""

import os
import shutil
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
from test_postgres import Driver, backend, compare, fgtest  # noqa: E402
from test_redis_tls import Authority  # noqa: E402


class Secure:
    """A PostgreSQL that lets in by TLS only."""

    def __init__(self, lab, names='IP:127.0.0.1'):
        os.chmod(lab.dir, 0o711)
        self.folder = lab.unique('tls')
        os.mkdir(self.folder)
        self.authority, self.stranger = Authority(self.folder, 'authority'), Authority(self.folder, 'stranger')
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
        self.pg.conninfo = self.with_tls(mode='verify-ca')
        backend(self.pg)

    def with_tls(self, authority=None, mode='verify-full'):
        return f'{self.pg.address} sslmode={mode} sslrootcert={(authority or self.authority).cert}'

    def refuses(self, words):
        try:
            self.pg._psql(f'{self.pg.address} {words}', 'SELECT 1')  # pylint: disable=protected-access
            return False
        except fgtest.SqlError:
            return True


def test_right_certificate(lab):
    """sslmode=verify-full: followed by TLS, and audited by TLS"""
    secure, driver = Secure(lab), Driver(lab)
    driver.begin(secure.pg, conninfo=secure.with_tls())
    driver.load()
    driver.caught_up()
    used = secure.pg.superuser("SELECT ssl FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) "
                               "WHERE application_name = 'floodgate'")
    assert used == [['t']], used
    driver.stop()
    compare(driver, secure.pg)


def test_wrong_certificates(lab):
    """another authority, another name, no TLS where it is demanded: away, and it says why; nothing is written"""
    secure, driver = Secure(lab), Driver(lab)
    elsewhere = Secure(lab, names='DNS:elsewhere')
    plain = lab.postgres(tcp=True)
    backend(plain)
    driver.load()
    for pg, conninfo, text in ((secure.pg, secure.with_tls(secure.stranger), 'certificate verify failed'),
                               (elsewhere.pg, elsewhere.with_tls(), 'does not match host name'),
                               (plain, f'{plain.address} sslmode=require', 'server does not support SSL'),
                               (secure.pg, f'{secure.pg.address} sslmode=disable', 'no pg_hba.conf entry')):
        driver.begin(pg, conninfo=conninfo)
        driver.in_state('away', text=text)
        driver.stop(drain=0)
        assert pg.sql('SELECT seq FROM floodgate.floodgate_cursor') == [['0']]
    driver.begin(secure.pg, conninfo=secure.with_tls())
    driver.caught_up()
    compare(driver, secure.pg)


if __name__ == '__main__':
    fgtest.main()
