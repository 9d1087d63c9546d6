#!/bin/bash
# SPDX-License-Identifier: BSD-3-Clause
# Replays a pcap file through the kernel: tcpreplay.sh INTERFACE FILE [PPS [LOOPS]]. PPS 0: as fast as it goes.
# Prints how many packets the interface sent and received: what came back are the answers (and ARP and the like).
set -eu
[ $# -ge 2 ] || { sed -n '3,4s/^# //p' "$0" >&2; exit 2; }
interface=$1 file=$2 pps=${3:-0} loops=${4:-1}

counter() { ip -s -json link show dev "$interface" | python3 -c \
    'import json, sys; print(json.load(sys.stdin)[0]["stats64"][sys.argv[1]]["packets"])' "$1"; }

sent=$(counter tx) received=$(counter rx)
speed=(--topspeed)
[ "$pps" = 0 ] || speed=(--pps="$pps")
tcpreplay --intf1="$interface" --preload-pcap --loop="$loops" "${speed[@]}" "$file"
sleep 1 # for answers that wait for the disk
echo "sent $(($(counter tx) - sent)) received $(($(counter rx) - received))"
