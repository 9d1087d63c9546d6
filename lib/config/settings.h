/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * config, private: the one table of settings. Parsing, range checks, fg_config_describe, the sample
 * file and the test of docs/configuration.md all come from it.
 */
#ifndef FG_CONFIG_SETTINGS_H
#define FG_CONFIG_SETTINGS_H

#include "config/config.h"
#include "config/ini.h"
#include "config/problem.h"

#define FG_CONFIG_PORT_SECTION                                                                     \
    "port" /* "[port NAME]": offsets of its settings are into struct fg_port_options */
#define FG_CONFIG_SETTINGS_MAX 192 /* capacity of arrays with one entry for each setting */
#define FG_CONFIG_CPU_MAX      1023 /* highest CPU number of a kernel with the usual CONFIG_NR_CPUS */

enum fg_config_kind {
    FG_CONFIG_KIND_NUMBER,
    FG_CONFIG_KIND_SIZE,     /* bytes; k, m, g */
    FG_CONFIG_KIND_MEGABYTE, /* MiB; m, g */
    FG_CONFIG_KIND_MS,       /* milliseconds; ms, s, m */
    FG_CONFIG_KIND_OCTAL,
    FG_CONFIG_KIND_BOOL,
    FG_CONFIG_KIND_ENUM,
    FG_CONFIG_KIND_TEXT, /* all below are text with a shape */
    FG_CONFIG_KIND_WORD, /* letters, digits, . _ - */
    FG_CONFIG_KIND_PATH,
    FG_CONFIG_KIND_FILE, /* a path at which a file can be read */
    FG_CONFIG_KIND_INTERFACE,
    FG_CONFIG_KIND_DEVICE,
    FG_CONFIG_KIND_CPUS,
    FG_CONFIG_KIND_ADDRESS,
    FG_CONFIG_KIND_ENDPOINTS, /* of etcd */
    FG_CONFIG_KIND_ADDRESSES, /* of IP */
    FG_CONFIG_KIND_LISTEN,    /* an IP address in digits, and a TCP port */
    FG_CONFIG_KIND_FLOATING   /* of addresses: fg_address_floating_read */
};

enum {
    FG_CONFIG_SET_REQUIRED = 1,
    FG_CONFIG_SET_POWER_OF_TWO = 2,
    FG_CONFIG_SET_ZERO_OK = 4,     /* 0 is accepted beside min..max */
    FG_CONFIG_SET_SECRET = 8,      /* never shown in messages */
    FG_CONFIG_SET_SECRET_FILE = 16 /* shown only when it is a path: some give the secret itself */
};

struct fg_config_setting {
    const char *section, *key;
    enum fg_config_kind kind;
    unsigned flags;
    size_t offset,
        size; /* of the field; size decides the width of a number and the length of a text */
    const char *initial;      /* the default, as one would write it in the file; "" = none */
    uint64_t min, max;        /* numbers: range; texts: characters */
    const char *const *names; /* FG_CONFIG_KIND_ENUM: NULL-terminated, index = value */
    const char *sample;       /* value shown in the sample file where it differs from the default */
    const char *text;
};

extern const struct fg_config_setting fg_config_settings[];
extern const unsigned fg_config_settings_count;

/** The setting, or NULL. section: "port" for every port section. */
const struct fg_config_setting *fg_config_setting_find(const char *section, const char *key);

/** Whether any section has a setting of this name. */
bool fg_config_key_known(const char *key);

/** The sections in the order of the sample file; the title is a line for it. NULL behind the last.
 */
struct fg_config_section {
    const char *name, *title;
};
extern const struct fg_config_section fg_config_sections[];
#define FG_CONFIG_SECTIONS_MAX 16

/** Number of the section, or -1. */
int fg_config_section_find(const char *name);

/** The accepted values of a setting, as text for messages, the sample file and the docs: "1..64, a
 * power of two". */
void fg_config_setting_accepted(const struct fg_config_setting *s, char *text, size_t size);

/** Parses `value` into the field at base + offset. False and a reason when it is wrong. */
bool fg_config_setting_parse(const struct fg_config_setting *s, const char *value, void *base,
                             char *why, size_t why_size);

/** "0-3,8": writes up to max CPU numbers, returns how many there are; -1 when it is not a list.
 */
int fg_config_cpu_list(const char *text, int *cpus, int max);

/* ---- checks over several settings ------------------------------------------------------------ */

/** The line of each setting; 0 = not given. */
struct fg_config_given {
    unsigned global[FG_CONFIG_SETTINGS_MAX];
    unsigned port[FG_PORT_MAX][FG_CONFIG_SETTINGS_MAX];
    unsigned port_line[FG_PORT_MAX];
    unsigned last_line;
};

void fg_config_verify(struct fg_config *config, const struct fg_config_given *given,
                      struct fg_config_problems *problems);

#endif
