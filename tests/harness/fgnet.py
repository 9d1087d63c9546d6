# SPDX-License-Identifier: BSD-3-Clause
"""Harness: network namespaces and links between them. See fgtest.py."""

import contextlib
import ctypes
import json
import os
import socket

from fgprocess import Process, command

CLONE_NEWNET = 0x40000000

_libc = ctypes.CDLL(None, use_errno=True)


class Namespace:
    """A network namespace. Only --net is entered: `ip netns exec` would hide /sys/fs/bpf."""

    def __init__(self, lab, label):
        self.lab = lab
        self.name = f'{lab.tag}-{label}'
        command('ip', 'netns', 'add', self.name)
        lab.namespaces.append(self)
        # No duplicate address detection, no router solicitations: addresses work at once, captures
        # stay quiet.
        self.run('sh', '-c', 'for i in all default; do d=/proc/sys/net/ipv6/conf/$i; '
                 'echo 0 >$d/disable_ipv6; echo 0 >$d/accept_dad; echo 0 >$d/accept_ra; done')
        self.ip('link', 'set', 'lo', 'up')

    def enter(self):
        return ['nsenter', f'--net=/run/netns/{self.name}', '--']

    def run(self, *argv, **options):
        return command(*self.enter(), *argv, **options)

    def ip(self, *argv):
        return command('ip', '-n', self.name, *argv)

    def start(self, *argv, **options):
        return Process(self.lab, argv, ns=self, **options)

    @contextlib.contextmanager
    def inside(self):
        """This thread is in the namespace meanwhile: the sockets that it makes live there
        afterwards, too."""
        here = os.open('/proc/thread-self/ns/net', os.O_RDONLY)
        there = os.open(f'/run/netns/{self.name}', os.O_RDONLY)
        try:
            if _libc.setns(there, CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), 'setns')
            yield
        finally:
            if _libc.setns(here, CLONE_NEWNET):
                os._exit(99)
            os.close(here)
            os.close(there)

    def socket(self, kind=socket.SOCK_DGRAM, family=socket.AF_INET):
        """A socket that lives in the namespace."""
        with self.inside():
            return socket.socket(family, kind)

    def pings(self, address, size='56'):
        """Whether each of three pings is answered."""
        said = self.run('ping', '-n', '-c', '3', '-i', '0.2', '-W', '2', '-s', size, address, check=False)
        return ' 0% packet loss' in said

    def mac(self, interface):
        return json.loads(self.ip('-json', 'link', 'show', 'dev', interface))[0]['address']

    def counters(self, interface):
        """{'rx': {'packets': ...}, 'tx': {...}} of the kernel."""
        return json.loads(self.ip('-json', '-s', 'link', 'show', 'dev', interface))[0]['stats64']

    def remove(self):
        command('ip', 'netns', 'del', self.name, check=False)


class Link:
    """A veth with one end in each of two namespaces.

    Side a is 198.18.NET.1 and 2001:db8:NET::1, side b .2; side b can hold any number of further
    addresses.
    """

    def __init__(self, a, b, net=0, a_if=None, b_if=None, queues=1, neighbours=True, mtu=None):
        self.a, self.b, self.net = a, b, net
        self.a_if, self.b_if = a_if or f'fga{net}', b_if or f'fgb{net}'
        q = ['numrxqueues', str(queues), 'numtxqueues', str(queues)]
        command('ip', 'link', 'add', self.a_if, *q, 'netns', a.name, 'type', 'veth', 'peer', 'name', self.b_if, *q,
                'netns', b.name)
        self.a_ip, self.b_ip = f'198.18.{net}.1', f'198.18.{net}.2'
        self.a_ip6, self.b_ip6 = f'2001:db8:{net:x}::1', f'2001:db8:{net:x}::2'
        for ns, interface, ip, ip6 in ((a, self.a_if, self.a_ip, self.a_ip6), (b, self.b_if, self.b_ip, self.b_ip6)):
            ns.ip('link', 'set', interface, 'addrgenmode', 'none', *(['mtu', str(mtu)] if mtu else []))
            ns.ip('addr', 'add', f'{ip}/24', 'dev', interface)
            ns.ip('addr', 'add', f'{ip6}/64', 'dev', interface, 'nodad')
            ns.ip('link', 'set', interface, 'up')
        self.a_mac, self.b_mac = a.mac(self.a_if), b.mac(self.b_if)
        if neighbours:
            self.set_neighbours()

    def set_neighbours(self):
        """Both ends know each other without ARP or neighbour discovery."""
        for ip in (self.b_ip, self.b_ip6):
            self.a.ip('neigh', 'replace', ip, 'lladdr', self.b_mac, 'dev', self.a_if, 'nud', 'permanent')
        for ip in (self.a_ip, self.a_ip6):
            self.b.ip('neigh', 'replace', ip, 'lladdr', self.a_mac, 'dev', self.b_if, 'nud', 'permanent')

    def route_to_b(self, prefix):
        """Side a sends to further addresses of side b (sources of a load generator) without asking
        for them."""
        via = self.b_ip6 if ':' in prefix else self.b_ip
        self.a.ip('route', 'replace', prefix, 'via', via, 'dev', self.a_if)

    def checksums_in_software(self):
        """Without this, a veth hands on UDP packets with a partial checksum, which the hardware
        would fill in."""
        for ns, interface in ((self.a, self.a_if), (self.b, self.b_if)):
            ns.run('ethtool', '-K', interface, 'tx', 'off', 'rx', 'off')
