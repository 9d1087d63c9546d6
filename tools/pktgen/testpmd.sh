#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Replays a pcap file again and again with DPDK's own testpmd: testpmd.sh FILE DEVICE SECONDS [EAL OPTION...]
#   DEVICE: a PCI address (bound to vfio-pci), or a virtual device such as net_memif0,role=client,socket=...
#   EAL options: --lcores 0,1@(1) --no-huge -m 256 ...
# Port 0 is the file, port 1 the device; what the device receives are the answers. Prints `sent N received N dropped N`:
# of the device, and how many packets testpmd could not send, because the device took no more.
set -eu
[ $# -ge 3 ] || { sed -n '3,7s/^# //p' "$0" >&2; exit 2; }
file=$1 device=$2 seconds=$3
shift 3
case $device in
    *:*.*) ports=(-a "$device" --vdev "net_pcap0,rx_pcap=$file,infinite_rx=1") ;;
    *) ports=(--no-pci --vdev "net_pcap0,rx_pcap=$file,infinite_rx=1" --vdev "$device") ;;
esac
out=$(mktemp)
prefix=pktgen$$ # DPDK leaves files of this name: as root in /var/run/dpdk
trap 'rm -rf "$out" "${XDG_RUNTIME_DIR:-/tmp}/dpdk/$prefix" "/var/run/dpdk/$prefix"' EXIT

# Without --tx-first and the like: port 0 begins to read at `start`. Statistics of the device are its port's.
{
    sleep 2 # memif and vhost connect in the background
    echo 'start'
    sleep "$seconds"
    echo 'stop'
    sleep 1
    echo 'show port stats all'
    echo 'quit'
} | dpdk-testpmd "${ports[@]}" --file-prefix "$prefix" "$@" -- --interactive --forward-mode=io --port-topology=paired \
    --burst=64 --disable-link-check --total-num-mbufs="${MBUFS:-65536}" >"$out" 2>&1 || { cat "$out" >&2; exit 1; }

awk -v device="${device%%,*}" '
    /NIC statistics for port/ { port = $6 }
    /RX-packets:/ && port != "" { rx[port] = $2 }
    /TX-packets:/ && port != "" { tx[port] = $2 }
    /Forward statistics for port 1/ { forward = 1 }
    /Forward statistics for port 0/ || /Accumulated/ { forward = 0 }
    forward && /TX-dropped:/ { dropped = $4 }
    END { if (!(1 in tx)) exit 1; printf "sent %d received %d dropped %d\n", tx[1], rx[1], dropped }' "$out" ||
    { cat "$out" >&2; exit 1; }
