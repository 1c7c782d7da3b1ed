/* SPDX-License-Identifier: Apache-2.0 */
/* A NIXL agent keeps what it has loaded of a worker, and compares: the same memory must
 * have the same key in every ticket, or the ticket is refused. Here the Python worker
 * holds on to everything that it has seen of ours. */
#include "tests/interop/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { ROUNDS = 40 };

static const size_t counts[] = { 1, 3, 100, 2, 7 };

static enum pairing passive(int i)
{
    return i % 2 ? OUR_READABLE : OUR_WRITABLE;
}

static void tickets_with_more_and_fewer_descriptors_are_taken_beside_each_other(void **state)
{
    (void)state;
    size_t       sizes[BLOCKS_MAX];
    struct deal *deals = calloc(ROUNDS, sizeof *deals);
    assert_non_null(deals);
    for (size_t i = 0; i < BLOCKS_MAX; i++)
        sizes[i] = 100 + i * 37;
    for (int i = 0; i < ROUNDS; i++) {
        deal_begin(&deals[i], passive(i / 2), ours, theirs, sizes, counts[i % 5]);
        deal_settle(&deals[i]);
    }
    for (int i = 0; i < ROUNDS; i++)
        deal_drop(&deals[i]);
    free(deals);
}

/* All tickets are out before the first is used, and the last is used first. */
static void tickets_loaded_before_keep_working(void **state)
{
    (void)state;
    size_t       sizes[BLOCKS_MAX];
    struct deal *deals = calloc(ROUNDS, sizeof *deals);
    char        *tickets[ROUNDS];
    assert_non_null(deals);
    for (size_t i = 0; i < BLOCKS_MAX; i++)
        sizes[i] = 5000 - i * 37;
    for (int i = 0; i < ROUNDS; i++) {
        deal_make(&deals[i], passive(i), ours, theirs, sizes, counts[i % 5]);
        tickets[i] = deal_offer(&deals[i], NXC_B64, NULL);
    }
    for (int i = ROUNDS; i-- > 0;) {
        deal_use(&deals[i], tickets[i]);
        deal_settle(&deals[i]);
        free(tickets[i]);
    }
    for (int i = 0; i < ROUNDS; i++)
        deal_drop(&deals[i]);
    free(deals);
}

/* Lays the same memory out anew in each round, while Python holds what it had before. */
static void reuse(struct blocks *memory, bool hold)
{
    static const size_t sizes[][2] = { { 4096, 4096 }, { 8192, 1 }, { 1, 8192 }, { 100000, 100 }, { 4096, 4096 } };
    struct deal         deals[ROUNDS];
    for (int i = 0; i < ROUNDS; i++) {
        blocks_again(memory, sizes[i % 5], 1 + (size_t)i % 2);
        deal_make_at(&deals[i], passive(i / 3), ours, theirs, memory);
        char *ticket = deal_offer(&deals[i], NXC_B64, NULL);
        deal_use(&deals[i], ticket);
        free(ticket);
        deal_settle(&deals[i]);
        deals[i].blocks.memory = NULL; /* it is the caller's */
        if (!hold)
            deal_drop(&deals[i]);
    }
    for (int i = 0; hold && i < ROUNDS; i++)
        deal_drop(&deals[i]);
}

static void memory_used_again_with_another_size_is_taken(void **state)
{
    (void)state;
    const size_t  enough[] = { 200000 };
    struct blocks memory;
    blocks_make(&memory, enough, 1);
    reuse(&memory, true);
    reuse(&memory, false);
    blocks_free(&memory);
}

/* Registered once, for all rounds; then in the midst of what they hold no more. */
static void memory_of_a_region_is_taken_and_after_it_is_freed_too(void **state)
{
    (void)state;
    const size_t  enough[] = { 200000 };
    struct blocks memory;
    nxc_region   *region;
    blocks_make(&memory, enough, 1);
    struct nxc_desc all = nxc_desc_host(memory.memory, memory.mapped);
    assert_int_equal(nxc_region_new(ours, &all, &region), 0);
    reuse(&memory, true);
    nxc_region_free(region);
    reuse(&memory, true);
    blocks_free(&memory);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tickets_with_more_and_fewer_descriptors_are_taken_beside_each_other),
        cmocka_unit_test(tickets_loaded_before_keep_working),
        cmocka_unit_test(memory_used_again_with_another_size_is_taken),
        cmocka_unit_test(memory_of_a_region_is_taken_and_after_it_is_freed_too),
    };
    session_arguments(argc, argv);
    return cmocka_run_group_tests(tests, session_open, session_close);
}
