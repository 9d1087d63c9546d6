# SPDX-License-Identifier: BSD-3-Clause
"""Harness: small file systems of a test's own, to be filled. See fgtest.py."""

import contextlib
import ctypes
import os
import shutil
import subprocess

from fgprocess import ROOT, Skip, command

CLONE_NEWNS = 0x20000


def unshare_mounts():
    """What this program mounts from now on, nobody else sees."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        raise OSError(ctypes.get_errno(), 'unshare')
    command('mount', '--make-rprivate', '/')


@contextlib.contextmanager
def mounted(lab, *words):
    """A folder with `mount WORDS` on it. The end kills the Lab's daemons, which may hold its files
    open."""
    path = lab.unique('disk')
    os.mkdir(path)
    command('mount', *words, path)
    try:
        yield path
    finally:
        for gate in lab.daemons:
            if gate.process:
                gate.process.kill()
        command('umount', '--lazy', path)


def tmpfs(lab, size='8m'):
    return mounted(lab, '-t', 'tmpfs', '-o', f'size={size}', 'fgtest')


LEAST_MIB = {'ext4': 16, 'xfs': 320, 'btrfs': 128}
MAKE = {'ext4': ('-q', '-m', '0'), 'xfs': ('-q',), 'btrfs': ('-q',)}  # ext4: no blocks that only root may use


def file_system(lab, kind):
    """A small one in a file with holes."""
    if not shutil.which(f'mkfs.{kind}'):
        raise Skip(f'mkfs.{kind} is not installed')
    image = lab.unique(kind)
    with open(image, 'wb') as f:
        f.truncate(LEAST_MIB[kind] << 20)
    command(f'mkfs.{kind}', *MAKE[kind], image)
    try:
        return mounted(lab, '-o', 'loop', image)
    except RuntimeError as error:
        raise Skip(f'{kind}: no loop device, or not in this kernel: {error}') from None


def ext4(lab):
    return file_system(lab, 'ext4')


def fill(path):
    """Takes all that is left, to the last block."""
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    for size in (65536, 4096, 512, 1):
        with contextlib.suppress(OSError):
            while True:
                os.write(file, bytes(size))
    with contextlib.suppress(OSError):
        os.fsync(file)
    os.close(file)


def preloaded(lab, source, name):
    """Builds a library of tests/fault for LD_PRELOAD; a folder of its own, and the library in it."""
    compiler = shutil.which('cc') or shutil.which('gcc')
    if not compiler:
        raise Skip('no C compiler')
    folder = lab.unique(name)
    os.mkdir(folder)
    library = os.path.join(folder, f'{name}.so')
    subprocess.run([compiler, '-shared', '-fPIC', '-O1', '-o', library, os.path.join(ROOT, 'tests', 'fault', source), '-ldl'],
                   check=True, capture_output=True)
    return folder, library
