/* SPDX-License-Identifier: BSD-3-Clause */
#include "tools/fgblast/client_file.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool fg_client_file(const char *path, bool (*write)(const void *ctx, FILE *out), const void *ctx,
                    struct fg_error *err)
{
    char temporary[600];
    struct stat st;
    bool good;
    FILE *out;

    if (lstat(path, &st) == 0 &&
        !S_ISREG(st.st_mode)) /* /dev/null: the rename would take its place */
        return fg_fail(err, "%s: not an ordinary file", path);
    snprintf(temporary, sizeof(temporary), "%s.%d", path, (int)getpid());
    out = fopen(temporary, "w");
    if (!out)
        return fg_fail(err, "%s: %s", temporary, strerror(errno));
    good = fputs("# fgblast 1\n", out) != EOF && write(ctx, out);
    good = good && fflush(out) == 0 && !ferror(out) && fsync(fileno(out)) == 0;
    good = fclose(out) == 0 && good;
    if (good && rename(temporary, path) == 0)
        return true;
    fg_fail(err, "%s: %s", path, strerror(errno));
    unlink(temporary);
    return false;
}
