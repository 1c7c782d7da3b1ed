/* SPDX-License-Identifier: Apache-2.0 */
/* Peers that can't be reached, and by which way those are that can. */
#include "tests/craft.h"
#include "tests/pair.h"

#include <arpa/inet.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

enum { CONNECT_MS = 600 };

static const struct shape small = { 1, 4000, 0 };

static struct nxc_connector_opts hasty(void)
{
    struct nxc_connector_opts opts = plain_opts();
    opts.connect_ms = CONNECT_MS;
    return opts;
}

/* p's begin ends with NXC_EUNREACH, not before min_ms. */
static void unreachable(struct peer *p, const char *ticket, unsigned min_ms)
{
    uint64_t since = now_ns();
    assert_int_equal(DO(p, do_begin, .kind = NXC_READ, .shape = small, .seed = 2, .text = ticket).code, 0);
    struct answer end = DO(p, do_wait, .ms = -1);
    uint64_t      ms = (now_ns() - since) / MS;
    assert_end(end, NXC_ERRORED, NXC_EUNREACH);
    if (ms < min_ms || ms > CONNECT_MS + AT_ONCE_MS)
        fail_msg("it took %llu ms", (unsigned long long)ms);
    assert_memory(p, 0, 2);
}

static void test_a_dead_worker_is_unreachable(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = hasty();
    struct peer                    *a = peer_start(&opts), *b = peer_start(&opts);
    struct answer                   t = DO(a, do_create, .kind = NXC_READ, .shape = small);
    peer_kill(a);
    unreachable(b, t.text, 0);
    unreachable(b, t.text, 0);
    peer_stop(b);
}

static void test_a_worker_whose_connector_is_gone_is_unreachable(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = hasty();
    struct peer                    *a = peer_start(&opts), *b = peer_start(&opts);
    struct answer                   t = DO(a, do_create, .kind = NXC_READ, .shape = small);
    char                           *ticket = strdup(t.text);
    prove_link(a, b, NXC_READ);
    DO(a, do_close);
    /* The link that was up may be trusted once more, before its end is seen. */
    DO(b, do_begin, .kind = NXC_READ, .shape = small, .text = ticket);
    struct answer end = DO(b, do_wait, .ms = -1);
    if (end.error != NXC_EPEER)
        assert_end(end, NXC_ERRORED, NXC_EUNREACH);
    unreachable(b, ticket, 0);
    free(ticket);
    peer_stop(a);
    peer_stop(b);
}

static void test_a_ticket_without_an_address_is_unreachable(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = hasty();
    struct peer                    *a = peer_start(&opts), *b = peer_start(&opts);
    struct answer                   t = DO(a, do_create, .kind = NXC_READ, .shape = small);
    char                           *forged = craft(t.text, without_addrs);
    unreachable(b, forged, 0);
    free(forged);
    peer_stop(a);
    peer_stop(b);
}

/* Another worker sits at the address now: it must not be taken for the first. */
static void test_another_worker_at_the_address_is_not_the_one(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = hasty();
    struct peer                    *a = peer_start(&opts), *b = peer_start(&opts);
    struct answer                   t = DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1);
    char                           *forged = craft(t.text, forge_instance);
    assert_int_equal(DO(b, do_begin, .kind = NXC_READ, .shape = small, .seed = 2, .text = forged).code, 0);
    struct answer end = DO(b, do_wait, .ms = -1);
    free(forged);
    if (end.error != NXC_EACCESS)
        assert_end(end, NXC_ERRORED, NXC_EUNREACH);
    assert_memory(b, 0, 2);
    assert_int_equal(DO(a, do_status).status, NXC_INITIALIZED);
    peer_stop(a);
    peer_stop(b);
}

static void test_a_worker_that_does_not_greet_is_given_up_after_connect_ms(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = hasty();
    struct peer                    *a = peer_start(&opts), *b = peer_start(&opts);
    struct answer                   t = DO(a, do_create, .kind = NXC_READ, .shape = small, .seed = 1);
    peer_freeze(a, 0, 0);
    unreachable(b, t.text, CONNECT_MS - 50);
    peer_thaw(a);
    assert_int_equal(DO(a, do_status).status, NXC_INITIALIZED);
    assert_int_equal(DO(b, do_begin, .kind = NXC_READ, .shape = small, .seed = 2, .text = t.text).code, 0);
    assert_end(DO(b, do_wait, .ms = -1), NXC_COMPLETE, 0);
    assert_memory(b, 0, 1);
    peer_stop(a);
    peer_stop(b);
}

static void test_a_deadline_counts_while_connecting(void **state)
{
    (void)state;
    struct peer  *a = peer_start(NULL), *b = peer_start(NULL);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small);
    peer_freeze(a, 0, 0);
    assert_int_equal(DO(b, do_begin, .kind = NXC_READ, .shape = small, .ms = 100, .text = t.text).code, 0);
    assert_end(DO(b, do_wait, .ms = -1), NXC_ERRORED, NXC_ETIMEDOUT);
    assert_int_equal(DO(b, do_begin, .kind = NXC_READ, .shape = small, .text = t.text).code, 0);
    assert_end(DO(b, do_cancel), NXC_CANCELLED, NXC_ECANCELLED);
    peer_thaw(a);
    peer_stop(a);
    peer_stop(b);
}

/* ---- tcp: what listens may be anything ------------------------------------------------------ */

static int listen_somewhere(void)
{
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t          len = sizeof at;
    int                fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof at), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    craft_port_number = ntohs(at.sin_port);
    return fd;
}

static void test_a_black_hole_is_given_up_after_connect_ms(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = hasty();
    if (strcmp(transport, "tcp") != 0)
        skip();
    struct peer  *a = peer_start(&opts), *b = peer_start(&opts);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small);
    int           fd = listen_somewhere();
    char         *forged = craft(t.text, craft_port);
    unreachable(b, forged, CONNECT_MS - 50); /* accepted by the kernel, never greeted */
    close(fd);
    unreachable(b, forged, 0); /* nobody listens any more */
    free(forged);
    peer_stop(a);
    peer_stop(b);
}

static void test_a_foreign_server_is_no_worker(void **state)
{
    (void)state;
    const struct nxc_connector_opts opts = hasty();
    if (strcmp(transport, "tcp") != 0)
        skip();
    struct peer  *a = peer_start(&opts), *b = peer_start(&opts);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small);
    int           fd = listen_somewhere();
    char         *forged = craft(t.text, craft_port), bytes[256] = "220 mail.example.org ESMTP\r\n";
    assert_int_equal(DO(b, do_begin, .kind = NXC_READ, .shape = small, .seed = 2, .text = forged).code, 0);
    TELL(b, do_wait, .ms = -1);
    int guest = accept(fd, NULL, NULL);
    assert_int_equal(send(guest, bytes, sizeof bytes, MSG_NOSIGNAL), sizeof bytes);
    assert_end(peer_hear(b), NXC_ERRORED, NXC_EUNREACH);
    close(guest);
    close(fd);
    free(forged);
    peer_stop(a);
    peer_stop(b);
}

/* ---- which way ---------------------------------------------------------------------------------- */

static struct answer meet(const char *mine, const char *require, const char *theirs)
{
    struct nxc_connector_opts a_opts = plain_opts(), b_opts = plain_opts();
    a_opts.transports = theirs;
    b_opts.transports = mine;
    b_opts.require = require;
    struct peer  *a = peer_start(&a_opts), *b = peer_start(&b_opts);
    struct answer t = DO(a, do_create, .kind = NXC_READ, .shape = small);
    assert_int_equal(DO(b, do_begin, .kind = NXC_READ, .shape = small, .text = t.text).code, 0);
    struct answer end = DO(b, do_wait, .ms = -1);
    peer_stop(a);
    peer_stop(b);
    return end;
}

static void test_the_best_common_transport_is_taken_and_require_narrows_it(void **state)
{
    (void)state;
    struct answer end = meet("shm,tcp", NULL, "tcp,shm");
    assert_end(end, NXC_COMPLETE, 0);
    assert_true(!strncmp(end.transport, "shm", 3));
    end = meet("shm,tcp", NULL, "tcp");
    assert_end(end, NXC_COMPLETE, 0);
    assert_true(!strncmp(end.transport, "tcp", 3));
    end = meet("shm,tcp", "tcp", "shm,tcp");
    assert_end(end, NXC_COMPLETE, 0);
    assert_true(!strncmp(end.transport, "tcp", 3));
    assert_end(meet("shm,tcp", "shm", "tcp"), NXC_ERRORED, NXC_EUNREACH);
    assert_end(meet("shm,tcp", "tcp", "shm"), NXC_ERRORED, NXC_EUNREACH);
    assert_end(meet("shm", NULL, "tcp"), NXC_ERRORED, NXC_EUNREACH);
    assert_end(meet("tcp", NULL, "shm"), NXC_ERRORED, NXC_EUNREACH);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        PAIR_TEST(test_a_dead_worker_is_unreachable),
        PAIR_TEST(test_a_worker_whose_connector_is_gone_is_unreachable),
        PAIR_TEST(test_a_ticket_without_an_address_is_unreachable),
        PAIR_TEST(test_another_worker_at_the_address_is_not_the_one),
        PAIR_TEST(test_a_worker_that_does_not_greet_is_given_up_after_connect_ms),
        PAIR_TEST(test_a_deadline_counts_while_connecting),
        PAIR_TEST(test_a_black_hole_is_given_up_after_connect_ms),
        PAIR_TEST(test_a_foreign_server_is_no_worker),
        PAIR_TEST(test_the_best_common_transport_is_taken_and_require_narrows_it),
    };
    take_transport(argc, argv);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
