/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <dirent.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "fabric/tcp_node_test.h"

enum { PIECE = NXI_TCP_PIECE_MAX };

static struct node a, b;
static struct nxi_link *at_a, *at_b; /* the ends of a link that a opened */
static uint8_t source[PIECE], target[PIECE];

static int open_nodes(void **state)
{
    (void)state;
    test_later = 0;
    node_open(&a, 'a');
    node_open(&b, 'b');
    nodes_link(&a, &b, &at_a, &at_b);
    for (size_t i = 0; i < PIECE; i++)
        source[i] = (uint8_t)(i * 7 + i / 251 + 1);
    memset(target, 0xee, sizeof target);
    b.sink[0] = nxc_desc_host(target, 1000);
    b.sink[1] = nxc_desc_host(target + 1000, PIECE - 1000);
    return 0;
}

static int free_nodes(void **state)
{
    (void)state;
    node_free(&a);
    node_free(&b);
    return 0;
}

static struct nxi_tcp_link *inside(struct nxi_link *l)
{
    return nxi_tcp_of(l, struct nxi_tcp_link, link);
}

/* Sends WHOLE frames until there is no room. Returns how many were taken. */
static unsigned fill_up(size_t len)
{
    for (unsigned n = 0;; n++) {
        int r = node_send(at_a, "filler", source, len, NXI_SEND_WHOLE);
        if (r == NXC_EAGAIN)
            return n;
        assert_int_equal(r, 0);
    }
}

/* ---- links --------------------------------------------------------------- */

static void test_both_ends_know_what_was_greeted(void **state)
{
    (void)state;
    assert_true(at_a->opened_here);
    assert_false(at_b->opened_here);
    assert_int_equal(at_a->version, NXI_PROTOCOL);
    assert_int_equal(at_b->version, NXI_PROTOCOL);
    assert_int_equal(at_a->keepalive_ms, 3000);
    assert_int_equal(at_b->keepalive_ms, 3000);
    assert_string_equal(at_a->name, "tcp/lo");
    assert_string_equal(at_b->name, "tcp/lo");
    assert_false(at_a->copies || at_a->can_pull || at_a->peer_can_pull);
    assert_true(nxi_tcp_flushed(at_a));
}

static void test_two_workers_have_a_link_in_each_direction_at_once(void **state)
{
    (void)state;
    struct nxi_link *l, *m;
    assert_int_equal(a.fabric->ops->connect(a.fabric, &b.entry, &a, test_now(), &l), 0);
    assert_int_equal(b.fabric->ops->connect(b.fabric, &a.entry, &b, test_now(), &m), 0);
    STEP_UNTIL(a.ups == 3 && b.ups == 3, &a, &b);
    assert_int_equal(node_send(l, "to b", NULL, 0, NXI_SEND_WHOLE), 0);
    assert_int_equal(node_send(m, "to a", NULL, 0, NXI_SEND_WHOLE), 0);
    STEP_UNTIL(a.frames == 1 && b.frames == 1, &a, &b);
    assert_memory_equal(b.headers[0], "to b", 4);
    assert_memory_equal(a.headers[0], "to a", 4);
}

static void test_a_worker_can_link_to_itself(void **state)
{
    (void)state;
    struct nxi_link *l;
    assert_int_equal(a.fabric->ops->connect(a.fabric, &a.entry, &a, test_now(), &l), 0);
    STEP_UNTIL(a.ups == 3, &a);
    assert_int_equal(node_send(l, "me", source, 100, NXI_SEND_WHOLE), 0);
    STEP_UNTIL(a.payloads == 1, &a);
}

static void test_a_hang_up_gives_out_all_that_came_before_it(void **state)
{
    (void)state;
    for (int i = 0; i < 60; i++)
        assert_int_equal(node_send(at_a, "last words", source, 100, NXI_SEND_WHOLE), 0);
    while (!nxi_tcp_flushed(at_a)) {
        struct epoll_event e;
        a.fabric->ops->poll(a.fabric, test_now());
        assert_false(a.fabric->ops->arm(a.fabric));
        assert_int_equal(epoll_wait(a.env.epfd, &e, 1, 5000), 1);
        a.fabric->ops->wake(a.fabric);
        node_step(&a);
    }
    at_a->fabric->ops->close(at_a);
    /* b's own send finds the link gone; that must not make it deaf. */
    while (node_send(at_b, "beat", NULL, 0, NXI_SEND_REPLY) == 0)
        ;
    STEP_UNTIL(b.downs == 1, &b);
    assert_int_equal(b.frames, 60);
    assert_int_equal(b.payloads, 60);
    assert_int_equal(b.down_code, NXC_EPEER);
    assert_non_null(strstr(b.down_text, "127.0.0.1"));
    assert_int_equal(a.downs, 0);
}

static void test_a_link_closed_inside_an_event_gives_no_more(void **state)
{
    (void)state;
    b.close_at_up = true;
    struct nxi_link *l;
    assert_int_equal(a.fabric->ops->connect(a.fabric, &b.entry, &a, test_now(), &l), 0);
    STEP_UNTIL(a.downs == 1, &a, &b);
    assert_int_equal(b.ups, 2);
    assert_int_equal(b.downs, 0);
}

static void test_a_refused_header_ends_the_link_with_its_code(void **state)
{
    (void)state;
    b.answer = NXC_EPEER;
    assert_int_equal(node_send(at_a, "nonsense", source, 10, NXI_SEND_WHOLE), 0);
    STEP_UNTIL(b.downs == 1 && a.downs == 1, &a, &b);
    assert_string_equal(b.down_text, "refused by the test");
    assert_int_equal(b.payloads, 0);
}

static void test_heard_counts_parts_of_frames(void **state)
{
    (void)state;
    int fd = plain_link(&b);
    uint64_t before = b.link->heard;
    test_later += NXI_SEC;
    assert_int_equal(send(fd, "\0\0", 2, 0), 2);
    STEP_UNTIL(b.link->heard >= before + NXI_SEC, &b);
    assert_int_equal(b.frames, 0);
    close(fd);
}

/* ---- frames out ---------------------------------------------------------- */

static void test_whole_frames_arrive_with_header_and_payload(void **state)
{
    (void)state;
    static const size_t sizes[] = { 0, 1, 999, 1000, 1001, 4000, NXI_TCP_EAGER_MAX };
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        memset(target, 0xee, sizeof target);
        assert_int_equal(node_send(at_a, "0123456789", source, sizes[i], NXI_SEND_WHOLE), 0);
        STEP_UNTIL(b.frames == i + 1 && (!sizes[i] || b.payloads == i), &a, &b);
        assert_int_equal(b.header_lens[i], 10);
        assert_memory_equal(b.headers[i], "0123456789", 10);
        assert_int_equal(b.payload_lens[i], sizes[i]);
        assert_memory_equal(target, source, sizes[i]);
        assert_int_equal(target[sizes[i]], 0xee);
    }
}

static void test_a_lent_payload_comes_back_when_the_kernel_has_it(void **state)
{
    (void)state;
    shrink(at_a);
    assert_int_equal(node_send(at_a, "piece", source, PIECE, NXI_SEND_LEND), 0);
    assert_false(nxi_tcp_flushed(at_a));
    STEP_UNTIL(a.sents == 1 && b.payloads == 1, &a, &b);
    assert_ptr_equal(a.sent_token, source);
    assert_memory_equal(target, source, PIECE);
    assert_true(nxi_tcp_flushed(at_a));
}

static void test_a_small_lent_payload_is_taken_at_once(void **state)
{
    (void)state;
    assert_int_equal(node_send(at_a, "piece", source, 5000, NXI_SEND_LEND), 1);
    STEP_UNTIL(b.payloads == 1, &a, &b);
    assert_memory_equal(target, source, 5000);
    assert_int_equal(a.sents, 0);
}

static void test_what_is_said_during_a_lent_frame_follows_it(void **state)
{
    (void)state;
    shrink(at_a);
    assert_int_equal(node_send(at_a, "first", source, 300, NXI_SEND_WHOLE), 0);
    assert_int_equal(node_send(at_a, "lent", source, PIECE, NXI_SEND_LEND), 0);
    assert_int_equal(node_send(at_a, "second lent", source, PIECE, NXI_SEND_LEND), NXC_EAGAIN);
    assert_int_equal(node_send(at_a, "whole", source, 300, NXI_SEND_WHOLE), 0);
    assert_int_equal(node_send(at_a, "reply", NULL, 0, NXI_SEND_REPLY), 0);
    STEP_UNTIL(b.frames == 4, &a, &b);
    assert_memory_equal(b.headers[0], "first", 5);
    assert_memory_equal(b.headers[1], "lent", 4);
    assert_memory_equal(b.headers[2], "whole", 5);
    assert_memory_equal(b.headers[3], "reply", 5);
    assert_memory_equal(target + 300, source + 300, PIECE - 300);
    assert_int_equal(a.writables, 1);
}

static void test_a_revoked_payload_goes_on_as_zeros(void **state)
{
    (void)state;
    shrink(at_a);
    assert_int_equal(node_send(at_a, "piece", source, PIECE, NXI_SEND_LEND), 0);
    size_t gone = PIECE - inside(at_a)->lent_left;
    at_a->fabric->ops->revoke(at_a, source);
    memset(source, 0x55, sizeof source); /* the memory is ours again */
    STEP_UNTIL(b.payloads == 1, &a, &b);
    for (size_t i = 0; i < PIECE; i++)
        if (target[i] != (i < gone ? (uint8_t)(i * 7 + i / 251 + 1) : 0))
            fail_msg("byte %zu is %02x", i, target[i]);
    assert_int_equal(a.sents, 0);
    assert_int_equal(node_send(at_a, "next", NULL, 0, NXI_SEND_WHOLE), 0);
    STEP_UNTIL(b.frames == 2, &a, &b);
}

static void test_a_payload_revoked_before_it_began_is_all_zeros(void **state)
{
    (void)state;
    shrink(at_a);
    while (!inside(at_a)->blocked)
        assert_int_equal(node_send(at_a, "filler", source, 1000, NXI_SEND_WHOLE), 0);
    assert_int_equal(node_send(at_a, "piece", source, PIECE, NXI_SEND_LEND), 0);
    assert_int_equal(inside(at_a)->lent_left, PIECE);
    at_a->fabric->ops->revoke(at_a, source);
    STEP_UNTIL(inside(at_a)->queue_len == 0 && !inside(at_a)->lent, &a, &b);
    assert_int_equal(node_send(at_a, "end", NULL, 0, NXI_SEND_WHOLE), 0);
    unsigned frames = b.frames;
    STEP_UNTIL(b.frames > frames && b.payloads == b.frames - 1, &a, &b);
    for (size_t i = 0; i < PIECE; i++)
        assert_int_equal(target[i], 0);
}

static void test_a_full_link_says_when_it_is_worth_another_try(void **state)
{
    (void)state;
    shrink(at_a);
    unsigned n = fill_up(NXI_TCP_EAGER_MAX);
    assert_true(inside(at_a)->queue_len <= NXI_TCP_QUEUE_MAX);
    /* Replies are never refused. */
    assert_int_equal(node_send(at_a, "reply", NULL, 0, NXI_SEND_REPLY), 0);
    STEP_UNTIL(a.writables == 1 && b.frames == n + 1, &a, &b);
    assert_int_equal(node_send(at_a, "again", source, 100, NXI_SEND_WHOLE), 0);
    STEP_UNTIL(b.frames == n + 2, &a, &b);
}

/* ---- frames in ----------------------------------------------------------- */

static void test_a_sink_turned_to_scrap_midway_is_written_no_more(void **state)
{
    (void)state;
    shrink(at_a);
    assert_int_equal(node_send(at_a, "piece", source, PIECE, NXI_SEND_LEND), 0);
    STEP_UNTIL(b.frames == 1 && inside(at_b)->payload_left < PIECE, &a, &b);
    size_t there = PIECE - inside(at_b)->payload_left;
    at_b->sink = (struct nxi_cursor){ 0 };
    assert_int_equal(node_send(at_a, "next", NULL, 0, NXI_SEND_REPLY), 0);
    STEP_UNTIL(b.payloads == 1 && b.frames == 2, &a, &b);
    assert_true(there < PIECE);
    assert_memory_equal(target, source, there);
    for (size_t i = there; i < PIECE; i++)
        assert_int_equal(target[i], 0xee);
}

static void test_frames_may_be_cut_anywhere(void **state)
{
    (void)state;
    int fd = plain_link(&b);
    static const uint8_t frame[] = { 3, 0, 0, 0, 2, 0, 0, 0, 'h', 'i', 'a', 'b', 'c' };
    for (size_t i = 0; i < 5 * sizeof frame; i++) {
        assert_int_equal(send(fd, frame + i % sizeof frame, 1, 0), 1);
        node_step(&b);
    }
    STEP_UNTIL(b.payloads == 5, &b);
    assert_memory_equal(target, "abc", 3);
    assert_int_equal(target[3], 0xee);
    close(fd);
}

static void test_what_is_no_frame_ends_the_link(void **state)
{
    (void)state;
    static const uint8_t bad[][NXI_TCP_PREFIX] = {
        { 0, 0, 0, 0, 0, 0, 0, 0 },  /* no header */
        { 0, 0, 0, 0, 65, 0, 0, 0 }, /* a long one */
        { 0, 0, 0, 0, 1, 1, 0, 0 },  /* reserved bytes */
        { 0, 0, 0, 0, 1, 0, 0, 1 },
        { 1, 0, 0, 1, 1, 0, 0, 0 }, /* 16 MiB and one byte */
    };
    for (unsigned i = 0; i < sizeof bad / sizeof *bad; i++) {
        int fd = plain_link(&b);
        assert_int_equal(send(fd, bad[i], sizeof bad[i], 0), sizeof bad[i]);
        STEP_UNTIL(b.downs == i + 1, &b);
        assert_int_equal(b.down_code, NXC_EPEER);
        assert_int_equal(b.frames, 0);
        close(fd);
    }
}

static void test_a_peer_that_asks_without_reading_is_not_read_for_ever(void **state)
{
    (void)state;
    int fd = plain_link(&b);
    struct nxi_link *l = b.link;
    static const uint8_t ask[] = { 0, 0, 0, 0, 1, 0, 0, 0, '?' };
    shrink(l);
    b.reply = 16000;
    unsigned asked = 0;
    for (unsigned before = ~0u; b.frames != before;) {
        before = b.frames;
        while (send(fd, ask, sizeof ask, MSG_DONTWAIT) == sizeof ask && asked < 100000)
            asked++;
        for (int i = 0; i < 1000; i++)
            node_step(&b);
    }
    assert_true(b.frames < asked);
    assert_true(inside(l)->queue_len < NXI_TCP_PAUSE_AT + 17000);
    assert_int_equal(inside(l)->interest & EPOLLIN, 0);
    assert_false(b.fabric->ops->arm(b.fabric));
    /* It reads at last. */
    unsigned more = b.frames + 50;
    uint8_t buf[65536];
    while (b.frames < more)
        assert_int_equal(plain_read(&b, fd, buf, sizeof buf), sizeof buf);
    close(fd);
    STEP_UNTIL(b.downs == 1, &b);
}

/* ---- the rest ------------------------------------------------------------ */

static void test_a_sleeper_is_told_of_room_by_epoll(void **state)
{
    (void)state;
    shrink(at_a);
    assert_int_equal(node_send(at_a, "piece", source, PIECE, NXI_SEND_LEND), 0);
    node_step(&a);
    assert_false(a.fabric->ops->arm(a.fabric));
    assert_true(inside(at_a)->interest & EPOLLOUT);
    struct epoll_event e;
    for (int i = 0; i < 1000; i++)
        node_step(&b);
    assert_int_equal(epoll_wait(a.env.epfd, &e, 1, 5000), 1);
    assert_true(e.events & EPOLLOUT);
    a.fabric->ops->wake(a.fabric);
    STEP_UNTIL(b.payloads == 1, &a, &b);
    for (int i = 0; i < 10; i++)
        node_step(&a);
    assert_int_equal(inside(at_a)->interest, EPOLLIN);
}

static void test_no_memory_for_a_reply_ends_the_link(void **state)
{
    (void)state;
    shrink(at_a);
    fill_up(NXI_TCP_EAGER_MAX);
    int r = 0;
    nxi_mem_fail(1, true);
    for (int i = 0; i < 100 && r == 0; i++)
        r = node_send(at_a, "reply", source, 4000, NXI_SEND_REPLY);
    nxi_mem_fail(0, false);
    assert_int_equal(r, NXC_ENOMEM);
    assert_int_equal(node_send(at_a, "reply", NULL, 0, NXI_SEND_REPLY), NXC_EPEER);
    assert_true(a.fabric->ops->arm(a.fabric));
    STEP_UNTIL(a.downs == 1, &a);
    assert_int_equal(a.down_code, NXC_EPEER);
}

static void test_a_forked_child_closes_without_a_trace(void **state)
{
    (void)state;
    pid_t pid = fork();
    if (pid == 0) {
        a.fabric->ops->forked(a.fabric);
        b.fabric->ops->forked(b.fabric);
        a.fabric->ops->free(a.fabric);
        b.fabric->ops->free(b.fabric);
        _exit(0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
    assert_int_equal(node_send(at_a, "still here", NULL, 0, NXI_SEND_WHOLE), 0);
    STEP_UNTIL(b.frames == 1, &a, &b);
    assert_int_equal(a.downs + b.downs, 0);
}

static unsigned open_fds(void)
{
    unsigned n = 0;
    DIR *d = opendir("/proc/self/fd");
    while (readdir(d))
        n++;
    closedir(d);
    return n;
}

static void test_no_descriptor_is_left_behind(void **state)
{
    (void)state;
    unsigned before = open_fds();
    for (int i = 0; i < 5; i++) {
        struct node c, d;
        struct nxi_link *l, *m;
        node_open(&c, 'c');
        node_open(&d, 'd');
        nodes_link(&c, &d, &l, &m);
        assert_int_equal(c.fabric->ops->connect(c.fabric, &d.entry, &c, test_now(), &l), 0);
        node_step(&d);
        node_free(&c);
        node_free(&d);
    }
    assert_int_equal(open_fds(), before);
}

#define LINKED(test) cmocka_unit_test_setup_teardown(test, open_nodes, free_nodes)

int main(void)
{
    const struct CMUnitTest tests[] = {
        LINKED(test_both_ends_know_what_was_greeted),
        LINKED(test_two_workers_have_a_link_in_each_direction_at_once),
        LINKED(test_a_worker_can_link_to_itself),
        LINKED(test_a_hang_up_gives_out_all_that_came_before_it),
        LINKED(test_a_link_closed_inside_an_event_gives_no_more),
        LINKED(test_a_refused_header_ends_the_link_with_its_code),
        LINKED(test_heard_counts_parts_of_frames),
        LINKED(test_whole_frames_arrive_with_header_and_payload),
        LINKED(test_a_lent_payload_comes_back_when_the_kernel_has_it),
        LINKED(test_a_small_lent_payload_is_taken_at_once),
        LINKED(test_what_is_said_during_a_lent_frame_follows_it),
        LINKED(test_a_revoked_payload_goes_on_as_zeros),
        LINKED(test_a_payload_revoked_before_it_began_is_all_zeros),
        LINKED(test_a_full_link_says_when_it_is_worth_another_try),
        LINKED(test_a_sink_turned_to_scrap_midway_is_written_no_more),
        LINKED(test_frames_may_be_cut_anywhere),
        LINKED(test_what_is_no_frame_ends_the_link),
        LINKED(test_a_peer_that_asks_without_reading_is_not_read_for_ever),
        LINKED(test_a_sleeper_is_told_of_room_by_epoll),
        LINKED(test_no_memory_for_a_reply_ends_the_link),
        LINKED(test_a_forked_child_closes_without_a_trace),
        LINKED(test_no_descriptor_is_left_behind),
    };
    return cmocka_run_group_tests_name("tcp", tests, NULL, NULL);
}
