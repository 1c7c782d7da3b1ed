/* SPDX-License-Identifier: Apache-2.0 */
/* nxconnect(1): files between hosts, by the library's public header only. */
#include "cli.h"
#include "text.h"

#include <nxconnect/nxconnect.h>

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

static const struct command commands[] = {
    { "offer", "FILE", 1, "tLTIXqh", "",
      "Prints a ticket for FILE and waits until it was fetched.", offer_run },
    { "fetch", "TICKET", 1, "oftLTRJqh", "o",
      "Fetches what the ticket offers into a new file.", fetch_run },
    { "accept", "", 0, "ofStLTIXqh", "oS",
      "Prints a ticket for N bytes and waits until they were sent.", accept_run },
    { "send", "FILE TICKET", 2, "tLTRJqh", "",
      "Sends FILE to where the ticket accepts it.", send_run },
    { "show", "TICKET", 1, "Jh", "",
      "Explains a ticket without contacting anybody.", show_run },
    { "check", "", 0, "Jh", "",
      "Says what this host can do, and why not better.", check_run },
    { "bench", "", 0, "SNTRJh", "",
      "Measures latency and bandwidth between two processes.", bench_run },
};
enum { COMMANDS = sizeof commands / sizeof commands[0] };

int cli_exit_code(int err)
{
    switch (err) {
    case NXC_EFORMAT:
    case NXC_EKIND:
    case NXC_ESIZE:
    case NXC_EDEVICE:
    case NXC_EACCESS:
    case NXC_EVERSION:
        return CLI_REFUSED;
    case NXC_ETIMEDOUT:
        return CLI_DEADLINE;
    case NXC_EPEER:
    case NXC_EUNREACH:
        return CLI_LOST;
    default:
        return err < 0 ? CLI_FAILED : CLI_DONE;
    }
}

int cli_fail(int err, const char *detail)
{
    const char *text = nxc_err_text(err);
    if (!detail || *detail == '\0')
        say("%s", text);
    else if (strncmp(detail, text, strlen(text)) == 0) /* "cancelled by the peer" needs no "cancelled" before it */
        say("%s", detail);
    else
        say("%s: %s", text, detail);
    return cli_exit_code(err);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++)
        if (strcmp(name, commands[i].name) == 0)
            return &commands[i];
    say("there is no command '%s', see nxconnect help", name);
    return NULL;
}

static void print_help(FILE *out)
{
    fputs("nxconnect moves files from one worker's memory to another's.\n\n", out);
    for (size_t i = 0; i < COMMANDS; i++) {
        char head[64];
        snprintf(head, sizeof head, "%s %s", commands[i].name, commands[i].words);
        fprintf(out, "  nxconnect %-18s %s\n", head, commands[i].about);
    }
    fputs("  nxconnect help COMMAND       Explains a command and its options.\n"
          "  nxconnect --version\n\n"
          "A TICKET is its text, @file, or - for standard input. More in nxconnect(1).\n", out);
}

/* What is printed counts only if it arrived. */
static int close_stdout(int code)
{
    if (fflush(stdout) == 0 && !ferror(stdout))
        return code;
    if (code == CLI_DONE)
        say("writing to standard output failed");
    return code == CLI_DONE ? CLI_FAILED : code;
}

static int help(int argc, char **argv)
{
    if (argc < 3) {
        print_help(stdout);
        return close_stdout(CLI_DONE);
    }
    const struct command *cmd = find_command(argv[2]);
    if (!cmd)
        return CLI_USAGE;
    args_help(stdout, cmd);
    return close_stdout(CLI_DONE);
}

/* A file that is opened must not get the number of a closed standard stream:
 * the ticket or a message would be written into it. Opened the wrong way round,
 * so that using a stream that was closed is still an error. */
static bool open_streams(void)
{
    for (int fd = 0; fd <= 2; fd++)
        if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", fd == 0 ? O_WRONLY : O_RDONLY) != fd)
            return false;
    return true;
}

int main(int argc, char **argv)
{
    /* Both come back as errors of the call that met them. */
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN);
    if (!open_streams())
        return CLI_FAILED;
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    if (strcmp(argv[1], "--version") == 0) {
        printf("nxconnect %s\n", nxc_version());
        return close_stdout(CLI_DONE);
    }
    if (strcmp(argv[1], "help") == 0 || strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0)
        return help(argc, argv);

    const struct command *cmd = find_command(argv[1]);
    if (!cmd)
        return CLI_USAGE;
    argv[1] = "nxconnect"; /* getopt begins its messages with it */
    struct args a;
    if (!args_parse(cmd, argc - 1, argv + 1, &a)) {
        say("see nxconnect help %s", cmd->name);
        return CLI_USAGE;
    }
    if (a.help) {
        args_help(stdout, cmd);
        return close_stdout(CLI_DONE);
    }
    return close_stdout(cmd->run(&a));
}
