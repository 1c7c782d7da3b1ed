/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "fabric/shm_ring.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

enum { PAGE = 4096, HOSTILE_ROUNDS = 30000, RACE_FRAMES = 3000 };

/* Shared memory between pages that nobody may touch. */
static uint8_t *guarded(size_t size, int *ret_fd)
{
    int      fd = memfd_create("test", MFD_CLOEXEC);
    uint8_t *at = mmap(NULL, size + 2 * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(at != MAP_FAILED);
    assert_int_equal(ftruncate(fd, (off_t)size), 0);
    assert_ptr_equal(mmap(at + PAGE, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), at + PAGE);
    if (ret_fd)
        *ret_fd = fd;
    else
        close(fd);
    return at + PAGE;
}

struct pair {
    int                    head_fd, data_fd;
    _Atomic uint32_t      *head;
    uint8_t               *data;
    struct nxi_ring_writer w;
    struct nxi_ring_reader r;
    uint8_t               *from, *to; /* NXI_RING_PAYLOAD_MAX each, a guard page behind */
};

static int make_pair(void **state)
{
    struct pair *p = test_calloc(1, sizeof *p);
    p->head = (_Atomic uint32_t *)(void *)guarded(PAGE, &p->head_fd);
    p->data = guarded(NXI_RING_BYTES, &p->data_fd);
    p->from = guarded(NXI_RING_PAYLOAD_MAX, NULL);
    p->to = guarded(NXI_RING_PAYLOAD_MAX, NULL);
    p->w = nxi_ring_writer_at(p->data, p->head);
    p->r = nxi_ring_reader_at(p->data, p->head);
    *state = p;
    return 0;
}

static int free_pair(void **state)
{
    struct pair *p = *state;
    munmap((uint8_t *)(void *)p->head - PAGE, 3 * PAGE);
    munmap(p->data - PAGE, NXI_RING_BYTES + 2 * PAGE);
    munmap(p->from - PAGE, NXI_RING_PAYLOAD_MAX + 2 * PAGE);
    munmap(p->to - PAGE, NXI_RING_PAYLOAD_MAX + 2 * PAGE);
    close(p->head_fd);
    close(p->data_fd);
    test_free(p);
    return 0;
}

/* The last len bytes before a guard page. */
static uint8_t *tail_of(uint8_t *buf, size_t len)
{
    return buf + NXI_RING_PAYLOAD_MAX - len;
}

static int put(struct pair *p, const void *header, size_t header_len, size_t len)
{
    struct nxc_desc   d = nxc_desc_host(tail_of(p->from, len), len);
    struct nxi_cursor c = nxi_cursor_at(&d, 1);
    return nxi_ring_put(&p->w, header, header_len, &c, len);
}

/* Takes a whole frame to the end of p->to. */
static void get(struct pair *p, uint8_t *ret_header, uint32_t *ret_header_len, uint32_t *ret_len)
{
    struct nxi_ring_record rec;
    struct nxc_desc        d = { 0 };
    struct nxi_cursor      c = { 0 };
    bool                   first = true;
    do {
        assert_int_equal(nxi_ring_next(&p->r, &rec), 1);
        if (first) {
            memcpy(ret_header, rec.header, rec.header_len);
            *ret_header_len = rec.header_len;
            *ret_len = rec.left;
            d = nxc_desc_host(tail_of(p->to, rec.left), rec.left);
            c = nxi_cursor_at(&d, 1);
        }
        assert_true(first == (rec.header_len != 0));
        nxi_ring_take(&p->r, &rec, &c);
        first = false;
    } while (p->r.left);
}

static void test_frames_of_all_sizes_come_out_as_they_went_in(void **state)
{
    struct pair  *p = *state;
    const size_t  sizes[] = { 0, 1, 8, 52, 56, 60, 61, 500, 512, 513, 4096, 16383, 16384, 16385, 40000, 65536 };
    const size_t  n = sizeof sizes / sizeof *sizes;
    uint8_t       header[NXI_RING_HEADER_MAX], seen[NXI_RING_HEADER_MAX];
    uint32_t      header_len, len;
    for (unsigned i = 0; i < 4000; i++) { /* several laps, so that all kinds meet the ring's end */
        size_t size = sizes[i * 7 % n], hl = 1 + i % NXI_RING_HEADER_MAX;
        memset(header, (int)i, sizeof header);
        memset(tail_of(p->from, size), (int)(i * 5), size);
        if (size)
            p->from[NXI_RING_PAYLOAD_MAX - 1] = (uint8_t)~i;
        assert_int_equal(put(p, header, hl, size), 0);
        get(p, seen, &header_len, &len);
        assert_int_equal(header_len, hl);
        assert_int_equal(len, size);
        assert_memory_equal(seen, header, hl);
        assert_memory_equal(tail_of(p->to, size), tail_of(p->from, size), size);
    }
    assert_false(nxi_ring_ready(&p->r));
}

static void test_a_full_ring_takes_nothing_and_goes_on_when_read(void **state)
{
    struct pair *p = *state;
    uint8_t      header[8] = { 1 }, seen[NXI_RING_HEADER_MAX];
    uint32_t     header_len, len;
    for (int lap = 0; lap < 5; lap++) {
        unsigned n = 0;
        while (put(p, header, sizeof header, 1000) == 0)
            n++;
        assert_int_equal(put(p, header, sizeof header, 1000), NXC_EAGAIN);
        assert_true(n > NXI_RING_BYTES / 1100 - 2);
        assert_int_equal(nxi_ring_room(&p->w, nxi_ring_need(sizeof header, 1000)), 0);
        while (n--)
            get(p, seen, &header_len, &len);
        assert_false(nxi_ring_ready(&p->r));
        assert_int_equal(nxi_ring_room(&p->w, nxi_ring_need(sizeof header, 1000)), 1);
    }
}

static void test_old_payload_is_never_taken_for_a_record(void **state)
{
    struct pair *p = *state;
    uint8_t      header[20] = { 2 }, seen[NXI_RING_HEADER_MAX];
    uint32_t     header_len, len, word = 8u << 24 | 64;
    for (size_t i = 0; i < NXI_RING_PAYLOAD_MAX; i += sizeof word)
        memcpy(p->from + i, &word, sizeof word); /* looks like a record wherever one reads */
    for (unsigned i = 0; i < 3000; i++) {
        size_t size = i % 3 ? i % 700 : NXI_RING_PAYLOAD_MAX - i % 64 * 64;
        assert_int_equal(put(p, header, sizeof header, size), 0);
        get(p, seen, &header_len, &len);
        assert_int_equal(len, size);
        assert_false(nxi_ring_ready(&p->r));
    }
}

static void test_a_payload_for_scrap_is_passed_over(void **state)
{
    struct pair           *p = *state;
    struct nxi_ring_record rec;
    struct nxi_cursor      scrap = { 0 };
    uint8_t                header[8] = { 3 };
    assert_int_equal(put(p, header, sizeof header, NXI_RING_PAYLOAD_MAX), 0);
    while (nxi_ring_next(&p->r, &rec) == 1)
        nxi_ring_take(&p->r, &rec, &scrap);
    assert_int_equal(p->r.left, 0);
    assert_int_equal(p->r.at, p->w.tail);
}

static void test_an_impossible_head_is_refused(void **state)
{
    struct pair   *p = *state;
    uint8_t        header[8] = { 4 };
    const uint32_t heads[] = { 64, 1u << 30, UINT32_MAX, UINT32_MAX - 63, NXI_RING_BYTES, 1 };
    while (put(p, header, sizeof header, 16384) == 0)
        ;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
        /* Behind what was seen, beyond what was written, or no line's begin. */
        atomic_store(p->head, i == 0 ? p->w.tail + 64 : heads[i]);
        assert_int_equal(put(p, header, sizeof header, 16384), NXC_EPEER);
    }
}

static void test_an_impossible_word_is_refused(void **state)
{
    struct pair           *p = *state;
    struct nxi_ring_record rec;
    _Atomic uint32_t      *word = (_Atomic uint32_t *)(void *)p->data;
    const uint32_t         words[] = { 0x000001, 0x41000000, 0xff000001, 0x01000000 | (NXI_RING_PAYLOAD_MAX + 1) };
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        atomic_store(word, words[i]);
        assert_int_equal(nxi_ring_next(&p->r, &rec), NXC_EPEER);
    }
    /* In the midst of a frame only its exact rest may follow. */
    p->r.left = 1000;
    for (uint32_t bad = 999; bad <= 1001; bad += 2) {
        atomic_store(word, bad);
        assert_int_equal(nxi_ring_next(&p->r, &rec), NXC_EPEER);
    }
    atomic_store(word, 8u << 24 | 1000);
    assert_int_equal(nxi_ring_next(&p->r, &rec), NXC_EPEER);
}

/* xorshift: the same numbers in each run. */
static uint32_t scramble(uint32_t *seed)
{
    *seed ^= *seed << 13;
    *seed ^= *seed >> 17;
    return *seed ^= *seed << 5;
}

static void scribble(struct pair *p, uint32_t *seed)
{
    uint32_t what = scramble(seed), value = scramble(seed);
    /* Plausible values do the most harm. */
    if (what & 1)
        value = (value % 70) << 24 | (value >> 8) % (NXI_RING_PAYLOAD_MAX + 2);
    if (what & 2)
        atomic_store_explicit(p->head, value & ~63u, memory_order_relaxed);
    else
        atomic_store_explicit((_Atomic uint32_t *)nxi_ring_word(p->data, (value ^ what) & ~63u), value,
                              memory_order_relaxed);
    if (what & 4)
        atomic_store_explicit((_Atomic uint32_t *)nxi_ring_word(p->data, p->r.at), value, memory_order_relaxed);
}

/* One turn of an honest side that notes nothing but what the ring tells it: true when it found the peer out. */
static bool use(struct pair *p, struct nxc_desc *d, struct nxi_cursor *sink, uint32_t *seed)
{
    struct nxi_ring_record rec;
    uint8_t                header[NXI_RING_HEADER_MAX] = { 5 };
    uint32_t               len = scramble(seed) % (NXI_RING_PAYLOAD_MAX + 1);
    int                    r = put(p, header, 1 + len % NXI_RING_HEADER_MAX, len);
    assert_true(r == 0 || r == NXC_EAGAIN || r == NXC_EPEER);
    int got = nxi_ring_next(&p->r, &rec);
    assert_true(got == 0 || got == 1 || got == NXC_EPEER);
    if (got == 1) {
        assert_true(rec.header_len <= NXI_RING_HEADER_MAX && rec.part <= rec.left && rec.left <= NXI_RING_PAYLOAD_MAX);
        if (rec.header_len) {
            *d = nxc_desc_host(tail_of(p->to, rec.left), rec.left);
            *sink = nxi_cursor_at(d, 1);
        }
        nxi_ring_take(&p->r, &rec, sink);
    }
    return r == NXC_EPEER || got == NXC_EPEER;
}

/* The guard pages are the test: an access out of bounds is a crash. */
static void test_a_peer_that_scribbles_everywhere_reaches_nothing_else(void **state)
{
    struct pair      *p = *state;
    struct nxc_desc   d = { 0 };
    struct nxi_cursor sink = { 0 };
    uint32_t          seed = 1;
    unsigned          found_out = 0;
    for (unsigned i = 0; i < HOSTILE_ROUNDS; i++) {
        scribble(p, &seed);
        if (!use(p, &d, &sink, &seed))
            continue;
        found_out++;
        /* A link would end here; the next one begins anywhere. */
        p->w = (struct nxi_ring_writer){ p->data, p->head, 0, 0 };
        p->w.tail = p->w.seen = p->r.at = scramble(&seed) & ~63u;
        p->r.left = 0;
        atomic_store(p->head, p->r.at);
    }
    assert_true(found_out > HOSTILE_ROUNDS / 100);
}

struct racer {
    struct pair *p;
    atomic_bool  stop;
};

/* Has the memory at places of its own, as a peer has. */
static void *race(void *arg)
{
    struct racer *r = arg;
    struct pair   other = { 0 };
    uint32_t      seed = 7;
    other.head = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED, r->p->head_fd, 0);
    other.data = mmap(NULL, NXI_RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, r->p->data_fd, 0);
    while (!atomic_load_explicit(&r->stop, memory_order_relaxed)) {
        other.r.at = scramble(&seed) & ~63u;
        scribble(&other, &seed);
    }
    munmap((void *)other.head, PAGE);
    munmap(other.data, NXI_RING_BYTES);
    return NULL;
}

static void test_values_that_change_while_they_are_read_reach_nothing_else(void **state)
{
    struct racer      racer = { .p = *state };
    struct nxc_desc   d = { 0 };
    struct nxi_cursor sink = { 0 };
    uint32_t          seed = 3;
    pthread_t         thread;
    assert_int_equal(pthread_create(&thread, NULL, race, &racer), 0);
    for (unsigned i = 0; i < HOSTILE_ROUNDS / 10; i++)
        if (use(racer.p, &d, &sink, &seed)) {
            racer.p->w.tail = racer.p->w.seen = racer.p->r.at = scramble(&seed) & ~63u;
            racer.p->r.left = 0;
        }
    atomic_store(&racer.stop, true);
    pthread_join(thread, NULL);
}

static void *write_frames(void *arg)
{
    struct pair *p = arg;
    for (uint32_t i = 0; i < RACE_FRAMES;) {
        size_t len = i * 37 % NXI_RING_PAYLOAD_MAX;
        memset(tail_of(p->from, len), (int)i, len);
        if (put(p, &i, sizeof i, len) == 0)
            i++;
        else
            sched_yield();
    }
    return NULL;
}

static void test_two_threads_see_all_frames_in_order_and_whole(void **state)
{
    struct pair *p = *state;
    pthread_t    thread;
    uint8_t      header[NXI_RING_HEADER_MAX];
    assert_int_equal(pthread_create(&thread, NULL, write_frames, p), 0);
    for (uint32_t i = 0, at = 0; i < RACE_FRAMES;) {
        struct nxi_ring_record rec;
        if (nxi_ring_next(&p->r, &rec) == 0) {
            sched_yield();
            continue;
        }
        if (rec.header_len) {
            memcpy(header, rec.header, sizeof header);
            at = 0;
        }
        struct nxc_desc   d = nxc_desc_host(p->to + at, rec.part);
        struct nxi_cursor c = nxi_cursor_at(&d, 1);
        nxi_ring_take(&p->r, &rec, &c);
        at += rec.part;
        if (p->r.left)
            continue;
        assert_memory_equal(header, &i, sizeof i);
        assert_int_equal(at, i * 37 % NXI_RING_PAYLOAD_MAX);
        for (uint32_t k = 0; k < at; k++)
            if (p->to[k] != (uint8_t)i)
                fail_msg("byte %u of frame %u is wrong", k, i);
        i++;
    }
    pthread_join(thread, NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, make_pair, free_pair)
    const struct CMUnitTest tests[] = {
        TEST(test_frames_of_all_sizes_come_out_as_they_went_in),
        TEST(test_a_full_ring_takes_nothing_and_goes_on_when_read),
        TEST(test_old_payload_is_never_taken_for_a_record),
        TEST(test_a_payload_for_scrap_is_passed_over),
        TEST(test_an_impossible_head_is_refused),
        TEST(test_an_impossible_word_is_refused),
        TEST(test_a_peer_that_scribbles_everywhere_reaches_nothing_else),
        TEST(test_values_that_change_while_they_are_read_reach_nothing_else),
        TEST(test_two_threads_see_all_frames_in_order_and_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
