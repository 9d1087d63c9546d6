/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * config, private: the one table of settings. Parsing, range checks, fg_config_describe, the sample
 * file and the test of docs/configuration.md all come from it.
 */
#ifndef FG_CONFIG_SETTINGS_H
#define FG_CONFIG_SETTINGS_H

#include "config/config.h"

#define FG_PORT_SECTION                                                                            \
    "port" /* "[port NAME]": offsets of its settings are into struct fg_port_options */
#define FG_SETTINGS_MAX   128     /* room of arrays with one place per setting */
#define FG_CONFIG_CPU_MAX 1023    /* highest CPU number of a kernel with the usual CONFIG_NR_CPUS */
#define FG_CONFIG_SIZE    1048576 /* bytes of the largest file that is read */

enum fg_config_kind {
    FG_KIND_NUMBER,
    FG_KIND_SIZE,     /* bytes; k, m, g */
    FG_KIND_MEGABYTE, /* MiB; m, g */
    FG_KIND_MS,       /* milliseconds; ms, s, m */
    FG_KIND_OCTAL,
    FG_KIND_BOOL,
    FG_KIND_ENUM,
    FG_KIND_TEXT, /* all below are text with a shape */
    FG_KIND_WORD, /* letters, digits, . _ - */
    FG_KIND_PATH,
    FG_KIND_FILE, /* a path at which a file can be read */
    FG_KIND_INTERFACE,
    FG_KIND_DEVICE,
    FG_KIND_CPUS,
    FG_KIND_ADDRESS,
    FG_KIND_ADDRESSES /* of IP */
};

enum {
    FG_SET_REQUIRED = 1,
    FG_SET_POWER_OF_TWO = 2,
    FG_SET_ZERO_OK = 4, /* 0 is accepted beside min..max */
    FG_SET_SECRET = 8   /* never shown in messages */
};

struct fg_config_setting {
    const char *section, *key;
    enum fg_config_kind kind;
    unsigned flags;
    size_t offset,
        size; /* of the field; size decides the width of a number and the length of a text */
    const char *initial;      /* the default, as one would write it in the file; "" = none */
    uint64_t min, max;        /* numbers: range; texts: characters */
    const char *const *names; /* FG_KIND_ENUM: NULL-terminated, index = value */
    const char *sample;       /* value shown in the sample file where it differs from the default */
    const char *text;
};

extern const struct fg_config_setting fg_config_settings[];
extern const unsigned fg_config_settings_count;

/** The setting, or NULL. section: "port" for every port section. */
const struct fg_config_setting *fg_config_setting_find(const char *section, const char *key);
bool fg_config_section_known(const char *section);

/** What a setting accepts, as text for messages, the sample file and the docs: "1..64, a power of
 * two". */
void fg_config_setting_accepted(const struct fg_config_setting *s, char *text, size_t size);

/** Parses `value` into the field at base + offset. False and a reason when it is wrong. */
bool fg_config_setting_parse(const struct fg_config_setting *s, const char *value, void *base,
                             char *why, size_t why_size);

/** "0-3,8": writes up to max CPU numbers, returns how many there are; -1 when it is no such list.
 */
int fg_config_cpu_list(const char *text, int *cpus, int max);

/* ---- problems -------------------------------------------------------------------------------- */

struct fg_config_problems {
    const char *path;
    FILE *out;
    unsigned count;
};
#define FG_PROBLEMS_SHOWN 100

/** One line `FILE:LINE: ...`. */
__attribute__((format(printf, 3, 4))) void fg_config_problem(struct fg_config_problems *p,
                                                             unsigned line, const char *fmt, ...);

/* ---- lines of the file, because rte_cfgfile does not keep them ------------------------------- */

struct fg_config_scan_section {
    char name[64];
    unsigned line;
    unsigned first; /* index of its first entry in lines[] */
};

struct fg_config_scan {
    struct fg_config_scan_section *sections;
    unsigned sections_count;
    unsigned *lines; /* line of each entry, in file order */
    unsigned lines_count;
    unsigned last_line;
    int clean_fd; /* copy of the file with comments and refused lines blanked, line for line */
};

/** Reads the file, reports what is no ini line. False when there is nothing to go on with. */
bool fg_config_scan_file(struct fg_config_scan *scan, const char *path,
                         struct fg_config_problems *problems);
void fg_config_scan_free(struct fg_config_scan *scan);

/* ---- checks over several settings ------------------------------------------------------------ */

/** Where each setting was given: line, 0 = not at all. */
struct fg_config_given {
    unsigned global[FG_SETTINGS_MAX];
    unsigned port[FG_PORTS_MAX][FG_SETTINGS_MAX];
    unsigned port_line[FG_PORTS_MAX];
    unsigned last_line;
};

void fg_config_verify(struct fg_config *config, const struct fg_config_given *given,
                      struct fg_config_problems *problems);

#endif
