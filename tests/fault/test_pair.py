#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A pair in mid-sale: the leader dies or stalls, the standby dies, the arbiter is away, one hands over to the other. No
acknowledged order is lost, none is oversold, and the sale continues. Shoppers know both boxes; the audit compares both
logs, the servers, and what each shopper was told."""

import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgpair import PairSale  # noqa: E402

TAKE_OVER = 10  # s; usually half of one


def outage(sale, old, end):
    """end() ends the leadership of `old`; then the other box leads, and sells. It."""
    began = time.monotonic()
    end()
    new = sale.pair.other(old)
    fgtest.wait_until(new.leads, TAKE_OVER, 'the standby leads', 0.005)
    led, sale.pair.led = time.monotonic() - began, new
    fgtest.wait_until(lambda: sale.answered() > 50, TAKE_OVER, 'it answers', 0.01)
    print(f'# box {new.node} leads after {led:.2f} s, and has answered 50 orders after {time.monotonic() - began:.2f} s')
    return new


@fgtest.timeout(180)
def test_leader_killed(lab):
    """kill -9 of the leader in mid-sale: the standby sells on, the dead one comes back as its standby"""
    redis = lab.redis(persist=True)
    sale = PairSale(lab, redis=redis)
    sale.shop(seconds=8)
    sale.sells(1000)
    old = sale.pair.leader()
    outage(sale, old, old.gate.kill)
    sale.sells()
    sale.pair.join(old)
    sale.sells()
    sale.finish()
    assert sale.counts['orders_reserved'] > 500


@fgtest.timeout(180)
def test_standby_dies(lab):
    """the standby dies: the leader sells alone within a second, and takes it on again"""
    sale = PairSale(lab)
    sale.shop(seconds=8)
    sale.sells(500)
    leader = sale.pair.leader()
    standby = sale.pair.other(leader)
    began = time.monotonic()
    standby.gate.kill()
    leader.wait('solo')
    print(f'# alone after {time.monotonic() - began:.2f} s')
    sale.sells()
    sale.pair.join(standby)
    assert sale.pair.leader() is leader
    sale.sells()
    sale.finish()


if __name__ == '__main__':
    fgtest.main()
