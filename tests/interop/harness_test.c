/* SPDX-License-Identifier: Apache-2.0 */
/* The original with itself, without us: what fails here is no fault of the library's.
 * And the comparisons that the other tests stand on see a wrong byte. */
#include "tests/interop/blocks.h"
#include "tests/interop/python.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define SIZES "[4096,1,70001]"

static struct python *a, *b;

static int start(void **state)
{
    (void)state;
    a = python_start(PYTHON_WORKER, "a", NULL);
    b = python_start(PYTHON_WORKER, "b", NULL);
    return 0;
}

static int stop(void **state)
{
    (void)state;
    python_stop(a);
    python_stop(b);
    return 0;
}

static long long wrong(struct python *p, int seed)
{
    return answer_number(python_ask(p, "{\"do\":\"verify\",\"op\":\"1\",\"seed\":%d}", seed), "bad");
}

static void transfer(const char *offer, const char *begin, bool to_a)
{
    const char *fill = ",\"fill\":7";
    yajl_val    answer =
        python_ask(a, "{\"do\":\"offer\",\"op\":\"1\",\"kind\":\"%s\",\"sizes\":" SIZES "%s}", offer, to_a ? "" : fill);
    const char *ticket = answer_text(answer, "ticket");
    char       *quoted = json_string(ticket, strlen(ticket));
    python_ask(b, "{\"do\":\"begin\",\"op\":\"1\",\"kind\":\"%s\",\"sizes\":" SIZES ",\"ticket\":%s%s}", begin, quoted,
               to_a ? fill : "");
    free(quoted);
    for (int i = 0; i < 2; i++) {
        answer = python_ask(i ? a : b, "{\"do\":\"wait\",\"ops\":[\"1\"],\"seconds\":20}");
        assert_int_equal(answer_status(answer, 0), NXC_COMPLETE);
        assert_int_equal(wrong(i ? a : b, 7), -1);
        assert_int_equal(wrong(i ? a : b, 8), 0);
        python_ask(i ? a : b, "{\"do\":\"drop\",\"op\":\"1\"}");
    }
}

static void the_original_reads_from_itself(void **state)
{
    (void)state;
    transfer("readable", "read", false);
}

static void the_original_writes_to_itself(void **state)
{
    (void)state;
    transfer("writable", "write", true);
}

static void a_wrong_byte_of_ours_is_seen(void **state)
{
    (void)state;
    const size_t  sizes[] = { 4096, 1, 70001 };
    struct blocks blocks;
    blocks_make(&blocks, sizes, 3);
    assert_true(blocks_poisoned(&blocks));
    blocks_fill(&blocks, 7);
    assert_false(blocks_poisoned(&blocks));
    assert_int_equal(blocks_wrong(&blocks, 7), -1);
    assert_true(blocks_wrong(&blocks, 8) >= 0);
    for (size_t i = 0; i < blocks.used; i += 997) {
        blocks.memory[i] ^= 1;
        assert_true(blocks_wrong(&blocks, 7) >= 0);
        blocks.memory[i] ^= 1;
    }
    assert_int_equal(blocks_wrong(&blocks, 7), -1);
    blocks_free(&blocks);
}

static void an_order_that_can_not_be_obeyed_is_answered(void **state)
{
    (void)state;
    python_refuses(a, "AttributeError", "{\"do\":\"dance\"}");
    python_refuses(a, "JSONDecodeError", "nonsense");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_original_reads_from_itself),
        cmocka_unit_test(the_original_writes_to_itself),
        cmocka_unit_test(a_wrong_byte_of_ours_is_seen),
        cmocka_unit_test(an_order_that_can_not_be_obeyed_is_answered),
    };
    return cmocka_run_group_tests(tests, start, stop);
}
