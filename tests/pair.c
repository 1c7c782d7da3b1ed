/* SPDX-License-Identifier: Apache-2.0 */
/* The test's side: starts workers, gives orders, hears answers. */
#include "tests/pair.h"

#include "tests/worker.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

const char *transport = "shm";

static struct peer peers[PEERS];

/* ---- life of a worker ------------------------------------------------------- */

struct nxc_connector_opts plain_opts(void)
{
    struct nxc_connector_opts o = NXC_CONNECTOR_OPTS_INIT;
    o.transports = transport;
    o.listen = "127.0.0.1";
    if (!strcmp(transport, "ucx")) {
        o.transports = NULL;
        o.require = "ucx";
        o.peers = NXC_PEERS_ANY;
    }
    return o;
}

static struct peer *spare_peer(void)
{
    for (int i = 0; i < PEERS; i++)
        if (!peers[i].pid)
            return &peers[i];
    fail_msg("more than %d workers at once", PEERS);
    return NULL;
}

struct peer *peer_fork(const struct nxc_connector_opts *opts)
{
    struct nxc_connector_opts plain = plain_opts();
    struct peer              *p = spare_peer();
    int                       fds[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    fflush(NULL); /* or the worker would print it once more */
    pid_t self = getpid();
    pid_t pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        for (int i = 0; i < PEERS; i++) /* the others' ends are not ours to hold */
            if (peers[i].pid)
                close(peers[i].fd);
        close(fds[0]);
        worker_main(fds[1], opts ? opts : &plain, self);
    }
    close(fds[1]);
    *p = (struct peer){ .pid = pid, .fd = fds[0] };
    return p;
}

struct peer *peer_start(const struct nxc_connector_opts *opts)
{
    struct peer *p = peer_fork(opts);
    assert_int_equal(DO(p, do_open).code, 0);
    return p;
}

static void forget(struct peer *p)
{
    close(p->fd);
    free(p->text);
    *p = (struct peer){ 0 };
}

void peer_stop(struct peer *p)
{
    int status;
    shutdown(p->fd, SHUT_WR);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    forget(p);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

void peer_kill(struct peer *p)
{
    kill(p->pid, SIGKILL);
    waitpid(p->pid, NULL, 0);
    p->pid = -1; /* what it left behind ends when the test does */
}

void peer_kill_at(struct peer *p, int slot, uint64_t bytes)
{
    int status;
    TELL(p, do_signal, .slot = slot, .number = bytes, .ms = SIGKILL);
    assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    p->pid = -1;
}

void peer_freeze(struct peer *p, int slot, uint64_t bytes)
{
    int status;
    TELL(p, do_signal, .slot = slot, .number = bytes, .ms = SIGSTOP);
    assert_int_equal(waitpid(p->pid, &status, WUNTRACED), p->pid);
    assert_true(WIFSTOPPED(status));
}

void peer_thaw(struct peer *p)
{
    kill(p->pid, SIGCONT);
    peer_hear(p);
}

/* ---- orders and answers --------------------------------------------------------- */

void peer_tell(struct peer *p, order_fn *fn, const struct order *o)
{
    struct letter letter = { .fn = fn, .order = *o, .text_len = o->text ? strlen(o->text) + 1 : 0 };
    assert_true(p->pid > 0 && !p->told);
    assert_int_equal(send_all(p->fd, &letter, sizeof letter), 0);
    assert_int_equal(send_all(p->fd, o->text, letter.text_len), 0);
    p->told = true;
}

bool peer_silent(struct peer *p, int ms)
{
    struct pollfd pfd = { .fd = p->fd, .events = POLLIN };
    return poll(&pfd, 1, ms) == 0;
}

struct answer peer_hear(struct peer *p)
{
    struct reply reply;
    assert_true(p->told);
    if (peer_silent(p, HEAR_MS))
        fail_msg("worker %d does not answer", (int)p->pid);
    if (receive_all(p->fd, &reply, sizeof reply) < 0)
        fail_msg("worker %d died over an order", (int)p->pid);
    if (reply.text_len) {
        free(p->text);
        p->text = malloc(reply.text_len);
        assert_non_null(p->text);
        assert_int_equal(receive_all(p->fd, p->text, reply.text_len), 0);
        reply.answer.text = p->text;
    }
    p->told = false;
    return reply.answer;
}

/* ---- common scenes -------------------------------------------------------------- */

void start_op(struct peer *a, struct peer *b, int slot, enum nxc_kind kind, struct shape shape)
{
    struct answer ticket = DO(a, do_create, .slot = slot, .kind = kind, .shape = shape, .seed = 1);
    assert_int_equal(ticket.code, 0);
    struct answer begun = DO(b, do_begin, .slot = slot, .kind = kind, .shape = shape, .seed = 2, .text = ticket.text);
    assert_int_equal(begun.code, 0);
}

void prove_link(struct peer *passive, struct peer *active, enum nxc_kind kind)
{
    enum { SLOT = SLOTS - 1 };
    start_op(passive, active, SLOT, kind, (struct shape){ 1, 100, 0 });
    assert_end(DO(active, do_wait, .slot = SLOT, .ms = -1), NXC_COMPLETE, 0);
    assert_end(DO(passive, do_wait, .slot = SLOT, .ms = -1), NXC_COMPLETE, 0);
    assert_memory(kind == NXC_READ ? active : passive, SLOT, kind == NXC_READ ? 1 : 2);
    DO(active, do_free, .slot = SLOT);
    DO(passive, do_free, .slot = SLOT);
}

void assert_end(struct answer a, int status, int error)
{
    if (a.status != status || a.error != error)
        fail_msg("ended with status %d, %s, \"%s\"; expected status %d, %s", a.status, nxc_err_name(a.error), a.detail,
                 status, nxc_err_name(error));
}

void assert_text(struct answer a, const char *part)
{
    if (!strstr(a.detail, part))
        fail_msg("the text \"%s\" does not say \"%s\"", a.detail, part);
}

void assert_memory(struct peer *p, int slot, uint64_t seed)
{
    struct answer a = DO(p, do_check, .slot = slot, .seed = seed);
    if (a.number != UINT64_MAX)
        fail_msg("byte %llu is not of seed %llu: %s", (unsigned long long)a.number, (unsigned long long)seed, a.detail);
}

/* ---- around a test --------------------------------------------------------------- */

int test_begin(void **state)
{
    (void)state;
    alarm(TEST_S);
    return 0;
}

int test_end(void **state)
{
    (void)state;
    alarm(0);
    for (int i = 0; i < PEERS; i++) {
        if (!peers[i].pid)
            continue;
        if (peers[i].pid > 0)
            peer_kill(&peers[i]);
        forget(&peers[i]);
    }
    return 0;
}

void take_transport(int argc, char **argv)
{
    int status;
    if (argc > 1)
        transport = argv[1];
    fflush(NULL);
    pid_t pid = fork();
    if (pid == 0) {
        struct nxc_connector_opts o = plain_opts();
        nxc_connector            *c = NULL;
        int                       r = nxc_connector_new(&o, &c);
        if (r < 0)
            printf("%s: %s: %s\n", transport, nxc_err_name(r), nxc_err_detail());
        nxc_connector_free(c);
        fflush(stdout);
        _exit(r == NXC_ENOTSUP ? 77 : r < 0);
    }
    if (waitpid(pid, &status, 0) != pid || !WIFEXITED(status) || WEXITSTATUS(status))
        exit(WIFEXITED(status) ? WEXITSTATUS(status) : 1);
}
