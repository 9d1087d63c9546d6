/* SPDX-License-Identifier: BSD-3-Clause */
/** pair_keys: an authority of the pair alone, and a certificate for each of the two appliances. */
#ifndef FG_PAIR_KEYS_H
#define FG_PAIR_KEYS_H

#include "base/base.h"

#define FG_PAIR_KEYS_CA_DAYS   3650
#define FG_PAIR_KEYS_NODE_DAYS 730

/**
 * Makes ca.pem and ca.key in the folder, unless both are there, and node0.pem, node0.key,
 * node1.pem and node1.key anew, for these hosts (addresses or names); earlier ones stay as
 * FILE.old. Keys can be read by their owner alone. False and err.
 */
bool fg_pair_keys_make(const char *folder, char hosts[2][64], bool *ca_made, struct fg_error *err);

#endif
