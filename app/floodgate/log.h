/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * log: lines for the operator on stderr. Under systemd each begins with its priority (`<6>`, sd-daemon(3))
 * and leaves the time to the journal; else with UTC time and level. Any thread but a worker.
 */
#ifndef FG_LOG_H
#define FG_LOG_H

/* name, syslog priority, name in text */
#define FG_LOG_LIST(X)                                                                                       \
    X(ERROR, 3, "error")                                                                                     \
    X(WARNING, 4, "warning")                                                                                 \
    X(NOTICE, 5, "notice")                                                                                   \
    X(INFO, 6, "info")

enum fg_log_level {
#define X(name, priority, text) FG_LOG_##name = priority,
    FG_LOG_LIST(X)
#undef X
};

/** Looks at JOURNAL_STREAM. Call first. */
void fg_log_open(void);

/** One line; newlines inside become separate lines of the same level. */
__attribute__((format(printf, 2, 3))) void fg_log(enum fg_log_level level, const char *fmt, ...);

/** EAL's and the drivers' lines go the same way. Before rte_eal_init. */
void fg_log_take_eal(void);

/**
 * libbpf's and libxdp's warnings are kept instead of written: most belong to an adopted program and mean
 * nothing. fg_log_xdp_said returns the last one since the start or the last call, "" when there is none.
 */
void fg_log_take_xdp(void);
const char *fg_log_xdp_said(void);

#endif
