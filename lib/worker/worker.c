/* SPDX-License-Identifier: BSD-3-Clause */
#include "worker/worker.h"

#include "worker/loop.h"

static inline void no_hook(enum fg_worker_stage ended)
{
}

void fg_worker_loop(struct fg_worker *w)
{
    fg_worker_stages(w, no_hook);
}

int fg_worker_main(void *worker)
{
    struct fg_worker *w = worker;

    fg_worker_idle_start();
    atomic_store(&w->running, true);
    while (!atomic_load_explicit(w->quit, memory_order_relaxed))
        fg_worker_loop(w);
    atomic_store(&w->running, false);
    return 0;
}
