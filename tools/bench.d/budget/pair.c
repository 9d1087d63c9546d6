/* SPDX-License-Identifier: BSD-3-Clause */
/* Instructions of a rejected and of an accepted order at an appliance without a pair, and at the
 * leader of one. */
#include "bench.h"

void pair_run(void)
{
    static struct feed alone, leader;

    leader.world.leads = true;
    fleet_count(&alone, "no pair");
    fleet_count(&leader, "leader");
}
