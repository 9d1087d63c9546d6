#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""A pair as its operator has it: the address moves with the leadership, the standby takes no changes, and what fgctl,
health and metrics say of both."""

import json
import os
import shutil
import signal
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgpair import Pair, decided  # noqa: E402
from fgprometheus import Prometheus  # noqa: E402
from fgshop import ITEM, NsClient, add_item  # noqa: E402
from fgtls import Authority  # noqa: E402

ADDRESS, ADDRESS6 = '198.18.0.100', '2001:db8::100'
FLOATING = f'{ADDRESS}/24 at fga0, {ADDRESS6}/64 at fga0'
LISTEN = '127.0.0.1:9460'


def has(box):
    return f'inet {ADDRESS}/24' in box.ns.ip('addr', 'show', 'dev', 'fga0')


def waits_for(box, there, what):
    fgtest.wait_until(lambda: has(box) == there, 10, what)


def answers(pair, box):
    """By the address, which the shop does not ask for: it heard where it is."""
    shop = NsClient(pair.shop, ADDRESS, box.gate.keys, 'shop')
    assert decided(lambda: shop.stock(ITEM)).status == 'ON_SALE'
    words = pair.shop.ip('neigh', 'show', ADDRESS).split()
    assert words[words.index('lladdr') + 1] == box.mac, words


def alarms(box):
    return {a['name'] for a in box.gate.get('/v1/status')['alarms']}


@fgtest.timeout(120)
def test_address_moves(lab):
    """the leader has the address, from the first order on; killed or stopped, it loses it to the other one for good"""
    pair = Pair(lab, settings={'pair.address': FLOATING})
    pair.start()
    first = pair.leader()
    second = pair.other(first)
    waits_for(first, True, 'the leader has the address')
    assert not has(second)
    add_item(first.gate, 10)
    answers(pair, first)
    fgtest.wait_until(lambda: 'address' not in alarms(first), 10, 'no alarm of the address')
    first.gate.process.signal(signal.SIGSTOP)
    fgtest.wait_until(second.leads, 15, 'the standby leads')
    waits_for(second, True, 'the address is at the new leader')
    waits_for(first, False, 'a hung leader loses the address')
    answers(pair, second)
    first.gate.process.signal(signal.SIGCONT)
    assert first.gate.process.wait(15) == 75, first.gate.output()[-2000:]
    assert not has(first)
    answers(pair, second)
    pair.join(first)
    answers(pair, second)  # a standby that starts announces nothing
    second.gate.kill()
    waits_for(second, False, 'a dead leader loses the address')
    waits_for(first, True, 'the address is back')
    answers(pair, first)
    first.gate.stop()
    waits_for(first, False, 'a leader that ends takes the address off')


@fgtest.timeout(120)
def test_port_without_kernel(lab):
    """a port without a kernel answers for the address while its appliance leads, and the standby does not"""
    pair = Pair(lab, settings={'pair.address': f'{ADDRESS}/24 at shop', 'workers.count': 1})
    for box in pair.boxes:
        box.ns.ip('addr', 'flush', 'dev', 'fga0')
        box.gate.ports = {'shop': {'device': 'net_af_packet0,iface=fga0', 'address': box.ip}}
        box.gate.write_config()
    pair.start()
    first = pair.leader()
    second = pair.other(first)
    add_item(first.gate, 10)
    fgtest.wait_until(lambda: first.view()['address']['held'], 10, 'the leader has the address')
    pair.shop.ip('neigh', 'flush', 'all')
    answers(pair, first)
    first.gate.kill()
    fgtest.wait_until(second.leads, 15, 'the standby leads')
    fgtest.wait_until(lambda: second.mac in pair.shop.ip('neigh', 'show', ADDRESS), 10, 'the shop hears of it')
    answers(pair, second)


@fgtest.timeout(240)
def test_operator(lab):
    """status, health, metrics and refusals of both; switch, solo and join"""
    pair = Pair(lab, settings={'metrics.listen': LISTEN})
    pair.start()
    first, second = pair.boxes
    prometheus = Prometheus(lab, first.ns)
    add_item(first.gate, 10)
    shown = first.gate.fgctl('pair', 'status')
    assert (shown['role'], shown['peer']['linked'], shown['arbiter']['reachable']) == ('leader', True, True), shown
    assert shown['changes'][-1]['role'] == 'leader' and shown['epoch'] >= 1
    assert second.gate.fgctl('pair', 'status')['role'] == 'standby'
    fgtest.wait_until(lambda: [b.gate.api('GET', '/leader')[0] for b in pair.boxes] == [200, 503], 10, 'the first one leads')
    fgtest.wait_until(lambda: second.gate.api('GET', '/healthz') == (200, {'healthy': True, 'role': 'standby'}), 10,
                      'the standby is healthy')
    code, refused = second.gate.api('POST', '/v1/items', {'item': 9})
    assert code == 409 and 'does not lead its pair' in json.dumps(refused), refused
    lines = ('floodgate_pair_role{role="leader"} 1', 'floodgate_pair_leads 1', 'floodgate_pair_link_up 1',
             'floodgate_pair_arbiter_up 1')

    def shown_as_metrics():
        page = first.gate.api('GET', '/metrics')[1]
        return all(f'\n{line}\n' in page for line in lines)
    fgtest.wait_until(shown_as_metrics, 10, lines)
    assert not first.gate.metrics_missing('floodgate_pair_')
    prometheus.panels_have_data(lambda query: 'floodgate_pair_' in query)
    first.gate.fgctl('pair', 'solo')
    first.gate.alarm_fires('solo', 'warning')
    first.wait('solo')
    first.gate.fgctl('pair', 'join')
    pair.published()
    first.gate.alarm_clears('solo')
    first.gate.fgctl('pair', 'switch')
    fgtest.wait_until(second.leads, 10, 'the other one leads')
    assert first.gate.process.wait(15) == 75
    pair.join(first)
    fgtest.wait_until(lambda: [b.gate.api('GET', '/leader')[0] for b in pair.boxes] == [503, 200], 10, 'the second one leads')
    for member in pair.etcd.members:
        member.kill()
    second.gate.alarm_fires('arbiter', 'warning')
    fgtest.wait_until(second.leads, 10, 'it leads as before')
    for member in pair.etcd.members:
        member.start()
    second.gate.alarm_clears('arbiter')


def connects_anew(pair):
    links = lambda: pair.boxes[0].view().get('peer', {}).get('links', 0)  # noqa: E731
    before = fgtest.wait_until(links, 10, 'it has a link')
    pair.leader().gate.fgctl('pair', 'solo')
    pair.leader().gate.fgctl('pair', 'join')
    fgtest.wait_until(lambda: links() > before, 20, 'a new link')
    pair.published()


@fgtest.timeout(120)
def test_certificates_are_exchanged(lab):
    """while the pair sells: a new authority beside the old one, new certificates, then without the old one"""
    pair = Pair(lab)
    pair.start()
    add_item(pair.leader().gate, 10)
    folder = lab.unique('new')
    os.mkdir(folder)
    new = Authority(folder, 'new')
    with open(pair.authority.cert, 'a', encoding='ascii') as both, open(new.cert, encoding='ascii') as one:
        both.write(one.read())
    connects_anew(pair)
    for box in pair.boxes:
        for made in new.make(f'box{box.node}', f'IP:{box.control}'):
            shutil.copyfile(made, pair.authority.path(f'box{box.node}', made.rsplit('.', 1)[1]))
    connects_anew(pair)
    shutil.copyfile(new.cert, pair.authority.cert)
    connects_anew(pair)
    shop = NsClient(pair.shop, pair.leader().ip, pair.leader().gate.keys, 'shop')
    assert decided(lambda: shop.stock(ITEM)).status == 'ON_SALE'


if __name__ == '__main__':
    fgtest.main()
