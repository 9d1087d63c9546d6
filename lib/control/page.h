/* SPDX-License-Identifier: BSD-3-Clause */
/** page: the page of the read-only listener, one file made of page/ by page/embed. */
#ifndef FG_CONTROL_PAGE_H
#define FG_CONTROL_PAGE_H

#define FG_CONTROL_PAGE_MOST (60 * 1024) /**< bytes */

extern const char fg_control_page[];
extern const char fg_control_page_policy[]; /**< Content-Security-Policy: this page and no other */

#endif
