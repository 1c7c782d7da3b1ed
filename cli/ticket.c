/* SPDX-License-Identifier: Apache-2.0 */
#include "ticket.h"

#include "cli.h"
#include "text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* The library takes 1 MiB; a byte more lets it say that it is too much. */
enum { TICKET_MAX = (1 << 20) + 1 };

/* Whoever prints a ticket may stay alive with the pipe open: a whole ticket on
 * one line is enough, its end need not be waited for. */
static bool is_whole(const char *text, size_t len)
{
    return len > 2 && text[0] == '{' && text[len - 2] == '}' && text[len - 1] == '\n';
}

static ssize_t read_text(int fd, char *buf, size_t cap)
{
    size_t len = 0;
    while (len < cap && !is_whole(buf, len)) {
        ssize_t n = read(fd, buf + len, cap - len);
        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -1;
        if (n == 0)
            break;
        len += (size_t)n;
    }
    return (ssize_t)len;
}

static int parse(const char *text, size_t len, nxc_ticket **ret_t)
{
    int r = nxc_ticket_parse(text, len, ret_t);
    return r < 0 ? cli_fail(r, nxc_err_detail()) : CLI_DONE;
}

int ticket_load(const char *arg, nxc_ticket **ret_t)
{
    bool from_stdin = strcmp(arg, "-") == 0;
    if (!from_stdin && arg[0] != '@')
        return parse(arg, strlen(arg), ret_t);
    const char *name = from_stdin ? "standard input" : arg + 1;
    int fd = from_stdin ? STDIN_FILENO : open(name, O_RDONLY | O_CLOEXEC);
    char *buf = malloc(TICKET_MAX);
    ssize_t len = fd >= 0 && buf ? read_text(fd, buf, TICKET_MAX) : -1;
    int code = CLI_FAILED;
    if (len < 0)
        say_errno("cannot read the ticket from %s", name);
    else
        code = parse(buf, (size_t)len, ret_t);
    free(buf);
    if (!from_stdin && fd >= 0)
        close(fd);
    return code;
}

static void look_for_native(const char *name, int result, const char *text, void *arg)
{
    (void)result;
    if (strcmp(name, "dialect") == 0 && strncmp(text, "native", strlen("native")) == 0)
        *(bool *)arg = true;
}

bool ticket_is_native(const nxc_ticket *t)
{
    bool native = false;
    nxc_ticket_explain(t, look_for_native, &native);
    return native;
}

bool ticket_bytes(const nxc_ticket *t, uint64_t *ret_bytes)
{
    const struct nxc_desc *descs;
    size_t n = nxc_ticket_descs(t, &descs);
    uint64_t sum = 0;
    for (size_t i = 0; i < n; i++) {
        if (descs[i].len > (uint64_t)INT64_MAX - sum) {
            say("the ticket's descriptors are larger than any file");
            return false;
        }
        sum += descs[i].len;
    }
    *ret_bytes = sum;
    return true;
}

struct nxc_desc *ticket_cut(const nxc_ticket *t, char *memory, size_t *ret_n)
{
    const struct nxc_desc *theirs;
    size_t n = nxc_ticket_descs(t, &theirs);
    struct nxc_desc *ours = calloc(n, sizeof *ours);
    if (!ours)
        return NULL;
    for (size_t i = 0; i < n; i++) {
        ours[i] = nxc_desc_host(memory, theirs[i].len);
        memory += theirs[i].len;
    }
    *ret_n = n;
    return ours;
}
