/* SPDX-License-Identifier: BSD-3-Clause */
/** folder: makes the folders that the appliance needs, or tells beforehand whether it can. Any
 * thread. */
#ifndef FG_BASE_FOLDER_H
#define FG_BASE_FOLDER_H

#include <sys/types.h>

#include "base/base.h"

/**
 * Makes every missing folder above path. Each new one is synced into its parent, so that it
 * survives a crash of the machine. False and err name the folder that failed.
 */
bool fg_folder_make_parents(const char *path, mode_t mode, struct fg_error *err);

/**
 * Whether this process can make files in the folder, or can make the folder itself. May its parents
 * be missing, too? Makes nothing. Not exact for root on a network file system.
 */
bool fg_folder_check(const char *path, bool parents, struct fg_error *err);

#endif
