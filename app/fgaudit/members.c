/* SPDX-License-Identifier: BSD-3-Clause */
#include "members.h"

#include <errno.h>
#include <inttypes.h>
#include <string.h>

#include "progress.h"
#include "report.h"
#include "snapshot.h"

static int complain(const char *what, const char *why)
{
    fg_progress_end();
    fprintf(stderr, "fgaudit: %s%s%s\n", what, why ? ": " : "", why ? why : "");
    return 2;
}

/* Its own audit. The pools were read before: nothing that they know may be missing here. */
static bool read_member(struct fg_members *f, unsigned m, const struct fg_members_options *o,
                        struct fg_error *err)
{
    struct fg_members_one *one = &f->member[m];
    char about[24];

    one->dir = o->dirs[m];
    one->lost = strcmp(one->dir, "-") == 0;
    fg_story_init(&one->story, &f->problems, o->settle_ms);
    if (one->lost)
        return f->has_pools || fg_fail(err, "a lost log ('-') needs --pools");
    snprintf(about, sizeof(about), "member %u", m);
    f->problems.about = about;
    if (!fg_log_open(&one->log, one->dir, &f->problems, err) ||
        !fg_snapshots_begin(&one->story, &one->log, err))
        return false;
    fg_snapshots_read(&one->story, &one->log, &one->snapshots);
    fg_story_conservation(&one->story);
    f->problems.about = NULL;
    return true;
}

static bool read_all(struct fg_members *f, const struct fg_members_options *o, struct fg_error *err)
{
    f->has_pools = o->pools != NULL;
    f->count = o->count;
    if (!f->has_pools)
        fg_pools_first(&f->pools, f->count, o->shards);
    else if (!fg_pools_read(&f->pools, o->pools, &f->problems, err))
        return false;
    if (f->pools.members != f->count)
        return fg_fail(err, "the map has %u members, %u logs were given; '-' stands for a lost one",
                       f->pools.members, f->count);
    for (unsigned m = 0; m < f->count; m++)
        if (!read_member(f, m, o, err))
            return false;
    return true;
}

static bool write_json(const struct fg_members *f, const char *path, uint64_t elapsed_ms)
{
    FILE *out = strcmp(path, "-") == 0 ? stdout : fopen(path, "we");

    if (!out)
        return false;
    fg_members_json(f, elapsed_ms, out);
    return !(ferror(out) | (out == stdout ? fflush(out) : fclose(out)));
}

static void release(struct fg_members *f)
{
    for (unsigned m = 0; m < f->count; m++) {
        fg_story_free(&f->member[m].story);
        if (!f->member[m].lost)
            fg_log_close(&f->member[m].log);
    }
    fg_pools_free(&f->pools);
    fg_problems_free(&f->problems);
    free(f->items);
    free(f);
}

int fg_members_audit(const struct fg_members_options *o)
{
    struct fg_members *f = calloc(1, sizeof(*f));
    uint64_t start_ms = fg_now_ms();
    struct fg_error err = {""};
    bool passed;

    if (!f)
        fg_out_of_memory();
    f->problems.limit = o->limit_lists;
    if (!read_all(f, o, &err))
        return complain(err.text, NULL);
    fg_members_compare(f);
    fg_progress_end();
    fg_members_text(f, o->json && strcmp(o->json, "-") == 0 ? stderr : stdout);
    if (o->json && !write_json(f, o->json, fg_now_ms() - start_ms))
        return complain(o->json, strerror(errno));
    passed = fg_problems_count(&f->problems) == 0;
    release(f);
    return passed ? 0 : 1;
}
