# SPDX-License-Identifier: BSD-3-Clause
"""Harness: small file systems of a test's own, to be filled. See fgtest.py."""

import contextlib
import ctypes
import os
import shutil

from fgprocess import Skip, command


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


def ext4(lab):
    """A small ext4 in a file, without the blocks that only root may use."""
    if not shutil.which('mkfs.ext4'):
        raise Skip('mkfs.ext4 is not installed')
    image = lab.unique('ext4')
    with open(image, 'wb') as f:
        f.truncate(16 << 20)
    command('mkfs.ext4', '-q', '-m', '0', image)
    try:
        return mounted(lab, '-o', 'loop', image)
    except RuntimeError as error:
        raise Skip(f'no loop device: {error}') from None


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
