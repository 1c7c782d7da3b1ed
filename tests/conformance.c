/* SPDX-License-Identifier: Apache-2.0 */
/* The contract of fabric/fabric.h, sentence by sentence. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/conformance.h"

#include <dirent.h>
#include <string.h>

/* ---- the life of links ----------------------------------------------------- */

static void test_a_link_comes_up_on_both_sides(void **state)
{
    struct world *w = world_connected();
    (void)state;
    for (int i = 0; i < 2; i++) {
        const struct nxi_link *l = w->sides[i].links[0];
        assert_ptr_equal(l->fabric, w->sides[i].fabric);
        assert_int_equal(l->opened_here, i == 0);
        assert_int_equal(l->version, NXI_PROTOCOL);
        assert_int_equal(l->keepalive_ms, 1000); /* the smaller of 1000 and 1001 */
        assert_true(l->eager_max >= 64);
        assert_true(l->piece_max >= 256);
        assert_true(l->name[0] && memchr(l->name, 0, sizeof l->name));
        assert_int_equal(w->sides[i].ups, 1);
        assert_int_equal(w->sides[i].downs, 0);
    }
    assert_int_equal(A->links[0]->can_pull, B->links[0]->peer_can_pull);
    assert_int_equal(B->links[0]->can_pull, A->links[0]->peer_can_pull);
    assert_null(B->links[0]->owner);
    world_free(w);
}

static void test_nobody_there_is_unreachable(void **state)
{
    struct world    *w = world_new();
    struct nxi_link *l;
    (void)state;
    struct nxi_entry gone = B->entry;
    side_free(B);
    int r = A->fabric->ops->connect(A->fabric, &gone, NULL, world_now(w), &l);
    if (r != NXC_EUNREACH) { /* which it may be at once */
        assert_int_equal(r, 0);
        UNTIL(w, A->downs);
        assert_int_equal(A->down_code, NXC_EUNREACH);
        assert_int_equal(A->downs, 1);
    }
    assert_int_equal(A->ups, 0);
    world_free(w);
}

static void test_an_entry_without_an_address_of_the_fabric_is_refused_at_once(void **state)
{
    struct world    *w = world_new();
    struct nxi_link *l = NULL;
    (void)state;
    struct nxi_entry none = B->entry;
    none.n = 0;
    assert_int_equal(A->fabric->ops->connect(A->fabric, &none, NULL, world_now(w), &l), NXC_EUNREACH);
    assert_null(l);
    world_free(w);
}

static void test_a_wrong_link_key_is_told_to_the_opener_only(void **state)
{
    struct world    *w = world_new();
    struct nxi_link *l;
    (void)state;
    struct nxi_entry wrong = B->entry;
    wrong.link_key[NXI_LINK_KEY_LEN - 1] ^= 1;
    assert_int_equal(A->fabric->ops->connect(A->fabric, &wrong, NULL, world_now(w), &l), 0);
    UNTIL(w, A->downs);
    assert_int_equal(A->down_code, NXC_EACCESS);
    assert_int_equal(A->downs, 1);
    /* The listener serves the next one as ever, and has heard of nothing. */
    world_connect(w, A, B);
    assert_int_equal(B->ups, 1);
    assert_int_equal(B->downs, 0);
    world_free(w);
}

static void test_a_listener_that_never_answers_is_unreachable_after_connect_ms(void **state)
{
    struct world    *w = world_new();
    struct nxi_link *l;
    (void)state;
    A->env.connect_ms = 150;
    B->still = true;
    uint64_t start = world_now(w);
    assert_int_equal(A->fabric->ops->connect(A->fabric, &B->entry, NULL, start, &l), 0);
    UNTIL(w, A->downs);
    assert_int_equal(A->down_code, NXC_EUNREACH);
    assert_true(world_now(w) - start >= 140 * NXI_MS);
    assert_true(world_now(w) - start < 1000 * NXI_MS);
    world_free(w);
}

static void test_close_while_connecting_gives_no_event(void **state)
{
    struct world    *w = world_new();
    struct nxi_link *l;
    (void)state;
    assert_int_equal(A->fabric->ops->connect(A->fabric, &B->entry, NULL, world_now(w), &l), 0);
    l->fabric->ops->close(l);
    world_connect(w, A, B);
    assert_int_equal(A->ups, 1);
    assert_int_equal(A->downs, 0);
    world_free(w);
}

static void test_hang_up_comes_after_all_that_was_sent_before(void **state)
{
    enum { N = 20 };
    struct world *w = world_connected();
    uint8_t      *bytes = make_pattern(64, 1);
    (void)state;
    for (uint32_t i = 0; i < N; i++)
        link_send_surely(w, A, A->links[0], TAG_WHOLE, i, bytes, i % 3 ? 64 : 0);
    UNTIL(w, A->links[0]->fabric->ops->flushed(A->links[0]));
    /* Unread bytes on this side must not cost the other one what it has still to read. */
    assert_int_equal(link_send(w, B->links[0], TAG_REPLY, 0, bytes, 64, NULL), 0);
    A->links[0]->fabric->ops->close(A->links[0]);
    UNTIL(w, B->downs);
    assert_int_equal(B->down_code, NXC_EPEER);
    assert_int_equal(B->downs, 1);
    assert_int_equal(B->n_frames, N);
    assert_true(side_has_all(B, N));
    assert_int_equal(A->downs, 0);
    free(bytes);
    world_free(w);
}

static void test_free_closes_all_links(void **state)
{
    struct world *w = world_connected();
    (void)state;
    world_connect(w, B, A);
    side_free(A);
    UNTIL(w, B->downs == 2);
    assert_int_equal(B->down_code, NXC_EPEER);
    assert_int_equal(A->downs, 0);
    world_free(w);
}

static void test_send_after_the_peer_has_gone_ends_in_down(void **state)
{
    struct world *w = world_connected();
    (void)state;
    side_free(B);
    int r = 0;
    for (uint32_t i = 0; !A->downs && r != NXC_EPEER; i++) {
        assert_true(i < 1000000);
        r = link_send(w, A->links[0], TAG_WHOLE, i, NULL, 0, NULL);
        assert_true(r == 0 || r == NXC_EAGAIN || r == NXC_EPEER);
        world_step(w);
    }
    UNTIL(w, A->downs);
    assert_int_equal(A->down_code, NXC_EPEER);
    assert_int_equal(A->downs, 1);
    world_free(w);
}

static void test_a_link_may_be_closed_from_its_own_events(void **state)
{
    struct world *w = world_connected();
    (void)state;
    B->close_on_header = true;
    link_send_surely(w, A, A->links[0], TAG_WHOLE, 0, "payload", 7);
    UNTIL(w, A->downs == 1);
    assert_int_equal(B->downs, 0);
    assert_int_equal(B->n_frames, 1);
    assert_false(B->frames[0].whole);
    B->close_on_header = false;
    B->close_on_up = true;
    struct nxi_link *l;
    assert_int_equal(A->fabric->ops->connect(A->fabric, &B->entry, NULL, world_now(w), &l), 0);
    UNTIL(w, A->downs == 2);
    assert_int_equal(B->downs, 0);
    world_free(w);
}

static void test_a_refused_header_or_payload_ends_the_link_with_that_code(void **state)
{
    struct world *w = world_connected();
    (void)state;
    B->refuse_header = NXC_EPEER;
    link_send_surely(w, A, A->links[0], TAG_WHOLE, 0, NULL, 0);
    UNTIL(w, A->downs == 1 && B->downs == 1);
    assert_int_equal(B->down_code, NXC_EPEER);
    B->refuse_header = 0;
    B->refuse_payload = NXC_ENOMEM;
    world_connect(w, A, B);
    link_send_surely(w, A, A->links[1], TAG_WHOLE, 0, "payload", 7);
    UNTIL(w, A->downs == 2 && B->downs == 2);
    assert_int_equal(B->down_code, NXC_ENOMEM);
    assert_int_equal(A->down_code, NXC_EPEER);
    world_free(w);
}

static void test_two_links_one_from_each_side(void **state)
{
    struct world *w = world_connected();
    (void)state;
    world_connect(w, B, A);
    assert_true(A->links[0]->opened_here && !A->links[1]->opened_here);
    assert_true(!B->links[0]->opened_here && B->links[1]->opened_here);
    link_send_surely(w, A, A->links[0], TAG_WHOLE, 7, NULL, 0);
    link_send_surely(w, A, A->links[1], TAG_WHOLE, 8, NULL, 0);
    UNTIL(w, B->n_frames == 2);
    A->links[0]->fabric->ops->close(A->links[0]);
    UNTIL(w, B->downs == 1);
    assert_null(B->links[0]);
    link_send_surely(w, B, B->links[1], TAG_WHOLE, 9, NULL, 0);
    UNTIL(w, A->n_frames == 1);
    assert_int_equal(frame_number(&A->frames[0]), 9);
    world_free(w);
}

static void test_a_connector_reaches_itself(void **state)
{
    struct world    *w = world_new();
    struct nxi_link *l;
    (void)state;
    assert_int_equal(A->fabric->ops->connect(A->fabric, &A->entry, NULL, world_now(w), &l), 0);
    UNTIL(w, A->ups == 2);
    link_send_surely(w, A, l, TAG_WHOLE, 5, "to myself", 9);
    UNTIL(w, side_has_all(A, 1));
    assert_memory_equal(A->frames[0].payload, "to myself", 9);
    world_free(w);
}

static void test_three_sides_keep_apart(void **state)
{
    struct world *w = world_connected();
    struct side  *c = world_add(w);
    (void)state;
    world_connect(w, c, B);
    link_send_surely(w, c, c->links[0], TAG_WHOLE, 3, NULL, 0);
    link_send_surely(w, A, A->links[0], TAG_WHOLE, 1, NULL, 0);
    UNTIL(w, B->n_frames == 2);
    c->links[0]->fabric->ops->close(c->links[0]);
    UNTIL(w, B->downs == 1);
    assert_non_null(B->links[0]);
    link_send_surely(w, B, B->links[0], TAG_WHOLE, 2, NULL, 0);
    UNTIL(w, A->n_frames == 1);
    world_free(w);
}

static size_t open_descriptors(void)
{
    size_t n = 0;
    DIR   *dir = opendir("/proc/self/fd");
    assert_non_null(dir);
    while (readdir(dir))
        n++;
    closedir(dir);
    return n;
}

static void test_links_that_come_and_go_leave_nothing(void **state)
{
    struct world *w = world_connected();
    size_t        before = 0, timers[2] = { 0 };
    (void)state;
    for (int i = 0; i < 100; i++) {
        struct nxi_link *l = A->links[0];
        l->fabric->ops->close(l);
        UNTIL(w, B->downs == 1);
        A->ups = B->ups = B->downs = 0;
        world_connect(w, A, B);
        if (i == 10) {
            before = open_descriptors();
            timers[0] = A->timers.reserved;
            timers[1] = B->timers.reserved;
        }
    }
    world_settle(w);
    assert_true(open_descriptors() <= before);
    assert_true(A->timers.reserved <= timers[0]);
    assert_true(B->timers.reserved <= timers[1]);
    world_free(w);
}

/* ---- refused memory ------------------------------------------------------ */

static void test_refused_memory_ends_links_and_nothing_else(void **state)
{
    struct world *w = world_new();
    (void)state;
    for (unsigned nth = 1; nth < 12; nth++) {
        struct nxi_link *l;
        A->ups = A->downs = B->ups = B->downs = 0;
        nxi_mem_fail(nth, false);
        int r = A->fabric->ops->connect(A->fabric, &B->entry, NULL, world_now(w), &l);
        assert_true(r == 0 || r == NXC_ENOMEM);
        if (r == 0)
            UNTIL(w, A->downs || (A->ups && B->ups));
        nxi_mem_fail(0, false);
        if (A->ups && !A->downs) {
            A->links[0]->fabric->ops->close(A->links[0]);
            UNTIL(w, B->downs == B->ups);
        }
    }
    A->ups = B->ups = 0;
    world_connect(w, A, B);
    world_free(w);
}

/* ---- frames ---------------------------------------------------------------- */

static void test_a_frame_arrives_as_it_was_sent(void **state)
{
    struct world *w = world_connected();
    size_t        len = A->links[0]->eager_max;
    uint8_t      *bytes = make_pattern(len, 3);
    (void)state;
    link_send_surely(w, A, A->links[0], TAG_WHOLE, 77, bytes, len);
    memset(bytes, 0, len); /* it has been taken */
    UNTIL(w, side_has_all(B, 1));
    free(bytes);
    bytes = make_pattern(len, 3);
    assert_int_equal(B->frames[0].header_len, 8);
    assert_int_equal(frame_number(&B->frames[0]), 77);
    assert_int_equal(B->frames[0].payload_len, len);
    assert_memory_equal(B->frames[0].payload, bytes, len);
    free(bytes);
    world_free(w);
}

static void test_headers_of_every_length(void **state)
{
    struct world *w = world_connected();
    uint8_t      *bytes = make_pattern(NXI_HEADER_MAX, 9);
    (void)state;
    for (size_t len = 1; len <= NXI_HEADER_MAX; len++) {
        struct nxi_frame f = { bytes, len, NULL, 0, NULL };
        while (A->fabric->ops->send(A->links[0], &f, NXI_SEND_WHOLE, world_now(w)) == NXC_EAGAIN) {
            unsigned writables = A->writables;
            UNTIL(w, A->writables > writables);
        }
    }
    UNTIL(w, B->n_frames == NXI_HEADER_MAX);
    for (size_t len = 1; len <= NXI_HEADER_MAX; len++) {
        assert_int_equal(B->frames[len - 1].header_len, len);
        assert_memory_equal(B->frames[len - 1].header, bytes, len);
    }
    free(bytes);
    world_free(w);
}

static void test_payloads_of_every_small_length_and_none(void **state)
{
    struct world *w = world_connected();
    uint8_t      *bytes = make_pattern(200, 9);
    size_t        max = A->links[0]->eager_max < 200 ? A->links[0]->eager_max : 200;
    (void)state;
    for (uint32_t len = 0; len <= max; len++)
        link_send_surely(w, A, A->links[0], TAG_WHOLE, len, bytes, len);
    UNTIL(w, side_has_all(B, max + 1));
    for (size_t len = 0; len <= max; len++) {
        assert_int_equal(B->frames[len].payload_len, len);
        assert_true(B->frames[len].whole);
        if (len)
            assert_memory_equal(B->frames[len].payload, bytes, len);
    }
    free(bytes);
    world_free(w);
}

static void test_many_small_frames_keep_their_order(void **state)
{
    enum { N = 20000 };
    struct world *w = world_connected();
    (void)state;
    for (uint32_t i = 0; i < N; i++)
        link_send_surely(w, A, A->links[0], TAG_WHOLE, i, &i, i % 2 ? sizeof i : 0);
    UNTIL(w, side_has_all(B, N));
    for (uint32_t i = 0; i < N; i++) {
        assert_int_equal(frame_number(&B->frames[i]), i);
        if (i % 2)
            assert_memory_equal(B->frames[i].payload, &i, sizeof i);
    }
    world_free(w);
}

static void test_no_room_is_said_and_room_is_told(void **state)
{
    struct world *w = world_connected();
    size_t        len = A->links[0]->eager_max;
    uint8_t      *bytes = make_pattern(len, 5);
    uint32_t      n = 0;
    (void)state;
    B->still = true;
    while (link_send(w, A->links[0], TAG_WHOLE, n, bytes, len, NULL) == 0) {
        n++;
        assert_true(n * len < (size_t)1 << 30); /* there is an end to what a link takes */
    }
    assert_int_equal(A->writables, 0);
    B->still = false;
    UNTIL(w, A->writables);
    link_send_surely(w, A, A->links[0], TAG_WHOLE, n, bytes, len);
    UNTIL(w, side_has_all(B, n + 1));
    for (uint32_t i = 0; i <= n; i++) {
        assert_int_equal(frame_number(&B->frames[i]), i);
        assert_memory_equal(B->frames[i].payload, bytes, len);
    }
    free(bytes);
    world_free(w);
}

static void test_replies_are_never_refused(void **state)
{
    struct world *w = world_connected();
    size_t        len = A->links[0]->eager_max;
    uint8_t      *bytes = make_pattern(len, 5);
    uint32_t      n = 0, replies = 300;
    (void)state;
    B->still = true;
    while (link_send(w, A->links[0], TAG_WHOLE, n, bytes, len, NULL) == 0)
        n++;
    for (uint32_t i = 0; i < replies; i++)
        assert_int_equal(link_send(w, A->links[0], TAG_REPLY, n + i, bytes, i % 5, NULL), 0);
    B->still = false;
    UNTIL(w, side_has_all(B, n + replies));
    UNTIL(w, A->fabric->ops->flushed(A->links[0]));
    for (uint32_t i = 0; i < n + replies; i++)
        assert_int_equal(frame_number(&B->frames[i]), i);
    free(bytes);
    world_free(w);
}

static void test_heard_and_said_are_kept(void **state)
{
    struct world *w = world_connected();
    uint64_t      heard = B->links[0]->heard, said = A->links[0]->said, start = world_now(w);
    (void)state;
    link_send_surely(w, A, A->links[0], TAG_WHOLE, 0, NULL, 0);
    UNTIL(w, B->n_frames == 1);
    assert_true(B->links[0]->heard >= heard && B->links[0]->heard >= start);
    assert_true(A->links[0]->said >= said && A->links[0]->said >= start);
    assert_true(B->links[0]->heard <= world_now(w));
    world_free(w);
}

/* ---- both directions, pulls ---------------------------------------------- */

static void test_both_directions_at_once(void **state)
{
    enum { N = 400 };
    struct world *w = world_connected();
    size_t        eager = A->links[0]->eager_max;
    uint8_t      *bytes = make_pattern(eager, 2);
    uint32_t      sent[2] = { 0 };
    (void)state;
    while (sent[0] < N || sent[1] < N) {
        for (int i = 0; i < 2; i++) {
            struct side *s = &w->sides[i];
            while (sent[i] < N &&
                   link_send(w, s->links[0], TAG_WHOLE, sent[i], bytes, (sent[i] * 97) % eager, NULL) == 0)
                sent[i]++;
        }
        unsigned writables[2] = { A->writables, B->writables };
        UNTIL(w, (sent[0] == N && sent[1] == N) || A->writables > writables[0] || B->writables > writables[1]);
    }
    UNTIL(w, side_has_all(A, N) && side_has_all(B, N));
    for (int i = 0; i < 2; i++)
        for (uint32_t j = 0; j < N; j++) {
            assert_int_equal(frame_number(&w->sides[i].frames[j]), j);
            if ((j * 97) % eager)
                assert_memory_equal(w->sides[i].frames[j].payload, bytes, (j * 97) % eager);
        }
    free(bytes);
    world_free(w);
}

static void test_a_pull_reads_the_peers_memory(void **state)
{
    struct world *w = world_connected();
    (void)state;
    if (!A->links[0]->can_pull || !A->fabric->ops->pull) {
        world_free(w);
        skip();
    }
    enum { N = NXI_PULL_IOV, LEN = 100000 };
    uint8_t        *from = make_pattern(LEN, 4), *to = calloc(1, LEN);
    struct iovec    v[N];
    struct nxc_desc in[2] = { nxc_desc_host(to, 1000), nxc_desc_host(to + 1000, LEN - 1000) };
    size_t          sum = 0;
    for (size_t i = 0; i < N; i++) {
        v[i] = (struct iovec){ from + sum, i + 1 == N ? LEN - sum : LEN / N };
        sum += v[i].iov_len;
    }
    struct nxi_cursor c = nxi_cursor_at(in, 2);
    /* A pull may stop early, and says how far it came. */
    for (size_t done = 0, at = 0; done < LEN;) {
        int64_t r = A->fabric->ops->pull(A->links[0], v + at, N - at, &c);
        assert_true(r > 0 && (size_t)r <= LEN - done);
        done += (size_t)r;
        for (size_t left = (size_t)r; left;) {
            size_t part = left < v[at].iov_len ? left : v[at].iov_len;
            v[at].iov_base = (char *)v[at].iov_base + part;
            v[at].iov_len -= part;
            left -= part;
            at += v[at].iov_len == 0;
        }
        assert_memory_equal(to, from, done);
    }
    free(from);
    free(to);
    world_free(w);
}

/* ---- lent payloads --------------------------------------------------------- */

static void test_a_lent_payload_comes_back_once(void **state)
{
    struct world *w = world_connected();
    size_t        len = link_piece(A->links[0]);
    uint8_t      *bytes = make_pattern(len, 11);
    (void)state;
    for (size_t i = 0; i < 5; i++) {
        size_t part = len >> (2 * i) ? len >> (2 * i) : 1;
        link_lend_surely(w, A, A->links[0], bytes, part);
        UNTIL(w, side_has_all(B, i + 1));
        assert_int_equal(B->frames[i].payload_len, part);
        assert_memory_equal(B->frames[i].payload, bytes, part);
    }
    unsigned sents = A->sents;
    world_settle(w);
    assert_int_equal(A->sents, sents);
    free(bytes);
    world_free(w);
}

static void test_only_one_payload_is_lent_at_a_time(void **state)
{
    struct world *w = world_connected();
    size_t        len = link_piece(A->links[0]);
    uint8_t      *bytes = make_pattern(len, 11);
    (void)state;
    B->still = true;
    struct nxc_desc desc = nxc_desc_host(bytes, len);
    size_t          n;
    if (link_lend_until_under_way(w, A->links[0], &desc, &n)) {
        assert_int_equal(link_send(w, A->links[0], TAG_LENT, 0, bytes, 1, &len), NXC_EAGAIN);
        assert_int_equal(link_send(w, A->links[0], TAG_REPLY, 9, bytes, 5, NULL), 0);
        assert_false(A->fabric->ops->flushed(A->links[0]));
        n++;
        B->still = false;
        UNTIL(w, A->sents == 1);
        UNTIL(w, side_has_all(B, n + 1));
        assert_int_equal(frame_number(&B->frames[n]), 9); /* behind the payload, not inside it */
        assert_memory_equal(B->frames[n - 1].payload, bytes, len);
        UNTIL(w, A->writables);
    }
    free(bytes);
    world_free(w);
}

static void test_payloads_gather_from_and_scatter_to_many_descriptors(void **state)
{
    enum { N = 150 };
    struct world   *w = world_connected();
    size_t          len = link_piece(A->links[0]) < 60000 ? link_piece(A->links[0]) : 60000, at = 0;
    uint8_t        *from = make_pattern(len, 17), *to = calloc(1, len + 2 * N), *check = to;
    struct nxc_desc out[N], in[N];
    (void)state;
    /* The borders differ; some are empty; between two of the receiver's lies a byte that is not its. */
    for (size_t i = 0; i < N; i++) {
        size_t part = i + 1 == N ? len - at : i % 3 == 1 ? 0 : (i * 37) % (2 * len / N);
        part = part < len - at ? part : len - at;
        out[i] = nxc_desc_host(from + at, part);
        at += part;
    }
    for (size_t i = 0, used = 0; i < N; i++) {
        size_t part = i + 1 == N ? len - used : i % 5 == 2 ? 0 : (i * 53) % (2 * len / N);
        part = part < len - used ? part : len - used;
        in[i] = nxc_desc_host(to + used + i, part);
        used += part;
    }
    B->sink = nxi_cursor_at(in, N);
    unsigned sents = A->sents;
    if (link_lend(w, A, A->links[0], out, N, len, w) == 0)
        UNTIL(w, A->sents == sents + 1);
    UNTIL(w, side_has_all(B, 1));
    at = 0;
    for (size_t i = 0; i < N; i++) {
        assert_memory_equal((void *)(uintptr_t)in[i].addr, from + at, in[i].len);
        check = (uint8_t *)(uintptr_t)in[i].addr + in[i].len;
        assert_int_equal(*check, 0);
        at += in[i].len;
    }
    free(from);
    free(to);
    world_free(w);
}

static void test_the_cursor_of_a_sent_frame_moves_on(void **state)
{
    struct world     *w = world_connected();
    uint8_t           bytes[100], header[8] = { TAG_WHOLE };
    struct nxc_desc   descs[3] = { nxc_desc_host(bytes, 10), nxc_desc_host(bytes, 0), nxc_desc_host(bytes + 10, 90) };
    struct nxi_cursor c = nxi_cursor_at(descs, 3);
    struct nxi_frame  f = { header, sizeof header, &c, 30, NULL };
    (void)state;
    for (size_t i = 0; i < sizeof bytes; i++)
        bytes[i] = (uint8_t)i;
    assert_int_equal(A->fabric->ops->send(A->links[0], &f, NXI_SEND_WHOLE, world_now(w)), 0);
    f.payload_len = 20;
    assert_int_equal(A->fabric->ops->send(A->links[0], &f, NXI_SEND_REPLY, world_now(w)), 0);
    assert_int_equal(c.descs->addr + c.off, (uintptr_t)bytes + 50);
    UNTIL(w, side_has_all(B, 2));
    assert_memory_equal(B->frames[0].payload, bytes, 30);
    assert_memory_equal(B->frames[1].payload, bytes + 30, 20);
    world_free(w);
}

static void test_a_payload_that_was_taken_back_goes_on_as_zeros(void **state)
{
    struct world   *w = world_connected();
    size_t          len = link_piece(A->links[0]);
    uint8_t        *bytes = malloc(len);
    struct nxc_desc desc = nxc_desc_host(bytes, len);
    size_t          n;
    (void)state;
    assert_non_null(bytes);
    memset(bytes, 0x11, len);
    B->still = true;
    if (link_lend_until_under_way(w, A->links[0], &desc, &n)) {
        A->fabric->ops->revoke(A->links[0], &desc);
        memset(bytes, 0x22, len);
        desc = nxc_desc_host(NULL, 0);
        B->still = false;
        UNTIL(w, side_has_all(B, n + 1));
        const uint8_t *got = B->frames[n].payload;
        size_t         i = 0;
        while (i < len && got[i] == 0x11)
            i++;
        assert_true(i < len); /* it was under way */
        while (i < len && got[i] == 0)
            i++;
        assert_int_equal(i, len);
        assert_int_equal(A->sents, 0);
        link_lend_surely(w, A, A->links[0], bytes, len); /* the link is as before */
        UNTIL(w, side_has_all(B, n + 2));
        assert_memory_equal(B->frames[n + 1].payload, bytes, len);
    }
    free(bytes);
    world_free(w);
}

static void test_what_is_lent_may_be_taken_back_before_close(void **state)
{
    struct world   *w = world_connected();
    size_t          len = link_piece(A->links[0]);
    uint8_t        *bytes = malloc(len);
    struct nxc_desc desc = nxc_desc_host(bytes, len);
    (void)state;
    assert_non_null(bytes);
    memset(bytes, 0x11, len);
    B->still = true;
    size_t n;
    if (link_lend_until_under_way(w, A->links[0], &desc, &n))
        A->fabric->ops->revoke(A->links[0], &desc);
    A->fabric->ops->close(A->links[0]);
    free(bytes); /* the sanitizer sees it if it is read now */
    desc = nxc_desc_host(NULL, 0);
    B->still = false;
    UNTIL(w, B->downs == 1);
    assert_int_equal(A->sents, 0);
    world_free(w);
}

/* ---- receiving into nothing ---------------------------------------------- */

static void test_an_unwanted_payload_is_thrown_away(void **state)
{
    struct world *w = world_connected();
    size_t        len = link_piece(A->links[0]);
    uint8_t      *bytes = make_pattern(len, 1);
    (void)state;
    B->scrap = true;
    link_lend_surely(w, A, A->links[0], bytes, len);
    UNTIL(w, side_has_all(B, 1));
    B->scrap = false;
    link_lend_surely(w, A, A->links[0], bytes, len);
    UNTIL(w, side_has_all(B, 2));
    assert_memory_equal(B->frames[1].payload, bytes, len);
    free(bytes);
    world_free(w);
}

static void test_a_sink_turned_to_scrap_is_not_written_any_more(void **state)
{
    struct world *w = world_connected();
    size_t        len = link_piece(A->links[0]);
    uint8_t      *bytes = malloc(len), *to = calloc(1, len), *seen = malloc(len);
    (void)state;
    assert_true(bytes && to && seen);
    memset(bytes, 0x11, len);
    struct nxc_desc in = nxc_desc_host(to, len), out = nxc_desc_host(bytes, len);
    B->sink = nxi_cursor_at(&in, 1);
    unsigned lent = 0;
    if (link_lend(w, A, A->links[0], &out, 1, len, &out) == 0)
        lent = 1;
    /* One look of the receiver at a time, until it has some bytes; maybe all. */
    UNTIL(w, B->n_frames == 1);
    if (!B->frames[0].whole) {
        B->links[0]->sink = (struct nxi_cursor){ 0 };
        memcpy(seen, to, len);
        UNTIL(w, side_has_all(B, 1));
        assert_memory_equal(to, seen, len);
    }
    UNTIL(w, A->sents == lent);
    free(bytes);
    free(to);
    free(seen);
    world_free(w);
}

const struct CMUnitTest conformance_tests[] = {
    cmocka_unit_test(test_a_link_comes_up_on_both_sides),
    cmocka_unit_test(test_nobody_there_is_unreachable),
    cmocka_unit_test(test_an_entry_without_an_address_of_the_fabric_is_refused_at_once),
    cmocka_unit_test(test_a_wrong_link_key_is_told_to_the_opener_only),
    cmocka_unit_test(test_a_listener_that_never_answers_is_unreachable_after_connect_ms),
    cmocka_unit_test(test_close_while_connecting_gives_no_event),
    cmocka_unit_test(test_hang_up_comes_after_all_that_was_sent_before),
    cmocka_unit_test(test_free_closes_all_links),
    cmocka_unit_test(test_send_after_the_peer_has_gone_ends_in_down),
    cmocka_unit_test(test_a_link_may_be_closed_from_its_own_events),
    cmocka_unit_test(test_a_refused_header_or_payload_ends_the_link_with_that_code),
    cmocka_unit_test(test_two_links_one_from_each_side),
    cmocka_unit_test(test_a_connector_reaches_itself),
    cmocka_unit_test(test_three_sides_keep_apart),
    cmocka_unit_test(test_links_that_come_and_go_leave_nothing),
    cmocka_unit_test(test_refused_memory_ends_links_and_nothing_else),
    cmocka_unit_test(test_a_frame_arrives_as_it_was_sent),
    cmocka_unit_test(test_headers_of_every_length),
    cmocka_unit_test(test_payloads_of_every_small_length_and_none),
    cmocka_unit_test(test_many_small_frames_keep_their_order),
    cmocka_unit_test(test_no_room_is_said_and_room_is_told),
    cmocka_unit_test(test_replies_are_never_refused),
    cmocka_unit_test(test_heard_and_said_are_kept),
    cmocka_unit_test(test_both_directions_at_once),
    cmocka_unit_test(test_a_pull_reads_the_peers_memory),
    cmocka_unit_test(test_a_lent_payload_comes_back_once),
    cmocka_unit_test(test_only_one_payload_is_lent_at_a_time),
    cmocka_unit_test(test_payloads_gather_from_and_scatter_to_many_descriptors),
    cmocka_unit_test(test_the_cursor_of_a_sent_frame_moves_on),
    cmocka_unit_test(test_a_payload_that_was_taken_back_goes_on_as_zeros),
    cmocka_unit_test(test_what_is_lent_may_be_taken_back_before_close),
    cmocka_unit_test(test_an_unwanted_payload_is_thrown_away),
    cmocka_unit_test(test_a_sink_turned_to_scrap_is_not_written_any_more),
};
const size_t conformance_tests_n = sizeof conformance_tests / sizeof *conformance_tests;
