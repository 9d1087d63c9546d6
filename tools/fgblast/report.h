/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * report: what was seen, for people (standard error) and programs (JSON). docs/bench.md names the
 * fields.
 */
#ifndef FG_BLAST_REPORT_H
#define FG_BLAST_REPORT_H

#include <jansson.h>

#include "tools/fgblast/flat.h"

struct fg_summary {
    const char *mode; /**< "world", "crowd", "flat", "echo" */
    double seconds;
    bool finished;          /**< nothing was under way any more */
    uint64_t tx, rx, other; /**< frames of the port; other: no answer of the server */
    uint64_t no_mbuf;
};

/** Caller decrefs. */
json_t *fg_report_view(const struct fg_view *view, const struct fg_summary *summary);
json_t *fg_report_flat(const struct fg_flat *flat, const struct fg_summary *summary);

/** path "-": standard output. */
bool fg_report_write(json_t *report, const char *path, struct fg_error *err);

/** The report as some lines on standard error. */
void fg_report_print(json_t *report);

/** One line of progress; as JSON on standard output if `json`. seconds_ago: since the line before.
 */
struct fg_progress {
    double at, seconds_ago;
    uint64_t answers_before;
};
void fg_report_progress(const struct fg_view *view, const struct fg_progress *progress, bool json);

#endif
