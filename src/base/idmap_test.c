/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/idmap.h"
#include "base/mem.h"

enum { MANY = 10000 };

static struct nxi_id_node nodes[MANY];

/* Numbers that differ in all sorts of bits. */
static uint64_t number(unsigned i)
{
    return i % 2 ? (uint64_t)i << 40 : i;
}

static void test_each_of_many_is_found_until_it_is_removed(void **state)
{
    (void)state;
    struct nxi_id_map m = { 0 };
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(nxi_id_map_add(&m, &nodes[i], number(i)), 0);
    for (unsigned i = 0; i < MANY; i++)
        assert_ptr_equal(nxi_id_map_find(&m, number(i)), &nodes[i]);
    assert_null(nxi_id_map_find(&m, UINT64_MAX));
    for (unsigned i = 0; i < MANY; i += 3)
        nxi_id_map_remove(&m, &nodes[i]);
    for (unsigned i = 0; i < MANY; i++)
        assert_ptr_equal(nxi_id_map_find(&m, number(i)), i % 3 ? &nodes[i] : NULL);
    nxi_id_map_free(&m);
}

static void test_a_walk_meets_each_once_and_may_remove_it(void **state)
{
    (void)state;
    struct nxi_id_map m = { 0 };
    unsigned          met = 0;
    for (unsigned i = 0; i < MANY; i++)
        assert_int_equal(nxi_id_map_add(&m, &nodes[i], number(i)), 0);
    NXI_ID_MAP_EACH (&m, i, node, next) {
        nxi_id_map_remove(&m, node);
        met++;
    }
    assert_int_equal(met, MANY);
    assert_int_equal(m.n, 0);
    assert_null(nxi_id_map_find(&m, number(1)));
    nxi_id_map_free(&m);
}

static void test_out_of_memory_fails_only_while_there_are_no_buckets(void **state)
{
    (void)state;
    struct nxi_id_map m = { 0 };
    nxi_mem_fail(1, true);
    assert_int_equal(nxi_id_map_add(&m, &nodes[0], 0), NXC_ENOMEM);
    nxi_mem_fail(0, false);
    assert_int_equal(nxi_id_map_add(&m, &nodes[0], 0), 0);
    nxi_mem_fail(1, true);
    for (unsigned i = 1; i < 1000; i++)
        assert_int_equal(nxi_id_map_add(&m, &nodes[i], number(i)), 0);
    nxi_mem_fail(0, false);
    for (unsigned i = 0; i < 1000; i++)
        assert_ptr_equal(nxi_id_map_find(&m, number(i)), &nodes[i]);
    nxi_id_map_free(&m);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_of_many_is_found_until_it_is_removed),
        cmocka_unit_test(test_a_walk_meets_each_once_and_may_remove_it),
        cmocka_unit_test(test_out_of_memory_fails_only_while_there_are_no_buckets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
