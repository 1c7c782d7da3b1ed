/* SPDX-License-Identifier: Apache-2.0 */
/* offer, fetch, accept, send: a file is mapped, and its memory is what moves. */
#include "cli.h"
#include "file.h"
#include "guard.h"
#include "session.h"
#include "text.h"
#include "ticket.h"

#include <stdlib.h>
#include <string.h>

/* The ticket is all that goes to standard output. It is closed then, so that
 * who reads it to its end need not wait for ours. */
static int print_ticket(nxc_op *op, bool hex)
{
    const char *json;
    size_t len;
    int r = nxc_op_ticket(op, hex ? NXC_HEX : NXC_B64, &json, &len);
    if (r < 0)
        return cli_fail(r, nxc_err_detail());
    if (fwrite(json, 1, len, stdout) == len && fputc('\n', stdout) != EOF && fflush(stdout) == 0 &&
        freopen("/dev/null", "w", stdout))
        return CLI_DONE;
    say_errno("cannot write the ticket to standard output");
    return CLI_FAILED;
}

static void print_result(const struct session *s, uint64_t bytes, uint64_t ns)
{
    const char *transport = nxc_op_transport(s->op);
    printf("{\"bytes\":%llu,\"seconds\":%.6f,\"transport\":", (unsigned long long)bytes, (double)ns / 1e9);
    if (transport)
        text_json(stdout, transport);
    else
        fputs("null", stdout);
    fputs("}\n", stdout);
}

static bool check_kind(const nxc_ticket *t, enum nxc_kind kind)
{
    if (nxc_ticket_kind(t) == kind)
        return true;
    say(kind == NXC_READ ? "%s: it accepts data, use send" : "%s: it offers data, use fetch", nxc_err_text(NXC_EKIND));
    return false;
}

/* Waits for the end of s->op and says how it failed, if it did. in is the file
 * that is read, NULL when one is written. */
static int wait_end(struct session *s, struct progress *p, const struct input *in)
{
    int r = session_wait(s, p);
    /* A file that got shorter was not copied as it was, whatever the peer has
     * been told: this comes before every other reason. */
    if (in && input_shrank(in)) {
        say("%s shrank before the transfer was over", in->path);
        return CLI_FAILED;
    }
    if (guard_hit()) {
        say("%s could not be written", p->name);
        return CLI_FAILED;
    }
    if (s->interrupted && r == NXC_ECANCELLED) {
        say("interrupted");
        return CLI_FAILED;
    }
    const char *text = NULL;
    nxc_op_error(s->op, &text);
    return r < 0 ? cli_fail(r, text) : CLI_DONE;
}

/* ---- the side that makes the ticket -------------------------------------- */

static int offer(const struct args *a, const struct input *in, struct session *s)
{
    struct nxc_desc desc = nxc_desc_host(in->map.addr, in->map.len);
    struct nxc_op_opts opts = session_op_opts(a);
    struct progress p;
    int r = nxc_op_create_readable(s->c, &desc, 1, &opts, &s->op);
    if (r < 0)
        return cli_fail(r, nxc_err_detail());
    progress_begin(&p, "offering", in->path, in->map.len, a->quiet);
    int code = print_ticket(s->op, a->hex);
    if (code == CLI_DONE)
        code = wait_end(s, &p, in);
    if (code == CLI_DONE)
        progress_end(&p, in->map.len, 0, nxc_op_transport(s->op));
    return code;
}

int offer_run(const struct args *a)
{
    struct input in = INPUT_INIT;
    struct session s = SESSION_INIT;
    if (!input_open(a->words[0], &in))
        return CLI_FAILED;
    int code = session_open(a, a->nixl, &s);
    if (code == CLI_DONE)
        code = offer(a, &in, &s);
    session_close(&s);
    input_close(&in);
    return code;
}

static int accept_file(const struct args *a, struct output *out, struct session *s)
{
    struct nxc_desc desc = nxc_desc_host(out->map.addr, out->map.len);
    struct nxc_op_opts opts = session_op_opts(a);
    struct progress p;
    int r = nxc_op_create_writable(s->c, &desc, 1, &opts, &s->op);
    if (r < 0)
        return cli_fail(r, nxc_err_detail());
    progress_begin(&p, "accepting", out->path, out->map.len, a->quiet);
    int code = print_ticket(s->op, a->hex);
    if (code == CLI_DONE)
        code = wait_end(s, &p, NULL);
    if (code == CLI_DONE && !output_name(out))
        code = CLI_FAILED;
    if (code == CLI_DONE)
        progress_end(&p, out->map.len, 0, nxc_op_transport(s->op));
    return code;
}

int accept_run(const struct args *a)
{
    struct output out = OUTPUT_INIT;
    struct session s = SESSION_INIT;
    int code = session_open(a, a->nixl, &s);
    if (code == CLI_DONE && !output_open(a->output, a->size, a->force, &out))
        code = CLI_FAILED;
    if (code == CLI_DONE)
        code = accept_file(a, &out, &s);
    session_close(&s); /* before the memory goes that it was lent */
    output_close(&out);
    return code;
}

/* ---- the side that uses it ----------------------------------------------- */

/* The ticket says whom we deal with, unless we are told to take the road that NIXL takes. */
static bool needs_nixl(const struct args *a, const nxc_ticket *t)
{
    return !ticket_is_native(t) || (a->require && strcmp(a->require, "ucx") == 0) ||
           (a->transports && strstr(a->transports, "ucx"));
}

static int fetch(const struct args *a, const nxc_ticket *t, struct output *out, struct session *s)
{
    struct nxc_op_opts opts = session_op_opts(a);
    struct progress p;
    size_t n;
    struct nxc_desc *descs = ticket_cut(t, out->map.addr, &n);
    if (!descs)
        return cli_fail(NXC_ENOMEM, NULL);
    progress_begin(&p, "fetching", out->path, out->map.len, a->quiet);
    uint64_t began = now_ns();
    int r = nxc_op_begin_read(s->c, t, descs, n, &opts, &s->op);
    free(descs);
    if (r < 0)
        return cli_fail(r, nxc_err_detail());
    int code = wait_end(s, &p, NULL);
    uint64_t took = now_ns() - began;
    if (code == CLI_DONE && !output_name(out))
        code = CLI_FAILED;
    if (code != CLI_DONE)
        return code;
    progress_end(&p, out->map.len, took, nxc_op_transport(s->op));
    if (a->json)
        print_result(s, out->map.len, took);
    return CLI_DONE;
}

int fetch_run(const struct args *a)
{
    nxc_ticket *t = NULL;
    struct output out = OUTPUT_INIT;
    struct session s = SESSION_INIT;
    uint64_t bytes = 0;
    int code = ticket_load(a->words[0], &t);
    if (code == CLI_DONE && !(check_kind(t, NXC_READ) && ticket_bytes(t, &bytes)))
        code = CLI_REFUSED;
    if (code == CLI_DONE)
        code = session_open(a, needs_nixl(a, t), &s);
    if (code == CLI_DONE && !output_open(a->output, bytes, a->force, &out))
        code = CLI_FAILED;
    if (code == CLI_DONE)
        code = fetch(a, t, &out, &s);
    session_close(&s);
    output_close(&out);
    nxc_ticket_free(t);
    return code;
}

static int send_file(const struct args *a, const nxc_ticket *t, const struct input *in, struct session *s)
{
    struct nxc_op_opts opts = session_op_opts(a);
    struct progress p;
    size_t n;
    struct nxc_desc *descs = ticket_cut(t, in->map.addr, &n);
    if (!descs)
        return cli_fail(NXC_ENOMEM, NULL);
    progress_begin(&p, "sending", in->path, in->map.len, a->quiet);
    uint64_t began = now_ns();
    int r = nxc_op_begin_write(s->c, t, descs, n, &opts, &s->op);
    free(descs);
    if (r < 0)
        return cli_fail(r, nxc_err_detail());
    int code = wait_end(s, &p, in);
    if (code != CLI_DONE)
        return code;
    uint64_t took = now_ns() - began;
    progress_end(&p, in->map.len, took, nxc_op_transport(s->op));
    if (a->json)
        print_result(s, in->map.len, took);
    return CLI_DONE;
}

static bool check_size(const nxc_ticket *t, const struct input *in)
{
    uint64_t bytes;
    if (!ticket_bytes(t, &bytes))
        return false;
    if (bytes == in->map.len)
        return true;
    say("%s: %s has %zu bytes, the ticket accepts %llu", nxc_err_text(NXC_ESIZE), in->path, in->map.len,
        (unsigned long long)bytes);
    return false;
}

int send_run(const struct args *a)
{
    nxc_ticket *t = NULL;
    struct input in = INPUT_INIT;
    struct session s = SESSION_INIT;
    int code = ticket_load(a->words[1], &t);
    if (code == CLI_DONE && !check_kind(t, NXC_WRITE))
        code = CLI_REFUSED;
    if (code == CLI_DONE && !input_open(a->words[0], &in))
        code = CLI_FAILED;
    if (code == CLI_DONE && !check_size(t, &in))
        code = CLI_REFUSED;
    if (code == CLI_DONE)
        code = session_open(a, needs_nixl(a, t), &s);
    if (code == CLI_DONE)
        code = send_file(a, t, &in, &s);
    session_close(&s);
    input_close(&in);
    nxc_ticket_free(t);
    return code;
}
