/* SPDX-License-Identifier: BSD-3-Clause */
/* Names of files in a log directory. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "journal/file.h"

void fg_journal_file_name(char name[FG_JOURNAL_NAME_SIZE], uint64_t seq, const char *suffix)
{
    snprintf(name, FG_JOURNAL_NAME_SIZE, "%020" PRIu64 "%s", seq, suffix);
}

/* 0 when the name is not one that fg_journal_file_name() makes. */
static uint64_t parse_name(const char *name, const char *suffix)
{
    char same[FG_JOURNAL_NAME_SIZE];
    uint64_t seq = strtoull(name, NULL, 10);

    fg_journal_file_name(same, seq, suffix);
    return strcmp(name, same) == 0 ? seq : 0;
}

static int compare_seq(const void *a, const void *b)
{
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

static bool collect(DIR *d, const char *suffix, uint64_t **seqs, size_t *count)
{
    size_t room = 0;
    const struct dirent *e;

    while ((e = readdir(d))) {
        uint64_t seq = parse_name(e->d_name, suffix);

        if (seq == 0)
            continue;
        if (*count == room) {
            uint64_t *more = realloc(*seqs, (room = room * 2 + 64) * sizeof(**seqs));

            if (!more)
                return false;
            *seqs = more;
        }
        (*seqs)[(*count)++] = seq;
    }
    if (*count)
        qsort(*seqs, *count, sizeof(**seqs), compare_seq);
    return true;
}

bool fg_journal_file_list(int dir_fd, const char *dir, const char *suffix, uint64_t **seqs,
                          size_t *count, struct fg_error *err)
{
    int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
    bool ok;

    *seqs = NULL;
    *count = 0;
    if (!d) {
        int error = errno;

        if (fd >= 0)
            close(fd);
        return fg_fail(err, "%s: cannot list: %s", dir, strerror(error));
    }
    ok = collect(d, suffix, seqs, count);
    closedir(d);
    if (ok)
        return true;
    free(*seqs);
    *seqs = NULL;
    *count = 0;
    return fg_fail(err, "%s: out of memory", dir);
}
