/* SPDX-License-Identifier: BSD-3-Clause */
/** progress: a line on stderr now and then, once the program has run for 2 s. */
#ifndef FG_AUDIT_PROGRESS_H
#define FG_AUDIT_PROGRESS_H

#include <stdint.h>

/** Cheap: may be called for every record. `what` names the stage, "log records". */
void fg_progress(const char *what, uint64_t done);

/** Ends an open line. */
void fg_progress_end(void);

uint64_t fg_now_ms(void); /**< monotonic */

#endif
