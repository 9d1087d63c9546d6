#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The XDP program on the kernels of the supported releases, as the oldest and the newest clang here build it.

A guest without KVM boots each kernel from Debian's package. In it the tests of the bpf tier load the
objects: one runs packets through the program, one attaches it to a veth and takes frames through AF_XDP.
"""

import os
import re
import shutil
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, os.path.join(HERE, '..', 'harness'))
import fgguest  # noqa: E402
import fgrelease  # noqa: E402
import fgtest  # noqa: E402

PROGRAMS = ('bpf_verdict', 'bpf_attach')
APPLETS = ('mount', 'insmod', 'echo', 'cat', 'mkdir', 'poweroff', 'tail', 'uname', 'seq', 'sleep')
FLAGS = ['-target', 'bpf', '-mcpu=v3', '-O2', '-g', '-ffreestanding', f'-I{fgtest.ROOT}', f'-I{fgtest.ROOT}/lib']
# busybox's shell would take its own `ip`: /bin/sh is Debian's
INIT = '''#!/bin/busybox sh
export PATH=/bin
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t devtmpfs dev /dev
mount -t bpf bpf /sys/fs/bpf; mount -t tmpfs tmp /tmp
insmod /modules/veth.ko
echo GUEST KERNEL $(uname -r)
for object in OBJECTS; do
    for program in PROGRAMS; do
        FG_SECONDS=400 FG_OBJECT=/objects/$object $program brief >/tmp/out 2>&1
        code=$?
        [ $code = 0 ] || tail -n 30 /tmp/out
        echo RESULT $object $program $code
    done
done
echo GUEST EXIT
poweroff -f
'''


def compilers():
    """The oldest and the newest clang-N of this machine."""
    found = [f'clang-{n}' for n in range(14, 31) if shutil.which(f'clang-{n}')]
    if not found:
        raise fgtest.Skip('no clang-N is installed')
    return sorted({found[0], found[-1]})


def make_image(lab, release):
    root, scratch = lab.unique('guest'), lab.unique('packages')
    os.mkdir(scratch)
    version, vmlinuz, modules, busybox = fgrelease.kernel(release, scratch)
    for name in ('proc', 'sys', 'dev', 'tmp', 'run', 'bin', 'modules', 'objects'):
        os.makedirs(os.path.join(root, name))
    shutil.copy(busybox, f'{root}/bin/busybox')
    for applet in APPLETS:
        os.symlink('busybox', f'{root}/bin/{applet}')
    for module in modules:
        shutil.copy(module, f'{root}/modules')
    programs = [os.path.join(fgtest.BUILD, 'tests', 'bpf', name) for name in PROGRAMS] + [shutil.which('ip'), shutil.which('sh')]
    for path in programs:
        shutil.copy(path, f'{root}/bin/{os.path.basename(path)}')  # what a link points to
    for path in fgguest.libraries(programs):
        os.makedirs(os.path.dirname(root + path), exist_ok=True)
        shutil.copy(path, root + path)
    objects = []
    multiarch = fgtest.command('gcc', '-print-multiarch').strip()
    for compiler in compilers():
        objects.append(f'{compiler}.o')
        fgtest.command(compiler, *FLAGS, '-idirafter', f'/usr/include/{multiarch}', '-c',
                       os.path.join(fgtest.ROOT, 'xdp', 'floodgate.bpf.c'), '-o', f'{root}/objects/{compiler}.o')
    with open(f'{root}/init', 'w', encoding='ascii') as f:
        f.write(INIT.replace('OBJECTS', ' '.join(objects)).replace('PROGRAMS', ' '.join(PROGRAMS)))
    os.chmod(f'{root}/init', 0o755)
    image = root + '.cpio'
    fgguest.pack(root, image, busybox)
    return version, vmlinuz, image, objects


def boots(lab, release):
    fgguest.need_qemu()
    if not all(os.path.exists(os.path.join(fgtest.BUILD, 'tests', 'bpf', name)) for name in PROGRAMS):
        raise fgtest.Skip('the tests of the bpf tier are not built')
    version, vmlinuz, image, objects = make_image(lab, release)
    guest = lab.start('qemu-system-x86_64', '-accel', 'tcg,thread=multi', '-cpu', 'max', '-m', '1024', '-smp', '2', '-kernel',
                      vmlinuz, '-initrd', image, '-append', 'console=ttyS0 loglevel=3 panic=-1', '-display', 'none',
                      '-serial', 'stdio', '-monitor', 'none', '-no-reboot', '-nodefaults', stdin=subprocess.DEVNULL)
    busy = max(1, os.getloadavg()[0] / os.cpu_count())  # a busy machine gets more time
    fgtest.wait_until(lambda: 'GUEST EXIT' in guest.output() or not guest.running(), min(240 * busy, 900),
                      'the guest has ended', step=0.5)
    output = guest.output()
    assert f'GUEST KERNEL {version}' in output, output
    results = {(o, p): int(code) for o, p, code in re.findall(r'RESULT (\S+) (\S+) (\d+)', output)}
    assert results == {(o, p): 0 for o in objects for p in PROGRAMS}, output
    print(f'# kernel {version}: {", ".join(objects)}')


@fgtest.timeout(1200)
def test_debian_12(lab):
    """the XDP program loads, judges and attaches on the kernel of Debian 12"""
    boots(lab, 'bookworm')


@fgtest.timeout(1200)
def test_debian_13(lab):
    """the XDP program loads, judges and attaches on the kernel of Debian 13"""
    boots(lab, 'trixie')


if __name__ == '__main__':
    fgtest.main()
