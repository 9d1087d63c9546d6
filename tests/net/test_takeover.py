#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""Another machine takes an address over: shoppers who knew it at the first one find it at once."""

import os
import re
import signal
import socket
import subprocess
import sys
import time

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgtest  # noqa: E402
from fgshop import ITEM, SMALL, NsClient, add_item  # noqa: E402

ARP = 0x0806
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


FLOATING, FLOATING6, SPARE = '198.18.0.100', '2001:db8::100', '198.18.0.101'
ANNOUNCED = 5  # times within the first second


class Holder:
    """The process that holds floating addresses, and a driver in the daemon's stead."""

    def __init__(self, lab, switch, number, more=''):
        self.ns, self.interface = lab.namespace(f'box{number}'), f'fgx{number}'
        switch.plug(self.ns, self.interface)
        if more:  # an interface with an address of its own
            switch.plug(self.ns, more)
            more = f', {SPARE}/24 at {more}'
        self.ns.ip('addr', 'add', f'198.18.0.{number}/24', 'dev', self.interface)
        self.ns.ip('addr', 'add', f'2001:db8::{number}/64', 'dev', self.interface, 'nodad')
        self.mac = self.ns.mac(self.interface)
        self.process = self.ns.start(os.path.join(fgtest.BUILD, 'tests/fault/floating_driver'),
                                     f'{FLOATING}/24 at {self.interface}, {FLOATING6}/64 at {self.interface}{more}',
                                     stdin=subprocess.PIPE)

    def tell(self, word):
        self.process.popen.stdin.write(f'{word}\n'.encode())
        self.process.popen.stdin.flush()

    def shown(self):
        return [line for line in self.ns.ip('-o', 'addr', 'show', 'dev', self.interface).splitlines()
                if f' {FLOATING}/24 ' in line or f' {FLOATING6}/64 ' in line]

    def wait_for(self, count, what):
        fgtest.wait_until(lambda: len(self.shown()) == count, 5, what)

    def says(self, words):
        """Of both addresses."""
        fgtest.wait_until(lambda: self.process.output().count(words) == 2, 10, words)

    def helper(self):
        """The pid of the process that holds them."""
        with open(f'/proc/{self.process.pid}/task/{self.process.pid}/children') as f:
            return int(f.read())


def boxes(lab):
    switch = Switch(lab)
    return switch, Holder(lab, switch, 1), Holder(lab, switch, 2)


def reachable(switch, box):
    for address in (FLOATING, FLOATING6):
        assert switch.shopper.pings(address), box.process.output()
        assert switch.known(address) == box.mac


def moves(switch, box):
    """Without a question of the shopper's."""
    fgtest.wait_until(lambda: [switch.known(a) for a in (FLOATING, FLOATING6)] == [box.mac] * 2, 5,
                      'the shopper hears where the addresses are')


def test_floating_moves(lab):
    """a box that is told to hold floating addresses adds and announces them; a hung one loses them"""
    switch, first, second = boxes(lab)
    assert not first.shown()
    first.tell('hold')
    first.wait_for(2, 'the addresses are added')
    assert all(re.search(r'valid_lft [123]sec', line) for line in first.shown()), first.shown()
    assert not any('tentative' in line for line in first.shown())
    reachable(switch, first)
    first.process.signal(signal.SIGSTOP)
    second.tell('hold')
    second.wait_for(2, 'the second box adds them')
    moves(switch, second)
    first.wait_for(0, 'the box whose daemon hangs loses them')
    first.says('the daemon is silent')
    reachable(switch, second)
    second.tell('drop')
    second.wait_for(0, 'a box that gives up takes them off')
    second.says('does not lead')


def test_floating_ends(lab):
    """floating addresses go with their daemon, and by themselves where everything hangs"""
    _, first, second = boxes(lab)
    for box in (first, second):
        box.tell('hold')
        box.wait_for(2, 'the addresses are added')
    helper = first.helper()
    first.process.kill()
    first.wait_for(0, 'a killed daemon loses them')
    fgtest.wait_until(lambda: not fgtest.lives(helper), 5, 'the helper ends')
    os.kill(second.helper(), signal.SIGSTOP)
    second.process.signal(signal.SIGSTOP)
    fgtest.wait_until(lambda: not second.shown(), 10, 'the kernel ends their lifetime')


def test_floating_rights(lab):
    """the process that holds floating addresses has one capability and a filter; an interface that went is a fault"""
    _, first, _ = boxes(lab)
    first.tell('hold')
    first.wait_for(2, 'the addresses are added')
    with open(f'/proc/{first.helper()}/status') as f:
        status = dict(line.split(':\t', 1) for line in f.read().splitlines() if ':\t' in line)
    assert status['Name'] == 'fg-address'
    assert int(status['CapPrm'], 16) == int(status['CapEff'], 16) == 1 << 12, status
    assert status['Seccomp'] == '2' and status['NoNewPrivs'] == '1'
    assert len(os.listdir(f'/proc/{first.helper()}/fd')) == 6  # stdio, pipe, two sockets
    first.ns.ip('link', 'del', first.interface)

    def fault():
        first.tell('ask')
        return 'not held 19 0' in first.process.output()
    fgtest.wait_until(fault, 5, 'an interface that went is told', step=0.2)


def test_floating_fault(lab):
    """the interface of one of three addresses went: the others are announced as often as ever, and no more"""
    switch = Switch(lab)
    box = Holder(lab, switch, 1, 'fgy1')
    box.tell('ask')
    fgtest.wait_until(lambda: 'not held' in box.process.output(), 5, 'it has started')
    box.ns.ip('link', 'del', 'fgy1')
    with switch.shopper.socket(socket.SOCK_RAW, socket.AF_PACKET) as heard:
        heard.bind(('fgb', ARP))
        heard.setblocking(False)
        box.tell('hold')
        began, times = time.monotonic(), []

        def hears():
            try:
                while frame := heard.recv(2048):
                    assert socket.inet_ntoa(frame[28:32]) == FLOATING
                    times.append(round(time.monotonic() - began, 2))
            except BlockingIOError:
                return times
        fgtest.wait_until(lambda: len(hears()) >= ANNOUNCED, 5, 'the address is announced')
        fgtest.pause(1, 'nothing more is announced in it')
        assert len(hears()) == ANNOUNCED, times
    box.wait_for(2, 'they are there')
    box.says('is here now')


if __name__ == '__main__':
    fgtest.main()
