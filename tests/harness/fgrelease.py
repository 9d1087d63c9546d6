# SPDX-License-Identifier: BSD-3-Clause
"""Harness: the Debian releases that are supported, their packages, and a fresh root of one.

Mirrors and settings of apt are the machine's own, with the name of the release replaced. What was
downloaded stays in build/release/CODENAME, so that the next run takes less time.
"""

import glob
import lzma
import os
import re
import shutil
import subprocess

import fgprocess

RELEASES = ('bookworm', 'trixie')
FOLDER = os.path.join(fgprocess.BUILD, 'release')
KEYRING = '/usr/share/keyrings/debian-archive-keyring.gpg'
MODULES = ('veth',)


def host():
    """Codename of this machine's release."""
    with open('/etc/os-release', encoding='utf-8') as f:
        found = re.search(r'^VERSION_CODENAME=(\w+)', f.read(), re.M)
    name = found[1] if found else 'unknown'
    if name not in RELEASES:
        raise fgprocess.Skip(f'this is {name}, not Debian {" or ".join(RELEASES)}')
    return name


def other():
    return RELEASES[1 - RELEASES.index(host())]


def folder(release):
    path = os.path.join(FOLDER, release)
    os.makedirs(path, exist_ok=True)
    return path


def sources(release):
    """Lines of a sources.list: where this machine has its own release from, with the other name."""
    here = host()
    told = fgprocess.command('apt-get', 'indextargets', '--format', '$(REPO_URI) $(RELEASE) $(COMPONENT)',
                             'Created-By: Packages')
    found = set()
    for line in told.splitlines():
        words = line.split()
        if len(words) == 3 and words[2] == 'main' and re.fullmatch(rf'{here}(-updates|-security)?', words[1]):
            found.add((words[0], words[1].replace(here, release)))
    if not found:
        raise fgprocess.Skip(f'no source of {here} in the configuration of apt')
    return [f'deb {uri} {suite} main' for uri, suite in sorted(found)]


def apt_settings():
    """Settings of this machine's apt that its mirrors may need."""
    return re.findall(r'^(Acquire::(?:Check-|https?::|Retries|Force).*);$', fgprocess.command('apt-config', 'dump'), re.M)


class Packages:
    """apt with lists and settings of its own: looks up and downloads packages of a release, installs none."""

    def __init__(self, release):
        self.folder = os.path.join(folder(release), 'apt')
        for name in ('lists/partial', 'archives/partial', 'etc/preferences.d', 'etc/sources.list.d', 'etc/trusted.gpg.d'):
            os.makedirs(os.path.join(self.folder, name), exist_ok=True)
        with open(os.path.join(self.folder, 'etc/sources.list'), 'w', encoding='ascii') as f:
            f.writelines(line.replace('deb ', f'deb [signed-by={KEYRING}] ', 1) + '\n' for line in sources(release))
        self.options = []
        for setting in (f'Dir::Etc {self.folder}/etc', f'Dir::State::Lists {self.folder}/lists', 'APT::Sandbox::User root',
                        f'Dir::Cache {self.folder}', 'Dir::State::status /dev/null', 'Acquire::Languages none',
                        *(text.replace('"', '') for text in apt_settings())):
            self.options += ['-o', setting.replace(' ', '=', 1)]

    def apt(self, tool, *words, cwd=None):
        done = subprocess.run([tool, *self.options, *words], cwd=cwd, capture_output=True, text=True, timeout=300)
        if done.returncode:
            raise RuntimeError(f'{tool} {" ".join(words)}: {done.stderr.strip()}')
        return done.stdout

    def update(self):
        self.apt('apt-get', '-qq', 'update')

    def unpack(self, names, to):
        """Takes the packages apart below `to`."""
        debs = os.path.join(self.folder, 'archives')
        for name in names:
            self.apt('apt-get', '-qq', 'download', name, cwd=debs)  # takes what is there already
            fgprocess.command('dpkg-deb', '-x', max(glob.glob(f'{debs}/{name}_*.deb'), key=os.path.getmtime), to, seconds=120)


def kernel(release, scratch):
    """(version, kernel, modules, busybox) of a release; unpacked below `scratch`."""
    packages = Packages(release)
    packages.update()
    told = packages.apt('apt-cache', 'depends', 'linux-image-amd64')
    name = re.search(r'Depends: (linux-image-[0-9]\S+)', told)[1]
    packages.unpack([name, 'busybox-static'], scratch)
    modules = []
    for module in MODULES:
        path = glob.glob(f'{scratch}/**/lib/modules/**/{module}.ko*', recursive=True)[0]
        plain = os.path.join(scratch, module + '.ko')
        with (lzma.open if path.endswith('.xz') else open)(path, 'rb') as packed, open(plain, 'wb') as out:
            shutil.copyfileobj(packed, out)
        modules.append(plain)
    return (name.removeprefix('linux-image-'), glob.glob(f'{scratch}/boot/vmlinuz-*')[0], modules,
            glob.glob(f'{scratch}/**/bin/busybox', recursive=True)[0])
