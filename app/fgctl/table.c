/* SPDX-License-Identifier: BSD-3-Clause */
#include "fgctl.h"

#include <string.h>

struct fg_table {
    unsigned columns;
    bool right[16];
    char **cells; /**< row by row, the header first */
    size_t count, room;
};

struct fg_table *fg_table_create(const char *const *columns, unsigned count)
{
    struct fg_table *table = calloc(1, sizeof(*table));

    if (!table || count > 16)
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

/* Characters, not bytes: the bytes that do not continue a UTF-8 sequence. */
static size_t width(const char *text)
{
    size_t n = 0;

    for (; *text; text++)
        n += ((unsigned char)*text & 0xc0) != 0x80;
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
    size_t widths[16] = {0};

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
