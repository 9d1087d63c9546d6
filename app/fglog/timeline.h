/* SPDX-License-Identifier: BSD-3-Clause */
/** timeline: what happened in each second of a log, and how long each item was sold out. */
#ifndef FG_FGLOG_TIMELINE_H
#define FG_FGLOG_TIMELINE_H

#include "ledger/ledger.h"

/** Prints it; false and err. */
bool fg_timeline_print(const char *dir, bool json, struct fg_error *err);

#endif
