/* SPDX-License-Identifier: BSD-3-Clause */
/** sheet: how a sheet keeps its values. For the files of lib/control that read one as a whole. */
#ifndef FG_CONTROL_SHEET_H
#define FG_CONTROL_SHEET_H

#include "control/metrics.h"

struct fg_control_sheet {
    struct fg_control_value *list;
    size_t count, room;
    bool failed; /**< memory was short */
};

#endif
