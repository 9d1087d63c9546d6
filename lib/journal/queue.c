/* SPDX-License-Identifier: BSD-3-Clause */
#include "journal/queue.h"

#include <errno.h>
#include <limits.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

#include <liburing.h>

#define ENTRIES    8
#define BUSY_TRIES 1000 /* of a submit that lacks memory or room in the kernel */
#define BUSY_US    1000

/* ---- by io_uring ----------------------------------------------------------------------------- */

static int uring_submit(void *queue, unsigned slot, int fd, const void *data, size_t len,
                        uint64_t offset)
{
    struct io_uring *ring = queue;
    struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
    int n;

    if (!sqe) { /* never: there are more entries than writes */
        errno = EBUSY;
        return -1;
    }
    io_uring_prep_write(sqe, fd, data, (unsigned)len, offset);
    sqe->rw_flags = RWF_DSYNC;
    sqe->user_data = slot;
    for (int tries = 0;; tries++) {
        n = io_uring_submit(ring);
        if (n == -EINTR)
            continue;
        if ((n != -EAGAIN && n != -EBUSY) || tries == BUSY_TRIES)
            break;
        usleep(BUSY_US);
    }
    if (n == 1)
        return 0;
    errno = n < 0 ? -n : EIO;
    return -1;
}

static int uring_wait(struct io_uring *ring, unsigned us, struct io_uring_cqe **cqe)
{
    struct __kernel_timespec timeout = {.tv_sec = us / 1000000,
                                        .tv_nsec = (long long)(us % 1000000) * 1000};

    if (us == UINT_MAX)
        return io_uring_wait_cqe(ring, cqe);
    return us ? io_uring_wait_cqe_timeout(ring, cqe, &timeout) : io_uring_peek_cqe(ring, cqe);
}

static int uring_reap(void *queue, unsigned us, unsigned *slot, ssize_t *result)
{
    struct io_uring *ring = queue;
    struct io_uring_cqe *cqe;
    int refused;

    do
        refused = uring_wait(ring, us, &cqe);
    while (refused == -EINTR && us == UINT_MAX);
    if (refused == -ETIME || refused == -EAGAIN || refused == -EINTR)
        return 0;
    if (refused < 0) {
        errno = -refused;
        return -1;
    }
    *slot = (unsigned)cqe->user_data;
    *result = cqe->res;
    io_uring_cqe_seen(ring, cqe);
    return 1;
}

/* The filter of system calls (lib/rights) does not see what a ring does: so it may only write. */
static bool restricted(struct io_uring *ring)
{
    struct io_uring_restriction only[] = {
        {.opcode = IORING_RESTRICTION_SQE_OP, .sqe_op = IORING_OP_WRITE},
        {.opcode = IORING_RESTRICTION_REGISTER_OP, .register_op = IORING_UNREGISTER_FILES}};

    /* not in the library of Debian 12 */
    return syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_RESTRICTIONS, only, 2) ==
               0 &&
           syscall(SYS_io_uring_register, ring->ring_fd, IORING_REGISTER_ENABLE_RINGS, NULL, 0) ==
               0;
}

static struct io_uring *uring_open(int lock_fd)
{
    struct io_uring *ring = calloc(1, sizeof(*ring));

    if (!ring)
        return NULL;
    if (io_uring_queue_init(ENTRIES, ring, IORING_SETUP_R_DISABLED) < 0) {
        free(ring);
        return NULL;
    }
    if ((ring->features & IORING_FEAT_EXT_ARG) && /* waits with a timeout */
        io_uring_register_files(ring, &lock_fd, 1) == 0 && restricted(ring))
        return ring;
    io_uring_queue_exit(ring);
    free(ring);
    return NULL;
}

/* ---- by a system call ------------------------------------------------------------------------ */

struct ended {
    unsigned slot;
    ssize_t result;
    bool told;
};

static int dsync_submit(void *queue, unsigned slot, int fd, const void *data, size_t len,
                        uint64_t offset)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)data, .iov_len = len};
    ssize_t n;

    do
        n = pwritev2(fd, &piece, 1, (off_t)offset, RWF_DSYNC);
    while (n < 0 && errno == EINTR);
    *(struct ended *)queue = (struct ended){.slot = slot, .result = n < 0 ? -errno : n};
    return 0;
}

static int dsync_reap(void *queue, unsigned us, unsigned *slot, ssize_t *result)
{
    struct ended *ended = queue;

    if (ended->told)
        return 0;
    *slot = ended->slot;
    *result = ended->result;
    ended->told = true;
    return 1;
}

static struct ended *dsync_open(void)
{
    struct ended *ended = calloc(1, sizeof(*ended));

    if (ended)
        ended->told = true;
    return ended;
}

/* ---- either ---------------------------------------------------------------------------------- */

bool fg_journal_queue_open(struct fg_journal_file_ops *ops, enum fg_journal_way way, int lock_fd)
{
    bool uring = way == FG_JOURNAL_WAY_URING;

    ops->queue = uring ? (void *)uring_open(lock_fd) : (void *)dsync_open();
    if (!ops->queue)
        return false;
    ops->submit = uring ? uring_submit : dsync_submit;
    ops->reap = uring ? uring_reap : dsync_reap;
    ops->depth = uring ? FG_JOURNAL_FLIGHTS : 1;
    return true;
}

void fg_journal_queue_close(struct fg_journal_file_ops *ops)
{
    if (ops->submit == uring_submit) {
        io_uring_unregister_files(ops->queue); /* else the kernel gives the lock back later */
        io_uring_queue_exit(ops->queue);
    }
    if (ops->submit == uring_submit || ops->submit == dsync_submit)
        free(ops->queue);
    ops->queue = NULL;
    ops->submit = NULL;
    ops->reap = NULL;
    ops->depth = 0;
}
