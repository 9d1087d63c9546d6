/* SPDX-License-Identifier: BSD-3-Clause */
/* The listening socket: right permissions from its first moment, no live one taken over. */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <libgen.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/folder.h"
#include "control/call.h"
#include "control/socket.h"

static int unix_socket(void)
{
    return socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

/* The path must be free, or be the socket of a process that has ended. */
static bool clear_path(const struct sockaddr_un *address, struct fg_error *err)
{
    const char *path = address->sun_path;
    struct stat st;
    int fd, rc, why;

    if (lstat(path, &st) < 0)
        return errno == ENOENT || fg_fail(err, "control socket %s: %s", path, strerror(errno));
    if (!S_ISSOCK(st.st_mode))
        return fg_fail(
            err, "control socket %s: exists and is not a socket; remove it or set another path",
            path);
    fd = unix_socket();
    if (fd < 0)
        return fg_fail(err, "control socket %s: %s", path, strerror(errno));
    rc = connect(fd, (const struct sockaddr *)address, sizeof(*address));
    why = rc < 0 ? errno : 0;
    close(fd);
    if (why != ECONNREFUSED && why != ENOENT) /* also EAGAIN: a live one with a full backlog */
        return fg_fail(err, "control socket %s: another daemon listens there (%s)", path,
                       why ? strerror(why) : "it took a connection");
    if (unlink(path) < 0 && errno != ENOENT)
        return fg_fail(err, "control socket %s: cannot remove the stale one: %s", path,
                       strerror(errno));
    return true;
}

static bool find_group(const char *name, gid_t *gid, struct fg_error *err)
{
    struct group entry, *found = NULL;
    char buffer[16384];

    if (getgrnam_r(name, &entry, buffer, sizeof(buffer), &found) != 0 || !found)
        return fg_fail(err, "control socket: no group \"%s\" on this machine", name);
    *gid = found->gr_gid;
    return true;
}

void fg_control_own_socket(struct fg_control *control, const char *path)
{
    struct stat st;

    snprintf(control->path, sizeof(control->path), "%s", path);
    if (stat(path, &st) == 0) {
        control->device = st.st_dev;
        control->inode = st.st_ino;
    }
}

void fg_control_remove_socket(const struct fg_control *control)
{
    struct stat st;

    if (control->path[0] && stat(control->path, &st) == 0 && st.st_dev == control->device &&
        st.st_ino == control->inode)
        unlink(control->path);
}

/* Nobody can connect before listen(), so the permissions are right before the first connection. */
static bool bind_listen(int fd, const struct sockaddr_un *address, unsigned mode, const char *group,
                        struct fg_error *err)
{
    const char *path = address->sun_path;
    gid_t gid = (gid_t)-1;

    if (group && *group && !find_group(group, &gid, err))
        return false;
    if (fchmod(fd, 0600) < 0 || bind(fd, (const struct sockaddr *)address, sizeof(*address)) < 0)
        return fg_fail(err, "control socket %s: cannot bind: %s", path, strerror(errno));
    if ((gid != (gid_t)-1 && lchown(path, (uid_t)-1, gid) < 0) || chmod(path, mode) < 0 ||
        listen(fd, 64) < 0) {
        fg_fail(err, "control socket %s: cannot set mode %o and group \"%s\": %s%s", path, mode,
                group ? group : "", strerror(errno),
                errno == EPERM ? "; the daemon's user must be a member of the group" : "");
        unlink(path);
        return false;
    }
    return true;
}

/* The daemon makes the socket's folder itself, but not the folders above it. */
bool fg_control_check_socket(const char *path, struct fg_error *err)
{
    char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
    struct stat st;

    snprintf(copy, sizeof(copy), "%s", path);
    if (!fg_folder_check(dirname(copy), false, err))
        return false;
    if (lstat(path, &st) == 0 && !S_ISSOCK(st.st_mode))
        return fg_fail(
            err, "control socket %s: exists and is not a socket; remove it or set another path",
            path);
    return true;
}

bool fg_control_check_group(const char *group, struct fg_error *err)
{
    gid_t gid;

    return !*group || find_group(group, &gid, err);
}

/* The folder is locked while we check and bind: two daemons that start at once cannot both find it
 * stale. */
static int lock_folder(const char *path, struct fg_error *err)
{
    char copy[sizeof(((struct sockaddr_un *)0)->sun_path)];
    const char *folder;
    int fd;

    snprintf(copy, sizeof(copy), "%s", path);
    folder = dirname(copy);
    fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0 || flock(fd, LOCK_EX) < 0) {
        fg_fail(err, "control socket %s: folder %s: %s", path, folder, strerror(errno));
        if (fd >= 0)
            close(fd);
        return -1;
    }
    return fd;
}

int fg_control_listen(const char *path, unsigned mode, const char *group, struct fg_error *err)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int folder, fd;

    if (*path == 0 || strlen(path) >= sizeof(address.sun_path)) {
        fg_fail(err, "control socket \"%s\": the path must have 1 to %zu bytes", path,
                sizeof(address.sun_path) - 1);
        return -1;
    }
    strcpy(address.sun_path, path);
    folder = lock_folder(path, err);
    if (folder < 0)
        return -1;
    fd = clear_path(&address, err) ? unix_socket() : -1;
    if (fd >= 0 && !bind_listen(fd, &address, mode, group, err)) {
        close(fd);
        fd = -1;
    }
    close(folder);
    return fd;
}
