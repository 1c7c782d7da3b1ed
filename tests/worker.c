/* SPDX-License-Identifier: Apache-2.0 */
/* The worker's side: obeys orders with the library's public functions. */
#include "tests/worker.h"

#include "tests/proc.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

enum { GAP = 32, GAP_BYTE = 0xA5 };

static const struct nxc_connector_opts *open_with;

int send_all(int fd, const void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = send(fd, (const char *)data + at, len - at, MSG_NOSIGNAL);
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    return 0;
}

int receive_all(int fd, void *data, size_t len)
{
    for (size_t at = 0; at < len;) {
        ssize_t n = recv(fd, (char *)data + at, len - at, 0);
        if (n <= 0)
            return -1;
        at += (size_t)n;
    }
    return 0;
}

uint64_t now_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* ---- memory ----------------------------------------------------------------- */

/* Eight bytes of the endless stream that belongs to seed. */
static uint64_t stream(uint64_t seed, uint64_t word)
{
    uint64_t x = (word + 1) * 0x9E3779B97F4A7C15u ^ seed * 0xD1B54A32D192ED03u;
    x ^= x >> 32;
    x *= 0xE9846AF9B1A615Du;
    return x ^ x >> 29;
}

/* The sizes add up to shape.bytes: uneven, every fifth 0, the last takes the rest. */
static uint64_t size_of(const struct shape *shape, size_t i, uint64_t left)
{
    if (i + 1 == shape->n)
        return left;
    uint64_t size = i % 5 == 1 ? 0 : shape->bytes / shape->n + stream(3, i) % (1 + shape->bytes / shape->n / 2);
    return size < left ? size : left;
}

static void lay_out(struct slot *s, const struct shape *shape)
{
    free(s->descs);
    if (s->memory)
        munmap(s->memory, s->mapped);
    s->shape = *shape;
    s->mapped = shape->bytes + GAP * (shape->n + 1);
    s->memory = mmap(NULL, s->mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    s->n = shape->n * (1 + shape->again);
    s->descs = calloc(s->n, sizeof *s->descs);
    uint64_t left = shape->bytes;
    uint8_t *at = s->memory;
    for (size_t i = 0; i < shape->n; i++) {
        uint64_t size = size_of(shape, i, left);
        memset(at, GAP_BYTE, GAP);
        s->descs[i] = nxc_desc_host(at + GAP, size);
        at += GAP + size;
        left -= size;
    }
    memset(at, GAP_BYTE, GAP);
    for (size_t i = shape->n; i < s->n; i++)
        s->descs[i] = s->descs[i - shape->n];
}

/* Looks at memory that may be lent, where another process has seen to it that nobody
 * writes there now: nothing that ThreadSanitizer could know. */
__attribute__((no_sanitize("thread"))) static bool same(const uint8_t *p, uint64_t word, uint64_t n)
{
    uint64_t there;
    if (n == sizeof there) {
        memcpy(&there, p, sizeof there);
        return there == word;
    }
    for (uint64_t i = 0; i < n; i++)
        if (p[i] != (uint8_t)(word >> 8 * i))
            return false;
    return true;
}

/* Compares with (check) or writes the stream's bytes from `from` on; the first that differs, or len. */
static uint64_t walk(uint8_t *p, uint64_t len, uint64_t seed, uint64_t from, bool check)
{
    for (uint64_t i = 0; i < len;) {
        uint64_t word = stream(seed, (from + i) / 8);
        unsigned skip = (from + i) % 8;
        uint64_t n = 8 - skip < len - i ? 8 - skip : len - i;
        word >>= 8 * skip;
        if (!check)
            memcpy(p + i, &word, n);
        else if (!same(p + i, word, n))
            return i;
        i += n;
    }
    return len;
}

static void fill(struct slot *s, uint64_t seed)
{
    uint64_t at = 0;
    for (size_t i = 0; i < s->shape.n; at += s->descs[i++].len)
        walk((uint8_t *)(uintptr_t)s->descs[i].addr, s->descs[i].len, seed, at, false);
}

__attribute__((no_sanitize("thread"))) static bool gap_intact(const uint8_t *gap)
{
    for (int i = 0; i < GAP; i++)
        if (gap[i] != GAP_BYTE)
            return false;
    return true;
}

/* The first byte that is not of seed; a gap counts as the byte behind it. */
static uint64_t first_wrong(struct slot *s, uint64_t seed)
{
    uint64_t at = 0;
    for (size_t i = 0; i < s->shape.n; at += s->descs[i++].len) {
        uint8_t *p = (uint8_t *)(uintptr_t)s->descs[i].addr;
        if (!gap_intact(p - GAP))
            return at;
        uint64_t good = walk(p, s->descs[i].len, seed, at, true);
        if (good < s->descs[i].len)
            return at + good;
        if (i + 1 == s->shape.n && !gap_intact(p + good))
            return at + good;
    }
    return UINT64_MAX;
}

struct slot *lend(struct worker *w, const struct order *o)
{
    struct slot *s = &w->slots[o->slot];
    if (s->shape.n != o->shape.n || s->shape.bytes != o->shape.bytes || s->shape.again != o->shape.again)
        lay_out(s, &o->shape);
    fill(s, o->seed);
    return s;
}

/* ---- orders ------------------------------------------------------------------ */

void answer(struct worker *w, const struct order *o, struct answer *a, int code)
{
    nxc_op     *op = w->slots[o->slot].op;
    const char *text = nxc_err_detail(), *name = op ? nxc_op_transport(op) : NULL;
    a->code = code;
    if (op) {
        a->status = (int)nxc_op_status(op);
        a->error = nxc_op_error(op, &text);
    }
    snprintf(a->detail, sizeof a->detail, "%s", code < 0 && !a->error ? nxc_err_detail() : text);
    snprintf(a->transport, sizeof a->transport, "%s", name ? name : "");
}

void do_open(struct worker *w, const struct order *o, struct answer *a)
{
    answer(w, o, a, nxc_connector_new(open_with, &w->c));
}

void do_close(struct worker *w, const struct order *o, struct answer *a)
{
    uint64_t begin = now_ns();
    nxc_connector_free(w->c);
    a->ns = now_ns() - begin;
    w->c = NULL;
    answer(w, o, a, 0);
}

static struct nxc_op_opts op_opts(const struct order *o)
{
    struct nxc_op_opts opts = NXC_OP_OPTS_INIT;
    opts.timeout_ms = (uint64_t)o->ms;
    opts.queued = o->queued;
    opts.arg = (void *)(intptr_t)o->slot;
    return opts;
}

void do_create(struct worker *w, const struct order *o, struct answer *a)
{
    struct nxc_op_opts opts = op_opts(o);
    struct slot       *s = lend(w, o);
    const char        *ticket = NULL;
    nxc_op_free(s->op);
    s->op = NULL;
    int r = o->kind == NXC_READ ? nxc_op_create_readable(w->c, s->descs, s->n, &opts, &s->op)
                                : nxc_op_create_writable(w->c, s->descs, s->n, &opts, &s->op);
    if (r == 0)
        r = nxc_op_ticket(s->op, NXC_B64, &ticket, NULL);
    w->text = ticket ? strdup(ticket) : NULL;
    answer(w, o, a, r);
}

void do_begin(struct worker *w, const struct order *o, struct answer *a)
{
    struct nxc_op_opts opts = op_opts(o);
    struct slot       *s = lend(w, o);
    nxc_ticket        *t = NULL;
    nxc_op_free(s->op);
    s->op = NULL;
    int r = nxc_ticket_parse(o->text, strlen(o->text), &t);
    uint64_t begin = now_ns();
    if (r == 0)
        r = o->kind == NXC_READ ? nxc_op_begin_read(w->c, t, s->descs, s->n, &opts, &s->op)
                                : nxc_op_begin_write(w->c, t, s->descs, s->n, &opts, &s->op);
    a->ns = now_ns() - begin;
    nxc_ticket_free(t);
    answer(w, o, a, r);
}

void do_wait(struct worker *w, const struct order *o, struct answer *a)
{
    uint64_t begin = now_ns();
    int      r = nxc_op_wait(w->slots[o->slot].op, o->ms);
    a->ns = now_ns() - begin;
    answer(w, o, a, r);
}

void do_status(struct worker *w, const struct order *o, struct answer *a)
{
    answer(w, o, a, 0);
}

void do_reach(struct worker *w, const struct order *o, struct answer *a)
{
    nxc_op *op = w->slots[o->slot].op;
    while (nxc_op_status(op) < NXC_COMPLETE) {
        nxc_op_progress(op, &a->number, NULL);
        if (a->number >= o->number)
            break;
        sched_yield();
    }
    answer(w, o, a, 0);
}

void do_end(struct worker *w, const struct order *o, struct answer *a)
{
    struct slot *s = &w->slots[o->slot];
    uint64_t     begin = now_ns();
    int          r = nxc_op_wait(s->op, -1);
    if (o->seed)
        fill(s, o->seed);
    a->ns = now_ns() - begin;
    answer(w, o, a, r);
}

void do_cancel(struct worker *w, const struct order *o, struct answer *a)
{
    do_reach(w, o, a);
    nxc_op_cancel(w->slots[o->slot].op);
    do_end(w, o, a);
}

void do_free(struct worker *w, const struct order *o, struct answer *a)
{
    struct slot *s = &w->slots[o->slot];
    if (o->number)
        do_reach(w, o, a);
    uint64_t begin = now_ns();
    nxc_op_free(s->op);
    a->ns = now_ns() - begin;
    s->op = NULL;
    answer(w, o, a, 0);
}

void do_fill(struct worker *w, const struct order *o, struct answer *a)
{
    fill(&w->slots[o->slot], o->seed);
    answer(w, o, a, 0);
}

void do_check(struct worker *w, const struct order *o, struct answer *a)
{
    answer(w, o, a, 0);
    a->number = first_wrong(&w->slots[o->slot], o->seed);
}

void do_poll(struct worker *w, const struct order *o, struct answer *a)
{
    struct pollfd    pfd = { .fd = nxc_connector_fd(w->c), .events = POLLIN };
    struct nxc_event event;
    uint64_t         begin = now_ns();
    int              ready = poll(&pfd, 1, (int)o->ms);
    a->ns = now_ns() - begin;
    answer(w, o, a, nxc_connector_next(w->c, &event, 1));
    if (a->code != ready)
        snprintf(a->detail, sizeof a->detail, "poll says %d, next %d", ready, a->code);
    if (a->code != 1)
        return;
    a->number = (uintptr_t)event.arg;
    a->status = event.status;
    a->error = event.error;
}

void do_fork(struct worker *w, const struct order *o, struct answer *a)
{
    pid_t pid = o->number ? (pid_t)syscall(SYS_clone, SIGCHLD, 0, 0, 0, 0) : fork();
    if (pid == 0) {
        /* Until the test hangs up, or what is left of the worker would live on. */
        struct pollfd pfd = { .fd = w->fd };
        syscall(SYS_poll, &pfd, 1, -1);
        syscall(SYS_exit_group, 0);
    }
    w->child = pid;
    answer(w, o, a, pid < 0 ? -1 : 0);
    a->number = (uint64_t)pid;
}

void do_signal(struct worker *w, const struct order *o, struct answer *a)
{
    if (o->number)
        do_reach(w, o, a);
    kill(getpid(), (int)o->ms);
    answer(w, o, a, 0);
}

void do_measure(struct worker *w, const struct order *o, struct answer *a)
{
    answer(w, o, a, 0);
    if (asprintf(&w->text, "%d %d %lld", proc_descriptors(), proc_threads(), proc_resident_kib()) < 0)
        abort();
}

/* ---- life --------------------------------------------------------------------- */

static void obey(struct worker *w, const struct letter *letter, char *text)
{
    struct order order = letter->order;
    struct reply reply = { 0 };
    order.text = text;
    w->text = NULL;
    letter->fn(w, &order, &reply.answer);
    reply.text_len = w->text ? strlen(w->text) + 1 : 0;
    if (send_all(w->fd, &reply, sizeof reply) < 0 || send_all(w->fd, w->text, reply.text_len) < 0)
        _exit(1);
    free(w->text);
}

_Noreturn void worker_main(int fd, const struct nxc_connector_opts *opts, pid_t parent)
{
    struct worker w = { .fd = fd };
    struct letter letter;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(1);
    open_with = opts;
    while (receive_all(fd, &letter, sizeof letter) == 0) {
        char *text = letter.text_len ? malloc(letter.text_len) : NULL;
        if (letter.text_len && (!text || receive_all(fd, text, letter.text_len) < 0))
            _exit(1);
        obey(&w, &letter, text);
        free(text);
    }
    for (int i = 0; i < SLOTS; i++)
        nxc_op_free(w.slots[i].op);
    nxc_connector_free(w.c);
    for (int i = 0; i < SLOTS; i++) { /* last: a NIXL peer that was given up may reach it until then */
        if (w.slots[i].memory)
            munmap(w.slots[i].memory, w.slots[i].mapped);
        free(w.slots[i].descs);
    }
    if (w.child > 0)
        kill(w.child, SIGKILL);
    exit(0); /* not _exit: leaks are looked for on the way out */
}
