/* SPDX-License-Identifier: BSD-3-Clause */
/** options: of the filter, as an operator gives them: section [filter]. */
#ifndef FG_FILTER_OPTIONS_H
#define FG_FILTER_OPTIONS_H

#include <stdbool.h>
#include <stdint.h>

struct fg_filter_rate_options { /* of one class of packets; 0 packets/s = no limit */
    uint32_t rate;
    uint32_t burst;
};

struct fg_filter_settings {
    bool enabled;
    char pins[256];                        /**< folder on a bpffs for link and maps */
    struct fg_filter_rate_options order;   /**< order packets of one source */
    struct fg_filter_rate_options syn;     /**< connection attempts of one source */
    struct fg_filter_rate_options other;   /**< everything else of one source */
    uint32_t sources_max;                  /**< entries of the table of sources */
    uint32_t prefixes_max;                 /**< entries of both lists together */
    uint32_t net_factor;                   /**< what a /24 or /48 may send, in what a source may */
    uint32_t sample_rate;                  /**< of dropped packets, per second, verdict and CPU */
    bool monitor;                          /**< drop nothing */
    unsigned v6_prefix;                    /**< bits of an IPv6 address that make a source */
    char block_file[256], allow_file[256]; /**< lists for a start that finds none */
};

#endif
