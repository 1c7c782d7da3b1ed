/* SPDX-License-Identifier: Apache-2.0 */
#include "fabric/shm_two.h"

#include "base/error.h"

#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { REPLIES = 2 * NXI_RING_BYTES / 4096 };

/* ---- links ------------------------------------------------------------------ */

static void test_a_link_comes_up_on_both_sides(void **state)
{
    struct two      *t = *state;
    struct nxi_link *l = two_link(t);
    assert_ptr_equal(l->owner, t);
    assert_true(l->opened_here && !t->b.link->opened_here);
    assert_string_equal(l->name, "shm");
    assert_int_equal(l->version, NXI_PROTOCOL);
    assert_int_equal(l->keepalive_ms, 1000); /* the smaller one */
    assert_int_equal(t->b.link->keepalive_ms, 1000);
    assert_true(l->can_pull == t->b.link->peer_can_pull);
    assert_true(l->peer_can_pull == t->b.link->can_pull);
    assert_int_equal(((struct nxi_shm *)t->b.f)->n_guests, 0);
}

static void test_a_worker_can_connect_to_itself(void **state)
{
    struct two      *t = *state;
    struct nxi_link *l;
    assert_int_equal(t->a.f->ops->connect(t->a.f, &t->a.entry, t, worker_clock(&t->a), &l), 0);
    DRIVE_UNTIL(&t->a, NULL, t->a.ups == 2);
    t->a.link = l;
    assert_int_equal(worker_send(&t->a, "to myself", NULL, 0, NXI_SEND_WHOLE), 0);
    DRIVE_UNTIL(&t->a, NULL, t->a.headers == 1);
    assert_string_equal((char *)t->a.header, "to myself");
}

static void test_nobody_there_is_unreachable_at_once(void **state)
{
    struct two      *t = *state;
    struct nxi_link *l;
    t->b.entry.instance[15] ^= 1;
    assert_int_equal(t->a.f->ops->connect(t->a.f, &t->b.entry, t, worker_clock(&t->a), &l), NXC_EUNREACH);
    t->b.entry.n = 0;
    assert_int_equal(t->a.f->ops->connect(t->a.f, &t->b.entry, t, worker_clock(&t->a), &l), NXC_EUNREACH);
}

static void test_a_wrong_link_key_is_refused(void **state)
{
    struct two      *t = *state;
    struct nxi_link *l;
    t->b.entry.link_key[0] ^= 1;
    assert_int_equal(t->a.f->ops->connect(t->a.f, &t->b.entry, t, worker_clock(&t->a), &l), 0);
    DRIVE_UNTIL(&t->a, &t->b, t->a.downs == 1 && ((struct nxi_shm *)t->b.f)->n_guests == 0);
    assert_int_equal(t->a.down_code, NXC_EACCESS);
    assert_int_equal(t->b.ups + t->b.downs, 0);
}

static void test_a_listener_that_does_not_greet_ends_at_the_limit(void **state)
{
    struct two      *t = *state;
    struct nxi_link *l;
    assert_int_equal(t->a.f->ops->connect(t->a.f, &t->b.entry, t, worker_clock(&t->a), &l), 0);
    t->a.skew = 4900 * NXI_MS;
    worker_drive(&t->a);
    assert_int_equal(t->a.downs, 0);
    t->a.skew = 5100 * NXI_MS;
    DRIVE_UNTIL(&t->a, NULL, t->a.downs == 1);
    assert_int_equal(t->a.down_code, NXC_EUNREACH);
}

static void test_a_full_backlog_is_knocked_at_again(void **state)
{
    struct two      *t = *state;
    struct nxi_link *l;
    for (int i = 0; i < NXI_SHM_GUESTS + 10; i++) /* more than are let in at a time, and than can wait */
        assert_int_equal(t->a.f->ops->connect(t->a.f, &t->b.entry, t, worker_clock(&t->a), &l), 0);
    assert_int_equal(inside(l)->stage, NXI_SHM_KNOCKING);
    DRIVE_UNTIL(&t->a, &t->b, t->a.ups == NXI_SHM_GUESTS + 10 && t->b.ups == NXI_SHM_GUESTS + 10);
    assert_int_equal(t->a.downs, 0);
}

/* ---- frames ----------------------------------------------------------------- */

static void test_frames_of_all_modes_arrive_in_order(void **state)
{
    struct two *t = *state;
    two_link(t);
    struct nxc_desc from[] = { nxc_desc_host(t->from, 100), nxc_desc_host(t->from + 200, 7900) };
    t->b.sinks[0] = nxc_desc_host(t->to, 5000);
    t->b.sinks[1] = nxc_desc_host(t->to + 6000, BIG - 6000);
    t->b.n_sinks = 2;

    struct nxi_cursor c = nxi_cursor_at(from, 2);
    assert_int_equal(worker_send(&t->a, "whole", &c, 8000, NXI_SEND_WHOLE), 0);
    struct iovec none;
    uint64_t     rest;
    assert_int_equal(nxi_cursor_iov(&c, 1, &none, 1, &rest), 0); /* moved to its end */
    DRIVE_UNTIL(&t->a, &t->b, t->b.payloads == 1);
    assert_string_equal((char *)t->b.header, "whole");
    assert_memory_equal(t->to, t->from, 100);
    assert_memory_equal(t->to + 100, t->from + 200, 4900);
    assert_memory_equal(t->to + 6000, t->from + 5100, 3000);

    c = nxi_cursor_at(from, 2);
    assert_int_equal(worker_send(&t->a, "reply", &c, 8000, NXI_SEND_REPLY), 0);
    assert_int_equal(worker_send(&t->a, "bare", NULL, 0, NXI_SEND_WHOLE), 0);
    DRIVE_UNTIL(&t->a, &t->b, t->b.headers == 3);
    assert_int_equal(t->b.payloads, 2); /* none for a frame without */

    t->b.n_sinks = 1;
    t->b.sinks[0] = nxc_desc_host(t->to, BIG);
    struct nxc_desc big = nxc_desc_host(t->from + 1, NXI_SHM_PIECE_MAX);
    c = nxi_cursor_at(&big, 1);
    assert_int_equal(worker_send(&t->a, "lend", &c, NXI_SHM_PIECE_MAX, NXI_SEND_LEND), 1);
    DRIVE_UNTIL(&t->a, &t->b, t->b.payloads == 3);
    assert_memory_equal(t->to, t->from + 1, NXI_SHM_PIECE_MAX);

    assert_int_equal(worker_send(&t->b, "and back", NULL, 0, NXI_SEND_WHOLE), 0);
    DRIVE_UNTIL(&t->a, &t->b, t->a.headers == 1);
    assert_string_equal((char *)t->a.header, "and back");
}

static void test_a_long_stream_flows_through_a_small_ring(void **state)
{
    struct two *t = *state;
    two_link(t);
    struct nxc_desc   all = nxc_desc_host(t->from, BIG);
    struct nxi_cursor c = nxi_cursor_at(&all, 1);
    int               sent = 0, refused = 0;
    t->b.sinks[0] = nxc_desc_host(t->to, BIG);
    t->b.n_sinks = 1;
    while (sent < 64) {
        if (sent % 16 == 0)
            c = nxi_cursor_at(&all, 1);
        int r = worker_send(&t->a, "piece", &c, NXI_SHM_PIECE_MAX, NXI_SEND_LEND);
        sent += r == 1;
        if (r == 1)
            continue;
        assert_int_equal(r, NXC_EAGAIN);
        refused++;
        DRIVE_UNTIL(&t->a, &t->b, t->a.writables == refused);
    }
    DRIVE_UNTIL(&t->a, &t->b, t->b.payloads == 64);
    assert_true(refused > 0);
    assert_memory_equal(t->to, t->from + 15 * NXI_SHM_PIECE_MAX, NXI_SHM_PIECE_MAX);
}

static void test_replies_wait_in_order_when_the_ring_is_full(void **state)
{
    struct two *t = *state;
    char        header[16];
    two_link(t);
    struct nxc_desc   d = nxc_desc_host(t->from, 4096);
    struct nxi_cursor c;
    for (int i = 0; i < REPLIES; i++) {
        c = nxi_cursor_at(&d, 1);
        snprintf(header, sizeof header, "%d", i);
        assert_int_equal(worker_send(&t->a, header, &c, 4096, NXI_SEND_REPLY), 0);
    }
    assert_false(t->a.f->ops->flushed(t->a.link));
    assert_int_equal(worker_send(&t->a, "later", NULL, 0, NXI_SEND_WHOLE), NXC_EAGAIN); /* no overtaking */
    for (int i = 0; i < REPLIES; i++) {
        int before = t->b.headers;
        while (t->b.headers == before) { /* one by one */
            assert_true(nxi_shm_serve(inside(t->b.link), 1, worker_clock(&t->b)) > 0);
            worker_drive(&t->a);
        }
        snprintf(header, sizeof header, "%d", i);
        assert_string_equal((char *)t->b.header, header);
    }
    assert_true(t->a.f->ops->flushed(t->a.link));
    assert_int_equal(t->a.writables, 1);
}

static void test_a_flood_of_requests_without_reading_is_not_listened_to(void **state)
{
    struct two *t = *state;
    two_link(t);
    t->b.answer = true;
    size_t most = 0;
    for (int i = 0; i < 40000; i++) { /* a never drives: it reads nothing */
        int r = worker_send(&t->a, "a request with a header of some size", NULL, 0, NXI_SEND_WHOLE);
        assert_true(r == 0 || r == NXC_EAGAIN);
        worker_drive(&t->b);
        if (inside(t->b.link)->reply_bytes > most)
            most = inside(t->b.link)->reply_bytes;
    }
    assert_in_range(most, NXI_SHM_PAUSE_AT, NXI_SHM_PAUSE_AT + 4096);
    int asked = t->b.headers;
    DRIVE_UNTIL(&t->a, &t->b, t->a.headers > asked && inside(t->b.link)->reply_bytes == 0);
}

static void test_a_sink_turned_to_scrap_is_written_no_more(void **state)
{
    struct two *t = *state;
    two_link(t);
    struct nxc_desc   d = nxc_desc_host(t->from, NXI_SHM_PIECE_MAX);
    struct nxi_cursor c = nxi_cursor_at(&d, 1);
    t->b.sinks[0] = nxc_desc_host(t->to, BIG);
    t->b.n_sinks = 1;
    assert_int_equal(worker_send(&t->a, "piece", &c, NXI_SHM_PIECE_MAX, NXI_SEND_LEND), 1);
    nxi_shm_serve(inside(t->b.link), 1, worker_clock(&t->b)); /* the first part of it */
    assert_int_equal(t->b.headers, 1);
    assert_int_equal(t->b.payloads, 0);
    assert_memory_equal(t->to, t->from, NXI_RING_PART);
    t->b.link->sink = (struct nxi_cursor){ 0 };
    DRIVE_UNTIL(&t->a, &t->b, t->b.payloads == 1);
    for (size_t i = NXI_RING_PART; i < NXI_SHM_PIECE_MAX; i++)
        assert_int_equal(t->to[i], 0);
}

static void test_what_comes_and_goes_is_noted(void **state)
{
    struct two *t = *state;
    two_link(t);
    t->a.skew = t->b.skew = NXI_SEC;
    uint64_t now = worker_clock(&t->a);
    assert_int_equal(worker_send(&t->a, "x", NULL, 0, NXI_SEND_WHOLE), 0);
    assert_true(t->a.link->said >= now);
    DRIVE_UNTIL(&t->a, &t->b, t->b.headers == 1);
    assert_true(t->b.link->heard >= now);
    assert_true(t->b.link->said < now);
}

/* ---- pull -------------------------------------------------------------------- */

static void test_a_pull_reads_the_peers_memory(void **state)
{
    struct two *t = *state;
    two_link(t);
    if (!t->a.link->can_pull) {
        print_message("process_vm_readv is not allowed here\n");
        skip();
    }
    struct iovec      from[] = { { t->from + 10, 1000 }, { t->from + 5000, 3000 } };
    struct nxc_desc   to[] = { nxc_desc_host(t->to, 500), nxc_desc_host(t->to + 1000, 3500) };
    struct nxi_cursor c = nxi_cursor_at(to, 2);
    assert_int_equal(t->a.f->ops->pull(t->a.link, from, 2, &c), 4000);
    assert_int_equal(c.n, 0);
    assert_memory_equal(t->to, t->from + 10, 500);
    assert_memory_equal(t->to + 1000, t->from + 510, 500);
    assert_memory_equal(t->to + 1500, t->from + 5000, 3000);

    /* Part of it is not there: what is comes, then the error. */
    uint8_t *page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_int_equal(munmap(page + 4096, 4096), 0);
    struct iovec holed[] = { { page, 4096 }, { page + 4096, 100 } };
    to[0] = nxc_desc_host(t->to, BIG);
    c = nxi_cursor_at(to, 1);
    assert_int_equal(t->a.f->ops->pull(t->a.link, holed, 2, &c), 4096);
    assert_int_equal(c.off, 4096);
    assert_int_equal(t->a.f->ops->pull(t->a.link, holed + 1, 1, &c), NXC_EACCESS);
    munmap(page, 4096);
}

static void test_a_pull_takes_a_mebibyte_at_most(void **state)
{
    struct two *t = *state;
    two_link(t);
    if (!t->a.link->can_pull)
        skip();
    uint8_t          *two = test_calloc(2, BIG);
    struct iovec      from = { two, 2 * BIG };
    struct nxc_desc   to = nxc_desc_host(two, 2 * BIG);
    struct nxi_cursor c = nxi_cursor_at(&to, 1);
    assert_int_equal(t->a.f->ops->pull(t->a.link, &from, 1, &c), BIG);
    test_free(two);
}

static void test_a_probe_that_lies_gives_no_pull(void **state)
{
    struct two *t = *state;
    uint8_t     extra[NXI_GREET_EXTRA];
    nxi_shm_probe_tell((struct nxi_shm *)t->a.f, extra);
    assert_false(nxi_shm_probe_try(0, extra));
    extra[8] ^= 1;
    assert_false(nxi_shm_probe_try(getpid(), extra));
    memset(extra, 0, sizeof extra);
    assert_false(nxi_shm_probe_try(getpid(), extra));
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, two_open, two_close)
    const struct CMUnitTest tests[] = {
        TEST(test_a_link_comes_up_on_both_sides),
        TEST(test_a_worker_can_connect_to_itself),
        TEST(test_nobody_there_is_unreachable_at_once),
        TEST(test_a_wrong_link_key_is_refused),
        TEST(test_a_listener_that_does_not_greet_ends_at_the_limit),
        TEST(test_a_full_backlog_is_knocked_at_again),
        TEST(test_frames_of_all_modes_arrive_in_order),
        TEST(test_a_long_stream_flows_through_a_small_ring),
        TEST(test_replies_wait_in_order_when_the_ring_is_full),
        TEST(test_a_flood_of_requests_without_reading_is_not_listened_to),
        TEST(test_a_sink_turned_to_scrap_is_written_no_more),
        TEST(test_what_comes_and_goes_is_noted),
        TEST(test_a_pull_reads_the_peers_memory),
        TEST(test_a_pull_takes_a_mebibyte_at_most),
        TEST(test_a_probe_that_lies_gives_no_pull),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
