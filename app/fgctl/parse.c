/* SPDX-License-Identifier: BSD-3-Clause */
/* The command line against the table of commands, and the help that comes from it. */
#include "fgctl.h"

#include <stdarg.h>
#include <string.h>

int fg_usage_error(const char *fmt, ...)
{
    va_list args;

    fprintf(stderr, "fgctl: ");
    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);
    fprintf(stderr, "\n");
    return FG_EXIT_USAGE;
}

void fg_command_name(const struct fg_command *command, char name[64])
{
    snprintf(name, 64, "%s%s%s", command->noun, command->verb ? " " : "",
             command->verb ? command->verb : "");
}

static void help_options(FILE *out, const struct fg_option *options, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char text[64];

        snprintf(text, sizeof(text), "--%s%s%s", options[i].name, options[i].value ? " " : "",
                 options[i].value ? options[i].value : "");
        fprintf(out, "  %-24s %s\n", text, options[i].help);
    }
}

static void help_command(FILE *out, const struct fg_command *command)
{
    char name[64];

    fg_command_name(command, name);
    fprintf(out, "usage: fgctl %s%s%s%s\n\n%s\n", name, *command->args ? " " : "", command->args,
            command->options_count ? " [OPTION...]" : "", command->help);
    if (command->more)
        fprintf(out, "\n%s", command->more);
    if (command->options_count) {
        fprintf(out, "\noptions:\n");
        help_options(out, command->options, command->options_count);
    }
}

static void help_all(FILE *out)
{
    fprintf(out, "usage: fgctl COMMAND [ARGUMENT...] [OPTION...]\n\n"
                 "Controls a Floodgate appliance over its control socket.\n\ncommands:\n");
    for (unsigned i = 0; i < fg_commands_count; i++) {
        char name[64], text[160];

        fg_command_name(&fg_commands[i], name);
        snprintf(text, sizeof(text), "%s %s", name, fg_commands[i].args);
        fprintf(out, "  %-24s %s\n", text, fg_commands[i].help);
    }
    fprintf(out, "\n`fgctl COMMAND --help` tells more about one command.\n");
}

void fg_help(FILE *out, const struct fg_command *command)
{
    if (command)
        help_command(out, command);
    else
        help_all(out);
    fprintf(out, "\noptions of every command:\n");
    help_options(out, fg_global_options, fg_global_options_count);
    fprintf(out, "\nexit codes:\n");
#define X(name, number, text) fprintf(out, "  %d  %s\n", number, text);
    FG_EXIT_LIST(X)
#undef X
}

static int find_option(const struct fg_option *options, unsigned count, const char *name,
                       size_t len)
{
    for (unsigned i = 0; i < count; i++)
        if (strlen(options[i].name) == len && memcmp(options[i].name, name, len) == 0)
            return (int)i;
    return -1;
}

/* The state of a parse: what was seen so far. */
struct parse {
    struct fg_cli *cli;
    struct fg_args *args;
    int argc, at;
    char **argv;
    const char *noun;
    bool help, plain; /**< plain: behind "--" */
};

/* The value of the option at hand: behind '=', or the next word. */
static const char *option_value(struct parse *parse, const struct fg_option *option,
                                const char *equals)
{
    if (equals)
        return equals + 1;
    if (parse->at + 1 < parse->argc)
        return parse->argv[++parse->at];
    fg_usage_error("--%s: a value is missing (%s)", option->name, option->value);
    return NULL;
}

static bool set_global(struct parse *parse, const char *name, const char *value)
{
    if (strcmp(name, "json") == 0)
        parse->cli->json = true;
    else if (strcmp(name, "help") == 0)
        parse->help = true;
    else if (strcmp(name, "socket") == 0)
        parse->cli->socket = value;
    else
        return false;
    return true;
}

/* -1: continue; else the exit code. */
static int take_option(struct parse *parse, const char *word)
{
    const struct fg_command *command = parse->args->command;
    const char *name = word + 2, *equals = strchr(name, '='), *value = "";
    size_t len = equals ? (size_t)(equals - name) : strlen(name);
    int own = command ? find_option(command->options, command->options_count, name, len) : -1;
    int global = find_option(fg_global_options, fg_global_options_count, name, len);
    const struct fg_option *option = own >= 0      ? &command->options[own]
                                     : global >= 0 ? &fg_global_options[global]
                                                   : NULL;

    if (!option)
        return fg_usage_error("unknown option %s%s; see --help", word,
                              command ? "" : " (options of a command stand behind it)");
    if (!option->value && equals)
        return fg_usage_error("--%s takes no value", option->name);
    if (option->value && !(value = option_value(parse, option, equals)))
        return FG_EXIT_USAGE;
    if (own >= 0) {
        if (parse->args->options[own])
            return fg_usage_error("--%s is given twice", option->name);
        parse->args->options[own] = value;
    } else if (!set_global(parse, option->name, value)) {
        printf("fgctl %s\n", FG_VERSION);
        return FG_EXIT_OK;
    }
    return -1;
}

static const struct fg_command *find_command(const char *noun, const char *verb, bool *noun_known)
{
    *noun_known = false;
    for (unsigned i = 0; i < fg_commands_count; i++) {
        const struct fg_command *command = &fg_commands[i];

        if (strcmp(command->noun, noun) != 0)
            continue;
        *noun_known = true;
        if (!command->verb || (verb && strcmp(command->verb, verb) == 0))
            return command;
    }
    return NULL;
}

static int take_word(struct parse *parse, const char *word)
{
    struct fg_args *args = parse->args;
    bool known;

    if (args->command) {
        if (args->count == args->command->args_max || args->count == FG_POSITIONS_MAX)
            return fg_usage_error("too many arguments: \"%s\"; %s takes %s", word,
                                  args->command->noun,
                                  *args->command->args ? args->command->args : "none");
        args->positions[args->count++] = word;
        return -1;
    }
    args->command =
        find_command(parse->noun ? parse->noun : word, parse->noun ? word : NULL, &known);
    if (!args->command && !known)
        return fg_usage_error("unknown command \"%s\"; see fgctl --help", word);
    if (!args->command && parse->noun)
        return fg_usage_error("unknown command \"%s %s\"; see fgctl --help", parse->noun, word);
    parse->noun = word;
    return -1;
}

static int finish(const struct parse *parse)
{
    const struct fg_args *args = parse->args;

    if (parse->help) {
        fg_help(stdout, args->command);
        return FG_EXIT_OK;
    }
    if (!args->command && parse->noun)
        return fg_usage_error("\"%s\" alone is not a command; see fgctl --help", parse->noun);
    if (!args->command) {
        fg_help(stderr, NULL);
        return FG_EXIT_USAGE;
    }
    if (args->count < args->command->args_min)
        return fg_usage_error("too few arguments; usage: fgctl %s%s%s %s", args->command->noun,
                              args->command->verb ? " " : "",
                              args->command->verb ? args->command->verb : "", args->command->args);
    return -1;
}

int fg_parse(struct fg_cli *cli, int argc, char **argv, struct fg_args *args)
{
    struct parse parse = {.cli = cli, .args = args, .argc = argc, .argv = argv, .at = 1};

    for (; parse.at < argc; parse.at++) {
        const char *word = argv[parse.at];
        int code = -1;

        if (!parse.plain && strcmp(word, "--") == 0)
            parse.plain = true;
        else if (!parse.plain && strcmp(word, "-h") == 0)
            parse.help = true;
        else if (!parse.plain && strncmp(word, "--", 2) == 0)
            code = take_option(&parse, word);
        else if (!parse.plain && word[0] == '-' && word[1])
            return fg_usage_error("unknown option %s; see --help", word);
        else
            code = take_word(&parse, word);
        if (code >= 0)
            return code;
    }
    return finish(&parse);
}
