/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Lines. rte_cfgfile keeps no line numbers, cuts long names and values without a word, and passes
 * over lines that it does not understand. So each line is looked at here first, and rte_cfgfile
 * gets a copy in which comments and refused lines are blank.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "config/settings.h"

#include <rte_cfgfile.h>

#define COMMENT '#'
#define SPACE   " \t\r\v\f" /* as isspace in rte_cfgfile: both must see the same lines */

void fg_config_problem(struct fg_config_problems *p, unsigned line, const char *fmt, ...)
{
    va_list args;

    if (p->count++ >= FG_PROBLEMS_SHOWN)
        return;
    fprintf(p->out, "%s:%u: ", p->path, line);
    va_start(args, fmt);
    vfprintf(p->out, fmt, args);
    va_end(args);
    fputc('\n', p->out);
}

static char *strip(char *text)
{
    char *end;

    text += strspn(text, SPACE);
    for (end = text + strlen(text); end > text && strchr(SPACE, end[-1]); end--)
        ;
    *end = '\0';
    return text;
}

static void add_section(struct fg_config_scan *scan, const char *name, unsigned line)
{
    struct fg_config_scan_section *s;

    scan->sections = realloc(scan->sections, (scan->sections_count + 1) * sizeof(*scan->sections));
    FG_ASSERT(scan->sections);
    s = &scan->sections[scan->sections_count++];
    snprintf(s->name, sizeof(s->name), "%s", name);
    s->line = line;
    s->first = scan->lines_count;
}

static void add_entry(struct fg_config_scan *scan, unsigned line)
{
    scan->lines = realloc(scan->lines, (scan->lines_count + 1) * sizeof(*scan->lines));
    FG_ASSERT(scan->lines);
    scan->lines[scan->lines_count++] = line;
}

static bool scan_section(struct fg_config_scan *scan, char *text, FILE *clean,
                         struct fg_config_problems *problems)
{
    unsigned line = scan->last_line;
    char *end = strchr(text, ']'), *name;

    if (!end || end[1]) {
        fg_config_problem(problems, line, "%.80s: a section is [NAME] alone on its line", text);
        return false;
    }
    *end = '\0';
    name = strip(text + 1);
    if (!*name || strlen(name) >= CFG_NAME_LEN) {
        fg_config_problem(problems, line,
                          "[%.80s]: section name of %zu characters; accepted: 1..%d", name,
                          strlen(name), CFG_NAME_LEN - 1);
        return false;
    }
    add_section(scan, name, line);
    fprintf(clean, "[%s]", name);
    return true;
}

static void scan_entry(struct fg_config_scan *scan, char *text, FILE *clean,
                       struct fg_config_problems *problems)
{
    char *equals = strchr(text, '='), *key, *value;
    unsigned line = scan->last_line;

    if (!equals) {
        fg_config_problem(problems, line, "%.80s: neither [SECTION] nor key = value nor # comment",
                          text);
        return;
    }
    *equals = '\0';
    key = strip(text);
    value = strip(equals + 1);
    if (!*key || strlen(key) >= CFG_NAME_LEN)
        fg_config_problem(problems, line, "%.80s = : key of %zu characters; accepted: 1..%d", key,
                          strlen(key), CFG_NAME_LEN - 1);
    else if (strlen(value) >= CFG_VALUE_LEN)
        fg_config_problem(problems, line, "%s: value too long (%zu characters); accepted: 1..%d",
                          key, strlen(value), CFG_VALUE_LEN - 1);
    else if (!scan->sections_count)
        fg_config_problem(problems, line, "%s = %s: comes before the first [section]", key, value);
    else {
        add_entry(scan, line);
        fprintf(clean, "%s=%s", key, value);
    }
}

/* `text` ends with NUL in place of its newline; a NUL inside it would hide the rest of the line. */
static bool scan_line(struct fg_config_scan *scan, char *text, size_t length, FILE *clean,
                      struct fg_config_problems *problems)
{
    char *comment;

    if (strlen(text) != length) {
        fg_config_problem(problems, scan->last_line, "has a NUL byte");
        return true;
    }
    comment = strchr(text, COMMENT);
    if (comment && comment > text && comment[-1] == '\\') {
        fg_config_problem(problems, scan->last_line,
                          "\\#: a value cannot hold #, which starts a comment");
        return true;
    }
    if (comment)
        *comment = '\0';
    text = strip(text);
    if (text[0] == '[')
        return scan_section(scan, text, clean, problems);
    if (text[0])
        scan_entry(scan, text, clean, problems);
    return true;
}

static void scan_text(struct fg_config_scan *scan, char *text, size_t length, FILE *clean,
                      struct fg_config_problems *problems)
{
    char *end = text + length;
    bool lost = false; /* below a refused section header: what follows belongs to nobody */

    while (text < end) {
        char *newline = memchr(text, '\n', (size_t)(end - text));
        size_t n = (size_t)((newline ? newline : end) - text);

        text[n] = '\0';
        scan->last_line++;
        if (text[strspn(text, SPACE)] == '[')
            lost = false;
        if (!lost)
            lost = !scan_line(scan, text, n, clean, problems);
        fputc('\n', clean);
        text += n + 1;
    }
}

/* The whole file, with room for one more byte; NULL when it cannot be read. */
static char *read_whole(const char *path, size_t *length, struct fg_config_problems *problems)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    char *text = malloc(FG_CONFIG_SIZE + 2);
    ssize_t n = 0;

    FG_ASSERT(text);
    *length = 0;
    if (fd >= 0)
        while (*length <= FG_CONFIG_SIZE &&
               (n = read(fd, text + *length, FG_CONFIG_SIZE + 1 - *length)) > 0)
            *length += (size_t)n;
    if (fd < 0 || n < 0)
        fg_config_problem(problems, 1, "cannot be read: %s", strerror(errno));
    else if (*length > FG_CONFIG_SIZE)
        fg_config_problem(problems, 1, "file too large; accepted: 0..%d bytes", FG_CONFIG_SIZE);
    if (fd >= 0)
        close(fd);
    if (problems->count) {
        free(text);
        return NULL;
    }
    return text;
}

bool fg_config_scan_file(struct fg_config_scan *scan, const char *path,
                         struct fg_config_problems *problems)
{
    size_t length;
    char *text;
    FILE *clean;

    memset(scan, 0, sizeof(*scan));
    scan->clean_fd = -1;
    text = read_whole(path, &length, problems);
    if (!text)
        return false;
    scan->clean_fd = memfd_create("floodgate-config", MFD_CLOEXEC);
    clean = scan->clean_fd >= 0 ? fdopen(dup(scan->clean_fd), "w") : NULL;
    if (!clean) {
        fg_config_problem(problems, 1, "no memory file for a copy: %s", strerror(errno));
        free(text);
        return false;
    }
    scan_text(scan, text, length, clean, problems);
    fclose(clean);
    free(text);
    if (!scan->last_line)
        scan->last_line = 1;
    return true;
}

void fg_config_scan_free(struct fg_config_scan *scan)
{
    if (scan->clean_fd >= 0)
        close(scan->clean_fd);
    free(scan->sections);
    free(scan->lines);
}
