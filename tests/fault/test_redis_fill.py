#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""Redis is filled from a snapshot because the log does not go back to its cursor, while others read
it."""

import random
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgsinkcases  # noqa: E402
import fgtest  # noqa: E402
from fgsale import Sale  # noqa: E402
from fgsink import Log, Proxy  # noqa: E402
from fgsinkcases import end  # noqa: E402
from fgsinkredis import Redis  # noqa: E402
from fgtest import wait_until  # noqa: E402

fgsinkcases.use(globals(), Redis, 'fill_empty', 'fill_over_an_older_state', 'killed_while_filling')


@fgtest.timeout(150)
def test_interrupted(lab):
    """connections cut and sinks stopped in the midst of filling: begun again, never taken for a stranger's keys"""
    server, log = Redis(lab), Log(lab)
    log.retire(server.FILL_RECORDS)
    proxy = Proxy(lab, server.redis.socket)
    chance, begun = random.Random(log.seed), 0
    for _ in range(10):
        proxy.cut_after = lambda: chance.randrange(100, 60000)
        server.follow(log, address=f'unix:{proxy.path}', retry=5)
        fgtest.pause(chance.uniform(0.9, 1.4), 'a sink lets alone for a second what another left')
        log.stop(drain=0)
        begun += server.redis.command('EXISTS', '{t}:fill')
    assert begun > 3, begun
    proxy.cut_after = None
    server.follow(log, address=f'unix:{proxy.path}')
    end(server, log, filled=True)
    print(f'# {proxy.cuts} connections cut, {begun} fills left behind')


@fgtest.timeout(120)
def test_two_writers(lab):
    """two sinks that fill the same keys at once: one of them does, the other follows"""
    server, log = Redis(lab), Log(lab)
    log.retire(server.FILL_RECORDS)
    server.follow(log, slot=0)
    server.follow(log, slot=1)
    for _ in range(10):
        log.load(5)
    end(server, log, (0, 1), seconds=40, filled=True)


@fgtest.timeout(120)
def test_keys_in_the_way(lab):
    """the mark of another appliance, a key of a wrong type: refused with words; removed: filled"""
    server, log = Redis(lab), Log(lab)
    server.follow(log)
    log.load()
    log.caught_up()
    log.stop()
    log.retire(server.FILL_RECORDS)
    order = log.ledger()['orders'][-1]
    key = f'{{t}}:order:{order["user"]}:{order["order"]}'
    server.redis.command('SET', key, 'not a hash')
    server.follow(log)
    log.in_state('refused', text='of another type')
    server.redis.command('DEL', key)
    end(server, log, filled=True)
    server.redis.command('FLUSHALL')
    server.redis.command('HSET', '{t}:fill', 'id', 'x', 'appliance', '00000000000000ff')
    server.follow(log)
    log.in_state('refused', text='there is no cursor, but there is {t}:fill')
    server.redis.command('DEL', '{t}:fill')
    end(server, log, filled=True)


@fgtest.timeout(120)
def test_in_a_sale(lab):
    """FLUSHALL, then kill -9 of a Redis that keeps nothing, in the flood, when old segments have gone: filled"""
    sale = Sale(lab, total=3000, lesser=4, redis=lab.redis(), settings={
        'log.snapshot_records': 500, 'log.segment_bytes': '64k', 'log.keep_bytes': 0})
    sale.shop(seconds=10)

    def follows():
        sink = sale.gate.sink('redis')
        return sink['state'] == 'live' and sink['lag'] < 2000

    def filled():
        return int(sale.redis.hash('{floodgate}:cursor').get('filled', 0)) > 0 and follows()

    wait_until(lambda: sale.gate.get('/v1/status')['log']['first_seq'] > 1, 60, 'old segments are removed')
    sale.redis.command('FLUSHALL')
    wait_until(filled, 30, 'Redis is filled')
    first = int(sale.redis.hash('{floodgate}:cursor')['filled'])
    sale.redis.kill()
    sale.keep_shopping(3, seconds=6)
    sale.redis.start()
    wait_until(filled, 30, 'Redis is filled again')
    print(f'# filled from records {first} and {sale.redis.hash("{floodgate}:cursor")["filled"]}, sold on meanwhile: '
          f'{sale.gate.get("/v1/stats")["stock"]["reserved"]} reserved')
    sale.enough()
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
