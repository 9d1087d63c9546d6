/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A list file, as an operator, a feed or a power cut leaves it. Input: a byte (which list; whether
 * wrong lines refuse the file), then the file. What was loaded is saved and loaded again.
 */
#include <sys/syscall.h>

#include "filter/internal.h"

#include "fuzz.h"

enum { BLOCK = 1, KEEP_GOOD = 2 };

#define SEED UINT64_C(0x5eed)

static struct fg_filter filter;

/* A change of the lists waits for readers by membarrier, for milliseconds; here is one thread. */
long __real_syscall(long number, long a, long b, long c, long d, long e, long f);
long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f);

long __wrap_syscall(long number, long a, long b, long c, long d, long e, long f)
{
    return number == SYS_membarrier ? 0 : __real_syscall(number, a, b, c, d, e, f);
}

/* For fg_filter_check_list, which is not called. */
struct fg_filter *fg_filter_open(const struct fg_filter_options *options, struct fg_error *err)
{
    abort();
}

void fg_filter_close(struct fg_filter *closed)
{
    abort();
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    struct fg_error err;

    fg_filter_sizes_of(64, 16, &filter.sizes);
    FG_FUZZ_CHECK(fg_filter_mapping_make(&filter.memory, &filter.sizes, &err));
    pthread_mutex_init(&filter.bulk, NULL);
    pthread_mutex_init(&filter.change, NULL);
    return 0;
}

static void fresh(void)
{
    memset(filter.memory.rows, 0, filter.sizes.rows * sizeof(*filter.memory.rows));
    memset(filter.memory.state, 0, sizeof(*filter.memory.state));
    fg_filter_state_start(filter.memory.state, &filter.sizes, SEED);
}

static char *save(enum fg_filter_list list, size_t *size, uint32_t *saved)
{
    char *text;
    FILE *file = open_memstream(&text, size);

    FG_FUZZ_CHECK(file && fg_filter_save(&filter, list, file, saved) && fclose(file) == 0);
    return text;
}

/* Every line of a saved list is right, and none is lost but those whose time is over by now. */
static void load_what_was_saved(enum fg_filter_list list)
{
    struct fg_filter_list_loaded loaded;
    struct fg_error err = {""};
    uint32_t saved;
    size_t size;
    char *text = save(list, &size, &saved);
    FILE *file = fmemopen(text, size, "r");

    FG_FUZZ_CHECK(file);
    FG_FUZZ_CHECK(fg_filter_load_stream(&filter, list, file, "saved", &loaded, &err));
    FG_FUZZ_CHECK(loaded.wrong == 0 && loaded.entries + loaded.expired == saved);
    fclose(file);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fg_filter_list_loaded loaded = {0};
    struct fg_error err = {""};
    enum fg_filter_list list;
    char path[64];
    bool ok;
    int fd;

    if (size == 0)
        return 0;
    list = data[0] & BLOCK ? FG_FILTER_LIST_BLOCK : FG_FILTER_LIST_ALLOW;
    fresh();
    fd = fuzz_file(data + 1, size - 1, path);
    ok = (data[0] & KEEP_GOOD ? fg_filter_load_good : fg_filter_load)(&filter, list, path, &loaded,
                                                                      &err);
    close(fd);
    FG_FUZZ_CHECK(ok ? data[0] & KEEP_GOOD || loaded.wrong == 0 : err.text[0]);
    FG_FUZZ_CHECK(fg_filter_count(&filter, list) == (ok ? loaded.entries : 0));
    if (ok)
        load_what_was_saved(list);
    return 0;
}
