/* SPDX-License-Identifier: BSD-3-Clause */
/* A process with one job: it keeps one capability, and a handful of system calls. */
#include <errno.h>
#include <linux/capability.h>
#include <seccomp.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "rights/rights.h"

static bool keep_only(int capability)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {0};

    data[CAP_TO_INDEX(capability)].permitted = CAP_TO_MASK(capability);
    data[CAP_TO_INDEX(capability)].effective = CAP_TO_MASK(capability);
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && syscall(SYS_capset, &header, data) == 0;
}

bool fg_rights_narrow(int capability, const int *calls, size_t count, struct fg_error *err)
{
    scmp_filter_ctx ctx;
    int failed = 0;

    if (!keep_only(capability))
        return fg_fail(err, "cannot give up capabilities: %s", strerror(errno));
    ctx = seccomp_init(SCMP_ACT_ERRNO(EPERM));
    if (!ctx)
        return fg_fail(err, "no filter for system calls: %s", strerror(ENOMEM));
    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_LOG, 1);
    for (size_t i = 0; i < count && !failed; i++)
        failed = seccomp_rule_add(ctx, SCMP_ACT_ALLOW, calls[i], 0);
    if (!failed)
        failed = seccomp_load(ctx);
    seccomp_release(ctx);
    return !failed || fg_fail(err, "no filter for system calls: %s", strerror(-failed));
}
