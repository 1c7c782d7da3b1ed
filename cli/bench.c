/* SPDX-License-Identifier: Apache-2.0 */
/* bench: latency and bandwidth between two processes of this host. The child
 * makes the tickets, the parent uses them. */
#include "cli.h"
#include "progress.h"
#include "text.h"

#include <nxconnect/nxconnect.h>

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* Tickets are made and read a batch ahead, so that both sides go from one
 * operation to the next without sleeping. The first of a batch finds them asleep,
 * and the first of all finds no link: it is not counted. */
enum { BATCH = 65, WAIT_MS = 60000 };

/* One of the two processes. */
struct side {
    int            sock; /* to the other */
    nxc_connector *c;
    char          *memory;
};

/* What is measured: the time from begin until the receiver of the bytes knows
 * that it has them. */
struct series {
    enum nxc_kind kind;
    size_t        size;
    unsigned      rounds;
    uint64_t     *ns; /* of each round */
    char          transport[32];
};

static bool send_all(int sock, const void *buf, size_t len)
{
    for (const char *p = buf; len;) {
        ssize_t n = send(sock, p, len, MSG_NOSIGNAL);
        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0)
            return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

static bool recv_all(int sock, void *buf, size_t len)
{
    ssize_t n;
    do {
        n = recv(sock, buf, len, MSG_WAITALL);
    } while (n < 0 && errno == EINTR);
    return n == (ssize_t)len;
}

static unsigned batch_size(const struct series *s, unsigned counted)
{
    unsigned left = s->rounds - counted + 1;
    return left < BATCH ? left : BATCH;
}

static void free_ops(nxc_op **ops, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        nxc_op_free(ops[i]);
}

/* ---- the child ----------------------------------------------------------- */

static int send_ticket(const struct side *me, const struct series *s, nxc_op **ret_op)
{
    struct nxc_desc desc = nxc_desc_host(me->memory, s->size);
    const char *json;
    size_t len;
    int r = s->kind == NXC_READ ? nxc_op_create_readable(me->c, &desc, 1, NULL, ret_op)
                                : nxc_op_create_writable(me->c, &desc, 1, NULL, ret_op);
    if (r == 0)
        r = nxc_op_ticket(*ret_op, NXC_B64, &json, &len);
    if (r < 0)
        return r;
    return send_all(me->sock, &len, sizeof len) && send_all(me->sock, json, len) ? 0 : NXC_EPEER;
}

static int serve_batch(const struct side *me, const struct series *s, unsigned n)
{
    nxc_op *ops[BATCH] = { NULL };
    uint64_t told[BATCH];
    int r = 0;
    for (unsigned i = 0; i < n && r == 0; i++)
        r = send_ticket(me, s, &ops[i]);
    for (unsigned i = 0; i < n && r == 0; i++) {
        r = nxc_op_wait(ops[i], WAIT_MS);
        told[i] = now_ns();
    }
    if (r == 0 && !send_all(me->sock, told, n * sizeof *told))
        r = NXC_EPEER;
    free_ops(ops, n);
    return r;
}

static int serve(const struct side *me, struct series *s)
{
    int r = 0;
    for (unsigned done = 0; done < s->rounds && r == 0;) {
        unsigned n = batch_size(s, done);
        r = serve_batch(me, s, n);
        done += n - 1;
    }
    return r;
}

/* ---- the parent ---------------------------------------------------------- */

static int recv_ticket(const struct side *me, nxc_ticket **ret_t)
{
    char json[4096];
    size_t len;
    if (!recv_all(me->sock, &len, sizeof len) || len > sizeof json || !recv_all(me->sock, json, len))
        return NXC_EPEER;
    return nxc_ticket_parse(json, len, ret_t);
}

static int use_ticket(const struct side *me, const struct series *s, const nxc_ticket *t, nxc_op **ret_op)
{
    struct nxc_desc desc = nxc_desc_host(me->memory, s->size);
    int r = s->kind == NXC_READ ? nxc_op_begin_read(me->c, t, &desc, 1, NULL, ret_op)
                                : nxc_op_begin_write(me->c, t, &desc, 1, NULL, ret_op);
    return r < 0 ? r : nxc_op_wait(*ret_op, WAIT_MS);
}

/* Fills ns[0] to ns[n - 2]. */
static int measure_batch(const struct side *me, struct series *s, unsigned n, uint64_t *ns)
{
    nxc_ticket *tickets[BATCH] = { NULL };
    nxc_op *ops[BATCH] = { NULL };
    uint64_t began[BATCH], ended[BATCH], told[BATCH];
    int r = 0;
    for (unsigned i = 0; i < n && r == 0; i++)
        r = recv_ticket(me, &tickets[i]);
    for (unsigned i = 0; i < n && r == 0; i++) {
        began[i] = now_ns();
        r = use_ticket(me, s, tickets[i], &ops[i]);
        ended[i] = now_ns();
    }
    if (r == 0 && !recv_all(me->sock, told, n * sizeof *told))
        r = NXC_EPEER;
    for (unsigned i = 1; i < n && r == 0; i++)
        ns[i - 1] = (s->kind == NXC_READ ? ended[i] : told[i]) - began[i];
    const char *transport = r == 0 ? nxc_op_transport(ops[0]) : NULL;
    snprintf(s->transport, sizeof s->transport, "%s", transport ? transport : "");
    for (unsigned i = 0; i < n; i++)
        nxc_ticket_free(tickets[i]);
    free_ops(ops, n);
    return r;
}

static int by_value(const void *a, const void *b)
{
    const uint64_t *x = a, *y = b;
    return *x < *y ? -1 : *x > *y;
}

static int measure(const struct side *me, struct series *s)
{
    s->ns = calloc(s->rounds, sizeof *s->ns);
    if (!s->ns)
        return NXC_ENOMEM;
    int r = 0;
    for (unsigned done = 0; done < s->rounds && r == 0;) {
        unsigned n = batch_size(s, done);
        r = measure_batch(me, s, n, s->ns + done);
        done += n - 1;
    }
    qsort(s->ns, s->rounds, sizeof *s->ns, by_value);
    return r;
}

static void print_series(const struct series *s, bool json, bool first)
{
    double median = (double)s->ns[s->rounds / 2] / 1e3;
    double p99 = (double)s->ns[(uint64_t)s->rounds * 99 / 100] / 1e3;
    double rate = median > 0 ? (double)s->size / median / 1e3 : 0;
    const char *kind = s->kind == NXC_READ ? "read" : "write";
    if (json) {
        printf("%s\n{\"bytes\":%zu,\"kind\":\"%s\",\"rounds\":%u,\"median_us\":%.3f,\"p99_us\":%.3f,"
               "\"gb_per_s\":%.3f,\"transport\":\"%s\"}",
               first ? "" : ",", s->size, kind, s->rounds, median, p99, rate, s->transport);
        return;
    }
    char human[TEXT_SIZE];
    if (first)
        printf("%10s  %-5s %12s %12s %9s  %s\n", "size", "kind", "median us", "p99 us", "GB/s", "over");
    printf("%10s  %-5s %12.2f %12.2f %9.2f  %s\n", text_size(s->size, human), kind, median, p99, rate, s->transport);
    fflush(stdout);
}

/* ---- both ---------------------------------------------------------------- */

static unsigned rounds_for(const struct args *a, size_t size)
{
    if (a->rounds)
        return a->rounds;
    return size <= 64 << 10 ? 4096 : size <= 4 << 20 ? 512 : 16;
}

/* Runs every series in the same order on both sides. */
static int run_all(const struct args *a, const struct side *me, bool child)
{
    static const size_t usual[] = { 8, 64 << 10, 1 << 20, 64 << 20 };
    const size_t own = (size_t)a->size;
    const size_t *sizes = a->has_size ? &own : usual;
    size_t n = a->has_size ? 1 : sizeof usual / sizeof usual[0];
    int r = 0;
    for (size_t i = 0; i < 2 * n && r == 0; i++) {
        struct series s = { .kind = i % 2 ? NXC_READ : NXC_WRITE, .size = sizes[i / 2] };
        s.rounds = rounds_for(a, s.size);
        r = child ? serve(me, &s) : measure(me, &s);
        if (r == 0 && !child)
            print_series(&s, a->json, i == 0);
        free(s.ns);
    }
    return r;
}

static int open_side(const struct args *a, int sock, struct side *ret_me)
{
    struct side me = { .sock = sock };
    size_t size = a->has_size ? (size_t)a->size : 64 << 20;
    /* Its pages are there before the first round. */
    me.memory = mmap(NULL, size ? size : 1, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (me.memory == MAP_FAILED)
        return NXC_ENOMEM;
    struct nxc_connector_opts opts = NXC_CONNECTOR_OPTS_INIT;
    opts.transports = a->transports;
    opts.require = a->require;
    int r = nxc_connector_new(&opts, &me.c);
    if (r == 0)
        *ret_me = me;
    return r;
}

/* Returns an exit code. The child's trouble is said by the parent, whom it reaches. */
static int run_side(const struct args *a, int sock, bool child)
{
    struct side me = { 0 };
    int r = open_side(a, sock, &me);
    bool usage = r == NXC_EINVAL; /* all that is handed over unchecked comes from the command line */
    if (r == 0)
        r = run_all(a, &me, child);
    int code = r < 0 && !child ? cli_fail(r, nxc_err_detail()) : cli_exit_code(r);
    nxc_connector_free(me.c);
    return usage ? CLI_USAGE : code;
}

int bench_run(const struct args *a)
{
    int socks[2];
    pid_t parent = getpid();
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, socks) < 0) {
        say_errno("cannot make a pair of sockets");
        return CLI_FAILED;
    }
    pid_t child = fork();
    if (child < 0) {
        say_errno("cannot start a second process");
        return CLI_FAILED;
    }
    if (child == 0) {
        prctl(PR_SET_PDEATHSIG, SIGTERM);
        close(socks[0]);
        _exit(getppid() == parent ? run_side(a, socks[1], true) : CLI_FAILED);
    }
    close(socks[1]);
    if (a->json)
        fputc('[', stdout);
    int code = run_side(a, socks[0], false);
    if (a->json)
        fputs("\n]\n", stdout);
    close(socks[0]);
    if (code != CLI_DONE)
        kill(child, SIGTERM); /* it may wait for an operation that never comes */
    waitpid(child, NULL, 0);
    return code;
}
