/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * config, private: the lines of an ini file. The reader hands on sections and entries in file order
 * and reports every line that is neither. It copies no line into a message: a line that it does not
 * understand may hold a password.
 */
#ifndef FG_CONFIG_INI_H
#define FG_CONFIG_INI_H

#include "config/problem.h"

#define FG_CONFIG_FILE_MAX  1048576 /* bytes of the file */
#define FG_CONFIG_NAME_MAX  63      /* characters of a section or key name */
#define FG_CONFIG_VALUE_MAX 4095    /* characters of a value; most settings take fewer */

/** The strings are valid during the call only. */
struct fg_config_ini_handler {
    /** Returns false when the section is refused: the reader then skips its lines. */
    bool (*section)(void *arg, unsigned line, const char *name);
    void (*entry)(void *arg, unsigned line, const char *key, const char *value);
    /** Whether the word may appear in a message: true for the name of a setting. */
    bool (*known)(const char *word);
    void *arg;
};

/** Reads the whole file. Returns the number of its lines, at least 1; 0 when it cannot be read. */
unsigned fg_config_ini_read(const char *path, const struct fg_config_ini_handler *handler,
                            struct fg_config_problems *problems);

#endif
