/* SPDX-License-Identifier: BSD-3-Clause */
#include "fgctl.h"

#include <locale.h>
#include <signal.h>

int main(int argc, char **argv)
{
    static struct fg_args args;
    struct fg_cli cli = {.socket = getenv("FLOODGATE_SOCKET")};
    int code;

    setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    if (!cli.socket || !*cli.socket)
        cli.socket = FG_DEFAULT_SOCKET;
    code = fg_parse(&cli, argc, argv, &args);
    if (code < 0) {
        cli.http = fg_http_open(cli.socket);
        fg_now_of(&cli);
        code = args.command->run(&cli, &args);
        fg_http_close(cli.http);
    }
    if (fflush(stdout) != 0 && code == FG_EXIT_OK) {
        fprintf(stderr, "fgctl: cannot write the output\n");
        return FG_EXIT_INPUT;
    }
    return code;
}
