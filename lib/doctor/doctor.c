/* SPDX-License-Identifier: BSD-3-Clause */
#include "doctor/checks.h"

#include <string.h>

const struct fg_doctor_check fg_doctor_checks[] = {
#define X(id, name, fixable, tested, remedy) {name, tested, remedy, fixable, fg_doctor_check_##id},
    FG_DOCTOR_CHECK_LIST(X)
#undef X
};
const unsigned fg_doctor_checks_count = sizeof(fg_doctor_checks) / sizeof(fg_doctor_checks[0]);

const char *fg_doctor_verdict_name(enum fg_doctor_verdict verdict)
{
    static const char *const names[] = {"good", "skipped", "warning", "fault"};

    return names[verdict];
}

void fg_doctor_run(const struct fg_doctor *doctor, const struct fg_doctor_check *check,
                   struct fg_doctor_finding *finding)
{
    memset(finding, 0, sizeof(*finding));
    check->run(doctor, finding);
    FG_ASSERT((finding->verdict == FG_DOCTOR_GOOD) == !finding->cause[0]);
}

void fg_doctor_describe(FILE *out)
{
    fprintf(out, "| check | how it is tested | remedy | `--fix` |\n|---|---|---|---|\n");
    for (unsigned i = 0; i < fg_doctor_checks_count; i++)
        fprintf(out, "| `%s` | %s | %s | %s |\n", fg_doctor_checks[i].name,
                fg_doctor_checks[i].tested, fg_doctor_checks[i].remedy,
                fg_doctor_checks[i].fixable ? "yes" : "");
}
