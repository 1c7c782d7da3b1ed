/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <arpa/inet.h>
#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "fabric/tcp_node_test.h"

static struct node a, b;

static int open_nodes(void **state)
{
    (void)state;
    test_later = 0;
    node_open(&a, 'a');
    node_open(&b, 'b');
    return 0;
}

static int free_nodes(void **state)
{
    (void)state;
    node_free(&a);
    node_free(&b);
    return 0;
}

static struct nxi_tcp *inside(struct node *n)
{
    return nxi_tcp_of(n->fabric, struct nxi_tcp, fabric);
}

static struct nxi_link *dial(const struct nxi_entry *to)
{
    struct nxi_link *l;
    assert_int_equal(a.fabric->ops->connect(a.fabric, to, &a, test_now(), &l), 0);
    assert_int_equal(a.downs, 0); /* never from inside the call */
    return l;
}

/* An entry with one address of 127.0.0.1. */
static struct nxi_entry entry_at(uint16_t port)
{
    struct nxi_entry e = b.entry;
    uint16_t wire = htons(port);
    e.n = 1;
    e.addrs[0] = (struct nxi_addr){ NXI_ADDR_TCP4, 6, { 127, 0, 0, 1 } };
    memcpy(e.addrs[0].bytes + 4, &wire, 2);
    return e;
}

/* A listening socket that is not a fabric's. */
static int listener(uint16_t *ret_port)
{
    struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
    socklen_t len = sizeof in;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&in, sizeof in), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&in, &len), 0);
    *ret_port = ntohs(in.sin_port);
    return fd;
}

/* A port that nobody listens on. */
static uint16_t free_port(void)
{
    uint16_t port;
    close(listener(&port));
    return port;
}

/* ---- connecting ---------------------------------------------------------- */

static void test_an_address_that_nobody_listens_on_is_unreachable(void **state)
{
    (void)state;
    struct nxi_entry e = entry_at(free_port());
    dial(&e);
    STEP_UNTIL(a.downs == 1, &a);
    assert_int_equal(a.down_code, NXC_EUNREACH);
    assert_non_null(strstr(a.down_text, "127.0.0.1:"));
    assert_non_null(strstr(a.down_text, "refused"));
}

static void test_an_entry_without_tcp_is_unreachable_at_once(void **state)
{
    (void)state;
    struct nxi_entry e = b.entry;
    struct nxi_link *l = NULL;
    e.addrs[0].tag = NXI_ADDR_SHM;
    assert_int_equal(a.fabric->ops->connect(a.fabric, &e, &a, test_now(), &l), NXC_EUNREACH);
    assert_null(l);
}

static void test_a_silent_listener_is_given_up_after_connect_ms(void **state)
{
    (void)state;
    uint16_t port;
    int fd = listener(&port);
    struct nxi_entry e = entry_at(port);
    dial(&e);
    test_later += 4900 * NXI_MS;
    for (int i = 0; i < 100; i++)
        node_step(&a);
    assert_int_equal(a.downs, 0);
    test_later += 100 * NXI_MS;
    STEP_UNTIL(a.downs == 1, &a);
    assert_int_equal(a.down_code, NXC_EUNREACH);
    close(fd);
}

static void test_an_address_that_fails_gives_way_to_the_next(void **state)
{
    (void)state;
    struct nxi_entry e = entry_at(free_port());
    e.addrs[e.n++] = (struct nxi_addr){ NXI_ADDR_TCP6, 18, { [15] = 1, [16] = 1, [17] = 1 } };
    e.addrs[e.n++] = b.entry.addrs[0];
    dial(&e);
    STEP_UNTIL(a.ups == 1 && b.ups == 1, &a, &b);
    assert_int_equal(a.downs, 0);
}

static void test_a_silent_address_is_overtaken_by_the_next(void **state)
{
    (void)state;
    uint16_t port;
    int fd = listener(&port);
    struct nxi_entry e = entry_at(port);
    e.addrs[e.n++] = b.entry.addrs[0];
    dial(&e);
    for (int i = 0; i < 100; i++) {
        node_step(&a);
        node_step(&b);
    }
    assert_int_equal(a.ups, 0);
    test_later += 200 * NXI_MS;
    STEP_UNTIL(a.ups == 1 && b.ups == 1, &a, &b);
    test_later += 10 * NXI_SEC;
    for (int i = 0; i < 100; i++)
        node_step(&a);
    assert_int_equal(a.downs, 0);
    close(fd);
}

static void test_a_link_closed_while_it_connects_is_gone(void **state)
{
    (void)state;
    struct nxi_link *l = dial(&b.entry);
    a.fabric->ops->close(l);
    test_later += 10 * NXI_SEC;
    for (int i = 0; i < 100; i++) {
        node_step(&a);
        node_step(&b);
    }
    assert_int_equal(a.ups + a.downs + b.ups + b.downs, 0);
    assert_int_equal(a.timers.n, 0);
}

static void test_ipv6_works_like_ipv4(void **state)
{
    (void)state;
    int fd = socket(AF_INET6, SOCK_STREAM, 0);
    struct sockaddr_in6 in = { .sin6_family = AF_INET6, .sin6_addr = IN6ADDR_LOOPBACK_INIT };
    int r = bind(fd, (struct sockaddr *)&in, sizeof in);
    close(fd);
    if (r < 0)
        skip(); /* this host has no IPv6 */
    struct node six;
    struct nxi_link *l, *m;
    node_open_at(&six, "[::1]", 's');
    assert_int_equal(six.entry.addrs[0].tag, NXI_ADDR_TCP6);
    nodes_link(&a, &six, &l, &m);
    assert_string_equal(l->name, "tcp/lo");
    assert_int_equal(node_send(l, "six", NULL, 0, NXI_SEND_WHOLE), 0);
    STEP_UNTIL(six.frames == 1, &a, &six);
    node_free(&six);
}

/* ---- greeting ------------------------------------------------------------ */

static void test_a_wrong_link_key_is_refused(void **state)
{
    (void)state;
    struct nxi_entry e = b.entry;
    e.link_key[3] ^= 1;
    dial(&e);
    STEP_UNTIL(a.downs == 1, &a, &b);
    assert_int_equal(a.down_code, NXC_EACCESS);
    STEP_UNTIL(inside(&b)->n_guests == 0, &b);
    assert_int_equal(b.ups + b.downs, 0);
}

static void test_another_worker_at_that_address_is_not_the_peer(void **state)
{
    (void)state;
    struct nxi_entry e = b.entry;
    e.instance[3] ^= 1;
    dial(&e);
    STEP_UNTIL(a.downs == 1, &a, &b);
    assert_int_equal(a.down_code, NXC_EUNREACH);
    assert_int_equal(b.ups + b.downs, 0);
}

static void test_a_foreign_version_is_named_to_the_opener(void **state)
{
    (void)state;
    uint16_t port;
    int fd = listener(&port);
    struct nxi_entry e = entry_at(port);
    uint8_t hello[NXI_GREET_OUT] = "NXC\n";
    dial(&e);
    STEP_UNTIL(a.timers.n == 1, &a);
    int peer = accept(fd, NULL, NULL);
    nxi_put16(hello + 4, 8);
    nxi_put16(hello + 6, 7);
    assert_int_equal(send(peer, hello, sizeof hello, 0), sizeof hello);
    STEP_UNTIL(a.downs == 1, &a);
    assert_int_equal(a.down_code, NXC_EVERSION);
    assert_non_null(strstr(a.down_text, "7 to 8"));
    close(peer);
    close(fd);
}

static void test_a_foreign_version_is_told_ours_and_sent_away(void **state)
{
    (void)state;
    int fd = plain_socket(&b);
    uint8_t hello[NXI_HELLO_LEN] = "NXC\n", answer[NXI_GREET_OUT + 1];
    nxi_put16(hello + 4, 8);
    nxi_put16(hello + 6, 7);
    assert_int_equal(send(fd, hello, sizeof hello, 0), sizeof hello);
    assert_int_equal(plain_read(&b, fd, answer, sizeof answer), NXI_GREET_OUT); /* and the end */
    assert_int_equal(nxi_get16(answer + 4), NXI_PROTOCOL);
    assert_int_equal(b.ups + b.downs, 0);
    close(fd);
}

static void test_garbage_is_hung_up_on_without_a_word(void **state)
{
    (void)state;
    int fd = plain_socket(&b);
    char answer;
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, 0), 18);
    assert_int_equal(plain_read(&b, fd, &answer, 1), 0);
    STEP_UNTIL(inside(&b)->n_guests == 0, &b);
    assert_int_equal(b.ups + b.downs, 0);
    close(fd);
}

static void test_somebody_else_at_the_address_is_no_peer(void **state)
{
    (void)state;
    uint16_t port;
    int fd = listener(&port);
    struct nxi_entry e = entry_at(port);
    dial(&e);
    STEP_UNTIL(a.timers.n == 1, &a);
    int peer = accept(fd, NULL, NULL);
    assert_int_equal(send(peer, "SSH-2.0-OpenSSH\r\n", 17, 0), 17);
    STEP_UNTIL(a.downs == 1, &a);
    assert_int_equal(a.down_code, NXC_EUNREACH);
    close(peer);
    close(fd);
}

/* ---- guests -------------------------------------------------------------- */

static void test_a_silent_guest_is_sent_away_after_two_seconds(void **state)
{
    (void)state;
    int fd = plain_socket(&b);
    char answer;
    STEP_UNTIL(inside(&b)->n_guests == 1, &b);
    test_later += 1900 * NXI_MS;
    node_step(&b);
    assert_int_equal(inside(&b)->n_guests, 1);
    test_later += 100 * NXI_MS;
    assert_int_equal(plain_read(&b, fd, &answer, 1), 0);
    assert_int_equal(inside(&b)->n_guests, 0);
    assert_int_equal(b.timers.n, 0);
    close(fd);
}

static void test_a_flood_of_silent_guests_keeps_nobody_out(void **state)
{
    (void)state;
    enum { FLOOD = 2 * NXI_TCP_GUESTS };
    int fds[FLOOD];
    for (int i = 0; i < FLOOD; i++) {
        fds[i] = plain_socket(&b);
        node_step(&b);
    }
    STEP_UNTIL(inside(&b)->n_guests == NXI_TCP_GUESTS, &b);
    dial(&b.entry);
    STEP_UNTIL(a.ups == 1 && b.ups == 1, &a, &b);
    for (int i = 0; i < FLOOD; i++)
        close(fds[i]);
    STEP_UNTIL(inside(&b)->n_guests == 0, &b);
}

static void test_without_descriptors_accepting_pauses_and_goes_on(void **state)
{
    (void)state;
    struct rlimit before, now;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    int fd = plain_socket(&b), top = dup(fd);
    close(top);
    now = before;
    now.rlim_cur = (rlim_t)top;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &now), 0);
    STEP_UNTIL(inside(&b)->accept_at != NXI_NEVER, &b);
    struct epoll_event e;
    int busy = epoll_wait(b.env.epfd, &e, 1, 0);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_int_equal(busy, 0); /* epoll does not tell of it for ever */
    test_later += 100 * NXI_MS;
    STEP_UNTIL(inside(&b)->n_guests == 1, &b);
    close(fd);
}

static void test_any_allocation_may_fail_while_a_link_is_made(void **state)
{
    (void)state;
    for (unsigned nth = 1; nth <= 8; nth++) {
        struct nxi_link *l = NULL;
        unsigned ups = a.ups, downs = a.downs;
        nxi_mem_fail(nth, false);
        int r = a.fabric->ops->connect(a.fabric, &b.entry, &a, test_now(), &l);
        if (r == 0)
            STEP_UNTIL(a.ups > ups || a.downs > downs, &a, &b);
        else
            assert_int_equal(r, NXC_ENOMEM);
        nxi_mem_fail(0, false);
    }
    assert_true(a.ups > 0 && a.ups < 8);
}

#define OPEN(test) cmocka_unit_test_setup_teardown(test, open_nodes, free_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        OPEN(test_an_address_that_nobody_listens_on_is_unreachable),
        OPEN(test_an_entry_without_tcp_is_unreachable_at_once),
        OPEN(test_a_silent_listener_is_given_up_after_connect_ms),
        OPEN(test_an_address_that_fails_gives_way_to_the_next),
        OPEN(test_a_silent_address_is_overtaken_by_the_next),
        OPEN(test_a_link_closed_while_it_connects_is_gone),
        OPEN(test_ipv6_works_like_ipv4),
        OPEN(test_a_wrong_link_key_is_refused),
        OPEN(test_another_worker_at_that_address_is_not_the_peer),
        OPEN(test_a_foreign_version_is_named_to_the_opener),
        OPEN(test_a_foreign_version_is_told_ours_and_sent_away),
        OPEN(test_garbage_is_hung_up_on_without_a_word),
        OPEN(test_somebody_else_at_the_address_is_no_peer),
        OPEN(test_a_silent_guest_is_sent_away_after_two_seconds),
        OPEN(test_a_flood_of_silent_guests_keeps_nobody_out),
        OPEN(test_without_descriptors_accepting_pauses_and_goes_on),
        OPEN(test_any_allocation_may_fail_while_a_link_is_made),
    };
    return cmocka_run_group_tests_name("tcp_connect", tests, NULL, NULL);
}
