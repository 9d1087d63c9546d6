/* SPDX-License-Identifier: BSD-3-Clause */
#include "stock/check_log.h"

#include <inttypes.h>
#include <string.h>
#include <unistd.h>

#include "journal/journal.h"
#include "ledger/snapshot.h"

#define ORDER_BYTES 80 /* of the ledger, an order; at most one comes with a record */

static uint64_t available_bytes(void)
{
    uint64_t kib = UINT64_MAX >> 10;
    char line[128];
    FILE *f = fopen("/proc/meminfo", "re");

    while (f && fgets(line, sizeof(line), f))
        if (sscanf(line, "MemAvailable: %" SCNu64, &kib) == 1)
            break;
    if (f)
        fclose(f);
    return kib << 10;
}

bool fg_stock_check_log(const struct fg_stock_limits *limits, unsigned workers, const char *dir,
                        struct fg_error *err)
{
    struct fg_journal_extent extent;
    struct fg_ledger_snapshot_info info;
    struct fg_ledger *ledger;
    bool ok;

    if (access(dir, F_OK) < 0)
        return true; /* a new log */
    if (!fg_journal_extent(dir, &extent, err))
        return false;
    if (!extent.segments)
        return true;
    if (extent.bytes / sizeof(struct fg_journal_record) * ORDER_BYTES > available_bytes() / 2)
        return fg_fail(
            err, "not compared with the log in %s, which is too large for the memory that is free",
            dir);
    ledger = fg_ledger_create();
    FG_ASSERT(ledger);
    fg_ledger_snapshot_load(ledger, dir, &info,
                            err); /* without one the log must begin with record 1 */
    ok = fg_ledger_replay(ledger, dir, UINT64_MAX, err) &&
         fg_stock_check_ledger(limits, workers, ledger, err);
    fg_ledger_destroy(ledger);
    return ok;
}
