/* SPDX-License-Identifier: BSD-3-Clause */
#include "replication/keeper.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/thread.h"
#include "journal/file.h"

#define PART       "part"
#define SLOTS      48         /* pieces of two files and their beginnings */
#define SYNC_BYTES (4u << 20) /* the log's own syncs never wait for more than this */

_Static_assert(SLOTS > 2 * FG_REPLICATION_WINDOW + 2, "room for what is under way");

struct slot {
    uint32_t number; /* of the file, see `number` below */
    bool begins;
    enum fg_replication_file file;
    uint64_t version, size; /* begins: of the whole file; else of the bytes */
    uint8_t bytes[FG_REPLICATION_PIECE_MAX];
};

struct fg_replication_keeper {
    char dir[512];
    pthread_t thread;
    const struct fg_replication_hooks *hooks;
    int wake_fd, bell_fd; /* of the owner; of the thread */
    struct slot *slots;   /* [SLOTS] */
    _Atomic uint64_t head, tail;
    _Atomic uint32_t number; /* counts the files that began; the owner writes */
    _Atomic bool quit;
    /* the thread writes */
    _Atomic uint64_t written;
    _Atomic uint32_t begun;        /* number of the file that `written` is of */
    _Atomic uint32_t kept, failed; /* number of the newest file that was kept, or could not be */
    char error[256];               /* before `failed` */
    _Atomic uint64_t whole, whole_bytes; /* of the snapshot that was kept */
    /* the thread's own */
    int log_fd, fill_fd, fd; /* fd: -1 = no file is open */
    struct slot now;         /* how the file began, without bytes */
    uint64_t at, synced;
};

static void ring_out(int fd)
{
    const uint64_t one = 1;

    if (write(fd, &one, sizeof(one)) < 0)
        return; /* it is readable already */
}

/* ---- the thread ------------------------------------------------------------------------------ */

static void name_of(enum fg_replication_file file, uint64_t version,
                    char name[FG_JOURNAL_NAME_SIZE])
{
    static const char *const names[FG_REPLICATION_FILES] = {
        [FG_REPLICATION_BLOCK_LIST] = "block.list", [FG_REPLICATION_ALLOW_LIST] = "allow.list"};

    if (file == FG_REPLICATION_SNAPSHOT)
        fg_journal_file_name(name, version, FG_JOURNAL_SNAPSHOT_SUFFIX);
    else
        snprintf(name, FG_JOURNAL_NAME_SIZE, "%s", names[file]);
}

static void part_path(const struct fg_replication_keeper *k, char path[FG_REPLICATION_PATH_MAX])
{
    snprintf(path, FG_REPLICATION_PATH_MAX, "%s/" FG_JOURNAL_FILL_DIR "/" PART, k->dir);
}

static void remove_part(const struct fg_replication_keeper *k)
{
    char path[FG_REPLICATION_PATH_MAX];

    part_path(k, path);
    unlink(path);
}

static void close_file(struct fg_replication_keeper *k)
{
    if (k->fd >= 0)
        close(k->fd);
    if (k->fill_fd >= 0)
        close(k->fill_fd);
    if (k->log_fd >= 0)
        close(k->log_fd);
    k->fd = k->fill_fd = k->log_fd = -1;
}

static void give_up(struct fg_replication_keeper *k, const char *what, const char *why)
{
    snprintf(k->error, sizeof(k->error), "cannot keep what the leader sends: %s: %.180s", what,
             why);
    remove_part(k);
    close_file(k);
    atomic_store_explicit(&k->failed, k->now.number, memory_order_release);
    ring_out(k->wake_fd);
}

/* The folder's own entry is durable before any file in it has a name. */
static bool open_file(struct fg_replication_keeper *k)
{
    k->log_fd = open(k->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (k->log_fd < 0 || (mkdirat(k->log_fd, FG_JOURNAL_FILL_DIR, 0750) < 0 && errno != EEXIST) ||
        fsync(k->log_fd) < 0)
        return false;
    k->fill_fd = openat(k->log_fd, FG_JOURNAL_FILL_DIR, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (k->fill_fd >= 0)
        k->fd = openat(k->fill_fd, PART, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0640);
    return k->fd >= 0 && (fallocate(k->fd, 0, 0, (off_t)k->now.size) == 0 || errno == EOPNOTSUPP);
}

static bool is_usable(const struct fg_replication_keeper *k, struct fg_error *err)
{
    char path[FG_REPLICATION_PATH_MAX];

    part_path(k, path);
    return k->now.file != FG_REPLICATION_SNAPSHOT || !k->hooks->usable ||
           k->hooks->usable(k->hooks->ctx, path, k->now.version, err);
}

/* A file that is of no use never has a name. */
static bool finish(struct fg_replication_keeper *k)
{
    char name[FG_JOURNAL_NAME_SIZE];
    struct fg_error err = {""};

    name_of(k->now.file, k->now.version, name);
    if (!is_usable(k, &err)) {
        give_up(k, "it is of no use here", err.text);
        return false;
    }
    if (fdatasync(k->fd) == 0 && renameat(k->fill_fd, PART, k->fill_fd, name) == 0 &&
        fsync(k->fill_fd) == 0)
        return true;
    give_up(k, "sync", strerror(errno));
    return false;
}

static void begin(struct fg_replication_keeper *k, const struct slot *s)
{
    close_file(k);
    k->now.number = s->number;
    k->now.file = s->file;
    k->now.version = s->version;
    k->now.size = s->size;
    k->at = k->synced = 0;
    atomic_store(&k->written, 0);
    atomic_store(&k->begun, s->number);
    if (!s->size) /* of none, see fg_replication_keeper_drop */
        remove_part(k);
    else if (!open_file(k))
        give_up(k, "room in " FG_JOURNAL_FILL_DIR, strerror(errno));
}

static void add(struct fg_replication_keeper *k, const struct slot *s)
{
    if (k->fd < 0) /* it failed before */
        return;
    if (!fg_journal_file_write(&fg_journal_file_system, k->fd, s->bytes, s->size, k->at)) {
        give_up(k, "write", strerror(errno));
        return;
    }
    k->at += s->size;
    if (k->at - k->synced >= SYNC_BYTES) {
        k->synced = k->at;
        if (fdatasync(k->fd) < 0) {
            give_up(k, "sync", strerror(errno));
            return;
        }
    }
    if (k->at == k->now.size) {
        if (!finish(k))
            return;
        close_file(k);
        if (k->now.file == FG_REPLICATION_SNAPSHOT) {
            atomic_store(&k->whole_bytes, k->now.size);
            atomic_store(&k->whole, k->now.version);
        }
        atomic_store_explicit(&k->kept, k->now.number, memory_order_release);
    }
    atomic_store(&k->written, k->at);
    ring_out(k->wake_fd);
}

static void *run(void *keeper)
{
    struct fg_replication_keeper *k = keeper;
    uint64_t head = 0, count;

    remove_part(k); /* of an earlier process */
    while (!atomic_load_explicit(&k->quit, memory_order_acquire)) {
        if (head == atomic_load_explicit(&k->tail, memory_order_acquire)) {
            if (read(k->bell_fd, &count, sizeof(count)) < 0 && errno != EINTR)
                break;
            continue;
        }
        const struct slot *s = &k->slots[head % SLOTS];

        if (s->number == atomic_load(&k->number)) { /* else it was given up */
            if (s->begins)
                begin(k, s);
            else
                add(k, s);
        }
        atomic_store_explicit(&k->head, ++head, memory_order_release);
    }
    close_file(k);
    return NULL;
}

/* ---- the owner ------------------------------------------------------------------------------- */

struct fg_replication_keeper *fg_replication_keeper_start(const char *log_dir, int wake_fd,
                                                          const struct fg_replication_hooks *hooks,
                                                          struct fg_error *err)
{
    struct fg_replication_keeper *k = calloc(1, sizeof(*k));

    FG_ASSERT(k);
    snprintf(k->dir, sizeof(k->dir), "%s", log_dir);
    k->wake_fd = wake_fd;
    k->hooks = hooks;
    k->fd = k->fill_fd = k->log_fd = -1;
    k->bell_fd = eventfd(0, EFD_CLOEXEC);
    k->slots = calloc(SLOTS, sizeof(*k->slots));
    if (k->bell_fd >= 0 && k->slots && fg_thread_start(&k->thread, "fg-pair-keep", run, k))
        return k;
    if (k->bell_fd >= 0)
        close(k->bell_fd);
    free(k->slots);
    free(k);
    fg_fail(err, "cannot start the thread that keeps files of the pair");
    return NULL;
}

void fg_replication_keeper_stop(struct fg_replication_keeper *k)
{
    if (!k)
        return;
    atomic_store_explicit(&k->quit, true, memory_order_release);
    ring_out(k->bell_fd);
    pthread_join(k->thread, NULL);
    close(k->bell_fd);
    free(k->slots);
    free(k);
}

static struct slot *next_slot(struct fg_replication_keeper *k)
{
    uint64_t tail = atomic_load_explicit(&k->tail, memory_order_relaxed);

    return tail - atomic_load_explicit(&k->head, memory_order_acquire) < SLOTS
               ? &k->slots[tail % SLOTS]
               : NULL;
}

static void give(struct fg_replication_keeper *k)
{
    atomic_fetch_add_explicit(&k->tail, 1, memory_order_release);
    ring_out(k->bell_fd);
}

bool fg_replication_keeper_begin(struct fg_replication_keeper *k, enum fg_replication_file file,
                                 uint64_t version, uint64_t size)
{
    struct slot *s = next_slot(k);

    if (!s)
        return false;
    s->number = atomic_fetch_add(&k->number, 1) + 1;
    s->begins = true;
    s->file = file;
    s->version = version;
    s->size = size;
    give(k);
    return true;
}

void fg_replication_keeper_drop(struct fg_replication_keeper *k)
{
    fg_replication_keeper_begin(k, FG_REPLICATION_SNAPSHOT, 0, 0);
}

bool fg_replication_keeper_put(struct fg_replication_keeper *k, const uint8_t *bytes, size_t size)
{
    struct slot *s = next_slot(k);

    FG_ASSERT(size <= FG_REPLICATION_PIECE_MAX);
    if (!s)
        return false;
    s->number = atomic_load(&k->number);
    s->begins = false;
    s->size = size;
    memcpy(s->bytes, bytes, size);
    give(k);
    return true;
}

enum fg_replication_kept fg_replication_keeper_progress(struct fg_replication_keeper *k,
                                                        uint64_t *written)
{
    uint32_t number = atomic_load(&k->number);

    *written = 0;
    if (atomic_load_explicit(&k->kept, memory_order_acquire) == number)
        return FG_REPLICATION_KEPT;
    if (atomic_load_explicit(&k->failed, memory_order_acquire) == number)
        return FG_REPLICATION_NOT_KEPT;
    if (atomic_load(&k->begun) == number)
        *written = atomic_load(&k->written);
    return FG_REPLICATION_KEEPING;
}

const char *fg_replication_keeper_error(const struct fg_replication_keeper *k)
{
    return k->error;
}

uint64_t fg_replication_keeper_whole(struct fg_replication_keeper *k, uint64_t *bytes)
{
    uint64_t seq = atomic_load(&k->whole);

    *bytes = atomic_load(&k->whole_bytes);
    return seq;
}

void fg_replication_keeper_path(const struct fg_replication_keeper *k,
                                enum fg_replication_file file, uint64_t version,
                                char path[FG_REPLICATION_PATH_MAX])
{
    char name[FG_JOURNAL_NAME_SIZE];

    name_of(file, version, name);
    snprintf(path, FG_REPLICATION_PATH_MAX, "%s/" FG_JOURNAL_FILL_DIR "/%s", k->dir, name);
}
