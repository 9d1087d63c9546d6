# SPDX-License-Identifier: BSD-3-Clause
"""Harness: logs that say exactly what a test wants, for the tests of the auditor. The lines are
those of log_maker.c."""

import os

import fgtest


def oid(n):
    return f'{n:032x}'


def order(state, n, item=1, user=None, quantity=1, time=2000, deadline=0):
    return f'{state} {item} {100 + n if user is None else user} {oid(n)} {quantity} {time} {deadline}'


def reserved(n, **fields):
    return order('reserved', n, **{'deadline': 9000, **fields})


def waiting(n, ticket, **fields):
    return order('waiting', n, deadline=ticket, **fields)


def offered(n, **fields):
    return order('offered', n, **{'deadline': 9000, **fields})


def left(n, why=1, **fields):
    """why: 1 cancelled, 2 absent, 3 denied, 4 limit, 5 closed"""
    return order('left', n, deadline=why, **fields)


# Item 1: 10 units, two a user, at most 3 an order; order 1 sold, 2 cancelled, 3 expired, 4
# reserved.
START = ['item 1 2 3 1000', 'stock 1 10', 'commit']
STORY = START + [reserved(n) for n in (1, 2, 3, 4)] + [
    'commit', order('sold', 1), order('cancelled', 2), order('expired', 3, time=9000), 'commit']


# All 10 units are held by order 1, and orders 2 to 5 wait; after a while its units come back.
LINE = ['item 1 0 10 1000', 'line 1 100 5000 30000 0', 'stock 1 10', 'commit', reserved(1, quantity=10), 'commit',
        *(waiting(n, n - 1) for n in (2, 3, 4, 5)), 'commit', order('cancelled', 1, quantity=10, time=3000), 'commit']


def make_log(lab, lines, segment_bytes=64 << 10):
    path = os.path.join(fgtest.BUILD, 'tests', 'fault', 'log_maker')
    if not os.access(path, os.X_OK):
        raise fgtest.Skip('tests/fault/log_maker is not built')
    folder = lab.unique('log')
    fgtest.command(path, folder, segment_bytes, stdin=''.join(line + '\n' for line in lines))
    return folder
