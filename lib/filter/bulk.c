/* SPDX-License-Identifier: BSD-3-Clause */
/* A whole list from a file and to a file: PREFIX [EXPIRES [REASON]] on a line. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "filter/entries.h"
#include "filter/table.h"

#define LINE_BYTES  256
#define LINES_NAMED 8 /* of the wrong ones, in the error */

struct load {
    struct fg_filter *filter;
    enum fg_filter_list list;
    const char *path;
    struct fg_filter_generation g;
    uint64_t seed;
    uint64_t number; /**< of the line */
    uint64_t wrong;  /**< lines */
    uint64_t wrong_lines[LINES_NAMED];
    bool keep_good; /**< wrong lines are left out; else they refuse the file */
    bool copy;      /**< of another appliance's list */
    struct fg_filter_list_loaded *loaded;
    struct fg_error *err; /**< about the first wrong line */
};

static bool wrong(struct load *load, const char *what)
{
    if (load->wrong == 0)
        fg_fail(load->err, "%s:%lu: %s", load->path, (unsigned long)load->number, what);
    if (load->wrong < LINES_NAMED)
        load->wrong_lines[load->wrong] = load->number;
    load->wrong++;
    return false;
}

/* ---- one line -------------------------------------------------------------------------------- */

/* "-", seconds since 1970, or 2026-11-26T18:00:00Z. */
static bool parse_expiry(const char *text, uint64_t *ms)
{
    struct tm tm = {0};
    const char *end;

    *ms = 0;
    if (strcmp(text, "-") == 0)
        return true;
    if (strspn(text, "0123456789") == strlen(text) && strlen(text) <= 11) {
        *ms = strtoull(text, NULL, 10) * 1000;
        return *ms != 0;
    }
    end = strptime(text, "%Y-%m-%dT%H:%M:%SZ", &tm);
    if (!end || *end)
        return false;
    *ms = (uint64_t)timegm(&tm) * 1000;
    return true;
}

static char *next_word(char **rest)
{
    char *word = *rest + strspn(*rest, " \t"), *end = word + strcspn(word, " \t");

    *rest = end;
    if (*end)
        *(*rest)++ = 0;
    return *word ? word : NULL;
}

static bool parse_columns(struct load *load, char *text, struct fg_filter_listed *entry, bool *over)
{
    char *prefix_text = next_word(&text), *expiry = next_word(&text),
         *reason = text + strspn(text, " \t");
    struct fg_filter_prefix prefix;
    struct fg_error err;
    uint64_t ms = 0;

    *over = false;
    if (!fg_filter_prefix_parse(prefix_text, &prefix, &err))
        return wrong(load, err.text);
    fg_filter_listed_of_prefix(load->list, &prefix, entry);
    if (expiry && strspn(expiry, "0123456789") == strlen(expiry) && strlen(expiry) > 11)
        return wrong(load, "second column: looks like milliseconds; seconds since 1970 are meant");
    if (expiry && !parse_expiry(expiry, &ms))
        return wrong(
            load,
            "second column: an expiry is -, seconds since 1970, or like 2026-11-26T18:00:00Z");
    if (ms)
        entry->expires = fg_filter_ticks_of_unix(load->filter, ms);
    *over = ms && entry->expires <= fg_filter_ticks_now(load->filter);
    if (*over)
        entry->expires = fg_filter_ticks_of_past(load->filter, ms);
    if (!fg_filter_reason_is_sane(reason))
        return wrong(
            load,
            "third column: a reason is printable ASCII of at most 23 characters without # and ;");
    memcpy(entry->reason, reason, strlen(reason));
    return true;
}

static bool is_remembered(const struct load *load, const struct fg_filter_listed *over)
{
    return load->copy &&
           !fg_filter_listed_is_forgotten(load->filter, over, fg_filter_ticks_now(load->filter));
}

/* Until all is read, `hits` of a new entry holds the number of its line. */
static bool take_line(struct load *load, char *line)
{
    struct fg_filter_listed entry;
    const struct fg_filter_listed *before;
    char text[96];
    bool over;

    line[strcspn(line, "#;\r\n")] = 0;
    for (char *end = line + strlen(line); end > line && (end[-1] == ' ' || end[-1] == '\t');)
        *--end = 0;
    if (!line[strspn(line, " \t")])
        return true;
    if (!parse_columns(load, line, &entry, &over))
        return false;
    load->loaded->expired += over;
    if (over && !is_remembered(load, &entry))
        return true;
    before = fg_filter_generation_find(&load->g, load->seed, &entry);
    if (before && load->copy)
        return true; /* it was changed while it was written: another copy follows */
    if (before) {
        snprintf(text, sizeof(text), "the prefix is in line %lu already",
                 (unsigned long)before->hits);
        return wrong(load, text);
    }
    entry.hits = load->number;
    if (!fg_filter_generation_add(&load->g, load->seed, &entry) && !over) {
        snprintf(text, sizeof(text), "the lists are full (prefixes_max = %u)", load->g.prefixes);
        return wrong(load, text);
    }
    load->loaded->entries += !over;
    return true;
}

static void skip_line(FILE *file)
{
    int c;

    do
        c = getc(file);
    while (c != '\n' && c != EOF);
}

/* Behind the message about the first one. */
static void name_wrong_lines(const struct load *load)
{
    char *text = load->err->text;
    size_t size = sizeof(load->err->text), used = strlen(text);

    if (load->wrong < 2)
        return;
    used += (size_t)snprintf(text + used, size - used, " (and %lu more lines are wrong)",
                             (unsigned long)load->wrong - 1);
    for (unsigned i = 1; i < load->wrong && i < LINES_NAMED && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s %lu", i > 1 ? "," : ":",
                                 (unsigned long)load->wrong_lines[i]);
    if (load->wrong > LINES_NAMED && used < size)
        snprintf(text + used, size - used, ", ...");
}

/* What is wrong with the shape of a line; NULL = nothing. `line` was full of other bytes before it
 * was read, so its last zero byte is its end. A file may be full of them after a power cut. */
static const char *misshapen(const char line[LINE_BYTES])
{
    size_t length = (size_t)((const char *)memrchr(line, 0, LINE_BYTES) - line);

    if (strlen(line) != length)
        return "the line holds a zero byte";
    return length == LINE_BYTES - 1 && line[length - 1] != '\n'
               ? "the line is longer than 254 characters"
               : NULL;
}

static bool read_lines(struct load *load, FILE *file)
{
    char line[LINE_BYTES];

    while (memset(line, ' ', sizeof(line)) && fgets(line, sizeof(line), file)) {
        const char *why = misshapen(line);

        load->number++;
        if (why) {
            wrong(load, why);
            if (!load->keep_good)
                return false;
            if (((const char *)memrchr(line, 0, sizeof(line)))[-1] != '\n')
                skip_line(file);
        } else {
            take_line(load, line);
        }
    }
    if (ferror(file))
        return fg_fail(load->err, "%s: %s", load->path, strerror(errno));
    name_wrong_lines(load);
    load->loaded->wrong = load->wrong;
    return load->keep_good || load->wrong == 0;
}

/* ---- the whole ------------------------------------------------------------------------------- */

/* The other list stays as it is; of this one what is of limited time does, unless it becomes a
 * copy, and counts of what stays. */
static bool take_over(struct load *load, bool after)
{
    const struct fg_filter_mapping *memory = &load->filter->memory;
    const struct fg_filter_state *state = memory->state;
    uint32_t entries = state->heads[state->active & 1].entries;
    uint64_t now = fg_filter_ticks_now(load->filter);

    for (uint32_t number = 1; number <= state->used; number++) {
        const struct fg_filter_listed *old = &memory->rows[entries + number].entry;
        bool same_list = (old->kind >> 16 & 1) == load->list;
        struct fg_filter_listed *there;

        if (!old->kind || same_list != after ||
            fg_filter_listed_is_forgotten(load->filter, old, now))
            continue;
        there = after ? fg_filter_generation_find(&load->g, load->seed, old) : NULL;
        if (!there && after && load->copy)
            continue;
        if (!there &&
            fg_filter_listed_is_over(old, now)) { /* remembered, as long as there is room */
            fg_filter_generation_add(&load->g, load->seed, old);
        } else if (there) {
            there->hits = old->hits;
            there->last = old->last;
        } else if (!after || old->expires) {
            if (!fg_filter_generation_add(&load->g, load->seed, old))
                return fg_fail(load->err, "%s: the lists are full (prefixes_max = %u)", load->path,
                               load->g.prefixes);
            load->loaded->kept += after;
        }
    }
    return true;
}

static void clear_lines(struct load *load)
{
    for (uint32_t number = 1; number <= load->g.used; number++) {
        struct fg_filter_listed *entry = &load->g.rows[load->g.head->entries + number].entry;

        if ((entry->kind >> 16 & 1) == load->list)
            entry->hits = 0;
    }
}

/* Until now the entries of the file were beside the lists in force, which could change. */
static bool put_in_force(struct load *load)
{
    struct fg_filter *filter = load->filter;
    bool ok;

    clear_lines(load);
    pthread_mutex_lock(&filter->change);
    ok = take_over(load, false) && take_over(load, true);
    if (ok) {
        fg_filter_generation_commit(&filter->memory, &load->g);
        fg_filter_list_changed(filter, load->list);
    }
    pthread_mutex_unlock(&filter->change);
    return ok;
}

/* A FIFO or a device would hang the caller, or never end. */
static FILE *open_ordinary(const char *path, struct fg_error *err)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    FILE *file = NULL;
    struct stat st;

    if (fd < 0)
        fg_fail(err, "%s: %s", path, strerror(errno));
    else if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
        fg_fail(err, "%s: not an ordinary file", path);
    else if (!(file = fdopen(fd, "r")))
        fg_fail(err, "%s: %s", path, strerror(errno));
    if (!file && fd >= 0)
        close(fd);
    return file;
}

enum kind { STRICT, GOOD, COPY };

static bool load_stream(struct fg_filter *filter, enum fg_filter_list list, FILE *file,
                        const char *name, enum kind kind, struct fg_filter_list_loaded *loaded,
                        struct fg_error *err)
{
    struct load load = {.filter = filter,
                        .list = list,
                        .path = name,
                        .keep_good = kind != STRICT,
                        .copy = kind == COPY,
                        .loaded = loaded,
                        .err = err};
    struct timespec from, to;
    bool ok;

    FG_ASSERT(list < FG_FILTER_LISTS);
    memset(loaded, 0, sizeof(*loaded));
    load.seed = filter->memory.state->seed;
    clock_gettime(CLOCK_MONOTONIC, &from);
    pthread_mutex_lock(&filter->bulk);
    fg_filter_generation_begin(&filter->memory, &filter->sizes, &load.g);
    ok = read_lines(&load, file) && put_in_force(&load);
    pthread_mutex_unlock(&filter->bulk);
    clock_gettime(CLOCK_MONOTONIC, &to);
    loaded->seconds = (double)(to.tv_sec - from.tv_sec) + (double)(to.tv_nsec - from.tv_nsec) / 1e9;
    return ok;
}

static bool load_file(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                      enum kind kind, struct fg_filter_list_loaded *loaded, struct fg_error *err)
{
    struct fg_error own = {""};
    FILE *file = open_ordinary(path, err ? err : &own);
    bool ok = file && load_stream(filter, list, file, path, kind, loaded, err ? err : &own);

    if (file)
        fclose(file);
    return ok;
}

bool fg_filter_load_stream(struct fg_filter *filter, enum fg_filter_list list, FILE *file,
                           const char *name, struct fg_filter_list_loaded *loaded,
                           struct fg_error *err)
{
    return load_stream(filter, list, file, name, STRICT, loaded, err);
}

bool fg_filter_load(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                    struct fg_filter_list_loaded *loaded, struct fg_error *err)
{
    return load_file(filter, list, path, STRICT, loaded, err);
}

bool fg_filter_load_good(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                         struct fg_filter_list_loaded *loaded, struct fg_error *err)
{
    return load_file(filter, list, path, GOOD, loaded, err);
}

bool fg_filter_load_copy(struct fg_filter *filter, enum fg_filter_list list, const char *path,
                         struct fg_filter_list_loaded *loaded, struct fg_error *err)
{
    return load_file(filter, list, path, COPY, loaded, err);
}

bool fg_filter_check_list(enum fg_filter_list list, const char *path, uint32_t prefixes_max,
                          struct fg_filter_list_loaded *loaded, struct fg_error *err)
{
    struct fg_filter_options options = {
        .order_port = 1, .sources_max = 1024, .prefixes_max = prefixes_max, .v6_prefix = 64};
    struct fg_filter *filter = fg_filter_open(&options, err);
    bool ok = filter && fg_filter_load_good(filter, list, path, loaded, err);

    if (filter)
        fg_filter_close(filter);
    return ok;
}

struct save {
    FILE *file;
    uint32_t entries;
    bool ok;
};

static bool save_entry(void *ctx, const struct fg_filter_prefix *prefix,
                       const struct fg_filter_list_entry *entry)
{
    struct save *save = ctx;
    time_t seconds = (time_t)((entry->expires_ms + 999) / 1000);
    char text[64], expiry[32] = "-";
    struct tm tm;

    fg_filter_prefix_format(prefix, text);
    if (entry->expires_ms)
        strftime(expiry, sizeof(expiry), "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&seconds, &tm));
    if (entry->expires_ms || entry->reason[0])
        save->ok = fprintf(save->file, "%s %s %s\n", text, expiry, entry->reason) > 0;
    else
        save->ok = fprintf(save->file, "%s\n", text) > 0;
    save->entries++;
    return save->ok;
}

bool fg_filter_save(struct fg_filter *filter, enum fg_filter_list list, FILE *file, uint32_t *saved)
{
    struct save save = {.file = file};

    save.ok = fprintf(file, "# %s: PREFIX [EXPIRES [REASON]]\n", fg_filter_list_name(list)) > 0;
    if (save.ok)
        fg_filter_each(filter, list, save_entry, &save);
    *saved = save.entries;
    return save.ok && fflush(file) == 0;
}

bool fg_filter_save_copy(struct fg_filter *filter, enum fg_filter_list list, FILE *file)
{
    struct save save = {.file = file};
    uint32_t saved;

    save.ok = fg_filter_save(filter, list, file, &saved);
    if (save.ok)
        fg_filter_each_over(filter, list, save_entry, &save);
    return save.ok && fflush(file) == 0;
}
