/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/mem.h"
#include "codec/cover.h"

#include <nxconnect/nxconnect.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static bool covers(const struct nxi_agent_desc *d, uint64_t dev, uint64_t addr, uint64_t len)
{
    return d->dev == dev && d->addr <= addr && addr - d->addr <= d->len && d->len - (addr - d->addr) >= len;
}

/* What is found covers; nothing is found only where nothing covers. */
static void assert_as_by_force(const struct nxi_cover *c, uint64_t dev, uint64_t addr, uint64_t len)
{
    const struct nxi_agent_desc *d = nxi_cover_find(c, dev, addr, len);
    if (d) {
        assert_true(d >= c->section->descs && d < c->section->descs + c->section->n);
        assert_true(covers(d, dev, addr, len));
        return;
    }
    for (size_t i = 0; i < c->section->n; i++)
        assert_false(covers(&c->section->descs[i], dev, addr, len));
}

static int compare(const void *a, const void *b)
{
    const struct nxi_agent_desc *x = a, *y = b;
    if (x->dev != y->dev)
        return x->dev < y->dev ? -1 : 1;
    if (x->addr != y->addr)
        return x->addr < y->addr ? -1 : 1;
    return x->len < y->len ? -1 : x->len > y->len;
}

static void test_a_piece_of_one_descriptor_is_found_in_it(void **state)
{
    (void)state;
    struct nxi_agent_desc    descs[] = { { 100, 50, 0, { 0 } }, { 150, 50, 0, { 0 } }, { 100, 10, 7, { 0 } } };
    struct nxi_agent_section s = { .n = COUNT(descs), .descs = descs };
    struct nxi_cover         c;
    assert_int_equal(nxi_cover_init(&c, &s), 0);
    assert_ptr_equal(nxi_cover_find(&c, 0, 100, 50), &descs[0]);
    assert_ptr_equal(nxi_cover_find(&c, 0, 149, 1), &descs[0]);
    assert_ptr_equal(nxi_cover_find(&c, 0, 150, 50), &descs[1]);
    assert_ptr_equal(nxi_cover_find(&c, 7, 105, 5), &descs[2]);
    assert_null(nxi_cover_find(&c, 0, 99, 1));
    assert_null(nxi_cover_find(&c, 0, 200, 1));
    assert_null(nxi_cover_find(&c, 7, 105, 6));
    assert_null(nxi_cover_find(&c, 1, 100, 1));
    assert_null(nxi_cover_find(&c, 8, 100, 1));
    /* Two that touch do not cover together: each has an rkey of its own. */
    assert_null(nxi_cover_find(&c, 0, 149, 2));
    nxi_cover_free(&c);
    nxi_cover_free(&c);
}

static void test_a_descriptor_behind_many_smaller_ones_is_found(void **state)
{
    (void)state;
    struct nxi_agent_desc    descs[] = { { 0, 100, 0, { 0 } }, { 10, 1, 0, { 0 } }, { 10, 2, 0, { 0 } },
                                         { 20, 90, 0, { 0 } }, { 30, 1, 0, { 0 } }, { 31, 1, 1, { 0 } } };
    struct nxi_agent_section s = { .n = COUNT(descs), .descs = descs };
    struct nxi_cover         c;
    assert_int_equal(nxi_cover_init(&c, &s), 0);
    assert_ptr_equal(nxi_cover_find(&c, 0, 15, 85), &descs[0]);
    assert_ptr_equal(nxi_cover_find(&c, 0, 90, 20), &descs[3]);
    assert_null(nxi_cover_find(&c, 0, 15, 86));
    assert_null(nxi_cover_find(&c, 1, 32, 1)); /* what covers it is on another device */
    nxi_cover_free(&c);
}

static void test_nothing_wraps_around(void **state)
{
    (void)state;
    struct nxi_agent_desc    descs[] = { { 0, UINT64_MAX, 0, { 0 } }, { UINT64_MAX - 1, 1, UINT64_MAX, { 0 } } };
    struct nxi_agent_section s = { .n = COUNT(descs), .descs = descs };
    struct nxi_cover         c;
    assert_int_equal(nxi_cover_init(&c, &s), 0);
    assert_ptr_equal(nxi_cover_find(&c, 0, 0, UINT64_MAX), &descs[0]);
    assert_ptr_equal(nxi_cover_find(&c, UINT64_MAX, UINT64_MAX - 1, 1), &descs[1]);
    assert_null(nxi_cover_find(&c, 0, UINT64_MAX, 1));
    assert_null(nxi_cover_find(&c, 0, 1, UINT64_MAX));
    assert_null(nxi_cover_find(&c, UINT64_MAX, UINT64_MAX - 1, 2));
    assert_null(nxi_cover_find(&c, UINT64_MAX, UINT64_MAX - 1, UINT64_MAX));
    nxi_cover_free(&c);
}

static unsigned seed = 1;

static unsigned below(unsigned n)
{
    return ((seed = seed * 1103515245 + 12345) >> 16) % n;
}

static void test_small_random_sections_answer_as_brute_force_does(void **state)
{
    (void)state;
    enum { DEVS = 3, SPACE = 12 };
    for (int round = 0; round < 300; round++) {
        struct nxi_agent_desc    descs[10];
        struct nxi_agent_section s = { .n = 1 + below(COUNT(descs)), .descs = descs };
        struct nxi_cover         c;
        for (size_t i = 0; i < s.n; i++)
            descs[i] = (struct nxi_agent_desc){ below(SPACE), 1 + below(SPACE), below(DEVS), { 0 } };
        qsort(descs, s.n, sizeof *descs, compare);
        assert_int_equal(nxi_cover_init(&c, &s), 0);
        for (uint64_t dev = 0; dev <= DEVS; dev++) {
            for (uint64_t addr = 0; addr <= 2 * SPACE; addr++) {
                for (uint64_t len = 1; len <= 2 * SPACE; len++)
                    assert_as_by_force(&c, dev, addr, len);
            }
        }
        nxi_cover_free(&c);
    }
}

/* Each nests in the one before it: a search that walked back from where a piece
 * begins would take a hundred thousand steps for each of these look-ups. */
static void test_deeply_nested_descriptors_are_searched_quickly(void **state)
{
    (void)state;
    enum { N = 200000, DEEP = 100000 };
    struct nxi_agent_desc   *descs = calloc(N, sizeof *descs);
    struct nxi_agent_section s = { .n = N, .descs = descs };
    struct nxi_cover         c;
    for (uint64_t i = 0; i < N; i++)
        descs[i] = (struct nxi_agent_desc){ i, 2 * (N - i), 0, { 0 } };
    assert_int_equal(nxi_cover_init(&c, &s), 0);
    for (uint64_t i = 0; i < N; i++)
        assert_ptr_equal(nxi_cover_find(&c, 0, i, 2 * N - i), &descs[0]);
    for (uint64_t i = DEEP; i < N; i++)
        assert_null(nxi_cover_find(&c, 0, i, 2 * N - i + 1));
    nxi_cover_free(&c);
    free(descs);
}

static void test_a_failed_allocation_is_ENOMEM(void **state)
{
    (void)state;
    struct nxi_agent_desc    d = { 1, 1, 0, { 0 } };
    struct nxi_agent_section s = { .n = 1, .descs = &d };
    struct nxi_cover         c;
    nxi_mem_fail(1, false);
    assert_int_equal(nxi_cover_init(&c, &s), NXC_ENOMEM);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_piece_of_one_descriptor_is_found_in_it),
        cmocka_unit_test(test_a_descriptor_behind_many_smaller_ones_is_found),
        cmocka_unit_test(test_nothing_wraps_around),
        cmocka_unit_test(test_small_random_sections_answer_as_brute_force_does),
        cmocka_unit_test(test_deeply_nested_descriptors_are_searched_quickly),
        cmocka_unit_test(test_a_failed_allocation_is_ENOMEM),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
