/* SPDX-License-Identifier: BSD-3-Clause */
/* RFC 4180 with LF or CRLF, quotes, and lines inside quotes; empty lines are skipped. */
#include "fgctl.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#define FILE_MAX (256l << 20)

static char *read_file(const char *path, size_t *size, struct fg_error *err)
{
    FILE *file = fopen(path, "r");
    struct stat st;
    char *text = NULL;

    if (!file || fstat(fileno(file), &st) < 0) {
        fg_fail(err, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        fg_fail(err, "%s: not a regular file of at most %ld bytes", path, FILE_MAX);
    } else {
        text = malloc((size_t)st.st_size + 1);
        *size = text ? fread(text, 1, (size_t)st.st_size, file) : 0;
        if (!text || ferror(file)) {
            fg_fail(err, "%s: %s", path, text ? strerror(errno) : "out of memory");
            free(text);
            text = NULL;
        }
    }
    if (file)
        fclose(file);
    return text;
}

struct reader {
    const char *path;
    char *in;  /**< next byte to read */
    char *out; /**< next byte to write: unquoting shortens in place */
    unsigned long line;
    struct fg_error *err;
};

/* The inside of a quoted cell; stops behind the closing quote. */
static bool read_quoted(struct reader *r)
{
    unsigned long start = r->line;

    for (r->in++;; r->in++) {
        if (*r->in == 0)
            return fg_fail(r->err, "%s:%lu: a quote is opened and not closed", r->path, start);
        r->line += *r->in == '\n';
        if (*r->in == '"' && *++r->in != '"')
            return true;
        *r->out++ = *r->in;
    }
}

/* One cell, and what ends it: ',' or '\n' (also at the end of the file). */
static bool read_cell(struct reader *r, char **cell, char *end)
{
    *cell = r->out;
    if (*r->in == '"') {
        if (!read_quoted(r))
            return false;
    } else {
        while (*r->in && !strchr(",\r\n", *r->in)) {
            if (*r->in == '"')
                return fg_fail(r->err, "%s:%lu: a quote inside a cell that does not begin with one",
                               r->path, r->line);
            *r->out++ = *r->in++;
        }
    }
    if (*r->in == '\r' && r->in[1] == '\n')
        r->in++;
    if (*r->in && *r->in != ',' && *r->in != '\n')
        return fg_fail(r->err,
                       "%s:%lu: a comma or the end of the line must follow the closing quote",
                       r->path, r->line);
    *end = *r->in ? *r->in++ : '\n';
    *r->out++ = 0;
    return true;
}

static bool read_rows(struct reader *r, struct fg_csv *csv)
{
    size_t cells = 0;

    while (*r->in) {
        struct fg_csv_row *row = &csv->rows[csv->rows_count];
        unsigned long line = r->line;
        char end = ',';

        *row = (struct fg_csv_row){.line = line, .cells = &csv->cells[cells]};
        while (end == ',') {
            if (!read_cell(r, &row->cells[row->count], &end))
                return false;
            row->count++;
        }
        r->line++;
        if (row->count == 1 && row->cells[0][0] == 0)
            continue;
        cells += row->count;
        csv->rows_count++;
    }
    return true;
}

bool fg_csv_read(const char *path, struct fg_csv *csv, struct fg_error *err)
{
    struct reader r = {.path = path, .line = 1, .err = err};
    size_t size = 0, lines = 2, cells = 2;

    memset(csv, 0, sizeof(*csv));
    csv->text = read_file(path, &size, err);
    if (!csv->text)
        return false;
    csv->text[size] = 0;
    if (strlen(csv->text) != size)
        return fg_fail(err, "%s: holds a zero byte: not a text file", path);
    for (size_t i = 0; i < size; i++) {
        lines += csv->text[i] == '\n';
        cells += csv->text[i] == ',';
    }
    csv->rows = calloc(lines, sizeof(*csv->rows));
    csv->cells = calloc(cells + lines, sizeof(*csv->cells));
    if (!csv->rows || !csv->cells)
        return fg_fail(err, "%s: out of memory", path);
    r.in = r.out = csv->text;
    if (strncmp(r.in, "\xef\xbb\xbf", 3) == 0)
        r.in += 3; /* byte order mark, as spreadsheets write it */
    return read_rows(&r, csv);
}

void fg_csv_free(struct fg_csv *csv)
{
    free(csv->text);
    free(csv->rows);
    free(csv->cells);
    memset(csv, 0, sizeof(*csv));
}
