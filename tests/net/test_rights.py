#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""The daemon as the unit runs it: another user, the unit's capabilities and no others; and what it keeps of them (docs/rights.md)."""

import glob
import grp
import os
import re
import resource
import shutil
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgmemif  # noqa: E402
import fgprocess  # noqa: E402
import fgtest  # noqa: E402
from fgframe import MAC_SERVER, SERVER, SHOPPER, check_turned, frame  # noqa: E402
from fgshop import ITEM, SMALL, NsClient, add_item, audited  # noqa: E402
import fgclient  # noqa: E402

UNIT = os.path.join(fgprocess.ROOT, 'config/floodgate.service')
USER = 65534  # nobody
EXPOSURE_MAX = 3.5


def of_unit(name):
    with open(UNIT, encoding='ascii') as f:
        return re.search(rf'^{name}=(.*)$', f.read(), re.M)[1].split()


def capabilities():
    return [name.removeprefix('CAP_').lower() for name in of_unit('AmbientCapabilities')]


def as_service(gate, names):
    """A command that runs the daemon as that user, with these capabilities. The program is copied: the user may not be
    able to pass the folders of the build."""
    exe = os.path.join(gate.dir, 'floodgate')
    if not os.path.exists(exe):
        shutil.copy(fgprocess.program('floodgate'), exe)
    os.makedirs(gate.pins, 0o700, exist_ok=True)
    for path in (gate.lab.dir, fgprocess.BPFFS):
        if not os.stat(path).st_mode & 0o1:
            if path == fgprocess.BPFFS:
                raise fgtest.Skip(f'{path} is closed to other users')
            os.chmod(path, 0o711)
    for path in (gate.pins, gate.dir, *glob.glob(f'{gate.dir}/**', recursive=True)):
        os.chown(path, USER, USER)
    only = ','.join(['-all', *(f'+{name}' for name in names)])
    return ['setpriv', '--reuid', str(USER), '--regid', str(USER), '--clear-groups', '--no-new-privs', '--inh-caps', only,
            '--ambient-caps', only, '--bounding-set', only, 'env', f'RUNTIME_DIRECTORY={gate.dir}',
            'sh', '-c', 'shift; exec "$0" "$@"', exe]


def open_to_all(redis):
    """Its socket, for a daemon of another user."""
    path = redis.address.removeprefix('unix:')
    os.chmod(os.path.dirname(path), 0o755)
    os.chmod(path, 0o777)


def threads(gate):
    """{thread: its lines of /proc}"""
    found = {}
    for path in glob.glob(f'/proc/{gate.process.pid}/task/*/status'):
        try:
            with open(path, encoding='ascii') as f:
                fields = dict(line.rstrip('\n').split(':\t', 1) for line in f if ':\t' in line)
        except (FileNotFoundError, ProcessLookupError):
            continue  # a thread that ended
        found[f'{fields["Name"]} {fields["Pid"]}'] = fields
    assert len(found) > 5, found
    return found


def gave_up(gate):
    for name, fields in threads(gate).items():
        assert fields['Uid'].split() == [str(USER)] * 4, (name, fields['Uid'])
        kept = [fields[kind] for kind in ('CapInh', 'CapPrm', 'CapEff', 'CapAmb')]
        assert {int(word, 16) for word in kept} == {0}, (name, kept)
        assert fields['NoNewPrivs'] == '1' and fields['Seccomp'] == '2', (name, fields)


def owned(path):
    """Who may use it, and how."""
    info = os.lstat(path)
    return info.st_uid, info.st_gid, oct(info.st_mode & 0o7777)


def check_pins(gate, user):
    """The folder and all below it are for their owner alone."""
    pins = os.listdir(gate.pins)
    assert len(pins) >= 5, pins
    found = {name: owned(os.path.join(gate.pins, name)) for name in ('.', *pins)}
    assert found == {'.': (user, user, '0o700'), **{name: (user, user, '0o600') for name in pins}}, found


@fgtest.timeout(120)
def test_owners_and_modes(lab):
    """pins are the daemon's alone, also in a folder that it made; each socket has the group and mode of the configuration"""
    link, viewer = lab.pair(), lab.unique('viewer.sock')
    group = grp.getgrnam('nogroup').gr_gid
    member = ['setpriv', '--groups', str(group)]
    gate = lab.daemon(link.a, interface=link.a_if, settings={
        **SMALL, 'api.mode': '0600', 'api.viewer': viewer, 'api.viewer_mode': '0620', 'api.viewer_group': 'nogroup'})
    gate.start(ready=False)
    assert gate.process.wait(60) == 1 and 'must be a member of the group' in gate.output(), gate.output()
    gate.start(wrapper=member)
    check_pins(gate, 0)
    assert (owned(gate.socket), owned(viewer)) == ((0, 0, '0o600'), (0, group, '0o620')), (owned(gate.socket), owned(viewer))
    gate.settings.update({'api.mode': None, 'api.group': 'nogroup', 'api.viewer_mode': None, 'api.viewer_group': None})
    gate.write_config()
    assert gate.stop() == 0
    gate.start(wrapper=member)
    check_pins(gate, 0)
    assert (owned(gate.socket), owned(viewer)) == ((0, group, '0o660'), (0, 0, '0o660')), (owned(gate.socket), owned(viewer))
    audited(lab, gate)


@fgtest.timeout(120)
def test_af_xdp(lab):
    """with the unit's user and capabilities it sells over AF_XDP, keeps none of them, and everything still works"""
    link, redis = lab.pair(), lab.redis()
    gate = lab.daemon(link.a, interface=link.a_if, redis=redis, settings=SMALL)
    open_to_all(redis)
    wrapper = as_service(gate, capabilities())
    gate.start(wrapper=wrapper)
    gave_up(gate)
    check_pins(gate, USER)
    assert owned(gate.socket) == (USER, USER, '0o660'), owned(gate.socket)
    add_item(gate, 10)
    shop = NsClient(link.b, link.a_ip, gate.keys)
    backend = NsClient(link.b, link.a_ip, gate.keys, 'backend')
    order = os.urandom(16)
    assert shop.reserve(1, ITEM, 1, order).status == 'RESERVED'
    assert backend.ask('CONFIRM', order, user=1).status == 'SOLD'
    # what the control, penalty, ledger and sink threads do at run time
    gate.fgctl('block', 'add', '198.19.0.0/16')
    assert [entry['prefix'] for entry in gate.fgctl('block', 'list')] == ['198.19.0.0/16']
    gate.fgctl('log', 'snapshot')
    gate.fgctl('keys', 'reload')
    fgtest.wait_until(lambda: gate.sink('redis')['state'] == 'live', 20, 'the sink is live')
    gate.stop()
    gate.start(wrapper=as_service(gate, capabilities()))
    assert shop.ask('QUERY', order, user=1).status == 'SOLD'
    audited(lab, gate)


def test_memif(lab):
    """the same over memif"""
    gate = lab.daemon(ports={'shop': {'device': fgmemif.device(lab, 'server', mac=MAC_SERVER), 'address': SERVER}},
                      settings={**SMALL, 'eal.mbufs': 4096})
    os.chmod(lab.dir, 0o777)  # the port's socket is there
    gate.start(wrapper=as_service(gate, capabilities()))
    gave_up(gate)
    add_item(gate, 10)
    peer = fgmemif.Memif(fgmemif.path_of(lab))
    order = os.urandom(16)
    request = frame(fgclient.request(1, gate.keys.secrets[1], 'RESERVE', order, user=1, item=ITEM, quantity=1))
    peer.send(request)
    reply = fgtest.wait_until(peer.receive, 10, 'an answer')
    assert fgclient.parse_reply(check_turned(reply), 1, gate.keys.secrets[1]).status == 'RESERVED'
    peer.close()
    audited(lab, gate)


@fgtest.timeout(120)
def test_each_capability_is_needed(lab):
    """without one of the unit's capabilities the start fails, or the log's thread has no priority"""
    link = lab.pair()
    limit = resource.getrlimit(resource.RLIMIT_MEMLOCK)[1]
    gate = lab.daemon(link.a, interface=link.a_if, settings=SMALL)
    for left_out in capabilities():
        if left_out == 'ipc_lock' and (limit == resource.RLIM_INFINITY or limit > 16 << 20):
            continue  # only a limit makes it necessary
        gate.start(ready=False, wrapper=as_service(gate, [name for name in capabilities() if name != left_out]))
        if left_out == 'sys_nice':
            fgtest.wait_until(gate.healthy, 30, 'the daemon is ready')
            journal = next(fields['Pid'] for name, fields in threads(gate).items() if name.startswith('fg-journal'))
            assert os.sched_getscheduler(int(journal)) == os.SCHED_OTHER
            gate.stop()
        else:
            fgtest.wait_until(lambda: not gate.running(), 30, f'the daemon gives up without {left_out}')
            assert gate.process.popen.returncode == 1, (left_out, gate.output())
    gate.start(wrapper=as_service(gate, capabilities()))
    journal = next(fields['Pid'] for name, fields in threads(gate).items() if name.startswith('fg-journal'))
    assert os.sched_getscheduler(int(journal)) & ~os.SCHED_RESET_ON_FORK == os.SCHED_RR
    audited(lab, gate)


def test_exposure(_lab):
    """systemd-analyze security finds at most 3.5 in the unit"""
    if not shutil.which('systemd-analyze'):
        raise fgtest.Skip('there is no systemd-analyze')
    said = subprocess.run(['systemd-analyze', 'security', '--offline=true', '--no-pager', UNIT], capture_output=True, text=True)
    found = re.search(r'Overall exposure level for floodgate\.service: ([0-9.]+)', said.stdout)
    assert found, said
    assert float(found[1]) <= EXPOSURE_MAX, said.stdout
    assert capabilities() == [name.removeprefix('CAP_').lower() for name in of_unit('CapabilityBoundingSet')]


if __name__ == '__main__':
    fgtest.main()
