# SPDX-License-Identifier: BSD-3-Clause
"""A waiting list of a million users in the stock engine: entering it against an acceptance, a repeat, and an offer.

One worker; no packet, no disk. The program tools/bench.d/engine does the rounds itself.
"""

import engine


def measure(runs):
    return [{**row, 'bench': 'waiting'} for row in engine.measure(runs, ['waiting'])]
