#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The packages: built twice to the same bytes, checked by lintian, installed in a fresh root, sold with, upgraded in
mid-sale, purged. The file system after that is the one from before, but for the log.

tests/harness/fgroot.py makes the root. Needs root and mmdebstrap.
"""

import functools
import glob
import hashlib
import json
import os
import pty
import re
import secrets
import shutil
import socket
import stat
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'harness'))
import fgprocess  # noqa: E402
import fgrelease  # noqa: E402
import fgroot  # noqa: E402
from fgnet import CLONE_NEWNET, _libc  # noqa: E402

GATE, SHOP, BLOCKED = '198.18.0.1', '198.18.0.2', '198.18.0.9'
KERNEL_PORT = 4999  # no order port: the kernel's
INSTALL_TO_SALE_S = 60
ENVIRONMENT = {'DEBIAN_FRONTEND': 'noninteractive', 'HOME': '/tmp', 'LANG': 'C.UTF-8',
               'PATH': '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'}
INSTALLED = ('floodgate', 'floodgate-tools', 'floodgate-doc', 'libfloodgate-client0', 'floodgate-client-dev',
             'libnginx-mod-http-floodgate', 'floodgate-wireshark')
HUGEPAGES, MORE_PAGES = '/proc/sys/vm/nr_hugepages', 2
SYSCTLS = (HUGEPAGES, '/proc/sys/kernel/unprivileged_bpf_disabled', '/proc/sys/net/core/bpf_jit_enable')
DEVICE = {'device': '0000:00:1f.7', 'address': '198.18.0.5,2001:db8::5', 'queues': '2', 'workers': '3', 'metrics': '127.0.0.1:9460'}
ETC = 'etc/floodgate'
# Traces of any installation: lists of dpkg and apt, logs, the copies of account files before their last change.
TRACES = re.compile(r'^(proc|sys|dev|run|tmp)/|^var/(cache|log)/|^var/lib/(dpkg|apt|systemd/deb-systemd-helper[^/]*)/|'
                    r'^etc/(passwd|shadow|group|gshadow|subuid|subgid)-$|^etc/\.pwd\.lock$|^etc/ld\.so\.cache$')
LOG = 'var/lib/floodgate'


def check(steps, name, problems):
    """A case of our own between the commands."""
    steps.number += 1
    for problem in problems:
        print(f'# {problem}')
    print(f'{"not ok" if problems else "ok"} {steps.number} - {name}', flush=True)
    if problems:
        sys.exit(1)


# ---- building ----------------------------------------------------------------------------------------------


def debs(folder):
    return {os.path.basename(path): path for pattern in ('*.deb', '*.spdx.json') for path in glob.glob(f'{folder}/{pattern}')}


def materials_wrong(path):
    """What the bill of materials lacks."""
    if not path:
        return ['there is no floodgate.spdx.json']
    with open(path, encoding='utf-8') as f:
        found = {p['name']: p for p in json.load(f)['packages']}
    wanted = {*INSTALLED, 'libc6', 'libjansson4', 'libxdp1'}
    return [f'the bill of materials lacks {name}' for name in wanted - set(found)] + [
        f'the bill of materials has no licence of {name}' for name in ('libjansson4', 'libxdp1')
        if found.get(name, {}).get('licenseDeclared', 'NOASSERTION') == 'NOASSERTION']


def build(steps, folder):
    """Two builds in different folders; the first one is checked."""
    folders = []
    for number, (name, options) in enumerate((('lintian finds nothing', []), ('once more', ['--no-lintian']))):
        out = f'{folder}/{number}'
        steps.run(f'tools/package: {name}', [os.path.join(fgprocess.ROOT, 'tools/package'), '--out', out, '--work',
                                            f'{folder}/{"work" * (number + 1)}', *options], 300)
        folders.append(debs(out))
    digests = [{name: hashlib.sha256(open(path, 'rb').read()).hexdigest() for name, path in found.items()} for found in folders]
    check(steps, f'{len(digests[0])} packages, the same bytes from both builds',
          [f'{name} differs' for name in {*digests[0], *digests[1]} if digests[0].get(name) != digests[1].get(name)]
          + materials_wrong(folders[0].get('floodgate.spdx.json'))
          + [f'{name} is not built' for name in INSTALLED if not package(folders[0], name)])
    return folders[0]


def package(found, name):
    return next((path for file, path in found.items() if file.startswith(f'{name}_')), None)


def newer(path, folder):
    """The package under a higher version: it can be an upgrade."""
    tree = f'{folder}/newer'
    fgprocess.command('dpkg-deb', '-R', path, tree)
    control = f'{tree}/DEBIAN/control'
    with open(control, encoding='utf-8') as f:
        text = f.read()
    with open(control, 'w', encoding='utf-8') as f:
        f.write(re.sub(r'^Version: (.*)$', r'Version: \1+1', text, flags=re.M))
    fgprocess.command('dpkg-deb', '-b', tree, f'{folder}/newer.deb')
    return f'{folder}/newer.deb'


# ---- the root ----------------------------------------------------------------------------------------------


class Network:
    """Two network namespaces that end with their holders: the appliance's and the shop's."""

    def __init__(self):
        self.holders = [subprocess.Popen(['unshare', '--net', 'sleep', 'infinity']) for _ in range(2)]
        ours = os.readlink('/proc/self/ns/net')
        for holder in self.holders:
            fgprocess.wait_until(lambda pid=holder.pid: os.readlink(f'/proc/{pid}/ns/net') != ours, 10, 'a network namespace')
        self.gate, self.shop = (['nsenter', f'--net=/proc/{holder.pid}/ns/net', '--'] for holder in self.holders)
        fgprocess.command(*self.gate, 'ip', 'link', 'add', 'gate0', 'type', 'veth', 'peer', 'name', 'shop0', 'netns',
                          self.holders[1].pid)
        for enter, name, addresses in ((self.gate, 'gate0', [GATE]), (self.shop, 'shop0', [SHOP, BLOCKED])):
            for address in addresses:
                fgprocess.command(*enter, 'ip', 'address', 'add', f'{address}/24', 'dev', name)
            fgprocess.command(*enter, 'ip', 'link', 'set', 'lo', 'up')
            fgprocess.command(*enter, 'ip', 'link', 'set', name, 'up')

    def socket(self, number, address):
        """A UDP socket in a namespace, for the calling thread to make and any to use."""
        here = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        there = os.open(f'/proc/{self.holders[number].pid}/ns/net', os.O_RDONLY)
        assert _libc.setns(there, CLONE_NEWNET) == 0
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        made.bind(address)
        assert _libc.setns(here, CLONE_NEWNET) == 0
        os.close(here)
        os.close(there)
        return made


class Intruder:
    """A blocked source, which sends every millisecond to a port of the kernel; counts what arrives there."""

    def __init__(self, network):
        self.tick = threading.Event()  # never set: a pause
        self.sender, self.receiver = network.socket(1, (BLOCKED, 0)), network.socket(0, (GATE, KERNEL_PORT))
        self.receiver.settimeout(0.05)
        self.sent = self.arrived = 0
        for work in (self.send, self.receive):
            threading.Thread(target=work, daemon=True).start()

    def send(self):
        while True:
            self.sender.sendto(b'x', (GATE, KERNEL_PORT))
            self.sent += 1
            self.tick.wait(0.001)

    def receive(self):
        while True:
            try:
                self.receiver.recv(16)
                self.arrived += 1
            except socket.timeout:
                pass


class Root:
    """Commands in the root, in the appliance's namespace; and its daemon as the unit runs it."""

    def __init__(self, root, network):
        self.root, self.network, self.daemon = root, network, None

    def argv(self, *argv):
        return [*self.network.gate, 'chroot', self.root, *argv]

    def run(self, *argv, codes=(0,)):
        done = subprocess.run(self.argv(*argv), capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
        if done.returncode not in codes:
            raise RuntimeError(f'{" ".join(argv)}: exit {done.returncode}: {done.stdout}{done.stderr}')
        return done.stdout

    def answered(self, *argv, lines):
        """(exit code, output) of a program at a terminal, where these lines are typed."""
        ours, terminal = pty.openpty()
        try:
            os.write(ours, ''.join(f'{line}\n' for line in lines).encode())
            done = subprocess.run(self.argv(*argv), stdin=terminal, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                                  env=ENVIRONMENT, timeout=120)
        finally:
            os.close(terminal)
            os.close(ours)
        return done.returncode, done.stdout

    def file(self, name):
        with open(f'{self.root}/{ETC}/{name}', encoding='utf-8') as f:
            return f.read()

    def owned(self, path):
        """'USER:GROUP MODE' of a path in the root."""
        return self.run('stat', '-c', '%U:%G %a', path).strip()

    def unit(self, name):
        """The values of a setting of the installed unit."""
        path = next(path for folder in ('lib', 'usr/lib')
                    if os.path.exists(path := f'{self.root}/{folder}/systemd/system/floodgate.service'))
        with open(path, encoding='ascii') as f:
            return re.findall(rf'^{name}=(.*)$', f.read(), re.M)

    def as_service(self, command):
        """As systemd runs a command of the unit."""
        if command.startswith('+'):
            return command[1:].split()
        only = ','.join(['-all', *(f'+{name.removeprefix("CAP_").lower()}' for name in self.unit('AmbientCapabilities')[0].split())])
        return ['setpriv', '--reuid', self.unit('User')[0], '--regid', self.unit('Group')[0], '--init-groups', '--no-new-privs',
                '--inh-caps', only, '--ambient-caps', only, '--bounding-set', only, *command.split()]

    def start(self):
        user = self.run('id', '-u', self.unit('User')[0]).strip()
        os.makedirs(f'{self.root}/run/floodgate', exist_ok=True)
        for path in ('run/floodgate', LOG):  # RuntimeDirectory, StateDirectory
            os.chown(f'{self.root}/{path}', int(user), -1)
        for command in self.unit('ExecStartPre'):
            self.run(*self.as_service(command))
        with open(f'{self.root}/tmp/daemon', 'ab') as out:
            self.daemon = subprocess.Popen(self.argv(*self.as_service(self.unit('ExecStart')[0])), stdout=out, stderr=out,
                                           env={**ENVIRONMENT, 'RUNTIME_DIRECTORY': '/run/floodgate'})
        fgprocess.wait_until(self.healthy, 30 * fgroot.patience(), 'the daemon is healthy')

    def healthy(self):
        if self.daemon.poll() is not None:
            with open(f'{self.root}/tmp/daemon', encoding='utf-8') as f:
                raise RuntimeError(f'the daemon ended with {self.daemon.returncode}: {f.read()[-4000:]}')
        return subprocess.run(self.argv('fgctl', 'health'), capture_output=True, env=ENVIRONMENT, timeout=60).returncode == 0

    def stop(self):
        self.daemon.terminate()
        code = self.daemon.wait(60)
        assert code == 0, f'the daemon ended with {code}'

    def order(self, operation, user, order, *words):
        """The status of one request, by a client that shares no code with the appliance."""
        with open(f'{self.root}/etc/floodgate/keys', encoding='ascii') as f:
            keys = {role: f'{number}:{secret}' for number, role, secret in re.findall(r'^(\d+) (\w+) (\w+)$', f.read(), re.M)}
        role = 'backend' if operation == 'confirm' else 'shop'
        done = subprocess.run([*self.network.shop, os.path.join(HERE, '../harness/fgclient.py'), '--server', GATE, '--key', keys[role],
                               operation, '--user', str(user), '--order', order, *words], capture_output=True, text=True, timeout=60)
        return json.loads(done.stdout)['status'] if done.stdout else done.stderr


def picture(root):
    """{path: what can be seen of it} of all files that no installation changes by itself."""
    found = {}
    for at, folders, files in os.walk(root):
        for name in folders + files:
            path = os.path.join(at, name)
            short = os.path.relpath(path, root)
            if TRACES.match(short) or TRACES.match(short + '/'):
                if name in folders:
                    folders.remove(name)
                continue
            info = os.lstat(path)
            what = [stat.filemode(info.st_mode), info.st_uid, info.st_gid]
            if stat.S_ISLNK(info.st_mode):
                what.append(os.readlink(path))
            elif stat.S_ISREG(info.st_mode):
                with open(path, 'rb') as f:
                    what.append(hashlib.sha256(f.read()).hexdigest())
            found[short] = what
    return found


# ---- the test ----------------------------------------------------------------------------------------------


def prepare(steps, root, release, found):
    """A root with what the packages depend on, so that only they make a difference; where nothing starts by itself."""
    needs = {re.split(r'[ (|]', word.strip())[0] for name in INSTALLED
             for word in fgprocess.command('dpkg-deb', '-f', package(found, name), 'Depends').split(',')}
    needs |= {'systemd'}  # recommended: floodgate-setup --start needs systemctl
    needs = {name for name in needs if name and not name.startswith(('floodgate', 'libfloodgate', 'nginx-abi'))}
    fgroot.mount_root(root)
    fgroot.make_root(steps, root, release, '--include=ca-certificates')
    with open(f'{root}/usr/sbin/policy-rc.d', 'w', encoding='ascii') as f:
        f.write('#!/bin/sh\nexit 101\n')
    os.chmod(f'{root}/usr/sbin/policy-rc.d', 0o755)
    steps.run('what the packages depend on', ['chroot', root, 'apt-get', '-qq', 'install', '-y', '--no-install-recommends',
                                              *sorted(needs), 'nginx'], 240, ENVIRONMENT)
    fgprocess.command('chroot', root, 'nginx', '-t')  # makes folders of its own


def install(steps, inner, found):
    """Installs, configures, starts, sells one unit."""
    debs_in_root = []
    for name in INSTALLED:
        debs_in_root.append(f'/tmp/{os.path.basename(package(found, name))}')
        shutil.copy(package(found, name), inner.root + debs_in_root[-1])
    began = time.monotonic()
    steps.run('the packages are installed', ['chroot', inner.root, 'apt-get', '-qq', 'install', '-y', '--no-install-recommends',
                                            *debs_in_root], 120, ENVIRONMENT)
    started = [path for path in glob.glob('/proc/[0-9]*/exe') if os.path.exists(path) and 'floodgate' in os.readlink(path)]
    wants = glob.glob(f'{inner.root}/etc/systemd/system/*.wants/floodgate*')
    check(steps, 'nothing starts before it is configured', started + wants
          + [path for path in ('/etc/floodgate/floodgate.conf', '/run/floodgate') if os.path.exists(inner.root + path)])
    disk = f'{os.path.dirname(inner.root)}/disk'  # a log lies on a disk
    os.mkdir(disk)
    fgroot.mount('--bind', disk, f'{inner.root}/{LOG}')
    set_up(steps, inner)
    keys = f'{inner.root}/etc/floodgate/keys'
    os.chmod(keys, 0o644)
    inner.run('fgctl', 'doctor', '--only', 'keys-mode', '--fix')
    check(steps, "the doctor's mend leaves the keys to the service", [oct(os.stat(keys).st_mode)] * (os.stat(keys).st_mode & 0o777 != 0o640))
    inner.start()
    check_owners(steps, inner)
    inner.run('fgctl', 'item', 'add', '7', '--total', '1000', '--user-limit', '0')
    order = secrets.token_hex(16)
    got = [inner.order('reserve', 1, order, '--item', '7'), inner.order('confirm', 1, order)]
    took = time.monotonic() - began
    fgroot.say(f'from the installation to the first sale: {took:.1f} s')
    limit = INSTALL_TO_SALE_S * fgroot.patience()
    check(steps, f'from the installation to the first sale: {took:.1f} s', [got] * (got != ['RESERVED', 'SOLD'])
          + [f'more than {limit:.0f} s'] * (took > limit))


def hugepages():
    with open(HUGEPAGES, encoding='ascii') as f:
        return int(f.read())


def hugepages_restored(pages):
    """Where the test ended before the purge took its hugepages back."""
    if pages < hugepages() <= pages + MORE_PAGES:
        with open(HUGEPAGES, 'w', encoding='ascii') as f:
            f.write(str(pages))


def sysctls(root):
    """What an installation may change outside the file system; also who may take hugepages."""
    found = {'hugetlbfs': stat.filemode(os.stat(f'{root}/dev/hugepages').st_mode) + f' {os.stat(f"{root}/dev/hugepages").st_gid}'}
    for path in SYSCTLS:
        with open(path, encoding='ascii') as f:
            found[path] = f.read().strip()
    return found


def set_up(steps, inner):
    """floodgate-setup asks at a terminal; then its options; then again for the interface, and for each boot."""
    pages = hugepages()
    code, said = inner.answered('floodgate-setup', lines=('gate0', '17', '1', '0'))
    problems = [f'17 queues: exit {code}: {said}'] * (code != 2 or 'queues 17: accepted: 0..16' not in said)
    problems += ['something was made'] * any(os.path.exists(f'{inner.root}/{path}') for path in (f'{ETC}/keys', f'{ETC}/floodgate.conf'))
    code, said = inner.answered('floodgate-setup', lines=('', '1', '', pages + MORE_PAGES))
    problems += [f'exit {code}: {said}'] * (code not in (0, 5) or 'faults: 0,' not in said.splitlines()[-1] or 'keys-mode' in said)
    problems += [f'not asked: {text}' for text in ('there are: gate0 ', 'receive queues [1]', 'worker threads [1]', 'MiB [512]')
                 if text not in said]
    problems += [f'{path} is not there' for path in (f'{ETC}/keys', f'{ETC}/floodgate.conf', f'{LOG}/log')
                 if not os.path.exists(f'{inner.root}/{path}')]
    problems += [f'{hugepages()} hugepages, not {pages + MORE_PAGES}: {said}'] * (hugepages() != pages + MORE_PAGES and 'memory is in pieces' not in said)
    check(steps, 'floodgate-setup asks, makes keys, configuration, log and hugepages, and ends with the doctor', problems)
    before = {name: inner.file(name) for name in ('keys', 'floodgate.conf')}
    inner.run('floodgate-setup', '--yes', '--hugepages', str(pages + MORE_PAGES), codes=(0, 5))
    problems = [f'{name} changed without --force' for name, text in before.items() if inner.file(name) != text]
    inner.run('floodgate-setup', '--yes', '--force', '--hugepages', str(pages + MORE_PAGES),
              *(word for name, value in DEVICE.items() for word in (f'--{name}', value)), codes=(0, 5))
    problems += [f'{name}.old is not what was there' for name, text in before.items() if inner.file(f'{name}.old') != text]
    problems += ['the keys are the same'] * (inner.file('keys') == before['keys'])
    problems += [f'not in floodgate.conf: {name} = {DEVICE[option]}' for name, option in (
        ('device', 'device'), ('address', 'address'), ('queues', 'queues'), ('count', 'workers'), ('listen', 'metrics'))
        if f'\n{name} = {DEVICE[option]}\n' not in inner.file('floodgate.conf')]
    pair = inner.file('floodgate.conf').split('\n[pair]\n')[1].split('\n[')[0]
    problems += ['--metrics puts [pair] listen in force'] * ('\n#listen = ' not in pair)
    check(steps, 'a second floodgate-setup changes nothing; with --force and --device it does, and keeps the old files', problems)
    said = inner.run('floodgate-setup', '--yes', '--force', '--interface', 'gate0', '--hugepages', str(pages + MORE_PAGES), '--start', codes=(0, 5))
    check(steps, 'floodgate-setup --start: the service starts at each boot', [said] * (
        'the service starts with the next boot' not in said or not glob.glob(f'{inner.root}/etc/systemd/system/*.wants/floodgate.service'))
        + [inner.file('floodgate.conf')] * (inner.file('floodgate.conf') != before['floodgate.conf']))


def check_owners(steps, inner):
    """docs/rights.md"""
    pins = '/sys/fs/bpf/floodgate'
    wanted = {pins: 'floodgate:floodgate 700', '/run/floodgate/control.sock': 'floodgate:floodgate 660',
              '/etc/floodgate/keys': 'root:floodgate 640', '/etc/floodgate/floodgate.conf': 'root:floodgate 640',
              f'/{LOG}': 'floodgate:floodgate 750', f'/{LOG}/log': 'floodgate:floodgate 750',
              **{f'{pins}/{name}': 'floodgate:floodgate 600' for name in os.listdir(inner.root + pins)}}
    check(steps, f'owners and modes of {len(wanted)} files, sockets and pins', [
        f'{path}: {found}, not {wanted[path]}' for path in wanted if (found := inner.owned(path)) != wanted[path]]
        + [f'pins: {len(wanted) - 6}'] * (len(wanted) < 6 + 5))


def check_dissector(inner):
    """tshark finds it by itself. As root it runs no scripts."""
    as_nobody = ['setpriv', '--reuid', '65534', '--regid', '65534', '--clear-groups', 'env', 'HOME=/tmp', 'tshark', '-G']
    plugins, protocols = (inner.run(*as_nobody, what) for what in ('plugins', 'protocols'))
    return [f'tshark does not find the dissector: {plugins}'] * (
        not re.search(r'^floodgate\.lua\s.*/wireshark/plugins/floodgate\.lua$', plugins, re.M)
        or not re.search(r'\tfloodgate\b', protocols))


def check_other_packages(steps, inner, found):
    """The module of nginx loads; a program of somebody else's is built with the client library, and starts."""
    problems = []
    said = subprocess.run(inner.argv('nginx', '-t', '-g', 'error_log stderr;'), capture_output=True, text=True, env=ENVIRONMENT)
    enabled = os.path.lexists(f'{inner.root}/etc/nginx/modules-enabled/50-mod-http-floodgate.conf')
    problems += [said.stderr] * (said.returncode != 0 or not enabled)
    flags = subprocess.run(['pkg-config', '--cflags', '--libs', 'floodgate-client'], capture_output=True, text=True, check=True, env={
        **os.environ, 'PKG_CONFIG_SYSROOT_DIR': inner.root,
        'PKG_CONFIG_PATH': glob.glob(f'{inner.root}/usr/lib/*/pkgconfig')[0]}).stdout.split()
    source = ('#include <client/client.h>\nint main(void) { char host[64]; uint16_t port; struct fg_error err; '
              'return !fg_client_address("198.18.0.1:1", host, &port, &err) || port != 1; }\n')
    fgprocess.command('cc', '-x', 'c', '-', '-o', f'{inner.root}/tmp/client', *flags, stdin=source)
    problems += [f'client: exit {code}' for code in [subprocess.run(inner.argv('/tmp/client')).returncode] if code]
    problems += check_dissector(inner)
    check(steps, 'the other packages work: module of nginx, client library, dissector', problems)


def upgrade(steps, inner, found, folder):
    """A new version in mid-sale: the daemon sells on, is restarted, and no blocked packet slips by."""
    intruder = Intruder(inner.network)
    fgprocess.wait_until(lambda: intruder.arrived > 10, 20, 'packets of a source that is not blocked arrive')
    inner.run('fgctl', 'block', 'add', BLOCKED)
    passed = inner.run('fgctl', 'block', 'list')
    fgprocess.pause(0.2, 'what was on its way when the block came')
    arrived, sent = intruder.arrived, intruder.sent
    orders = {user: secrets.token_hex(16) for user in range(100, 120)}
    got = [inner.order('reserve', user, order, '--item', '7') for user, order in list(orders.items())[:10]]
    shutil.copy(newer(package(found, 'floodgate'), folder), f'{inner.root}/tmp/newer.deb')
    steps.run('an upgrade in mid-sale', ['chroot', inner.root, 'dpkg', '-i', '/tmp/newer.deb'], 120, ENVIRONMENT)
    problems = ['the upgrade stopped the daemon'] * (inner.daemon.poll() is not None)
    got += [inner.order('reserve', user, order, '--item', '7') for user, order in list(orders.items())[10:]]
    inner.stop()   # as systemd does at the end of the upgrade: see postinst
    inner.start()
    problems += [f'before the restart: {status}' for status in got if status != 'RESERVED']
    for user, order in orders.items():
        status = inner.order('confirm', user, order)
        problems += [f'user {user} after the restart: {status}'] * (status != 'SOLD')
    problems += [f'{intruder.arrived - arrived} packets of a blocked source arrived'] * (intruder.arrived != arrived)
    problems += ['nothing was sent meanwhile'] * (intruder.sent < sent + 100)
    postinst = fgprocess.command('dpkg-deb', '-I', package(found, 'floodgate'), 'postinst')
    problems += ['the package does not restart the daemon'] * ('deb-systemd-invoke try-restart' not in postinst or not passed)
    check(steps, 'the orders are kept, and the filter has no gap', problems)


def purge(steps, inner, before, before_sysctls):
    """Nothing stays but the log, which is named."""
    inner.run('fgaudit', '--log', f'/{LOG}/log')
    inner.stop()
    said = inner.run('dpkg', '--purge', *INSTALLED)
    after = picture(inner.root)
    left = [f'left or changed: {path} {after[path]}, was {before.get(path)}' for path in after
            if before.get(path) != after[path] and path != LOG and not path.startswith(LOG + '/log')]
    left += [f'lost: {path}' for path in before if path not in after]
    left += [f'{name}: {value}, was {before_sysctls[name]}' for name, value in sysctls(inner.root).items()
             if value != before_sysctls[name]]
    left += [f'pinned: {name}' for name in os.listdir(f'{inner.root}/sys/fs/bpf')
             if not name.endswith('.debug')]  # the kernel's own
    left += ['the filter is still attached'] * ('xdp' in fgprocess.command(*inner.network.gate, 'ip', 'link', 'show', 'dev', 'gate0'))
    left += ['the log is gone'] * (not glob.glob(f'{inner.root}/{LOG}/log/*.fgj'))
    left += [f'where the log is, was not said: {said}'] * (f'/{LOG}/log' not in said)
    left += [f'run/{name}' for name in os.listdir(f'{inner.root}/run') if 'floodgate' in name]
    check(steps, 'a purge leaves the log, says where it is, and nothing else', left)


def inside(root, release):
    steps = fgroot.Steps(os.path.join(fgrelease.FOLDER, 'log-packages'), 17)
    work = f'{os.path.dirname(root)}/packages'
    os.mkdir(work)
    found = build(steps, work)
    prepare(steps, root, release, found)
    before, before_sysctls = picture(root), sysctls(root)
    network = Network()
    inner = Root(root, network)
    # the kernel shows the interfaces of the namespace in which it is mounted
    fgprocess.command(*network.gate, 'mount', '-t', 'sysfs', 'sys', f'{root}/sys')
    fgroot.mount('-t', 'bpf', '-o', 'mode=0700', 'bpf', f'{root}/sys/fs/bpf')
    install(steps, inner, found)
    check_other_packages(steps, inner, found)
    upgrade(steps, inner, found, work)
    purge(steps, inner, before, before_sysctls)


if __name__ == '__main__':
    fgroot.main(__file__, inside, fgrelease.host, functools.partial(hugepages_restored, hugepages()))
