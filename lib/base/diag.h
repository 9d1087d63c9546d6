/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * log: lines for the operator on stderr. Under systemd each begins with its priority (`<6>`,
 * sd-daemon(3)) and leaves the time to the journal; else with UTC time and level. Any thread but a
 * worker. No call waits for the reader: a line that it has no room for is dropped and counted, and
 * the next line that it takes is preceded by the count.
 */
#ifndef FG_BASE_DIAG_H
#define FG_BASE_DIAG_H

#include <stddef.h>
#include <stdint.h>

/* name, syslog priority, name in text */
#define FG_DIAG_LIST(X)                                                                            \
    X(ERROR, 3, "error")                                                                           \
    X(WARNING, 4, "warning")                                                                       \
    X(NOTICE, 5, "notice")                                                                         \
    X(INFO, 6, "info")

enum fg_diag_level {
#define X(name, priority, text) FG_DIAG_##name = priority,
    FG_DIAG_LIST(X)
#undef X
};

/** Looks at JOURNAL_STREAM. Call first. */
void fg_diag_open(void);

/** One line; newlines inside become separate lines of the same level. */
__attribute__((format(printf, 2, 3))) void fg_diag(enum fg_diag_level level, const char *fmt, ...);

/** Lines dropped since the start. */
uint64_t fg_diag_lost(void);

/** Text of several lines, len bytes of it: each line becomes one of that level. */
void fg_diag_lines(enum fg_diag_level level, const char *text, size_t len);

#endif
