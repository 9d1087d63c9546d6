/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/folder.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static bool copy_path(char copy[PATH_MAX], const char *path, struct fg_error *err)
{
    size_t length = strlen(path);

    if (length == 0 || length >= PATH_MAX)
        return fg_fail(err, "a path of %zu characters; accepted: 1..%d", length, PATH_MAX - 1);
    memcpy(copy, path, length + 1);
    while (length > 1 && copy[length - 1] == '/')
        copy[--length] = '\0';
    return true;
}

/* Cuts the last name off; "/" and "." stay what they are. */
static void to_parent(char *path)
{
    char *slash = strrchr(path, '/');

    if (!slash) {
        strcpy(path, ".");
        return;
    }
    while (slash > path && slash[-1] == '/')
        slash--;
    slash[slash == path] = '\0';
}

static bool sync_parent(const char *path, struct fg_error *err)
{
    char parent[PATH_MAX];
    bool ok;
    int fd;

    strcpy(parent, path);
    to_parent(parent);
    fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ok = fd >= 0 && fsync(fd) == 0;
    if (!ok)
        fg_fail(err, "%s: cannot sync its parent: %s", path, strerror(errno));
    if (fd >= 0)
        close(fd);
    return ok;
}

static bool make_one(const char *path, mode_t mode, struct fg_error *err)
{
    if (mkdir(path, mode) == 0)
        return sync_parent(path, err);
    return errno == EEXIST || fg_fail(err, "%s: cannot create: %s", path, strerror(errno));
}

bool fg_folder_make_parents(const char *path, mode_t mode, struct fg_error *err)
{
    char copy[PATH_MAX];

    if (!copy_path(copy, path, err))
        return false;
    for (char *at = copy + 1; (at = strchr(at, '/')); at++) {
        *at = '\0';
        if (!make_one(copy, mode, err))
            return false;
        *at = '/';
    }
    return true;
}

bool fg_folder_check(const char *path, bool parents, struct fg_error *err)
{
    char existing[PATH_MAX];
    struct stat st;
    unsigned missing = 0;

    if (!copy_path(existing, path, err))
        return false;
    for (; stat(existing, &st) < 0; missing++) {
        int why = errno;

        if (why != ENOENT || (missing && !parents) || !strcmp(existing, "/") ||
            !strcmp(existing, "."))
            return missing ? fg_fail(err, "%s: cannot be created: %s: %s", path, existing,
                                     strerror(why))
                           : fg_fail(err, "%s: %s", existing, strerror(why));
        to_parent(existing);
    }
    if (!S_ISDIR(st.st_mode))
        return fg_fail(err, "%s: not a folder", existing);
    if (access(existing, W_OK | X_OK) == 0)
        return true;
    return fg_fail(err, "%s: cannot %s: %s", path, missing ? "be created" : "be written to",
                   strerror(errno));
}
