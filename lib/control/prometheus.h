/* SPDX-License-Identifier: BSD-3-Clause */
/** prometheus: a sheet in Prometheus' text format, version 0.0.4. */
#ifndef FG_CONTROL_PROMETHEUS_H
#define FG_CONTROL_PROMETHEUS_H

#include "control/sheet.h"

/** malloc'ed text; NULL when memory is short. */
char *fg_control_prometheus(const struct fg_control_sheet *sheet);

#endif
