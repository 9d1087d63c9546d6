/* SPDX-License-Identifier: BSD-3-Clause */
/** sheet: the values of all metrics, read at one moment. A sheet belongs to the thread that made
 * it. */
#ifndef FG_CONTROL_SHEET_H
#define FG_CONTROL_SHEET_H

#include "base/histogram.h"
#include "control/metrics.h"

/** One value of a sheet. */
struct fg_control_value {
    enum fg_control_metric metric;
    char *element; /**< or NULL */
    char *text;    /**< of unit TEXT, or value of the row's label; else NULL */
    uint64_t number;
    struct fg_histogram_sum
        *histogram; /**< of a row of that type, else NULL; number is its count */
};

/** Private to its functions and to fg_control_prometheus. */
struct fg_control_sheet {
    struct fg_control_value *list;
    size_t count, room;
    bool failed; /**< memory was short */
};

/** NULL when memory is short. */
struct fg_control_sheet *fg_control_sheet_create(void);
void fg_control_sheet_destroy(struct fg_control_sheet *sheet);

/** element: of a map or list, else NULL. A metric is set once for each element. */
void fg_control_sheet_set(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                          const char *element, uint64_t value);
/** For rows with unit TEXT. */
void fg_control_sheet_say(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                          const char *element, const char *text);
/** For rows with a label of their own and a number: label_value is the value of that label. */
void fg_control_sheet_part(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                           const char *element, const char *label_value, uint64_t value);

/** For rows of type HISTOGRAM. */
void fg_control_sheet_histogram(struct fg_control_sheet *sheet, enum fg_control_metric metric,
                                const char *element, const struct fg_histogram_sum *histogram);
/** The shift of a row of that type. */
unsigned fg_control_sheet_shift(const struct fg_control_metric_row *row);

/** False when memory was short: then the sheet lacks values and must not be shown. */
bool fg_control_sheet_complete(const struct fg_control_sheet *sheet);

/** Calls each for every value of a section, in the order in which they were set. */
void fg_control_sheet_each(const struct fg_control_sheet *sheet, enum fg_control_section section,
                           void (*each)(void *ctx, const struct fg_control_value *value),
                           void *ctx);

/** All sections that are part of JSON. New reference. */
json_t *fg_control_sheet_stats(const struct fg_control_sheet *sheet);
/** The sections that are part of /v1/status; members of "daemon" stand at the top. */
json_t *fg_control_sheet_status(const struct fg_control_sheet *sheet);

#endif
