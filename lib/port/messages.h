/* SPDX-License-Identifier: BSD-3-Clause */
/** messages: the lines of EAL, its drivers, libbpf and libxdp join the program's diagnostics. */
#ifndef FG_PORT_MESSAGES_H
#define FG_PORT_MESSAGES_H

/** EAL's and the drivers' lines go the same way. Before rte_eal_init. */
void fg_port_messages_take_eal(void);
/** Their last error, as one line; "" = none so far. */
const char *fg_port_messages_eal_said(void);

/**
 * libbpf's and libxdp's warnings are kept instead of written: most belong to an adopted program and
 * mean nothing. fg_port_messages_xdp_said returns the last one since the start or the last call, ""
 * when there is none.
 */
void fg_port_messages_take_xdp(void);
const char *fg_port_messages_xdp_said(void);

#endif
