#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""Which log is this? A volume that is not mounted, an older copy in place, a volume that goes away, the next sale.

The program lives in a mount namespace of its own, so that whatever it mounts ends with it.
"""

import os
import shutil
import subprocess
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgdisk import unshare_mounts  # noqa: E402
from fgshop import ITEM, Shop, alarms  # noqa: E402
from fgtest import command, wait_until  # noqa: E402

REDIS = {'redis.retry_ms_max': '200ms', 'redis.timeout_ms': '1s'}


def buy(shop, users):
    """How many units are sold to these users, one each, by the appliance's own word."""
    sold = 0
    for user in users:
        order = os.urandom(16)
        if shop.shop.once('RESERVE', order, user=user, item=ITEM, quantity=1)[0] == 'RESERVED':
            sold += shop.backend.once('CONFIRM', order, user=user)[0] == 'SOLD'
    return sold


def answer(shop, user):
    return shop.shop.once('RESERVE', os.urandom(16), user=user, item=ITEM, quantity=1)[0]


def refused(gate, *words, **options):
    gate.start(ready=False, **options)
    assert gate.process.wait(30) == 1, gate.output()
    line = [text for text in gate.output().splitlines() if 'error' in text]
    assert len(line) == 1 and all(word in line[0] for word in words), gate.output()


def replicated(shop, sink='redis'):
    def done():
        s = shop.gate.sink(sink)
        return s['state'] == 'live' and s['lag'] == 0
    wait_until(done, 20, f'{sink} has all')


def shop_on_a_volume(lab, total):
    """A shop whose log is on a volume of its own, which is mounted at the second of the two folders."""
    real, point = lab.unique('real'), lab.unique('point')
    os.mkdir(real)
    os.mkdir(point)
    command('mount', '--bind', real, point)
    return Shop(lab, {'total': total}, **{'log.dir': f'{point}/log'}), real, point


@fgtest.timeout(120)
def test_the_volume_is_not_mounted(lab):
    """a start without its log is refused in one line, and leaves nothing in the mount point; --check says the same"""
    shop, real, point = shop_on_a_volume(lab, 10)
    assert buy(shop, range(1, 11)) == 10
    shop.gate.stop()
    command('umount', point)
    refused(shop.gate, f'{point}/log', 'volume mounted', 'floodgate --new-log', 'fgctl log init')
    code, text = shop.gate.check()
    assert code == 1 and 'volume mounted' in text, text
    assert not os.listdir(point)
    command('mount', '--bind', real, point)
    refused(shop.gate, 'there is a log already', new_log=True)
    shop.gate.start()
    assert shop.totals() == (10, 0, 0, 10) and answer(shop, 99) == 'SOLD_OUT'


def older_copy(lab, sink, **how):
    """5 of 10 are sold, the log is copied, 5 more are sold, and the copy takes the log's place."""
    shop = Shop(lab, {'total': 10}, **how)
    assert buy(shop, range(1, 6)) == 5
    replicated(shop, sink)
    shop.gate.stop()
    shutil.copytree(shop.gate.log_dir, f'{lab.dir}/copy')
    shop.gate.start()
    assert buy(shop, range(6, 11)) == 5
    replicated(shop, sink)
    shop.gate.stop()
    os.rename(shop.gate.log_dir, f'{lab.dir}/right')
    os.rename(f'{lab.dir}/copy', shop.gate.log_dir)
    return shop


def nothing_is_sold(shop, sink):
    shop.gate.start(ready=False)
    wait_until(lambda: 'ready' in shop.gate.output(), 30, 'it runs')
    assert buy(shop, range(20, 30)) == 0, 'these units were sold already'
    assert answer(shop, 30) == 'UNAVAILABLE'
    assert shop.gate.sink(sink)['state'] == 'refused', shop.gate.sink(sink)
    shop.gate.alarm_fires('behind', 'alarm')
    assert not shop.gate.healthy() and shop.gate.get('/v1/status')['state'] == 'unhealthy'


@fgtest.timeout(180)
def test_an_older_copy_sells_nothing(lab):
    """an older copy of the log: Redis tells, and nothing is sold; accepted and grown past the cursor it stays refused; adopted"""
    redis = lab.redis()
    shop = older_copy(lab, 'redis', redis=redis, **REDIS)
    nothing_is_sold(shop, 'redis')
    assert shop.gate.fgctl('log', 'accept') == {'accepted': True}
    wait_until(lambda: shop.gate.healthy(), 10, 'it sells, as the operator decided')
    shop.gate.alarm_clears('behind')
    assert buy(shop, range(20, 30)) == 5, 'what this log has left'
    wait_until(lambda: 'is not the one that was applied' in shop.gate.sink('redis')['error'], 10, 'it stays refused')
    shop.gate.stop()
    nothing_is_sold(shop, 'redis')  # a restart asks again
    shop.gate.fgctl('log', 'accept')
    shop.gate.fgctl('sink', 'adopt', 'redis')
    replicated(shop)
    assert redis.hash(f'{{floodgate}}:item:{ITEM}')['sold'] == '10'
    code, text = lab.audit(log=shop.gate.log_dir, redis=redis.address)
    assert code == 0, text


@fgtest.timeout(180)
def test_the_right_log_is_put_back(lab):
    """the same with PostgreSQL: nothing is sold, the right log is put back, and all is as before"""
    postgres = lab.postgres()
    command(fgtest.program('fgctl'), 'backend', 'init', '--conninfo', postgres.conninfo)
    shop = older_copy(lab, 'postgres', **{'postgres.conninfo': postgres.conninfo})
    nothing_is_sold(shop, 'postgres')
    shop.gate.stop()
    shutil.rmtree(shop.gate.log_dir)
    os.rename(f'{lab.dir}/right', shop.gate.log_dir)
    shop.gate.start()
    replicated(shop, 'postgres')
    assert shop.totals() == (10, 0, 0, 10) and answer(shop, 99) == 'SOLD_OUT'
    code, text = lab.audit(log=shop.gate.log_dir, postgres=postgres.conninfo)
    assert code == 0, text


@fgtest.timeout(120)
def test_the_volume_goes_away(lab):
    """the volume goes away below the daemon: nothing is accepted; it comes back, and all that was accepted is there"""
    shop, real, point = shop_on_a_volume(lab, 100)
    accepted = buy(shop, range(1, 11))
    command('umount', '--lazy', point)
    accepted += buy(shop, range(11, 31))
    assert accepted == 10, 'no order is accepted that a restart would not find'
    wait_until(lambda: alarms(shop.gate).get('log') == 'alarm' and not shop.gate.healthy(), 10, 'the alarm')
    assert answer(shop, 40) == 'UNAVAILABLE'
    shop.gate.kill()
    refused(shop.gate, 'volume mounted')
    command('mount', '--bind', real, point)
    shop.gate.start()
    assert shop.totals()[3] == 10
    command('umount', '--lazy', point)
    wait_until(lambda: answer(shop, 50) == 'UNAVAILABLE', 10, 'it is noticed')
    command('mount', '--bind', real, point)
    wait_until(shop.gate.healthy, 20, 'it continues by itself')
    assert buy(shop, range(60, 65)) == 5
    shop.gate.stop()
    code, text = lab.audit(log=f'{point}/log')
    assert code == 0, text


@fgtest.timeout(180)
def test_the_next_sale(lab):
    """the procedure of docs/operation.md: the old log is kept, a new one begins, each sink refuses until it is adopted"""
    redis, postgres = lab.redis(), lab.postgres()
    command(fgtest.program('fgctl'), 'backend', 'init', '--conninfo', postgres.conninfo)
    shop = Shop(lab, {'total': 10}, redis=redis, **REDIS, **{'postgres.conninfo': postgres.conninfo})
    gate = shop.gate
    assert buy(shop, range(1, 11)) == 10
    replicated(shop)
    replicated(shop, 'postgres')
    gate.stop()
    os.rename(gate.log_dir, f'{gate.log_dir}-before')
    refused(gate, 'no log here')
    done = subprocess.run([fgtest.program('fgctl'), 'log', 'init', '--config', gate.config], capture_output=True,
                          text=True, timeout=30)
    assert done.returncode == 0 and 'a new log' in done.stdout, done
    gate.start()
    for sink in ('redis', 'postgres'):
        wait_until(lambda name=sink: gate.sink(name)['state'] == 'refused', 10, f'{sink} refuses')
        assert 'the cursor is of log' in gate.sink(sink)['error'], gate.sink(sink)
    wait_until(lambda: alarms(gate).get('sink') == 'alarm', 10, 'the alarm')
    assert gate.get('/v1/status')['state'] == 'degraded' and 'behind' not in alarms(gate)
    assert gate.fgctl('sink', 'adopt', 'kafka', check=False)[0] == 1
    for sink in ('redis', 'postgres'):
        gate.fgctl('sink', 'adopt', sink)
        replicated(shop, sink)
        assert gate.fgctl('sink', 'adopt', sink, check=False)[0] == 1, 'it does not refuse any more'
    shop.create(ITEM, total=5, hold_ms=60000)
    assert buy(shop, range(1, 11)) == 5
    replicated(shop)
    replicated(shop, 'postgres')
    wait_until(lambda: gate.get('/v1/status')['state'] == 'running', 20, 'all is well')
    assert redis.hash(f'{{floodgate}}:item:{ITEM}')['sold'] == '5'
    gate.stop()
    for log in (gate.log_dir, f'{gate.log_dir}-before'):
        assert lab.audit(log=log)[0] == 0
    code, text = lab.audit(log=gate.log_dir, redis=redis.address, postgres=postgres.conninfo)
    assert code == 0, text


if __name__ == '__main__':
    if os.geteuid() == 0:
        unshare_mounts()
    fgtest.main()
