# SPDX-License-Identifier: BSD-3-Clause
"""Harness: a virtual machine that boots from a copy of the disk image of tools/image."""

import os
import re
import shutil
import socket
import subprocess

import fgprocess
from fgguest import need_qemu

BOOT_AT = 1 << 20  # the first partition
ADDRESS, SHOP, METRICS = '198.18.0.1', '198.18.0.2', 9460
NETWORK = f'[Match]\nName=eth0\n[Network]\nAddress={ADDRESS}/24\n'
OVMF = ('/usr/share/OVMF/OVMF_CODE_4M.fd', '/usr/share/OVMF/OVMF_VARS_4M.fd')


def need():
    need_qemu()
    for tool in ('mmdebstrap', 'mcopy', 'sfdisk', 'mksquashfs', 'syslinux', 'dpkg-buildpackage'):
        if not shutil.which(tool):
            raise fgprocess.Skip(f'{tool} is not installed (tools/setup --for test does)')


def partitions(path):
    """[(first byte, bytes)] of a disk image."""
    said = fgprocess.command('sfdisk', '--dump', path)
    return [(int(start) * 512, int(size) * 512) for start, size in re.findall(r'start= *(\d+), size= *(\d+)', said)]


def partition(path, number, to):
    """A copy of one partition (from 1) in a file of its own."""
    start, size = partitions(path)[number - 1]
    fgprocess.command('dd', f'if={path}', f'of={to}', 'bs=1M', f'skip={start >> 20}', f'count={size >> 20}', 'conv=sparse')
    return to


class Machine:
    """A copy of the image, changed as its owner would: by the files of the FAT partition. ns has one tap, `tap0`."""

    def __init__(self, lab, image, ns, name, grow_mb=0, disks=(), uefi=False, **appliance):
        self.lab, self.ns, self.name, self.uefi, self.disks = lab, ns, name, uefi, disks
        self.image = lab.unique(f'{name}.img')
        fgprocess.command('cp', '--sparse=always', image, self.image)
        if grow_mb:
            os.truncate(self.image, os.path.getsize(self.image) + (grow_mb << 20))
        self.put('orders.network', NETWORK)
        self.change('floodgate.conf', metrics__listen=f'{ADDRESS}:{METRICS}')
        self.change('appliance.conf', hostname=name, **appliance)
        self.process = self.shell = None
        self.sent = self.boot_at = 0

    def put(self, name, text):
        fgprocess.command('mcopy', '-o', '-i', f'{self.image}@@{BOOT_AT}', '-', f'::{name}', stdin=text)

    def change(self, name, **values):
        """Settings of a file of the FAT partition that has them already, in force or not. SECTION__NAME: of [SECTION]."""
        text = fgprocess.command('mcopy', '-i', f'{self.image}@@{BOOT_AT}', f'::{name}', '-')
        for name_of, value in values.items():
            section, _, setting = name_of.rpartition('__')
            before, header, rest = text.rpartition(f'\n[{section}]\n')
            rest, changed = re.subn(rf'^#?{setting} = .*', f'{setting} = {value}', rest, count=bool(section), flags=re.M)
            text = before + header + rest
            assert changed == 1, (name, name_of, changed)
        self.put(name, text)

    def start(self):
        """Its screen is in output(); a second serial port is for shell()."""
        self.socket_path = self.lab.unique('serial')
        argv = ['qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', '1536', '-smp', '2', '-nodefaults',
                '-display', 'none', '-monitor', 'none', '-serial', 'stdio', '-chardev',
                f'socket,id=second,path={self.socket_path},server=on,wait=off', '-serial', 'chardev:second',
                '-netdev', 'tap,id=n0,ifname=tap0,script=no,downscript=no', '-device', 'virtio-net-pci,netdev=n0']
        for disk in (self.image, *self.disks):
            argv += ['-drive', f'file={disk},format=raw,if=virtio']
        if self.uefi:
            variables = self.lab.unique('variables')
            fgprocess.command('cp', OVMF[1], variables)
            argv += ['-drive', f'if=pflash,format=raw,readonly=on,file={OVMF[0]}', '-drive', f'if=pflash,format=raw,file={variables}']
        self.process = self.lab.start(*argv, ns=self.ns, name=f'qemu-{self.name}', stdin=subprocess.PIPE)
        return self

    def wait(self, condition, seconds, what):
        def ended_or_true():
            value = condition()
            if not value and not self.process.running():
                raise AssertionError(f'the guest ended before: {what}')
            return value
        return fgprocess.wait_until(ended_or_true, seconds, f'{self.name}: {what}', step=0.25)

    def get(self, path):
        """(status, body) of its page of metrics; (0, reason) without an answer."""
        try:
            with self.ns.socket(socket.SOCK_STREAM) as s:
                s.settimeout(5)
                s.connect((ADDRESS, METRICS))
                s.sendall(f'GET {path} HTTP/1.0\r\n\r\n'.encode())
                said = b''.join(iter(lambda: s.recv(65536), b'')).decode()
        except OSError as error:
            return 0, str(error)
        head, _, body = said.partition('\r\n\r\n')
        found = re.match(r'HTTP/1\.\d (\d+)', head)
        return int(found[1]) if found else 0, body

    def healthy(self):
        return self.get('/healthz')[0] == 200

    def open_shell(self, seconds):
        """A shell without a terminal on the second serial port, begun by the one of the console."""
        self.wait(lambda: f'root@{self.name}:~#' in self.process.output()[self.boot_at:], seconds, 'a shell of root on the console')
        if self.shell:
            self.shell.close()
        self.shell = socket.socket(socket.AF_UNIX)
        self.shell.connect(self.socket_path)
        # what is sent before the port is open is lost; with another stderr the shell takes itself for a script
        self.process.popen.stdin.write(b'exec 3<>/dev/ttyS1; stty raw -echo <&3; echo =READY= >&3; setsid bash --norc <&3 >&3 2>/dev/null &\n')
        self.process.popen.stdin.flush()
        self._read(re.compile('=READY='), seconds, 'the shell answers')

    def reboot(self, seconds):
        self.boot_at = len(self.process.output())
        self.shell.sendall(b'systemctl reboot\n')
        self.open_shell(seconds)

    def run(self, command, seconds=60, codes=(0,)):
        """What a command in the guest says; its exit code must be one of `codes`, unless that is None."""
        self.sent += 1
        self.shell.sendall(f'{{ {command}\n}} </dev/null 2>&1; echo "=END {self.sent} $?="\n'.encode())
        said, code = self._read(re.compile(rf'=END {self.sent} (\d+)='), seconds, command)
        if codes is not None and int(code) not in codes:
            raise AssertionError(f'{command}: exit {code}: {said}')
        return said.strip()

    def _read(self, end, seconds, what):
        """(what the shell says before `end`, group of `end`)."""
        said = ''
        self.shell.settimeout(0.25)

        def ended():
            nonlocal said
            try:
                said += self.shell.recv(65536).decode(errors='replace')
            except TimeoutError:
                pass
            return end.search(said)
        found = self.wait(ended, seconds, what)
        return said[:found.start()], found[found.re.groups]
