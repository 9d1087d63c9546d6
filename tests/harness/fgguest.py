# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a virtual machine without KVM, in which the daemon has NICs of its own by vfio.

The guest is Debian's kernel and a RAM disk with busybox, the built programs and the libraries that they need, made anew
for each test. tools/setup puts kernel, modules and busybox into build/guest.
"""

import glob
import os
import platform
import shutil
import subprocess

import fgprocess

FOLDER = os.path.join(fgprocess.BUILD, 'guest')
PLUGINS = ('bus_pci', 'bus_vdev', 'mempool_ring', 'net_e1000', 'net_virtio')
APPLETS = ('sh', 'mount', 'insmod', 'echo', 'cat', 'sleep', 'mkdir', 'poweroff', 'ip', 'seq', 'kill')
FIRST_SLOT = 4  # of the PCI bus

INIT = '''#!/bin/sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mkdir -p /dev/hugepages
mount -t tmpfs run /run; mount -t tmpfs log /var/lib/floodgate
echo 200 >/proc/sys/vm/nr_hugepages; mount -t hugetlbfs huge /dev/hugepages
ip link set lo up
for m in irqbypass vfio vfio_virqfd vfio_iommu_type1 vfio-pci-core vfio-pci; do
    [ -e /modules/$m.ko ] || continue # vfio_virqfd is a part of vfio since Linux 6.2
    case $m in *type1) insmod /modules/$m.ko allow_unsafe_interrupts=1 ;; *) insmod /modules/$m.ko ;; esac
done
for d in DEVICES; do
    echo vfio-pci >/sys/bus/pci/devices/$d/driver_override
    echo $d >/sys/bus/pci/drivers_probe
done
floodgate --new-log --config /etc/floodgate/floodgate.conf &
pid=$!
for i in $(seq 60); do
    sleep 1
    fgctl --socket /run/control.sock health >/dev/null 2>&1 && break
    kill -0 $pid || { echo GUEST FAILED; poweroff -f; }
done
COMMANDS
echo GUEST READY
read line
echo STATUS $(fgctl --socket /run/control.sock --json status)
echo STATS $(fgctl --socket /run/control.sock --json stats)
kill -TERM $pid
wait $pid
echo GUEST EXIT $?
poweroff -f
'''


def need_qemu():
    if platform.machine() != 'x86_64':
        raise fgprocess.Skip('the guest is an x86-64 one')
    if not shutil.which('qemu-system-x86_64'):
        raise fgprocess.Skip('qemu-system-x86 is not installed (tools/setup --for test does)')


def need():
    need_qemu()
    if not os.path.exists(os.path.join(FOLDER, 'vmlinuz')):
        raise fgprocess.Skip(f'no kernel in {os.path.relpath(FOLDER, fgprocess.ROOT)} (tools/setup --for test puts one there)')


def pci_address(number):
    """Where NIC `number` of the guest is."""
    return f'0000:00:{FIRST_SLOT + number:02x}.0'


def _copy(root, path, to=None):
    target = root + (to or path)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    shutil.copy(path, target)  # what a link points to
    return target


def libraries(paths):
    """Shared libraries that programs need."""
    found = set()
    for path in paths:
        out = fgprocess.command('ldd', path)
        found |= {word for word in out.split() if word.startswith('/')}
    return found


def _add_programs(root):
    programs = [fgprocess.program(name) for name in ('floodgate', 'fgctl')]
    folder = glob.glob('/usr/lib/*/dpdk/pmds-*/')[0]
    plugins = [glob.glob(f'{folder}librte_{name}.so.*')[0] for name in PLUGINS]
    for path in programs:
        _copy(root, path, '/bin/' + os.path.basename(path))
    needed = libraries(programs + plugins)
    for path in needed:
        _copy(root, path)
    known = {os.path.basename(path): path for path in needed}
    for path, name in zip(plugins, PLUGINS):
        # one that is loaded as a library too must be the same file: DPDK does not take it twice
        twin = next((known[k] for k in known if k.startswith(f'librte_{name}.so.')), None)
        target = f'{root}{folder}librte_{name}.so'
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if twin:
            os.symlink(twin, target)
        else:
            _copy(root, path, f'{folder}librte_{name}.so')


def pack(root, image, busybox):
    """A RAM disk of what is below `root`."""
    names = '.\n' + ''.join(os.path.relpath(os.path.join(at, name), root) + '\n'
                            for at, folders, files in os.walk(root) for name in folders + files)
    with open(image, 'wb') as out:
        subprocess.run([busybox, 'cpio', '-o', '-H', 'newc'], cwd=root, input=names.encode(), stdout=out,
                       stderr=subprocess.DEVNULL, check=True)


class Guest:
    """nics: (tap of the namespace, QEMU device such as 'e1000e', MAC) of each."""

    def __init__(self, lab, ns, nics, config, keys, commands=()):
        need()
        self.lab, self.ns, self.nics = lab, ns, nics
        self.root = lab.unique('guest')
        for folder in ('proc', 'sys', 'dev', 'run', 'tmp', 'etc/floodgate', 'var/lib/floodgate', 'bin'):
            os.makedirs(os.path.join(self.root, folder))
        os.symlink('/run', f'{self.root}/var/run')
        _copy(self.root, f'{FOLDER}/busybox', '/bin/busybox')
        for applet in APPLETS:
            os.symlink('busybox', f'{self.root}/bin/{applet}')
        shutil.copytree(f'{FOLDER}/modules', f'{self.root}/modules')
        _add_programs(self.root)
        _copy(self.root, keys.path, '/etc/floodgate/keys')
        self._write('etc/floodgate/floodgate.conf', config)
        text = '\n'.join(f'fgctl --socket /run/control.sock {command}' for command in commands)
        devices = ' '.join(pci_address(n) for n in range(len(nics)))
        self._write('init', INIT.replace('COMMANDS', text).replace('DEVICES', devices))
        os.chmod(f'{self.root}/init', 0o755)
        self.image = self.root + '.cpio'
        pack(self.root, self.image, f'{FOLDER}/busybox')
        self.process = None

    def _write(self, name, text):
        with open(os.path.join(self.root, name), 'w') as f:
            f.write(text)

    def start(self):
        argv = ['qemu-system-x86_64', '-M', 'q35,kernel-irqchip=off', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', '1024',
                '-smp', '2', '-device', 'intel-iommu,device-iotlb=on', '-kernel', f'{FOLDER}/vmlinuz', '-initrd', self.image, '-append',
                'console=ttyS0 intel_iommu=on iommu=pt loglevel=3 panic=-1', '-display', 'none', '-serial', 'stdio', '-monitor',
                'none', '-no-reboot', '-nodefaults']
        for number, (tap, device, mac) in enumerate(self.nics):
            argv += ['-netdev', f'tap,id=n{number},ifname={tap},script=no,downscript=no', '-device',
                     f'{device},netdev=n{number},mac={mac},addr={FIRST_SLOT + number}']
        self.process = self.lab.start(*argv, ns=self.ns, name='qemu', stdin=subprocess.PIPE)
        return self

    def wait(self, text, seconds):
        """Until the guest has said so; what it said."""
        fgprocess.wait_until(lambda: text in self.process.output() or not self.process.running(), seconds, text, step=0.2)
        if text not in self.process.output():
            raise AssertionError(f'the guest ended:\n{self.process.output()}')
        return self.process.output()

    def stop(self, seconds=60):
        """Enter on its console: it tells its counters, stops the daemon, and ends."""
        self.process.popen.stdin.write(b'\n')
        self.process.popen.stdin.flush()
        return self.wait('GUEST EXIT', seconds)
