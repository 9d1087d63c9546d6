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


# Item 1: 10 units, two a user, at most 3 an order; order 1 sold, 2 cancelled, 3 expired, 4
# reserved.
START = ['item 1 2 3 1000', 'stock 1 10', 'commit']
STORY = START + [reserved(n) for n in (1, 2, 3, 4)] + [
    'commit', order('sold', 1), order('cancelled', 2), order('expired', 3, time=9000), 'commit']


def make_log(lab, lines, segment_bytes=64 << 10):
    path = os.path.join(fgtest.BUILD, 'tests', 'fault', 'log_maker')
    if not os.access(path, os.X_OK):
        raise fgtest.Skip('tests/fault/log_maker is not built')
    folder = lab.unique('log')
    fgtest.command(path, folder, segment_bytes, stdin=''.join(line + '\n' for line in lines))
    return folder
