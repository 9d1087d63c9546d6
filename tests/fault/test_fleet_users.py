#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Users of a fleet: each belongs to one member, which alone decides; clients and the gateway find it, also by an old map."""

import secrets
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgclient  # noqa: E402
import fgtest  # noqa: E402
from fgfleet import ITEM, SHARDS, Fleet  # noqa: E402
from fggateway import Gateway, Relay  # noqa: E402

USERS, TOTAL = range(1, 25), 2000


def open_fleet(lab):
    """Two members with the same keys."""
    fleet = Fleet(lab, start=False)
    first, last = fleet.members
    last.gate.keys = first.gate.keys
    last.gate.settings['orders.keys'] = first.gate.keys.path
    last.gate.write_config()
    fleet.init()
    for member in fleet.members:
        member.start()
        member.item(total=0 if member.number else TOTAL)
    return fleet


def wrong_shard(reply, member):
    assert (reply.status, reply.quantity, reply.left, reply.shard_map) == ('WRONG_SHARD', member, SHARDS, 1), reply


@fgtest.timeout(120)
def test_one_order_at_both(lab):
    """the same order is sent to both members and decided by one; an old map is corrected by the answers; the gateway"""
    fleet = open_fleet(lab)
    shops, backends = ([m.client(role) for m in fleet.members] for role in ('shop', 'backend'))
    for user in USERS:
        order, own = secrets.token_bytes(16), fgclient.shard(user, SHARDS) % 2
        wrong_shard(shops[1 - own].reserve(user, ITEM, 1, order), own)
        got = shops[own].reserve(user, ITEM, 1, order)
        assert (got.status, got.shard_map) == ('RESERVED', 1), got
        for ask in (backends[1 - own].confirm, shops[1 - own].cancel, shops[1 - own].query):
            wrong_shard(ask(user, order), own)
        assert backends[own].confirm(user, order).status == 'SOLD'
    by_api(fleet, user, order)
    shards = {fgclient.shard(user, SHARDS) for user in USERS}
    old = fgclient.Fleet(shops)
    old.owner = [1 - member for member in old.owner]
    for wanted in (len(shards), len(shards)):  # the second time it knows the map
        for user in USERS:
            assert old.ask('ORDERS', user=user).status == 'SOLD', user
        assert old.moved == wanted, old.moved
    by_gateway(lab, *fleet.members)
    fleet.settle(TOTAL, 2 * len(USERS))
    fleet.audit()


def by_api(fleet, user, order):
    """The operator refunds and denies at the user's member; the other one says which that is, and changes nothing."""
    own = fgclient.shard(user, SHARDS) % 2
    refund, denied = f'/v1/orders/{user}/{order.hex()}/refund', '/v1/users/denied'
    for path, body in ((refund, {'restock': True}), (denied, {'user': user})):
        status, answer = fleet.members[1 - own].gate.api('POST', path, body)
        assert status == 409, answer
        assert f'user {user} belongs to member {own} of the fleet' in answer['error']['message'], answer
    assert fleet.members[1 - own].gate.get(denied)['count'] == 0
    for method in ('POST', 'DELETE'):
        status, answer = fleet.members[own].gate.api(method, denied, {'user': user})
        assert status == 200, answer


def by_gateway(lab, first, last):
    """A second order of each user, by a gateway beside the first member; a relay leads from there to the last one."""
    with Relay(first.link.b, last.link.a_ip, 0, port=4701) as relay:
        relay.ns = last.link.b
        web = Gateway(lab, first.link.b, '', first.gate.keys, members=[first.link.a_ip, '127.0.0.1:4701']).start()
        for user in USERS:
            answer = web.reserve(user)
            assert answer.status == 200, answer
            answer = web.get('/v1/orders', X_User=user)
            assert sorted(o['state'] for o in answer.json['orders']) == ['RESERVED', 'SOLD'], answer
        assert web.metric('moved_total') == 0
        web.close()


if __name__ == '__main__':
    fgtest.main()
