/* SPDX-License-Identifier: BSD-3-Clause */
#include "base/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool fg_secret_read(const char *path, char secret[FG_SECRET_MAX], struct fg_error *err)
{
    char text[FG_SECRET_MAX + 1]; /* more than fits, to see that it does not */
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a FIFO must not block the caller */
    ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
    int why = errno;
    size_t length;

    if (fd >= 0)
        close(fd);
    if (n < 0)
        return fg_fail(err, "password_file %s: %s", path, strerror(why));
    text[n] = '\0';
    length = strcspn(text, "\r\n");
    if (length == 0 || length >= FG_SECRET_MAX)
        return fg_fail(err, "password_file %s: first line is %s; accepted: 1..%d characters", path,
                       length ? "too long" : "empty", FG_SECRET_MAX - 1);
    memcpy(secret, text, length);
    secret[length] = '\0';
    explicit_bzero(text, sizeof(text));
    return true;
}
