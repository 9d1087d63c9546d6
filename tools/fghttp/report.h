/* SPDX-License-Identifier: BSD-3-Clause */
/** report: the file for the auditor, and the summary. */
#ifndef FG_HTTP_REPORT_H
#define FG_HTTP_REPORT_H

#include "shopper.h"

bool report_audit(const struct world *w, struct fg_error *err);
bool report_json(const struct world *w, struct fg_error *err); /* nothing without --json */

#endif
