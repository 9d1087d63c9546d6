#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
# light: runs beside other light ones
"""The audit of a fleet: true stories of two members and their pool pass, and each way in which logs, pool and users can
contradict each other is found and named."""

import json
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgfleet import owner  # noqa: E402
from fgstory import make_log, oid, order  # noqa: E402

USERS = [next(u for u in range(1000) if owner(u, 2) == m) for m in (0, 1)]  # one of each member
OTHERS = [next(u for u in range(1000, 2000) if owner(u, 2) == m) for m in (0, 1)]
ITEM = 'item 1 2 9 1000'


def bought(n, member, user=None, quantity=2):
    who = USERS[member] if user is None else user
    return [order('reserved', n, user=who, quantity=quantity, deadline=9000), 'commit', order('sold', n, user=who, quantity=quantity),
            'commit']


# Member 0 adds 10 units, sells 2, returns 7; member 1 leases 4, sells 2, returns 2: 5 are in the pool, one is at member 0.
FIRST = [ITEM, 'stock 1 10', 'commit', *bought(1, 0), 'return 1 7 1 7', 'commit']
SECOND = [ITEM, 'lease 1 4 1 4', 'commit', *bought(2, 1), 'return 1 2 1 2', 'commit']


def row(stock=0, leased=0, leases=0, returned=0, returns=0, seq=1):
    return f'stock {stock} leased {leased} in {leases} returned {returned} in {returns} seq {seq} empty 0 waits 0 for 0'


ROWS = [row(10, returned=7, returns=1), row(leased=4, leases=1, returned=2, returns=1)]


def pools(lab, rows=None, free=5, logs=(), retired='-', text=None, pool=True):
    """A file as `fgctl fleet dump` prints it."""
    rows = rows or ROWS
    owners = ''.join(str(i % len(rows)) for i in range(256))
    lines = ['floodgate/fleet/map', f'floodgate-fleet 1 version 1 frozen members {len(rows)} retired {retired} shards 256 {owners}']
    for m, log in enumerate(logs):
        lines += [f'floodgate/fleet/member/{m}', f'floodgate-member 1 member {m} log {log} process {"0" * 32}']
    if pool:
        text = text or f'floodgate-pool 1 free {free} next 1 open members {len(rows)}' + ''.join(
            f' / {m} {r}' for m, r in enumerate(rows))
        lines += ['floodgate/fleet/pool/1', text]
    path = lab.unique('pools')
    with open(path, 'w', encoding='utf-8') as f:
        f.write('\n'.join(lines) + '\n')
    return path


def audit(lab, *stories, **options):
    """(exit code, result, error text); a story is lines of a log, or the folder of one"""
    path = lab.unique('audit.json')
    folders = [s if isinstance(s, str) else make_log(lab, s) for s in stories]
    code, text = fgtest.audit(lab, '--fleet', *folders, json=path, **options)
    if code == 2:
        return code, None, text
    with open(path, encoding='utf-8') as f:
        result = json.load(f)
    assert (code == 0) == (result['audit'] == 'pass') == (not result['problem_counts']), (code, result)
    return code, result, text


def passes(lab, *stories, **options):
    code, result, text = audit(lab, *stories, **options)
    assert code == 0, text
    return result, text


def fails(lab, stories, problems, *words, **options):
    """Exactly these problems, by kind; each of the words is in the text of one."""
    code, result, text = audit(lab, *stories, **options)
    assert code == 1 and result['problem_counts'] == problems, (code, result and result['problem_counts'], text)
    for word in words:
        assert any(word in p['text'] for p in result['problems']), (word, result['problems'])
    return result


def test_true_story(lab):
    """logs alone, and with the pools: each unit is somewhere, once"""
    result, text = passes(lab, FIRST, SECOND)
    assert 'only the logs were compared' in text and result['fleet']['pools'] is False, text
    result, text = passes(lab, FIRST, SECOND, pools=pools(lab))
    item = result['items'][0]
    assert item['pool'] == 5 and [m['sold'] for m in item['members']] == [2, 2], item
    assert sum(m['available'] for m in item['members']) + item['pool'] + 4 == sum(m['added'] for m in item['members']) == 10, item
    assert result['fleet'] == {'members': 2, 'shards': 256, 'version': 1, 'frozen': True, 'pools': True, 'retired': []}, result
    logs = [log['appliance'] for log in result['logs']]
    folders = [log['dir'] for log in result['logs']]
    passes(lab, *folders, pools=pools(lab, logs=logs))


def test_under_way(lab):
    """a lease whose record is missing, and a return whose swap is missing, are told and are no faults"""
    first = [*FIRST, 'return 1 1 2 8', 'commit', 'stock 1 3', 'commit']
    result, text = passes(lab, first, SECOND, pools=pools(lab, [ROWS[0], row(leased=7, leases=2, returned=2, returns=1)], free=2))
    members = result['items'][0]['members']
    assert (members[0]['returning'], members[1]['leasing']) == (1, 3), members
    assert 'member 0 returned 1 units that the pool has not yet' in text and 'member 1 leased 3 units, LEASE is not' in text, text


def test_pool_contradicts_a_log(lab):
    """more than one lease or one return apart, other numbers, a stock that never was, no pool at all"""
    for rows, free, what in (
            ([ROWS[0], row(leased=6, leases=3, returned=2, returns=1)], 3, 'member 1 lacks more than one lease'),
            ([ROWS[0], row(returned=0)], 7, 'member 1 has a lease that the pool lacks'),
            ([ROWS[0], row(leased=3, leases=1, returned=2, returns=1)], 6, 'member 1 leased other units'),
            ([row(10, returned=6, returns=1), ROWS[1]], 4, 'member 0 returned other units'),
            ([row(10, returned=8, returns=2), ROWS[1]], 6, 'member 0 lacks a return'),
            ([row(11, returned=7, returns=1), ROWS[1]], 5, 'member 0 never had the stock')):
        fails(lab, (FIRST, SECOND), {'fleet-pool': 1}, f'item 1: the log of {what}', pools=pools(lab, rows, free=free))
    fails(lab, ([*FIRST, 'return 1 1 2 8', 'commit'], [ITEM]), {'fleet-pool': 1}, 'member 0 has more than one return',
          pools=pools(lab, [row(10), row()], free=0))
    fails(lab, (FIRST, SECOND), {'fleet-pool': 1}, 'etcd has no pool', pools=pools(lab, pool=False))


def test_log_without_its_beginning(lab):
    """the older records were retired: the pool may still have the stock of the snapshot, and no other one"""
    first = [ITEM, 'stock 1 100', *[ITEM] * 1100, 'snapshot', *[ITEM] * 50, 'stock 1 5', 'commit']
    result, _ = passes(lab, first, pools=pools(lab, [row(100, seq=1150)], free=0))
    assert result['logs'][0]['records'] < 200 < result['logs'][0]['last_seq'], result['logs']
    fails(lab, (first,), {'fleet-pool': 1}, 'member 0 never had the stock', pools=pools(lab, [row(101, seq=1150)], free=0))


def test_keys_that_are_none(lab):
    """what another program wrote beside the pools is no second pool of the item"""
    path = pools(lab)
    with open(path, 'a', encoding='utf-8') as f:
        f.writelines(f'floodgate/fleet/pool/{item}\nfloodgate-pool 1 free 0\n' for item in ('01', '+1', '1x', '18446744073709551617'))
    passes(lab, FIRST, SECOND, pools=path)


def test_pool_does_not_add_up(lab):
    """a damaged value, and numbers that contradict each other"""
    fails(lab, (FIRST, SECOND), {'fleet-pool': 1}, 'free is not what was returned', pools=pools(lab, free=6))
    fails(lab, (FIRST, SECOND), {'fleet-pool': 1}, 'returned more than it had',
          pools=pools(lab, [ROWS[0], row(leased=4, leases=1, returned=5, returns=1)], free=8))
    fails(lab, (FIRST, SECOND), {'fleet-pool': 1}, 'it cannot be understood', pools=pools(lab, text='floodgate-pool 1 free x'))


def test_units_from_nowhere(lab):
    """a member that leased what none returned: by its log it sells rightly, and the fleet sold too much"""
    second = [ITEM, 'item 1 0 9 1000', 'lease 1 9 1 9', 'commit', *bought(2, 1, quantity=9)]
    result = fails(lab, (FIRST, second), {'fleet-units': 2}, 'leased 2 units more than were ever returned', '11 units reserved and sold')
    assert result['oversold'] == 1, result


def test_log_of_another_member(lab):
    """logs in the wrong order, and one that is a copy from before"""
    folders = [make_log(lab, FIRST), make_log(lab, SECOND)]
    result, _ = passes(lab, *folders, pools=pools(lab))
    logs = [log['appliance'] for log in result['logs']]
    code, result, text = audit(lab, *reversed(folders), pools=pools(lab, logs=logs))
    assert code == 1 and result['problem_counts']['fleet-log'] == 2 and f'member 0: etcd knows it by log {logs[0]}' in text, text
    fails(lab, folders, {'fleet-log': 1}, 'knows record 99',
          pools=pools(lab, [ROWS[0], row(leased=4, leases=1, returned=2, returns=1, seq=99)], logs=logs))


def test_users_of_others(lab):
    """an order at two members, at the wrong one, and a limit that holds at each of them and not at both"""
    wrong = [ITEM, 'lease 1 4 1 4', 'commit', *bought(2, 1), *bought(3, 0, user=OTHERS[0], quantity=1)]
    fails(lab, (FIRST, wrong), {'fleet-owner': 1}, f'member 1: order {oid(3)} of user {OTHERS[0]}', 'belongs to member 0')
    twice = [ITEM, 'lease 1 4 1 4', 'commit', *bought(1, 0)]
    result = fails(lab, (FIRST, twice), {'fleet-owner': 1, 'fleet-order': 1, 'fleet-limit': 1},
                   f'order {oid(1)} of user {USERS[0]}, item 1: at member 1 and member 0', 'has 4 units over all members, the limit is 2')
    assert result['oversold'] == 0
    other = [ITEM, 'lease 1 4 1 4', 'commit', *bought(9, 0, quantity=1)]
    fails(lab, (FIRST, other), {'fleet-owner': 1, 'fleet-limit': 1}, 'has 3 units over all members')
    fails(lab, (FIRST, SECOND), {'fleet-owner': 1}, 'belongs to member 0', shards=1)


def test_own_audit_of_each(lab):
    """what is wrong in one log is told with its member"""
    fails(lab, (FIRST, [*SECOND, order('sold', 2, user=USERS[1], quantity=2)]), {'step': 1}, 'member 1: record')


def test_retired(lab):
    """a retired member: what its log did not sell is free again; a lost log counts as sold"""
    rows = [row(10, returned=8, returns=2), ROWS[1]]
    result, text = passes(lab, FIRST, SECOND, pools=pools(lab, rows, free=6, retired='0'))
    assert result['items'][0]['members'][0]['settled'] == 1 and 'member 0 was retired: 1 of its units are free again' in text, text
    fails(lab, (FIRST, SECOND), {'fleet-pool': 1}, 'member 0 sold units that were given to others',
          pools=pools(lab, [row(10, returned=9, returns=2), ROWS[1]], free=7, retired='0'))
    passes(lab, FIRST, [*SECOND[:-2], 'return 1 1 1 1', 'return 1 1 2 2', 'commit'],  # written off: its last return is lost
           pools=pools(lab, [ROWS[0], row(leased=4, leases=1, returned=1, returns=1)], free=4, retired='1'))
    result, text = passes(lab, FIRST, '-', pools=pools(lab, retired='1'))
    assert result['items'][0]['members'][1]['sold'] == 2 and 'member   1: its log is lost' in text, text


def test_options(lab):
    """what cannot be audited: exit 2, and why"""
    for words, expected in (([], 'accepted: 1..16'), (['-', '-'], 'needs --pools'), ([lab.unique('nothing')], 'nothing'),
                            (['--shards', '0', 'x'], "--shards '0': accepted is 1..1024"),
                            ([make_log(lab, FIRST), '--pools', pools(lab)], 'the map has 2 members, 1 logs were given'),
                            ([make_log(lab, FIRST), '--pools', make_log(lab, FIRST) + '/x'], 'No such file'),
                            ([make_log(lab, FIRST), '--log', 'x'], 'audit each member with --log')):
        code, text = fgtest.audit(lab, '--fleet', *words)
        assert code == 2 and expected in text, (words, text)
    code, text = fgtest.audit(lab, '--pools', 'x', log=make_log(lab, FIRST))
    assert code == 2 and 'go with --fleet' in text, text
    assert 'fgaudit --fleet' in fgtest.audit(lab, '--help')[1]


if __name__ == '__main__':
    fgtest.main()
