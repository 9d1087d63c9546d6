/* SPDX-License-Identifier: BSD-3-Clause */
#include "fgctl.h"

#include <string.h>
#include <wchar.h>

#define COLUMNS_MAX 24 /* a fleet has 16 members */

struct fg_table {
    unsigned columns;
    bool right[COLUMNS_MAX];
    char **cells; /**< row by row, the header first */
    size_t count, room;
};

struct fg_table *fg_table_create(const char *const *columns, unsigned count)
{
    struct fg_table *table = calloc(1, sizeof(*table));

    if (!table || count > COLUMNS_MAX)
        abort();
    table->columns = count;
    fg_table_add(table, columns);
    for (unsigned i = 0; i < count; i++) {
        char *mark = strchr(table->cells[i], '>');

        table->right[i] = mark != NULL;
        if (mark)
            *mark = 0;
    }
    return table;
}

void fg_table_add(struct fg_table *table, const char *const *cells)
{
    if (table->count + table->columns > table->room) {
        table->room = table->room * 2 + 16ul * table->columns;
        table->cells = realloc(table->cells, table->room * sizeof(*table->cells));
        if (!table->cells)
            abort();
    }
    for (unsigned i = 0; i < table->columns; i++) {
        table->cells[table->count] = strdup(cells[i] ? cells[i] : "");
        if (!table->cells[table->count++])
            abort();
    }
}

size_t fg_char_columns(const char *text, size_t *bytes)
{
    wchar_t c;
    int columns;

    *bytes = 1;
    if ((unsigned char)*text < 0x80)
        return 1;
    if (mbtowc(&c, text, MB_CUR_MAX) <= 0) /* no UTF-8, or no locale that knows it */
        return ((unsigned char)*text & 0xc0) != 0x80;
    *bytes = (size_t)mblen(text, MB_CUR_MAX);
    columns = wcwidth(c);
    return columns < 0 ? 1 : (size_t)columns;
}

/* Columns of a terminal: none for what combines, two for a wide character. */
static size_t width(const char *text)
{
    size_t n = 0, bytes;

    for (; *text; text += bytes)
        n += fg_char_columns(text, &bytes);
    return n;
}

static void print_cell(FILE *out, const char *text, size_t room, bool right, bool last)
{
    int pad = (int)(room - width(text));

    if (right)
        fprintf(out, "%*s%s", pad, "", text);
    else
        fprintf(out, "%s%*s", text, last ? 0 : pad, "");
    fprintf(out, last ? "\n" : "  ");
}

void fg_table_print(struct fg_table *table, FILE *out)
{
    size_t widths[COLUMNS_MAX] = {0};

    for (size_t i = 0; i < table->count; i++) {
        size_t cell = width(table->cells[i]), *most = &widths[i % table->columns];

        *most = cell > *most ? cell : *most;
    }
    for (size_t i = 0; i < table->count; i++) {
        unsigned column = (unsigned)(i % table->columns);

        print_cell(out, table->cells[i], widths[column], table->right[column],
                   column == table->columns - 1);
    }
}

void fg_table_free(struct fg_table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table);
}
