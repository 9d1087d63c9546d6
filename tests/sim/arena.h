/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * Memory that can be put back: all that engines and rings allocate (aligned_alloc and
 * fg_ring_create are wrapped by the linker) lies here, and a copy of it is the state of the
 * appliance. Of large arrays only the pages that were ever written are copied: they are found by
 * write protection.
 */
#ifndef FG_SIM_ARENA_H
#define FG_SIM_ARENA_H

#include "base/base.h"

void arena_start(void);
void arena_reset(void); /* forgets all allocations */
void arena_seal(void);  /* all is allocated: large arrays are watched from now on */

size_t arena_copy_size(void);
void arena_save(uint8_t *copy);
void arena_restore(const uint8_t *copy);

/* What the engines allocated in small pieces: all of it counts for the state. */
uint8_t *arena_small(size_t *size);
/* Large pages that were written. */
unsigned arena_pages(void);
const uint8_t *arena_page(unsigned i);

#endif
