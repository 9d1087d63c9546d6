/* SPDX-License-Identifier: BSD-3-Clause */
#include "fgctl.h"

#include <locale.h>
#include <signal.h>
#include <string.h>

int main(int argc, char **argv)
{
    static struct fg_args args;
    struct fg_cli cli = {.socket = getenv("FLOODGATE_SOCKET")};
    int code;

    if (!setlocale(LC_CTYPE, "C.UTF-8")) /* names are UTF-8, whatever the user's locale is */
        setlocale(LC_CTYPE, "");
    signal(SIGPIPE, SIG_IGN);
    for (int i = 1; i < argc && strcmp(argv[i], "--"); i++) /* errors before it, too */
        cli.json |= strcmp(argv[i], "--json") == 0;
    if (!cli.socket || !*cli.socket)
        cli.socket = FG_DEFAULT_SOCKET;
    code = fg_parse(&cli, argc, argv, &args);
    if (code < 0) {
        cli.http = fg_http_open(cli.socket);
        fg_now_of(&cli);
        code = args.command->run(&cli, &args);
        fg_http_close(cli.http);
    }
    if ((fflush(stdout) != 0 || ferror(stdout)) && code == FG_EXIT_OK) { /* now, or before */
        fg_complain("cannot write the output");
        return FG_EXIT_INPUT;
    }
    if (cli.json && code != FG_EXIT_OK)
        fg_tell_error(code);
    return code;
}
