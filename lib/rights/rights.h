/* SPDX-License-Identifier: BSD-3-Clause */
/**
 * rights: gives up what only the start needs. A process that was told to do something else by a
 * hostile packet, file or server then finds little that the kernel would do for it.
 *
 * Called by the main thread, once each, during the start.
 */
#ifndef FG_RIGHTS_H
#define FG_RIGHTS_H

#include "base/base.h"

/**
 * Takes all capabilities from every thread of this process; threads that begin later inherit none.
 * A thread that blocks FG_THREAD_SIGNAL cannot be reached: it must be started afterwards. False and
 * err: a thread still has some.
 */
bool fg_rights_drop(struct fg_error *err);

/**
 * From now on every thread of this process, and those that begin later, may make the system calls
 * of a running appliance alone; all others fail with EPERM, and the kernel's log names them. No
 * program can be executed, no process made, no BPF program loaded. False and err: the kernel has no
 * seccomp.
 */
bool fg_rights_filter(struct fg_error *err);

/**
 * For a process with one thread and one job: from now on it has this capability (CAP_NET_ADMIN) and
 * no other, and may make these system calls alone. False and err: the kernel refuses.
 */
bool fg_rights_narrow(int capability, const int *calls, size_t count, struct fg_error *err);

#endif
