/* SPDX-License-Identifier: Apache-2.0 */
/* Many operations, one after the other and at once, and more than one worker of each. */
#include "tests/interop/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static const size_t small[] = { 4096, 1, 100 };

static void in_a_row(enum pairing first, enum pairing second, int times)
{
    for (int i = 0; i < times; i++) {
        struct deal d;
        deal_begin(&d, i % 2 ? second : first, ours, theirs, small, 1 + (size_t)i % 3);
        deal_end(&d);
    }
}

static void a_thousand_in_a_row_when_we_are_active(void **state)
{
    (void)state;
    in_a_row(THEIR_READABLE, THEIR_WRITABLE, 1000);
}

static void a_thousand_in_a_row_when_they_are_active(void **state)
{
    (void)state;
    in_a_row(OUR_READABLE, OUR_WRITABLE, 1000);
}

/* A hundred, all begun before any is waited for. */
static void at_once(enum pairing first, enum pairing second)
{
    const size_t sizes[] = { 256 * 1024, 10 };
    struct deal *deals = calloc(100, sizeof *deals);
    assert_non_null(deals);
    for (int i = 0; i < 100; i++)
        deal_begin(&deals[i], i % 2 ? second : first, ours, theirs, sizes, 2);
    for (int i = 0; i < 100; i++)
        deal_end(&deals[i]);
    free(deals);
}

static void a_hundred_at_once_when_we_are_active(void **state)
{
    (void)state;
    at_once(THEIR_READABLE, THEIR_WRITABLE);
}

static void a_hundred_at_once_when_they_are_active(void **state)
{
    (void)state;
    at_once(OUR_READABLE, OUR_WRITABLE);
}

static void two_of_theirs_and_two_of_ours_at_once(void **state)
{
    (void)state;
    enum { ROUNDS = 10, DEALS = 2 * 2 * PAIRINGS };
    const size_t   sizes[] = { 1024 * 1024, 4096 };
    nxc_connector *c[2] = { ours, session_connector("second of ours") };
    struct python *p[2] = { theirs, python_start(their_script, "second of theirs", their_setting) };
    for (int round = 0; round < ROUNDS; round++) {
        struct deal deals[DEALS];
        for (unsigned i = 0; i < DEALS; i++)
            deal_begin(&deals[i], i / 4, c[i % 2], p[i / 2 % 2], sizes, 2);
        for (unsigned i = 0; i < DEALS; i++)
            deal_end(&deals[i]);
    }
    python_stop(p[1]);
    nxc_connector_free(c[1]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_hundred_at_once_when_we_are_active),
        cmocka_unit_test(a_hundred_at_once_when_they_are_active),
        cmocka_unit_test(two_of_theirs_and_two_of_ours_at_once),
        cmocka_unit_test(a_thousand_in_a_row_when_we_are_active),
        cmocka_unit_test(a_thousand_in_a_row_when_they_are_active),
    };
    session_arguments(argc, argv);
    return cmocka_run_group_tests(tests, session_open, session_close);
}
