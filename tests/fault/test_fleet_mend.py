#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A fleet after a loss, with real daemons and a real etcd: a member that never comes back, and an etcd that was lost."""

import json
import shutil
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgfleet import ENDED, ITEM, Buyer, Fleet  # noqa: E402

TOTAL = 60
STOPPED = 'all members are stopped'


def command(fleet, words, config=None):
    return [*fleet.net.enter(), fgtest.program('fgctl'), 'fleet', *words, '--config', config or fleet.members[0].gate.config]


def fgctl(fleet, *words, code=0, config=None):
    """(what it printed, what it complained about)"""
    done = subprocess.run(command(fleet, words, config),
                          capture_output=True, text=True, timeout=60, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == code, done
    return done.stdout, done.stderr


def changed_meanwhile(fleet, number, *words):
    """While it asks for the sentence, the register of that member is written once more: what it complained about."""
    key, asks = f'floodgate/fleet/member/{number}', 'type: '
    register = fleet.etcd.ctl('get', key, '--print-value-only').strip()
    with subprocess.Popen(command(fleet, words), stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as asked:
        said = [asked.stderr.readline()]
        while said[-1] and asks not in said[-1]:
            said.append(asked.stderr.readline())
        assert said[-1], said
        fleet.etcd.ctl('put', key, register)
        said = asked.communicate(said[-1].split(asks, 1)[1].strip() + '\n', timeout=30)[1]
    assert asked.returncode == 7, (asked.returncode, said)
    return said


def another_map(lab, fleet):
    """A configuration whose map is not that of the fleet."""
    path = lab.unique('another.conf')
    with open(fleet.members[0].gate.config, encoding='utf-8') as f, open(path, 'w', encoding='utf-8') as out:
        out.write(f.read().replace('[fleet]\n', '[fleet]\nversion = 9\n'))
    return path


def sell_out(buyers):
    """One unit at a time, at all of them, until each says that there is none."""
    for _ in range(2 * TOTAL):
        answers = [buyer.buy() for buyer in buyers]
        if set(answers) == {'SOLD_OUT'}:
            return
        assert set(answers) <= {'RESERVED', 'SOLD_OUT'}, answers
    raise AssertionError('there is no end of it')


def buy(fleet, count=3):
    """Each member has reserved some units, and sold one of them."""
    buyers = [Buyer(m) for m in fleet.members]
    for buyer, member in zip(buyers, fleet.members):
        for _ in range(count):
            assert buyer.buy() == 'RESERVED'
        user, order = buyer.orders[0]
        assert member.client('backend').confirm(user, order).status == 'SOLD'
    return buyers


@fgtest.timeout(120)
def test_retire(lab):
    """a member is powered off for good: what it did not sell is sold by the other one, and it never sells again"""
    fleet = Fleet(lab, total=TOTAL)
    first, lost = fleet.members
    buyers = buy(fleet)
    assert 'its daemon runs' in fgctl(fleet, 'retire', '1', '--log', lost.gate.log_dir, code=6)[1]
    lost.gate.kill()
    assert 'not confirmed' in fgctl(fleet, 'retire', '1', '--log', lost.gate.log_dir, code=2)[1]
    assert 'etcd knows member 0 by log' in fgctl(fleet, 'retire', '0', '--log', lost.gate.log_dir, code=1)[1]
    assert 'member 2: accepted are 0..1' in fgctl(fleet, 'retire', '2', '--write-off', code=1)[1]
    assert 'not the configured one' in fgctl(fleet, 'retire', '1', '--write-off', code=1, config=another_map(lab, fleet))[1]
    said = changed_meanwhile(fleet, 1, 'retire', '1', '--log', lost.gate.log_dir)
    assert 'a register or a pool was changed just now' in said and 'does not answer' not in said, said
    assert 'either --log' in fgctl(fleet, 'retire', '1', code=2)[1]
    out, err = fgctl(fleet, 'retire', '1', '--log', lost.gate.log_dir, '--confirm', 'member 1 is powered off', '--json')
    said = json.loads(out)
    assert said['reserved'] == 2 and said['freed'] >= 2 and said['lost'] == 0 and 'cannot be paid any more' in err, (out, err)
    fgtest.wait_until(lambda: first.view()['retired'] == [1], 10, 'member 0 knows that member 1 is retired')
    again = fgctl(fleet, 'retire', '1', '--log', lost.gate.log_dir)[0]
    assert 'was retired already; nothing was changed' in again and 'rebuild' in again, again
    assert 'rebuild' not in fgctl(fleet, 'retire', '1', '--write-off')[0]
    sell_out(buyers[:1])
    assert buyers[0].bought == TOTAL - 1, buyers[0].bought
    lost.gate.start(ready=False)
    assert lost.gate.process.wait(20) == ENDED and 'this member was retired' in lost.gate.output(), lost.gate.output()
    text = fleet.audit()
    assert 'member 1 was retired' in text, text


@fgtest.timeout(120)
def test_write_off(lab):
    """a member whose log is lost with it: what it held stays out of the sale, and no member waits for it"""
    fleet = Fleet(lab, total=TOTAL)
    first, lost = fleet.members
    buyers = buy(fleet)
    lost.gate.kill()
    fgtest.wait_until(lambda: fleet.pool()['members'][1]['held'] >= 3, 10, 'the pool has its lease')
    said = json.loads(fgctl(fleet, 'retire', '1', '--write-off', '--confirm', 'member 1 is powered off', '--json')[0])
    assert said['lost'] >= 3 and said['freed'] == 0, said
    fgtest.wait_until(lambda: first.view()['retired'] == [1], 10, 'member 0 knows that member 1 is retired')
    sell_out(buyers[:1])
    assert buyers[0].bought == TOTAL - said['lost'], (buyers[0].bought, said)
    text = fleet.audit()
    assert 'audit    PASS' in text, text


@fgtest.timeout(120)
def test_rebuild(lab):
    """etcd is lost: its pools are made anew from the logs of all members, and the sale ends exactly; another order of the
    logs, a member that runs, the same log twice: refused"""
    fleet = Fleet(lab, total=TOTAL)
    logs = [m.gate.log_dir for m in fleet.members]
    bought = [b.bought for b in buy(fleet)]
    assert 'fgctl fleet freeze' in fgctl(fleet, 'rebuild', *logs, code=1)[1]
    fleet.members[0].gate.stop()
    changed = fleet.members[1].gate.api('PATCH', f'/v1/items/{ITEM}', {'order_max': 7})
    if changed[0] == 503:
        raise fgtest.Timeout(f'etcd is slow: {changed}')
    assert changed[0] == 200 and changed[1]['behind'] == [0], changed
    etcd = fleet.etcd.members[0]
    etcd.kill()
    shutil.rmtree(etcd.folder)
    etcd.start()
    fgtest.wait_until(etcd.health, 30, 'an empty etcd runs')
    assert 'its daemon runs' in fgctl(fleet, 'rebuild', *logs, code=6)[1]
    fleet.members[1].gate.stop()
    assert 'the same log' in fgctl(fleet, 'rebuild', logs[0], logs[0], code=1)[1]
    assert 'is not the log of member 0' in fgctl(fleet, 'rebuild', *reversed(logs), code=1)[1]
    assert '1 logs were given' in fgctl(fleet, 'rebuild', logs[0], code=1)[1]
    assert "--retired '2': accepted are numbers 0..1" in fgctl(fleet, 'rebuild', *logs, '--retired', '2', code=1)[1]
    assert 'not confirmed' in fgctl(fleet, 'rebuild', *logs, code=2)[1]
    assert fgctl(fleet, 'dump')[0] == ''
    out, err = fgctl(fleet, 'rebuild', *logs, '--confirm', STOPPED, '--json')
    assert f'item {ITEM}: the logs have other settings; those of member 1 are taken' in err, err
    said = json.loads(out)
    assert (said['items'], said['members']) == (1, 2) and said['free'] > 0, said
    settings = fleet.etcd.ctl('get', '--print-value-only', f'floodgate/fleet/item/{ITEM}').strip()
    assert settings.startswith('floodgate-item 1 version 1 ') and ' order 7 ' in settings, settings
    fgctl(fleet, 'rebuild', *logs, '--confirm', STOPPED)  # a repeat, as after an interruption
    for m in fleet.members:
        m.gate.start(ready=False)
    fgctl(fleet, 'thaw')
    for m in fleet.members:
        fgtest.wait_until(m.gate.healthy, 20, f'member {m.number} sells')
        assert m.gate.get(f'/v1/items/{ITEM}')['order_max'] == 7, 'settings come before the first sale'
    buyers = [Buyer(m) for m in fleet.members]
    sell_out(buyers)
    assert sum(b.bought for b in buyers) + sum(bought) == TOTAL, ([b.bought for b in buyers], bought)
    fleet.settle(TOTAL, TOTAL)
    fleet.audit()


if __name__ == '__main__':
    fgtest.main()
