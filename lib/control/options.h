/* SPDX-License-Identifier: BSD-3-Clause */
/** options: of the control server and of the listener for metrics: sections [api], [metrics]. */
#ifndef FG_CONTROL_OPTIONS_H
#define FG_CONTROL_OPTIONS_H

struct fg_control_options {
    char socket[108]; /**< unix socket of the control server */
    unsigned mode;    /**< its permissions, octal in the file */
    char group[64];   /**< its group; "" = leave */
    char viewer[108]; /**< unix socket of the viewer; "" = none */
    unsigned viewer_mode;
    char viewer_group[64];
};

struct fg_control_viewer_options {
    char listen[64]; /**< address and port of the read-only listener; "" = none */
};

#endif
