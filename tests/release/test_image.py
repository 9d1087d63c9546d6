#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The disk image: built, searched for secrets, booted without KVM by BIOS and by UEFI, sold with through a virtio NIC.

In the same guest, whose systemd is a real one: the unit starts at boot, after a reboot, after kill -9 however often, and
when a missing interface comes; the package is upgraded in mid-sale, removed and purged.
"""

import glob
import json
import os
import re
import secrets
import shutil
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'harness'))
import fgclient  # noqa: E402
import fgimage  # noqa: E402
import fgrelease  # noqa: E402
import fgroot  # noqa: E402
import fgtest  # noqa: E402

FOLDER = os.path.join(fgrelease.FOLDER, 'image')  # what one test built the others use
PACKAGES = os.path.join(FOLDER, 'packages')
IMAGE_MB, HEALTHY_S = 400, 120
ITEM, UNITS = 7, 100000
KILLS = 7
SECRETS = re.compile(rb'PRIVATE KEY-----\n|^\d+ (?:shop|backend|monitor)[a-z,]* [0-9a-f]{32}', re.M)
NAMES = re.compile(r'(^|/)(keys|random-seed|credential\.secret|ssh_host_\w+|[^/]*\.(key|pfx|p12))$')
LOG = '/var/lib/floodgate/log'
_built = {}


def run(what, *argv, seconds, **options):
    """A long command; shows that it runs."""
    fgroot.say(what)
    began = time.monotonic()
    done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds * fgroot.patience(), check=False, **options)
    assert done.returncode == 0, f'{what}: exit {done.returncode}: {done.stdout[-3000:]}{done.stderr[-3000:]}'
    fgroot.say(f'{what}: {time.monotonic() - began:.0f} s')
    return done.stdout


def build(lab):
    """The image of this tree; made once by this program."""
    if not _built:
        fgimage.need()
        fgrelease.host()
        shutil.rmtree(FOLDER, ignore_errors=True)
        os.makedirs(FOLDER)
        run('tools/package', os.path.join(fgtest.ROOT, 'tools/package'), '--no-lintian', '--out', PACKAGES, '--work',
            lab.unique('work'), seconds=300)
        make(lab, fgrelease.host(), '--packages', PACKAGES)
    return _built[fgrelease.host()]


def build_other(lab):
    """That of the other release, with packages that tools/image builds in a root of it; likewise."""
    fgimage.need()
    if fgrelease.other() not in _built:
        os.makedirs(FOLDER, exist_ok=True)
        make(lab, fgrelease.other(), '--release', fgrelease.other())
    return _built[fgrelease.other()]


def make(lab, release, *words):
    path = os.path.join(FOLDER, f'{release}.img')
    run(f'tools/image: {release}', os.path.join(fgtest.ROOT, 'tools/image'), *words, '--out', path, seconds=600,
        env={**os.environ, 'TMPDIR': lab.dir})
    _built[release] = path


def files(root):
    for at, _, names in os.walk(root):
        for name in names:
            path = os.path.join(at, name)
            if os.path.isfile(path) and not os.path.islink(path):
                yield os.path.relpath(path, root), path


def search(lab, image):
    """At most 400 MB, with no key, password or identity."""
    used = os.stat(image).st_blocks * 512
    print(f'# {os.path.getsize(image) / 1e6:.0f} MB, of which {used / 1e6:.0f} MB are in use')
    assert used <= IMAGE_MB * 1e6, f'{used} bytes'
    _, root, var = (fgimage.partition(image, number, lab.unique(f'part{number}')) for number in (1, 2, 3))
    tree = lab.unique('tree')
    fgtest.command('unsquashfs', '-q', '-n', '-d', tree, root, seconds=300)
    os.rmdir(f'{tree}/var')
    os.mkdir(f'{tree}/var')
    fgtest.command('debugfs', '-R', f'rdump / {tree}/var', var, seconds=300)
    seen = dict(files(tree))
    assert 'var/lib/dpkg/status' in seen and 'usr/sbin/floodgate' in seen, 'the image was not read'
    found = [name for name in seen if NAMES.search(name) and not name.startswith('usr/share/')]
    for name, path in seen.items():
        if not name.startswith('usr/'):
            with open(path, 'rb') as f:
                found += [f'{name}: {match[0]}' for match in SECRETS.finditer(f.read())]
    assert not found, found
    for name, wanted in {'etc/machine-id': r'', 'etc/shadow': r'(?:[a-z_-]+:[!*]+:.*\n)+'}.items():
        with open(seen[name], encoding='ascii') as f:
            assert re.fullmatch(wanted, text := f.read()), f'{name}: {text}'
    assert not glob.glob(f'{tree}/var/lib/floodgate*/*'), 'there is a log, or a configuration'


@fgtest.timeout(1500)
def test_it_is_small_and_holds_no_secret(lab):
    """tools/image makes an image of at most 400 MB, with no key, password or identity in it"""
    search(lab, build(lab))


# ---- guests ------------------------------------------------------------------------------------------------


class Shop:
    """Who orders at the appliance of a machine, from the namespace of its tap."""

    def __init__(self, machine):
        self.machine = machine
        self.keys = {role: (int(number), bytes.fromhex(secret)) for number, role, secret in keys_in(machine.run('cat /etc/floodgate/keys'))}

    def client(self, role, patience):
        with self.machine.ns.inside():
            return fgclient.Client(fgimage.ADDRESS, *self.keys[role], patience=patience)

    def ask(self, role, op, *words, patience=10):
        with self.client(role, patience * fgroot.patience()) as client:
            return getattr(client, op)(*words).status

    def reserve(self, user, order):
        return self.ask('shop', 'reserve', user, ITEM, 1, order)

    def all(self, op, orders):
        """{status: users} of an operation of the order service for each order."""
        told = {}
        for user, order in orders.items():
            told.setdefault(self.ask('backend', op, user, order), []).append(user)
        return told


def keys_in(text):
    return re.findall(r'^(\d+) (\w+) ([0-9a-f]{32})$', text, re.M)


def namespace(lab, name):
    ns = lab.namespace(name)
    ns.ip('tuntap', 'add', 'dev', 'tap0', 'mode', 'tap')
    ns.ip('addr', 'add', f'{fgimage.SHOP}/24', 'dev', 'tap0')
    ns.ip('link', 'set', 'tap0', 'up')
    return ns


def wait_healthy(machine, what, seconds=HEALTHY_S):
    """The seconds that it took."""
    began = time.monotonic()
    machine.wait(machine.healthy, seconds * fgroot.patience(), f'healthy {what}')
    fgroot.say(f'{machine.name}: healthy {what}, after {time.monotonic() - began:.0f} s')
    return time.monotonic() - began


def new_orders(first, count):
    return {user: secrets.token_bytes(16) for user in range(first, first + count)}


def keys_on_disk(lab, machine):
    var = fgimage.partition(machine.image, 3, lab.unique('var'))
    subprocess.run(['e2fsck', '-fp', var], capture_output=True, check=False)  # takes what is in the journal
    return keys_in(fgtest.command('debugfs', '-R', 'cat /lib/floodgate-etc/keys', var))


def filter_counters(machine):
    return json.loads(machine.run('fgctl --json stats'))['filter']


def sell(machine, shop, orders):
    """By the filter, to the end; root and system calls are as they shall be."""
    machine.run('touch /usr/x', codes=(1,))  # the root cannot be written
    machine.run(f'fgctl item add {ITEM} --total {UNITS} --user-limit 0 --hold 1h')
    before = filter_counters(machine)['order']
    for user, order in orders.items():
        assert shop.reserve(user, order) == 'RESERVED'
    assert shop.all('confirm', orders) == {'SOLD': [*orders]}
    through = filter_counters(machine)['order'] - before
    assert through >= 2 * len(orders), f'{through} of {2 * len(orders)} order packets came by the filter'
    machine.run('dmesg >/run/said && ! grep type=1326 /run/said')  # the daemon's filter of system calls has refused nothing


@fgtest.timeout(1500)
def test_it_boots_and_sells(lab):
    """it boots by BIOS and by UEFI, each copy with keys of its own; sells through a virtio NIC; a reboot keeps log and orders"""
    fgtest.only_if_long()
    image = build(lab)
    first = fgimage.Machine(lab, image, namespace(lab, 'shop'), 'first', grow_mb=512, console='root').start()
    second = fgimage.Machine(lab, image, namespace(lab, 'other'), 'second', uefi=True).start()
    print(f'# two at once: healthy {wait_healthy(first, "from power on, by BIOS"):.0f} s after power on')
    wait_healthy(second, 'by UEFI')
    second.process.kill()  # the power fails: what was made is on its disk
    assert 'root@' not in second.process.output(), second.process.output()[-2000:]
    first.open_shell(30)
    shop = Shop(first)
    made = [secret for _, secret in shop.keys.values()] + [bytes.fromhex(secret) for _, _, secret in keys_on_disk(lab, second)]
    assert len(set(made)) == len(made) == 6, made
    # /var took the room of a disk that is larger than the image
    assert int(first.run('df --output=size -m /var | tail -n 1')) > 1024 + 256
    orders = new_orders(1, 20)
    sell(first, shop, orders)
    first.reboot(HEALTHY_S * fgroot.patience())
    wait_healthy(first, 'after a reboot')
    assert Shop(first).keys == shop.keys
    assert shop.all('query', orders) == {'SOLD': [*orders]}
    first.run(f'systemctl stop floodgate && fgaudit --log {LOG}', seconds=60 * fgroot.patience())


@fgtest.timeout(2400)
def test_the_other_release(lab):
    """the image of the other Debian release, with packages built in a root of it: no secret, healthy, sells, reboots"""
    fgtest.only_if_long()
    image = build_other(lab)
    search(lab, image)
    machine = fgimage.Machine(lab, image, namespace(lab, 'shop'), 'other', console='root').start()
    print(f'# {fgrelease.other()}: healthy {wait_healthy(machine, "from power on"):.0f} s after power on')
    machine.open_shell(30)
    assert machine.run('. /etc/os-release; echo $VERSION_CODENAME') == fgrelease.other()
    shop, orders = Shop(machine), new_orders(1, 20)
    sell(machine, shop, orders)
    machine.reboot(HEALTHY_S * fgroot.patience())
    wait_healthy(machine, 'after a reboot')
    assert Shop(machine).keys == shop.keys
    assert shop.all('query', orders) == {'SOLD': [*orders]}
    machine.run(f'systemctl stop floodgate && fgaudit --log {LOG}', seconds=60 * fgroot.patience())


# ---- the unit under systemd --------------------------------------------------------------------------------


def state(machine, name):
    return machine.run(f'systemctl show -P {name} floodgate')


def newer(lab, path, to):
    """The package under a higher version."""
    tree = lab.unique('newer')
    fgtest.command('dpkg-deb', '-R', path, tree)
    with open(f'{tree}/DEBIAN/control', encoding='utf-8') as f:
        text = f.read()
    with open(f'{tree}/DEBIAN/control', 'w', encoding='utf-8') as f:
        f.write(re.sub(r'^Version: (.*)$', r'Version: \1+1', text, flags=re.M))
    fgtest.command('dpkg-deb', '-b', tree, to)


def disk_of_packages(lab):
    folder, disk = lab.unique('debs'), lab.unique('debs.img')
    os.mkdir(folder)
    newer(lab, glob.glob(f'{PACKAGES}/floodgate_*.deb')[0], f'{folder}/newer.deb')
    with open(disk, 'wb') as f:
        f.truncate(64 << 20)
    fgtest.command('mke2fs', '-q', '-t', 'ext4', '-d', folder, disk)
    return disk


def killed_often(machine, seconds):
    """kill -9 as soon as there is a process, time after time. The guest is too slow to reach systemd's limit of starts."""
    assert state(machine, 'StartLimitIntervalUSec') == '0'
    machine.run(f"""pid=
        for i in $(seq {KILLS}); do
            until new=$(systemctl show -P MainPID floodgate); [ $new != 0 ] && [ "$new" != "$pid" ]; do sleep 0.1; done
            pid=$new
            kill -9 $pid
        done""", seconds)
    wait_healthy(machine, f'after {KILLS} times kill -9')
    assert int(state(machine, 'NRestarts')) >= KILLS


def interface_comes_late(machine, seconds):
    """The NIC is taken from its driver, the service started without it, and the NIC given back."""
    machine.run('systemctl stop floodgate', seconds)
    nic = machine.run('basename $(readlink /sys/class/net/eth0/device)')
    machine.run(f'echo {nic} >/sys/bus/virtio/drivers/virtio_net/unbind; ! ip link show eth0')
    machine.run('systemctl reset-failed floodgate; systemctl start --no-block floodgate')
    machine.wait(lambda: int(state(machine, 'NRestarts')) >= 2, seconds, 'the service is tried again without its interface')
    machine.run(f'echo {nic} >/sys/bus/virtio/drivers/virtio_net/bind')
    wait_healthy(machine, 'when the interface is there')


class Rush:
    """Reserves an order for one user after the other, at most ten a second; each is asked until it is answered."""

    def __init__(self, shop, first):
        self.shop, self.ends, self.error, self.orders = shop, threading.Event(), None, {}
        self.next = first
        self.thread = threading.Thread(target=self.work, daemon=True)

    def work(self):
        try:
            while not self.ends.wait(0.1):
                user, order = self.next, secrets.token_bytes(16)
                self.next += 1
                status = self.shop.ask('shop', 'reserve', user, ITEM, 1, order, patience=60)
                assert status == 'RESERVED', status
                self.orders[user] = order
        except Exception as error:  # pylint: disable=broad-except
            self.error = error

    def __enter__(self):
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.ends.set()
        self.thread.join()


def make_writable(machine):
    """Packages change /usr and /etc: the image's are read-only, so that something writable lies over them."""
    machine.run('umount /etc/floodgate')
    for name in ('usr', 'etc'):
        machine.run(f'mkdir -p /var/over/{name} /var/over/{name}.work && mount -t overlay over -o lowerdir=/{name},upperdir='
                    f'/var/over/{name},workdir=/var/over/{name}.work /{name}')
    machine.run('cp -a /var/lib/floodgate-etc/. /etc/floodgate/; mount -o ro /dev/vdb /mnt')


def upgraded(machine, shop, seconds):
    """The package of the next version in mid-sale; every order that was answered is there afterwards."""
    old = state(machine, 'MainPID')
    with Rush(shop, 1000) as rush:
        machine.wait(lambda: len(rush.orders) >= 10 or rush.error, seconds, 'a sale')
        machine.run('DEBIAN_FRONTEND=noninteractive dpkg -i /mnt/newer.deb', seconds)
        wait_healthy(machine, 'after the upgrade')
        count = len(rush.orders)
        machine.wait(lambda: len(rush.orders) >= count + 10 or rush.error, seconds, 'the sale goes on')
    assert rush.error is None, rush.error
    assert machine.run("dpkg-query -W -f '${Version}' floodgate").endswith('+1')
    assert state(machine, 'MainPID') not in (old, '0')
    assert shop.all('confirm', rush.orders) == {'SOLD': [*rush.orders]}


def removed(machine, seconds):
    machine.run('dpkg -r floodgate', seconds)
    assert state(machine, 'ActiveState') == 'inactive'
    machine.run(f'ls /etc/floodgate/keys {LOG}/*.fgj; ! ls /usr/sbin/floodgate')
    said = machine.run('dpkg -P floodgate', seconds)
    assert f'the log stays in {LOG}' in said, said
    machine.run('! ls -d /etc/floodgate /run/floodgate /sys/fs/bpf/floodgate; ! ip link show eth0 | grep xdp; ! getent passwd floodgate')
    machine.run('! systemctl cat floodgate.service')
    machine.run(f'fgaudit --log {LOG}', seconds)


@fgtest.timeout(1500)
def test_the_unit_under_systemd(lab):
    """the service is restarted after each kill -9 and when its interface comes; upgraded in mid-sale; a purge leaves the log"""
    fgtest.only_if_long()
    image = build(lab)
    machine = fgimage.Machine(lab, image, namespace(lab, 'shop'), 'unit', disks=[disk_of_packages(lab)], console='root').start()
    took = wait_healthy(machine, 'from power on')
    print(f'# healthy {took:.0f} s after power on')
    machine.open_shell(30)
    seconds = 60 * fgroot.patience()
    shop, orders = Shop(machine), new_orders(1, 5)
    machine.run(f'fgctl item add {ITEM} --total {UNITS} --user-limit 0 --hold 1h')
    for user, order in orders.items():
        assert shop.reserve(user, order) == 'RESERVED'
    killed_often(machine, seconds)
    interface_comes_late(machine, seconds)
    make_writable(machine)
    upgraded(machine, shop, seconds)
    assert shop.all('confirm', orders) == {'SOLD': [*orders]}
    removed(machine, seconds)


if __name__ == '__main__':
    fgtest.main()
