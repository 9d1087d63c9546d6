#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""tools/sbom: a package's bill of materials names all that it needs, with versions and licences, and is the same each time."""

import json
import os
import shutil
import subprocess
import sys
import tempfile

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtap  # noqa: E402

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SBOM = os.path.join(ROOT, 'tools', 'sbom')

folder = None


def deb(name, depends):
    """A package with nothing in it."""
    root = os.path.join(folder, name)
    os.makedirs(os.path.join(root, 'DEBIAN'))
    os.chmod(root, 0o755)
    with open(os.path.join(root, 'DEBIAN', 'control'), 'w', encoding='utf-8') as file:
        file.write(f'Package: {name}\nVersion: 1.2\nArchitecture: amd64\nMaintainer: Somebody <a@example.org>\nDepends: {depends}\n'
                   f'Description: for a test\n')
    subprocess.run(['dpkg-deb', '--root-owner-group', '-b', root, root + '.deb'], check=True, stdout=subprocess.DEVNULL)
    return root + '.deb'


def run(*words, epoch='1700000000'):
    return subprocess.run([SBOM, *words], check=True, capture_output=True, text=True, timeout=60,
                          env={**os.environ, 'SOURCE_DATE_EPOCH': epoch}).stdout


def version(name):
    return subprocess.run(['dpkg-query', '-W', '-f', '${Version}', name], check=True, capture_output=True, text=True).stdout


def expects(name, licence, declared):
    """A small root may be without the files of licences."""
    there = os.path.exists(f'/usr/share/doc/{name}/copyright')
    return licence in declared if there else declared == 'NOASSERTION'


def test_closure():
    """what a package needs is there, with what that needs: version, licence, who needs whom"""
    debs = [deb('ours', 'libjansson4 (>= 2.0) | other, alsoours (= 1.2), notthere'), deb('alsoours', 'libcurl4 | libcurl4t64, python3:any')]
    text = run(*debs)
    assert text == run(*debs), 'the same each time'
    made = json.loads(text)
    packages = {p['name']: p for p in made['packages']}
    assert made['spdxVersion'] == 'SPDX-2.3' and made['creationInfo']['created'] == '2023-11-14T22:13:20Z', made['creationInfo']
    assert {'ours', 'alsoours', 'libjansson4', 'libc6', 'zlib1g', 'python3'} <= set(packages), sorted(packages)
    assert packages['ours']['licenseDeclared'] == 'BSD-3-Clause' and len(packages['ours']['checksums'][0]['checksumValue']) == 64
    jansson = packages['libjansson4']
    assert jansson['versionInfo'] == version('libjansson4') and expects('libjansson4', 'MIT', jansson['licenseDeclared']), jansson
    assert jansson['externalRefs'][0]['referenceLocator'].startswith('pkg:deb/debian/libjansson4@'), jansson
    assert 'not installed' in packages['notthere']['comment']
    needs = {(r['spdxElementId'], r['relatedSpdxElement']) for r in made['relationships'] if r['relationshipType'] == 'DEPENDS_ON'}
    assert {('SPDXRef-ours', 'SPDXRef-alsoours'), ('SPDXRef-ours', 'SPDXRef-libjansson4'), ('SPDXRef-libjansson4', 'SPDXRef-libc6')} <= needs
    # each name that is used is defined: SPDX's rule
    ids = [p['SPDXID'] for p in made['packages']]
    assert len(ids) == len(set(ids)) and {i for need in needs for i in need} <= set(ids)
    own = {i['licenseId'] for i in made['hasExtractedLicensingInfos']}
    used = {w for p in made['packages'] for w in p.get('licenseDeclared', '').split() if w.startswith('LicenseRef-')}
    assert own == used, own ^ used


def test_licences():
    """for people: a line for each package; few have no licence that a program can read"""
    lines = run('--licences', deb('third', 'libjansson4, libmicrohttpd12 | libmicrohttpd12t64, libseccomp2')).splitlines()
    found = {name: licence for licence, name, _ in (line.split('\t') for line in lines)}
    assert found['third'] == 'BSD-3-Clause' and expects('libseccomp2', 'LGPL-2.1-only', found['libseccomp2']), found
    assert all(' ' not in word and word for licence in found.values() for word in licence.split(' AND ')), found


def main():
    global folder
    missing = [tool for tool in ('dpkg-deb', 'dpkg-query') if not shutil.which(tool)]
    if missing:
        print(f'skipped: {" and ".join(missing)} not installed')
        return 77
    with tempfile.TemporaryDirectory(prefix='fg-sbom-') as folder:
        return fgtap.run(globals())


if __name__ == '__main__':
    sys.exit(main())
