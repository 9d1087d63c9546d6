/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The kernel's answers about interfaces and addresses. Input: answers, each behind its length of
 * two bytes; the first ones to an attach, the others to changes that are heard of. Each is also the
 * answer to a change of a floating address.
 */
#include <errno.h>
#include <sanitizer/asan_interface.h>
#include <sys/socket.h>

#include "port/netlink.h"
#include "port/own.h"

#include "fuzz.h"

static const uint8_t *left;
static size_t left_size;
static const char *poisoned; /* behind an answer, in the buffer that was given for it */
static size_t poisoned_size;

int __wrap_socket(int domain, int type, int protocol);
int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size);
ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags);

int __wrap_socket(int domain, int type, int protocol)
{
    return memfd_create("netlink", MFD_CLOEXEC);
}

int __wrap_bind(int fd, const struct sockaddr *address, socklen_t size)
{
    return 0;
}

ssize_t __wrap_send(int fd, const void *bytes, size_t size, int flags)
{
    return (ssize_t)size;
}

static void give_back(void)
{
    if (poisoned)
        ASAN_UNPOISON_MEMORY_REGION(poisoned, poisoned_size);
    poisoned = NULL;
}

ssize_t __wrap_recv(int fd, void *bytes, size_t size, int flags)
{
    size_t n;

    give_back();
    if (left_size < 2) {
        errno = EAGAIN;
        return -1;
    }
    n = left[0] | (size_t)left[1] << 8;
    left += 2;
    left_size -= 2;
    if (n == 0) { /* more than the socket holds */
        errno = ENOBUFS;
        return -1;
    }
    n = n < left_size ? n : left_size;
    n = n < size ? n : size;
    memcpy(bytes, left, n);
    left += n;
    left_size -= n;
    poisoned = (char *)bytes + n;
    poisoned_size = size - n;
    ASAN_POISON_MEMORY_REGION(poisoned, poisoned_size);
    return (ssize_t)n;
}

static void check(const struct fg_filter_own_addresses *own)
{
    FG_FUZZ_CHECK(own->macs <= FG_FILTER_OWN_MACS && own->addresses <= FG_FILTER_OWN_ADDRESSES);
    for (unsigned i = 0; i < own->addresses; i++)
        FG_FUZZ_CHECK(own->address[i].family == 4 || own->address[i].family == 6);
}

bool fg_filter_attach(struct fg_filter *filter, const char *ifname, bool generic,
                      const struct fg_filter_own_addresses *own, struct fg_error *err)
{
    check(own);
    return true;
}

bool fg_filter_set_own(struct fg_filter *filter, const char *ifname,
                       const struct fg_filter_own_addresses *own, struct fg_error *err)
{
    check(own);
    return true;
}

/* In room of its own, so that a read behind the answer is reported. */
static void answer_each(const uint8_t *data, size_t size)
{
    for (size_t at = 2; at <= size;) {
        size_t n = data[at - 2] | (size_t)data[at - 1] << 8;
        void *answer;

        n = n < size - at ? n : size - at;
        answer = fuzz_copy(data + at, n);
        FG_FUZZ_CHECK(fg_port_netlink_error(answer, (ssize_t)n) >= 0);
        free(answer);
        at += n + 2;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct fg_port_own *own;
    struct fg_error err;

    left = data;
    left_size = size;
    own = fg_port_own_open(&err);
    FG_FUZZ_CHECK(own);
    if (fg_port_own_attach(own, NULL, "lo", false, "198.18.0.1", "", &err))
        for (unsigned i = 0; i < 3 && left_size; i++)
            fg_port_own_poll(own, NULL);
    give_back();
    fg_port_own_close(own);
    answer_each(data, size);
    return 0;
}
