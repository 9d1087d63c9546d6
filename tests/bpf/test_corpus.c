/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Every seed of the fuzzers of packets, as it is and damaged, through the program in the kernel and
 * through the user-space build: verdict, action and counter are the same. The settings in front of
 * the frame are left out.
 */
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"
#include "model.h"

#define FRAME_MIN 14 /* BPF_PROG_TEST_RUN refuses less */

struct counts {
    unsigned files, frames, differ, verdicts[FG_FILTER_VERDICT_COUNT];
};

static bool both_agree(struct fg_filter *filter, const struct frame *frame,
                       enum fg_filter_verdict *verdict)
{
    uint64_t before[FG_FILTER_VERDICT_COUNT], after[FG_FILTER_VERDICT_COUNT];
    int action, counted;

    fg_filter_counters(filter, before);
    action = run_program(fg_filter_program(filter, NULL), frame, 1);
    fg_filter_counters(filter, after);
    counted = counter_moved(before, after);
    model_counters(before);
    *verdict = model_verdict(frame->data, frame->len);
    model_counters(after);
    return counted == (int)*verdict && action == action_of(*verdict) &&
           counter_moved(before, after) == (int)*verdict;
}

static void compare(struct fg_filter *filter, const struct frame *frame, const char *name,
                    struct counts *counts)
{
    enum fg_filter_verdict verdict;

    if (frame->len < FRAME_MIN)
        return;
    counts->frames++;
    if (!both_agree(filter, frame, &verdict)) {
        counts->differ++;
        note("%s, %u bytes: user space says %s", name, frame->len, fg_filter_verdict_name(verdict));
    }
    counts->verdicts[verdict]++;
}

/* As it is, each cut of it, and each byte of it with its bits turned. */
static void compare_file(struct fg_filter *filter, const char *path, unsigned skip,
                         struct counts *counts)
{
    uint8_t bytes[sizeof(((struct frame *)0)->data) + 8];
    struct frame whole = {0};
    FILE *file = fopen(path, "rb");
    size_t size = file ? fread(bytes, 1, sizeof(bytes), file) : 0;

    if (file)
        fclose(file);
    if (size < skip || size - skip > sizeof(whole.data)) {
        ok(false, "%s: a frame of at most %zu bytes", path, sizeof(whole.data));
        return;
    }
    counts->files++;
    whole.len = (uint32_t)(size - skip);
    memcpy(whole.data, bytes + skip, whole.len);
    compare(filter, &whole, path, counts);
    for (uint32_t at = 0; at < whole.len; at++) {
        struct frame damaged = whole;

        damaged.len = at;
        compare(filter, &damaged, path, counts);
        damaged.len = whole.len;
        damaged.data[at] ^= 0xff;
        compare(filter, &damaged, path, counts);
    }
}

static void compare_corpus(struct fg_filter *filter, const char *name, unsigned skip)
{
    const char *source = getenv("FG_SOURCE");
    struct counts counts = {0};
    char folder[512], path[1024];
    const struct dirent *entry;
    unsigned kinds = 0;
    DIR *dir;

    snprintf(folder, sizeof(folder), "%s/tests/fuzz/corpus/%s", source ? source : ".", name);
    dir = opendir(folder);
    if (!ok(dir != NULL, "%s: seeds are found", name))
        return;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", folder, entry->d_name);
        compare_file(filter, path, skip, &counts);
    }
    closedir(dir);
    for (unsigned i = 0; i < FG_FILTER_VERDICT_COUNT; i++)
        kinds += counts.verdicts[i] != 0;
    ok(counts.files >= 20 && counts.frames > counts.files, "%s: %u seeds", name, counts.files);
    ok(counts.differ == 0, "%s: %u frames of %u verdicts, kernel and user space agree", name,
       counts.frames, kinds);
    if (strcmp(name, "filter") == 0)
        ok(counts.verdicts[FG_FILTER_VERDICT_ORDER] && counts.verdicts[FG_FILTER_VERDICT_BLOCKED] &&
               kinds == 15,
           "filter: the seeds reach every verdict that needs no rate");
}

static void block(struct fg_filter *filter, const char *text)
{
    struct fg_filter_prefix prefix = must_parse(text);
    struct fg_error err;

    ok(fg_filter_add(filter, FG_FILTER_LIST_BLOCK, &prefix, NULL, &err), "%s blocked", text);
    model_add(FG_FILTER_LIST_BLOCK, &prefix);
}

static void body(const char *pins)
{
    struct fg_filter_options options = plain_options(pins);
    struct fg_filter *filter = must_open(&options);
    int socket = place_socket(fg_filter_program(filter, NULL), 0);

    if (!ok(socket >= 0, "an AF_XDP socket in xsks_map"))
        return;
    model_reset(&options);
    block(filter, "198.18.0.66/32");
    block(filter, "2001:db8::66/128");
    compare_corpus(filter, "filter", 4);
    compare_corpus(filter, "packet", 1);
    close(socket);
    fg_filter_close(filter);
}

int main(void)
{
    return sandbox("corpus", body);
}
