/* SPDX-License-Identifier: BSD-3-Clause */
/* Holds floating addresses as a leading appliance does. usage: floating_driver ADDRESSES. Reads
 * lines: `hold` (said again every 100 ms from then on), `drop`, `ask` (answers "held" or "not held
 * ERRNO ADDRESS"). Ends with its input. */
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "port/floating.h"

static void answer(const struct fg_port_floating *f)
{
    unsigned address = 0;
    int fault = fg_port_floating_fault(f, &address);

    if (fg_port_floating_held(f))
        printf("held\n");
    else
        printf("not held %d %u\n", fault, address);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct pollfd in = {.fd = STDIN_FILENO, .events = POLLIN};
    struct fg_error err = {""};
    struct fg_port_floating *f;
    bool hold = false;
    char line[64];

    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdin, NULL, _IONBF, 0);
    f = argc == 2 ? fg_port_floating_start(argv[1], NULL, 0, &err) : NULL;
    if (!f) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (;;) {
        if (poll(&in, 1, FG_PORT_FLOATING_TELL_MS) == 0) {
            fg_port_floating_hold(f, hold);
            continue;
        }
        if (!fgets(line, sizeof(line), stdin))
            break;
        if (line[0] == 'a')
            answer(f);
        else
            fg_port_floating_hold(f, hold = line[0] == 'h');
    }
    fg_port_floating_stop(f);
    return 0;
}
