/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Why not a library: rte_cfgfile keeps no line numbers and cuts long names and values. Debian's
 * inih cuts lines at 200 characters, reads an indented line as more of the value before it, takes
 * `:` for
 * `=`, and reports neither an empty section nor any wrong line after the first.
 */
#include "config/ini.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define COMMENT '#'
#define SPACE   " \t\r\v\f"

struct reader {
    const struct fg_config_ini_handler *handler;
    struct fg_config_problems *problems;
    unsigned line;
    bool in_section; /* a header came */
    bool skip;       /* the header was refused: its entries belong to no section */
};

static char *strip(char *text)
{
    char *end;

    text += strspn(text, SPACE);
    for (end = text + strlen(text); end > text && strchr(SPACE, end[-1]); end--)
        ;
    *end = '\0';
    return text;
}

/* Returns false when the header is refused. */
static bool read_section(struct reader *r, char *text)
{
    const struct fg_config_ini_handler *h = r->handler;
    char *end = strchr(text, ']'), *name;
    size_t length;

    if (!end || end[1]) {
        fg_config_problem(r->problems, r->line, "a section is [NAME] alone on its line");
        return false;
    }
    *end = '\0';
    name = strip(text + 1);
    length = strlen(name);
    if (!length || length > FG_CONFIG_NAME_MAX) {
        fg_config_problem(r->problems, r->line, "section name of %zu characters; accepted: 1..%d",
                          length, FG_CONFIG_NAME_MAX);
        return false;
    }
    r->in_section = true;
    return h->section(h->arg, r->line, name);
}

/* No `=`. The name of a setting in front tells which line is meant; the rest may be its secret. */
static void report_no_entry(struct reader *r, char *text)
{
    static const char accepted[] = "neither [SECTION] nor key = value nor # comment";

    text[strcspn(text, SPACE ":")] = '\0';
    if (r->handler->known(text))
        fg_config_problem(r->problems, r->line, "%s: %s", text, accepted);
    else
        fg_config_problem(r->problems, r->line, "%s", accepted);
}

static void read_entry(struct reader *r, char *text)
{
    const struct fg_config_ini_handler *h = r->handler;
    char *equals = strchr(text, '='), *key, *value;

    if (!equals) {
        report_no_entry(r, text);
        return;
    }
    *equals = '\0';
    key = strip(text);
    value = strip(equals + 1);
    if (!*key || strlen(key) > FG_CONFIG_NAME_MAX)
        fg_config_problem(r->problems, r->line, "key of %zu characters; accepted: 1..%d",
                          strlen(key), FG_CONFIG_NAME_MAX);
    else if (!r->in_section)
        fg_config_problem(r->problems, r->line, "%s%scomes before the first [section]",
                          h->known(key) ? key : "", h->known(key) ? ": " : "");
    else if (strlen(value) > FG_CONFIG_VALUE_MAX)
        fg_config_problem(r->problems, r->line,
                          "%s%svalue too long (%zu characters); accepted: 1..%d",
                          h->known(key) ? key : "", h->known(key) ? ": " : "", strlen(value),
                          FG_CONFIG_VALUE_MAX);
    else
        h->entry(h->arg, r->line, key, value);
}

/* `text` ends with a NUL in place of its newline; a NUL inside it would hide the rest of the line.
 */
static void read_line(struct reader *r, char *text, size_t length)
{
    bool heading = text[strspn(text, SPACE)] == '[';
    char *comment;

    if (r->skip && !heading)
        return;
    r->skip = heading; /* entries below a heading that cannot be read belong nowhere */
    if (strlen(text) != length) {
        fg_config_problem(r->problems, r->line, "has a NUL byte");
        return;
    }
    comment = strchr(text, COMMENT);
    if (comment && comment > text && comment[-1] == '\\') {
        fg_config_problem(r->problems, r->line,
                          "\\#: a value cannot hold #, which starts a comment");
        return;
    }
    if (comment)
        *comment = '\0';
    text = strip(text);
    if (text[0] == '[')
        r->skip = !read_section(r, text);
    else if (text[0])
        read_entry(r, text);
}

/* Returns the whole file, with one more byte behind it; NULL when it cannot be read. */
static char *read_whole(const char *path, size_t *length, struct fg_config_problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = malloc(FG_CONFIG_FILE_MAX + 2);
    ssize_t n = -1;
    int failed;

    FG_ASSERT(text);
    *length = 0;
    if (fd >= 0)
        while (*length <= FG_CONFIG_FILE_MAX &&
               (n = read(fd, text + *length, FG_CONFIG_FILE_MAX + 1 - *length)) > 0)
            *length += (size_t)n;
    failed = errno;
    if (fd >= 0)
        close(fd);
    if (n >= 0 && *length <= FG_CONFIG_FILE_MAX)
        return text;
    if (n < 0)
        fg_config_problem(problems, 1, "cannot be read: %s", strerror(failed));
    else
        fg_config_problem(problems, 1, "file too large; accepted: 0..%d bytes", FG_CONFIG_FILE_MAX);
    free(text);
    return NULL;
}

unsigned fg_config_ini_read(const char *path, const struct fg_config_ini_handler *handler,
                            struct fg_config_problems *problems)
{
    struct reader r = {.handler = handler, .problems = problems};
    char *text, *next, *end;
    size_t length;

    text = read_whole(path, &length, problems);
    if (!text)
        return 0;
    end = text + length;
    for (next = text; next < end;) {
        char *newline = memchr(next, '\n', (size_t)(end - next));
        size_t n = (size_t)((newline ? newline : end) - next);

        next[n] = '\0';
        r.line++;
        read_line(&r, next, n);
        next += n + 1;
    }
    explicit_bzero(text, length); /* it may hold a password */
    free(text);
    return r.line ? r.line : 1;
}
