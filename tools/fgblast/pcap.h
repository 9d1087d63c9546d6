/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * pcap: writes frames in the classic libpcap format (microseconds, Ethernet), for other packet
 * generators and for tcpdump. One thread.
 */
#ifndef FG_BLAST_PCAP_H
#define FG_BLAST_PCAP_H

#include "base/base.h"

struct fg_pcap;

struct fg_pcap *fg_pcap_create(const char *path, struct fg_error *err);
void fg_pcap_write(struct fg_pcap *pcap, uint64_t now_ns, const void *frame, uint32_t bytes);

/** False and err when anything could not be written. Frees. */
bool fg_pcap_close(struct fg_pcap *pcap, struct fg_error *err);

#endif
