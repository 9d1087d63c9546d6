/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * A disk for the real lib/journal: a folder in memory (tmpfs) stands for the page cache, and what
 * was not synced can be undone. A power cut keeps none, some or all of it, in sectors, and of the
 * names a first part. A durable write (io_uring) is under way until the world's time says that it
 * has ended.
 */
#ifndef FG_SIM_PAIR_DISK_H
#define FG_SIM_PAIR_DISK_H

#include "journal/file.h"

enum { DISK_PENDING_MAX = 65536, DISK_SECTOR = 512 };

struct disk_write { /* into a file, and not synced yet */
    int fd;         /* a copy of the writer's */
    ino_t ino;
    bool allocate; /* makes it longer: old_size, size */
    uint64_t offset, size, old_size;
    uint8_t *was, *is;
};

struct disk_name { /* not synced yet */
    enum { DISK_CREATE, DISK_RENAME, DISK_REMOVE } kind;
    char from[40], to[40];
    char aside[40]; /* what was there under that name; "" = nothing */
};

struct disk_flight { /* a durable write */
    bool up;
    int fd;
    uint64_t end_ms, offset;
    size_t size;
    uint8_t *data;
};

struct disk {
    struct fg_journal_file_ops ops; /* for fg_journal_open_on */
    char path[96];
    int fd; /* of the folder */
    uint64_t *now_ms, *random;
    uint64_t slow_ms; /* a durable write takes at most so long */
    unsigned fuse;    /* the power goes with this call from now; 0 = it does not */
    bool off;         /* it went: nothing reaches the disk any more */
    struct disk_write *writes;
    size_t writes_len;
    struct disk_name names[64];
    unsigned names_len, asides;
    struct disk_flight flights[FG_JOURNAL_FLIGHTS];
};

void disk_begin(struct disk *d, const char *path, uint64_t *now_ms, uint64_t *random);
void disk_end(struct disk *d);
/* The power goes; who has files open closes them, and then comes disk_power_back. */
void disk_power_off(struct disk *d);
void disk_power_back(struct disk *d);

#endif
