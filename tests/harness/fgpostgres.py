# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a PostgreSQL server of its own. See fgtest.py."""

import glob
import os
import shutil
import signal
import subprocess

from fgprocess import BUILD, Process, Skip, command, free_port, lives, wait_until

OWNER = 'postgres'  # the server refuses to run as root; Debian's package makes this user
SUPERUSER = 'postgres'
BINARIES = '/usr/lib/postgresql/*/bin'


class SqlError(Exception):
    pass


def binaries():
    """The folder of the newest server that is installed."""
    found = sorted(glob.glob(BINARIES), key=lambda path: float(path.split('/')[-2]))
    found = [path for path in found if os.access(os.path.join(path, 'postgres'), os.X_OK)]
    if not found or not shutil.which('setpriv'):
        raise Skip('the PostgreSQL server is not installed')
    return found[-1]


def as_owner(*argv):
    """--pdeathsig: the change of the user takes away the one that the harness has set."""
    return ['setpriv', f'--reuid={OWNER}', f'--regid={OWNER}', '--init-groups', '--pdeathsig', 'KILL', *argv]


class _Server(Process):
    """The postmaster; signals that end or stop it reach the processes that it made, too."""

    def family(self):
        try:
            with open(f'/proc/{self.pid}/task/{self.pid}/children', encoding='ascii') as f:
                return [self.pid, *map(int, f.read().split())]
        except OSError:
            return []

    def all_of(self, number):
        if not self.running():
            return []
        os.kill(self.pid, signal.SIGSTOP)  # makes no more of them
        family = self.family()
        for pid in family[::-1]:
            try:
                os.kill(pid, number)
            except ProcessLookupError:
                pass
        return family

    def kill(self):
        family = self.all_of(signal.SIGKILL)
        code = self.popen.wait()
        wait_until(lambda: not any(map(lives, family)), 10, 'all processes of the server end')
        return code


class Postgres:
    """A PostgreSQL server: unix socket in the Lab's folder, and a free port on 127.0.0.1 with
    tcp=True.

    The database is made, and a user with the right to make schemas in it. With a password, that
    user needs it. Data stay over kill(), stop() and start(); wipe() takes everything away. Nothing
    is synced to disk unless durable=True: what a kill takes away is the same.
    """

    def __init__(self, lab, ns=None, tcp=False, password=None, user='gate', database='shop', durable=False, options=()):
        self.lab, self.ns, self.password, self.user, self.database = lab, ns, password, user, database
        self.binaries = binaries()
        self.dir = lab.unique('postgres')
        os.chmod(lab.dir, 0o711)
        os.mkdir(self.dir)
        shutil.chown(self.dir, OWNER, OWNER)
        self.data = os.path.join(self.dir, 'data')
        self.port = free_port() if tcp else 5432
        self.process, self.starts = None, 0
        self.options = [f'port={self.port}', f'unix_socket_directories={self.dir}',
                        f'listen_addresses={"127.0.0.1" if tcp else ""}', 'dynamic_shared_memory_type=mmap',
                        'max_connections=30', 'shared_buffers=64MB', *([] if durable else ['fsync=off']), *options]
        self.address = f'host={"127.0.0.1" if tcp else self.dir} port={self.port} dbname={database} user={user}'
        self.conninfo = self.address + (f' password={password}' if password else '')
        self._initialise()

    def _initialise(self):
        """A copy of what initdb made once for this build folder: it takes a second each time."""
        made = os.path.join(BUILD, 'tests', f'postgres-{self.binaries.split("/")[-2]}')
        if not os.path.isdir(made):
            command(*as_owner(os.path.join(self.binaries, 'initdb'), '-D', self.data, '-U', SUPERUSER, '-A', 'trust',
                              '-E', 'UTF8', '--no-locale', '--no-sync'))
            part = f'{made}.{os.getpid()}'
            command('cp', '-a', self.data, part)
            try:
                os.rename(part, made)
            except OSError:  # another test was quicker
                shutil.rmtree(part)
        else:
            command('cp', '-a', made, self.data)
        method = 'scram-sha-256' if self.password else 'trust'
        with open(os.path.join(self.data, 'pg_hba.conf'), 'w', encoding='ascii') as f:
            f.write(f'local all {SUPERUSER} trust\nlocal all all {method}\nhost all all 127.0.0.1/32 {method}\n')

    def start(self, wait=True):
        options = [word for option in self.options for word in ('-c', option)]
        self.process = _Server(self.lab, as_owner(os.path.join(self.binaries, 'postgres'), '-D', self.data, *options),
                               ns=self.ns, name=f'postgres{self.starts}')
        self.starts += 1
        if wait:
            wait_until(self._answers, 30, 'PostgreSQL answers')
            self._first_start()
        return self

    def _first_start(self):
        if self.superuser(f"SELECT 1 FROM pg_database WHERE datname = '{self.database}'"):
            return
        secret = f" PASSWORD '{self.password}'" if self.password else ''
        self.superuser(f'CREATE ROLE {self.user} LOGIN{secret}')
        self.superuser(f'CREATE DATABASE {self.database} OWNER {self.user}')

    def _answers(self):
        if not self.process.running():
            raise RuntimeError(f'postgres ended:\n{self.process.output()}')
        try:
            return self.superuser('SELECT 1')
        except SqlError:
            return False

    def stop(self):
        """Ends it as a restart of the machine would: connections are cut, data are written."""
        self.process.signal(signal.SIGINT)
        return self.process.wait(30)

    def kill(self):
        """kill -9 of the postmaster and of all that it made."""
        self.process.kill()
        self._forget_memory()

    def _forget_memory(self):
        """A killed server leaves a small System V segment, which only its next start would remove.
        """
        try:
            with open(os.path.join(self.data, 'postmaster.pid'), encoding='ascii') as f:
                words = f.read().split('\n')[6].split()
        except (OSError, IndexError):
            return
        if len(words) == 2:
            command('ipcrm', '-m', words[1], check=False)

    def pause(self):
        """SIGSTOP: connections are taken (by the kernel), nothing is answered."""
        self.process.all_of(signal.SIGSTOP)

    def resume(self):
        self.process.all_of(signal.SIGCONT)

    def wipe(self):
        """Everything is gone, as with a new disk. It must not run."""
        shutil.rmtree(self.data)
        self._initialise()

    def close(self):
        if self.process:
            self.kill()

    def superuser(self, text, database='postgres', **options):
        return self._psql(f'host={self.dir} port={self.port} dbname={database} user={SUPERUSER}', text, **options)

    def sql(self, text, **options):
        """One or more statements by the user; rows of the last as lists of text, NULL as None."""
        return self._psql(self.conninfo, text, **options)

    @staticmethod
    def _psql(conninfo, text, seconds=60):
        done = subprocess.run(['psql', '-XqAt', '-v', 'ON_ERROR_STOP=1', '-F', '\x1f', '-P', 'null=\x1e', '-d', conninfo,
                               '-c', text], capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode:
            raise SqlError(done.stderr.strip())
        return [[None if cell == '\x1e' else cell for cell in line.split('\x1f')] for line in done.stdout.split('\n')[:-1]]
