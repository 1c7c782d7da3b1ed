/* SPDX-License-Identifier: Apache-2.0 */
#include "bench.h"

#include <stdlib.h>
#include <string.h>

/* ---- proof that the bytes arrived ---------------------------------------
 * A message is a pattern made of a seed that no other measurement uses. Its
 * first, middle and last word are stamped anew for every turn and compared on
 * arrival; after the last turn every word is compared. */
static uint64_t seed_of(const struct bench_side *s, int side)
{
    return s->seed * 2 + (uint64_t)side;
}

static uint64_t pattern_at(uint64_t seed, size_t word)
{
    return (seed << 32) + word * UINT64_C(0x9e3779b97f4a7c15);
}

static void fill(uint64_t *words, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        words[i] = pattern_at(seed, i);
}

static int is_stamped(size_t word, size_t n)
{
    return word == 0 || word == n / 2 || word == n - 1;
}

static void check_all(struct bench_side *s, const uint64_t *words, size_t n, uint64_t seed)
{
    for (size_t i = 0; i < n; i++)
        if (words[i] != pattern_at(seed, i) && !is_stamped(i, n))
            bench_fail(s, "byte %zu of %zu did not arrive", i * 8, n * 8);
}

static void stamp(unsigned char *message, size_t size, uint64_t value)
{
    uint64_t *words = (uint64_t *)message;
    size_t n = size / 8;
    words[0] = words[n / 2] = words[n - 1] = value;
}

static void check_stamp(struct bench_side *s, const unsigned char *message, size_t size,
                        uint64_t value, unsigned turn)
{
    const uint64_t *words = (const uint64_t *)message;
    size_t n = size / 8;
    if (words[0] != value || words[n / 2] != value || words[n - 1] != value)
        bench_fail(s, "message %u was announced before it was here", turn);
}

/* ---- one batch ---------------------------------------------------------- */
static void write_batch(struct bench_mover *m, unsigned turns, uint64_t stamps)
{
    struct bench_side *s = m->side;
    for (unsigned t = 0; t < turns; t++) {
        unsigned char *from = bench_slot(s->out, m->size, t);
        unsigned char *to = bench_slot(s->in, m->size, t);
        if (s->me == 1) {
            m->arrive(m, t);
            check_stamp(s, to, m->size, stamps + t, t);
        }
        if (t > 0 && m->settle)
            m->settle(m, t - 1);
        stamp(from, m->size, stamps + t);
        m->send(m, t);
        if (s->me == 0) {
            m->arrive(m, t);
            check_stamp(s, to, m->size, stamps + t, t);
        }
    }
}

static void read_batch(struct bench_mover *m, unsigned turns, uint64_t stamps)
{
    struct bench_side *s = m->side;
    if (s->me == 1) {
        m->serve(m, turns);
        return;
    }
    for (unsigned t = 0; t < turns; t++) {
        unsigned char *to = bench_slot(s->in, m->size, t);
        stamp(to, m->size, ~stamps);
        m->fetch(m, t);
        check_stamp(s, to, m->size, stamps, t);
    }
    atomic_store_explicit(&s->page->reads_over, s->reads_over + 1, memory_order_release);
}

/* A source that nobody stamps during the batch, for reads. */
static void stamp_slots(struct bench_mover *m, unsigned turns, uint64_t value)
{
    unsigned slots = m->size <= BENCH_SMALL ? turns : 1;
    for (unsigned t = 0; t < slots; t++)
        stamp(bench_slot(m->side->out, m->size, t), m->size, value);
}

void bench_touch(struct bench_side *s, size_t size)
{
    size_t need = size <= BENCH_SMALL ? (size_t)BENCH_MAX_TURNS * 64 : size;
    if (need <= s->touched)
        return;
    memset(s->in, 0xaa, need);
    memset(s->out, 0x55, need);
    s->touched = need;
}

double bench_turns(struct bench_mover *m, const struct bench_case *c)
{
    struct bench_side *s = m->side;
    double seconds[BENCH_MAX_BATCHES];
    bench_touch(s, c->size);
    fill((uint64_t *)s->out, c->size / 8, seed_of(s, s->me));
    for (unsigned b = 0; b < c->batches; b++) {
        uint64_t stamps = ((s->seed << 8) + b) << 32;
        if (c->job == BENCH_READ)
            stamp_slots(m, c->turns, stamps);
        if (m->prepare)
            m->prepare(m, c->turns);
        bench_meet(s, m->idle, m);
        uint64_t start = nxi_now();
        if (c->job == BENCH_READ)
            read_batch(m, c->turns, stamps);
        else
            write_batch(m, c->turns, stamps);
        seconds[b] = bench_seconds(nxi_now() - start) / c->turns;
        if (m->finish)
            m->finish(m, c->turns);
        bench_meet(s, m->idle, m);
        s->reads_over = atomic_load_explicit(&s->page->reads_over, memory_order_acquire);
    }
    if (c->job != BENCH_READ || s->me == 0)
        check_all(s, (const uint64_t *)s->in, c->size / 8, seed_of(s, !s->me));
    double way = bench_median(seconds, c->batches);
    return c->job == BENCH_READ ? way : way / 2;
}

static int by_value(const void *a, const void *b)
{
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double bench_median(double *values, size_t n)
{
    qsort(values, n, sizeof *values, by_value);
    return n % 2 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}
