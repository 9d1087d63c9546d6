/* SPDX-License-Identifier: BSD-3-Clause */
/** lottery: draws at the opening of items, repeated from what the log says (docs/waiting.md). */
#ifndef FG_AUDIT_LOTTERY_H
#define FG_AUDIT_LOTTERY_H

#include "story.h"

/** A commitment to a seed. `item` NULL: unknown, which is a problem already. */
void fg_lottery_commitment(struct fg_story *story, struct fg_item *item,
                           const struct fg_journal_record *record);

/** An order waits: the log must have a commitment before, if that is for a draw. */
void fg_lottery_entry(struct fg_story *story, const struct fg_item *item,
                      const struct fg_journal_record *record);

/** A draw: checks it, and gives who waits the tickets that it says. */
void fg_lottery_drawn(struct fg_story *story, struct fg_item *item,
                      const struct fg_journal_record *record);

/** The draws of an item, 0 = of all, and who got which ticket. */
void fg_lottery_print(const struct fg_story *story, uint64_t item, FILE *out);

#endif
