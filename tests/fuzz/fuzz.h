/* SPDX-License-Identifier: BSD-3-Clause */
/* What every fuzzer needs. FG_FUZZ_CHECK stands for a property that must hold for any input. */
#ifndef FG_FUZZ_H
#define FG_FUZZ_H

#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/base.h"

int LLVMFuzzerInitialize(int *argc, char ***argv);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define FG_FUZZ_CHECK FG_ASSERT

/* A copy of exactly that size, so that a read behind it is reported; free() it. */
static inline void *fuzz_copy(const void *data, size_t size)
{
    void *copy = malloc(size + !size);

    FG_FUZZ_CHECK(copy);
    return memcpy(copy, data, size);
}

/* A file in memory with these bytes, as a path in `path`; close() the result to be rid of it. */
static inline int fuzz_file(const void *data, size_t size, char path[64])
{
    int fd = memfd_create("fuzz", MFD_CLOEXEC);

    FG_FUZZ_CHECK(fd >= 0 && write(fd, data, size) == (ssize_t)size);
    snprintf(path, 64, "/proc/self/fd/%d", fd);
    return fd;
}

#endif
