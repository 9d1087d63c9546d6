#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Another machine takes an address over: shoppers who knew it at the first one find it at once."""

import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgshop import ITEM, SMALL, NsClient, add_item  # noqa: E402

SERVER, SERVER6, SHOPPER, SHOPPER6 = '198.18.0.1', '2001:db8::1', '198.18.0.9', '2001:db8::9'


class Switch:
    """A bridge with a shopper, and room for appliances."""

    def __init__(self, lab):
        self.lab, self.ns, self.count = lab, lab.namespace('switch'), 0
        self.ns.ip('link', 'add', 'br0', 'type', 'bridge')
        self.ns.ip('link', 'set', 'br0', 'up')
        self.shopper = lab.namespace('shop')
        self.plug(self.shopper, 'fgb')
        self.shopper.ip('addr', 'add', f'{SHOPPER}/24', 'dev', 'fgb')
        self.shopper.ip('addr', 'add', f'{SHOPPER6}/64', 'dev', 'fgb', 'nodad')

    def plug(self, ns, interface):
        self.count += 1
        other = f'p{self.count}'
        fgtest.command('ip', 'link', 'add', interface, 'netns', ns.name, 'type', 'veth', 'peer', 'name', other,
                       'netns', self.ns.name)
        ns.ip('link', 'set', interface, 'addrgenmode', 'none')
        ns.ip('link', 'set', interface, 'up')
        self.ns.ip('link', 'set', other, 'master', 'br0', 'up')

    def known(self, address):
        """The MAC address that the shopper sends to."""
        words = self.shopper.ip('neigh', 'show', address).split()
        return words[words.index('lladdr') + 1] if 'lladdr' in words else None


def taken_over(lab, first, second, switch):
    """`first` sells and ends; `second` starts, and the shopper hears of it without asking."""
    first.start()
    add_item(first, 10)
    for address in (SERVER, SERVER6):
        assert NsClient(switch.shopper, address, first.keys, 'shop').stock(ITEM).status == 'ON_SALE'
    before = switch.known(SERVER)
    assert before and switch.known(SERVER6) == before
    first.process.kill()
    first.process.wait(10)
    mac = second.ns.mac(second.interface)
    assert mac != before
    return before, mac


def announced(switch, second, mac):
    second.start()
    for address in (SERVER, SERVER6):
        fgtest.wait_until(lambda: switch.known(address) == mac, 8, f'the shopper hears where {address} is')  # noqa: B023
    add_item(second, 10)
    for address in (SERVER, SERVER6):
        assert NsClient(switch.shopper, address, second.keys, 'shop').stock(ITEM).status == 'ON_SALE'


def appliances(lab, switch, kernel):
    gates = []
    for number in (1, 2):
        ns, interface = lab.namespace(f'gate{number}'), f'fga{number}'
        switch.plug(ns, interface)
        port = ({'interface': interface} if kernel else
                {'device': f'net_af_packet0,iface={interface}', 'address': f'{SERVER}, {SERVER6}'})
        gate = lab.daemon(ns, ports={'shop': port}, settings=SMALL)
        gate.interface = interface
        gates.append(gate)
    return gates


def own(gate):
    gate.ns.ip('addr', 'add', f'{SERVER}/24', 'dev', gate.interface)
    gate.ns.ip('addr', 'add', f'{SERVER6}/64', 'dev', gate.interface, 'nodad')


def test_device_port(lab):
    """a port without a kernel announces its addresses as it starts: ARP and neighbour advertisements"""
    switch = Switch(lab)
    first, second = appliances(lab, switch, kernel=False)
    _, mac = taken_over(lab, first, second, switch)
    announced(switch, second, mac)


def test_interface(lab):
    """an AF_XDP port announces the kernel's addresses as it starts, and one that is added later"""
    switch = Switch(lab)
    first, second = appliances(lab, switch, kernel=True)
    own(first)
    _, mac = taken_over(lab, first, second, switch)
    first.ns.ip('link', 'set', first.interface, 'down')
    own(second)
    announced(switch, second, mac)
    second.ns.ip('addr', 'del', f'{SERVER}/24', 'dev', second.interface)
    switch.shopper.ip('neigh', 'replace', SERVER, 'lladdr', '02:00:00:00:00:77', 'dev', 'fgb', 'nud', 'reachable')
    second.ns.ip('addr', 'add', f'{SERVER}/24', 'dev', second.interface)
    fgtest.wait_until(lambda: switch.known(SERVER) == mac, 8, 'an address that comes later is announced')


def test_vlan_offload(lab):
    """a NIC that takes VLAN tags off: the start names the command that stops it; without it, there is no such line"""
    switch = Switch(lab)
    first, second = appliances(lab, switch, kernel=True)
    second.ns.run('ethtool', '-K', second.interface, 'rxvlan', 'off')
    for gate in (first, second):
        gate.start()
    assert f'`ethtool -K {first.interface} rxvlan off`' in first.output(), first.output()
    assert 'rxvlan' not in second.output(), second.output()


if __name__ == '__main__':
    fgtest.main()
