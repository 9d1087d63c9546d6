#!/usr/bin/python3
# SPDX-License-Identifier: BSD-3-Clause
"""NICs bound to vfio, emulated ones in a guest without KVM: the only way to drive a NIC where there is none to bind."""

import json
import re
import sys

sys.path.insert(0, f'{sys.path[0]}/../harness')
import fgguest  # noqa: E402
import fgtest  # noqa: E402
from fgshop import ITEM, UNITS, sell  # noqa: E402

CONFIG = '''[port e1000]
device = {0}
address = 198.18.0.1, 2001:db8::1
[port virtio]
device = {1}
address = 198.18.1.1, 2001:db8:1::1
[workers]
count = 2
[orders]
keys = /etc/floodgate/keys
[eal]
mbufs = 4096
[filter]
enabled = no
[limits]
orders_max = 20000
users_max = 20000
deferred_max = 4096
[log]
dir = /var/lib/floodgate/log
[api]
socket = /run/control.sock
'''


class Gate:
    """As much of a daemon as sell() needs."""

    def __init__(self, keys):
        self.keys = keys


def told(output, what):
    return json.loads(re.search(rf'^{what} (\{{.*\}})', output, re.M).group(1))


@fgtest.timeout(300)
def test_vfio(lab):
    """e1000e and virtio NIC by vfio behind an IOMMU, in a guest: ARP, neighbour discovery, ping, a sale over each"""
    fgguest.need()
    ns, keys = lab.namespace('shop'), fgtest.Keys(lab.unique('keys'))
    nics = [('fgv0', 'e1000e', '02:00:00:00:00:01'),
            ('fgv1', 'virtio-net-pci,disable-legacy=on,iommu_platform=on,ats=on', '02:00:00:00:01:01')]
    for number, (tap, _, _) in enumerate(nics):
        ns.ip('tuntap', 'add', tap, 'mode', 'tap')
        ns.ip('addr', 'add', f'198.18.{number}.2/24', 'dev', tap)
        ns.ip('addr', 'add', f'2001:db8:{number}::2/64', 'dev', tap, 'nodad')
        ns.ip('link', 'set', tap, 'up')
    guest = fgguest.Guest(lab, ns, nics, CONFIG.format(*map(fgguest.pci_address, range(2))), keys,
                          [f'item add {ITEM + n} --total {UNITS} --hold 1h' for n in range(2)]).start()
    guest.wait('GUEST READY', 150)
    for number in range(2):
        v4, v6 = f'198.18.{number}.1', f'2001:db8:{number}::1'
        assert ns.pings(v4) and ns.pings(v6), (number, guest.process.output())
        sell(ns, Gate(keys), v4 if number else v6, user=10 * number + 1, item=ITEM + number)
    output = guest.stop()
    assert 'GUEST EXIT 0' in output, output
    ports = {p['port']: p for p in told(output, 'STATS')['ports']}
    assert {p['port']: p['state'] for p in told(output, 'STATUS')['ports']} == {'e1000': 'up', 'virtio': 'up'}
    assert all(p['rx_packets'] > 10 and p['tx_packets'] > 10 for p in ports.values()), ports


if __name__ == '__main__':
    fgtest.main()
