/* SPDX-License-Identifier: BSD-3-Clause */
/* The bash completion script, out of the table of commands. */
#include "fgctl.h"

#include <string.h>

static bool first_of_noun(unsigned index)
{
    for (unsigned i = 0; i < index; i++)
        if (strcmp(fg_commands[i].noun, fg_commands[index].noun) == 0)
            return false;
    return true;
}

static void print_options(const struct fg_option *options, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        printf(" --%s", options[i].name);
}

/* Options that take a value, so that the value is not taken for a command: those with a file, and
 * the rest.
 */
static bool takes_file(const struct fg_option *option)
{
    return option->value &&
           (strcmp(option->value, "FILE") == 0 || strcmp(option->value, "PATH") == 0);
}

static void print_value_options(const struct fg_option *options, unsigned count, bool files)
{
    for (unsigned i = 0; i < count; i++)
        if (options[i].value && takes_file(&options[i]) == files)
            printf("|--%s", options[i].name);
}

static void print_all_value_options(bool files)
{
    print_value_options(fg_global_options, fg_global_options_count, files);
    for (unsigned i = 0; i < fg_commands_count; i++)
        print_value_options(fg_commands[i].options, fg_commands[i].options_count, files);
}

static void print_commands(void)
{
    printf("    local nouns=\"");
    for (unsigned i = 0; i < fg_commands_count; i++)
        if (first_of_noun(i))
            printf("%s%s", i ? " " : "", fg_commands[i].noun);
    printf("\"\n    case \"$noun\" in\n");
    for (unsigned i = 0; i < fg_commands_count; i++) {
        if (!first_of_noun(i) || !fg_commands[i].verb)
            continue;
        printf("        %s) verbs=\"", fg_commands[i].noun);
        for (unsigned k = i; k < fg_commands_count; k++)
            if (strcmp(fg_commands[k].noun, fg_commands[i].noun) == 0)
                printf("%s%s", k > i ? " " : "", fg_commands[k].verb);
        printf("\" ;;\n");
    }
    printf("    esac\n");
}

static void print_command_options(void)
{
    printf("    case \"$noun${verbs:+ $verb}\" in\n");
    for (unsigned i = 0; i < fg_commands_count; i++) {
        char name[64];

        if (fg_commands[i].options_count == 0)
            continue;
        fg_command_name(&fg_commands[i], name);
        printf("        \"%s\") options+=\"", name);
        print_options(fg_commands[i].options, fg_commands[i].options_count);
        printf("\" ;;\n");
    }
    printf("    esac\n");
}

/* What the arguments of a command are, by their names in its help. */
static const char *words_of(const char *args)
{
    if (strncmp(args, "FILE", 4) == 0)
        return "-f";
    if (strncmp(args, "IFNAME", 6) == 0)
        return "-W \"$(ls /sys/class/net 2>/dev/null)\"";
    if (strncmp(args, "ITEM", 4) == 0)
        return "-W \"$(\"${COMP_WORDS[0]}\" \"${global[@]}\" item list --retired 2>/dev/null |"
               " awk 'NR > 1 { print $1 }')\"";
    return NULL;
}

static void print_arguments(void)
{
    printf("        case \"$noun${verbs:+ $verb}\" in\n");
    for (unsigned i = 0; i < fg_commands_count; i++) {
        const char *words = words_of(fg_commands[i].args);
        char name[64];

        if (!words || (fg_commands[i].verb && strcmp(fg_commands[i].verb, "add") == 0 &&
                       strcmp(fg_commands[i].noun, "item") == 0)) /* a new number */
            continue;
        fg_command_name(&fg_commands[i], name);
        printf("            \"%s\") mapfile -t COMPREPLY < <(compgen %s -- \"$cur\") ;;\n", name,
               words);
    }
    printf("            help*) mapfile -t COMPREPLY < <(compgen -W \"$nouns\" -- \"$cur\") ;;\n");
    printf("        esac\n");
}

int fg_cmd_completion(struct fg_cli *cli, const struct fg_args *args)
{
    printf("# bash completion for fgctl; printed by `fgctl completion`\n"
           "_fgctl()\n{\n"
           "    local cur=\"${COMP_WORDS[COMP_CWORD]}\" prev=\"${COMP_WORDS[COMP_CWORD-1]}\"\n"
           "    local noun=\"\" verb=\"\" verbs=\"\" options=\"");
    print_options(fg_global_options, fg_global_options_count);
    printf("\" i word\n"
           "    local -a global=()\n"
           "    COMPREPLY=()\n"
           "    case \"$prev\" in\n        -");
    print_all_value_options(true);
    printf(") mapfile -t COMPREPLY < <(compgen -f -- \"$cur\"); return ;;\n        -");
    print_all_value_options(false);
    printf(") return ;;\n    esac\n"
           "    for ((i = 1; i < COMP_CWORD; i++)); do\n"
           "        word=\"${COMP_WORDS[i]}\"\n"
           "        case \"$word\" in\n"
           "            --socket) global=(--socket \"${COMP_WORDS[i + 1]}\"); i=$((i + 1)) ;;\n"
           "            -");
    print_all_value_options(true);
    print_all_value_options(false);
    printf(") i=$((i + 1)) ;;\n"
           "            -*) ;;\n"
           "            *) if [ -z \"$noun\" ]; then noun=\"$word\"; elif [ -z \"$verb\" ]; then "
           "verb=\"$word\"; fi ;;\n"
           "        esac\n"
           "    done\n");
    print_commands();
    print_command_options();
    printf("    if [[ \"$cur\" == -* ]]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$options\" -- \"$cur\")\n"
           "    elif [ -z \"$noun\" ]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$nouns\" -- \"$cur\")\n"
           "    elif [ -n \"$verbs\" ] && [ -z \"$verb\" ]; then\n"
           "        mapfile -t COMPREPLY < <(compgen -W \"$verbs\" -- \"$cur\")\n"
           "    else\n");
    print_arguments();
    printf("    fi\n"
           "}\n"
           "complete -o filenames -F _fgctl fgctl\n");
    return FG_EXIT_OK;
}
