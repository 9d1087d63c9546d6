/* SPDX-License-Identifier: BSD-3-Clause */
/*
 * The control server: the input is what a client sends over one connection, as it is. The server is
 * the real one, with its sockets, threads and handlers; a double stands for the daemon behind it.
 * Whatever comes, the server answers the next client.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

#include "fuzz.h"
#include "sink/sink.h"
#include "tests/unit/control_double.h"

#define EACH 256 /* inputs until a well-behaved client asks in between */

static struct fg_fixture fixture;

/* The table of conditions names it; there are no sinks here, and none of their libraries. */
const char *fg_sink_state_name(unsigned state)
{
    return "live";
}

static void stop(void)
{
    fg_fixture_stop(&fixture);
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
    fg_fixture_start(&fixture, false);
    atexit(stop);
    return 0;
}

static void talk(const uint8_t *data, size_t size)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    char answer[4096];

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture.socket);
    FG_FUZZ_CHECK(fd >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0);
    for (size_t sent = 0; sent < size;) {
        ssize_t n = send(fd, data + sent, size - sent, MSG_NOSIGNAL);

        if (n <= 0)
            break; /* hung up: the answer is there to be read */
        sent += (size_t)n;
    }
    shutdown(fd, SHUT_WR); /* also the end of a stream */
    while (recv(fd, answer, sizeof(answer), 0) > 0)
        ;
    close(fd);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static unsigned count;
    json_t *json = NULL;

    talk(data, size);
    if (count++ % EACH == 0) {
        FG_FUZZ_CHECK(fg_ask(fixture.socket, "GET", "/v1", NULL, &json) == 200 && json);
        json_decref(json);
    }
    return 0;
}
