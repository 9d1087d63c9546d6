/* SPDX-License-Identifier: BSD-3-Clause */
/* What went wrong, for people on standard error, and for programs as JSON on standard output. */
#include "fgctl.h"

#include <stdarg.h>
#include <string.h>

static char first[1024]; /* the cause; what follows it are consequences */
static bool told;

void fg_complained(const char *text)
{
    if (!first[0])
        snprintf(first, sizeof(first), "%s", text);
}

void fg_complain(const char *fmt, ...)
{
    char text[1024];
    va_list args;

    va_start(args, fmt);
    vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    fprintf(stderr, "fgctl: %s\n", text);
    fg_complained(text);
}

void fg_print_json_error(const json_t *json)
{
    fg_print_json(json);
    told = true;
}

/* JSON is UTF-8; what was typed may be none. */
static json_t *text_json(char *text)
{
    json_t *json = json_string(text);

    for (char *p = text; !json && *p; p++)
        *p = (*p & 0x80) ? '?' : *p;
    return json ? json : json_string(text);
}

void fg_tell_error(enum fg_exit code)
{
    json_t *json;

    if (told)
        return;
    json = json_pack("{s:{s:i, s:o}}", "error", "exit", (int)code, "message", text_json(first));
    fg_print_json(json);
    json_decref(json);
}

bool fg_confirmed(const char *option, const char *sentence)
{
    char line[128] = "";

    if (option)
        return strcmp(option, sentence) == 0;
    fprintf(stderr, "To continue, type: %s\n", sentence);
    if (!fgets(line, sizeof(line), stdin))
        return false;
    line[strcspn(line, "\r\n")] = '\0';
    return strcmp(line, sentence) == 0;
}
