/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/cursor.h"

/* Ten bytes in four stretches, two of them empty. */
static char            memory[10];
static struct nxc_desc descs[5];

static struct nxi_cursor start(void)
{
    memcpy(memory, "0123456789", 10);
    descs[0] = nxc_desc_host(memory, 3);
    descs[1] = nxc_desc_host(memory, 0);
    descs[2] = nxc_desc_host(memory + 3, 1);
    descs[3] = nxc_desc_host(memory + 4, 6);
    descs[4] = nxc_desc_host(NULL, 0);
    return nxi_cursor_at(descs, 5);
}

static void test_an_iov_covers_what_was_asked_without_moving(void **state)
{
    (void)state;
    struct nxi_cursor c = start();
    struct iovec      iov[8];
    uint64_t          len;
    assert_int_equal(nxi_cursor_iov(&c, 8, iov, 8, &len), 3);
    assert_int_equal(len, 8);
    assert_ptr_equal(iov[0].iov_base, memory);
    assert_int_equal(iov[0].iov_len, 3);
    assert_ptr_equal(iov[1].iov_base, memory + 3);
    assert_int_equal(iov[1].iov_len, 1);
    assert_ptr_equal(iov[2].iov_base, memory + 4);
    assert_int_equal(iov[2].iov_len, 4);
    assert_int_equal(nxi_cursor_iov(&c, 100, iov, 8, &len), 3);
    assert_int_equal(len, 10);
    assert_int_equal(nxi_cursor_iov(&c, 100, iov, 2, &len), 2);
    assert_int_equal(len, 4);
    assert_int_equal(nxi_cursor_iov(&c, 0, iov, 8, &len), 0);
    assert_int_equal(len, 0);
    nxi_cursor_skip(&c, 2);
    assert_int_equal(nxi_cursor_iov(&c, 1, iov, 8, &len), 1);
    assert_ptr_equal(iov[0].iov_base, memory + 2);
    assert_int_equal(iov[0].iov_len, 1);
}

static void test_reading_in_steps_of_any_size_gives_the_same(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 10; step++) {
        struct nxi_cursor c = start();
        char              out[10];
        for (size_t at = 0; at < 10; at += step)
            nxi_cursor_read(&c, out + at, step < 10 - at ? step : 10 - at);
        assert_memory_equal(out, "0123456789", 10);
    }
}

static void test_writing_in_steps_of_any_size_gives_the_same(void **state)
{
    (void)state;
    for (size_t step = 1; step <= 10; step++) {
        struct nxi_cursor c = start();
        for (size_t at = 0; at < 10; at += step)
            nxi_cursor_write(&c, &"abcdefghij"[at], step < 10 - at ? step : 10 - at);
        assert_memory_equal(memory, "abcdefghij", 10);
    }
}

static void test_skipping_goes_to_the_end_and_no_further(void **state)
{
    (void)state;
    struct nxi_cursor c = start();
    struct iovec      iov[8];
    uint64_t          len;
    char              one;
    nxi_cursor_skip(&c, 3);
    nxi_cursor_read(&c, &one, 1);
    assert_int_equal(one, '3');
    nxi_cursor_skip(&c, 5);
    nxi_cursor_read(&c, &one, 1);
    assert_int_equal(one, '9');
    nxi_cursor_skip(&c, UINT64_MAX);
    assert_int_equal(c.n, 0);
    assert_int_equal(nxi_cursor_iov(&c, 1, iov, 8, &len), 0);
}

static void test_scrap_takes_everything_and_gives_zeros(void **state)
{
    (void)state;
    struct nxi_cursor c = nxi_cursor_at(NULL, 0);
    struct iovec      iov[8];
    uint64_t          len;
    char              out[4] = "abcd";
    nxi_cursor_write(&c, "1234", 4);
    nxi_cursor_skip(&c, UINT64_MAX);
    nxi_cursor_read(&c, out, 4);
    assert_memory_equal(out, "\0\0\0\0", 4);
    assert_int_equal(nxi_cursor_iov(&c, 10, iov, 8, &len), 0);
    assert_int_equal(len, 0);
}

static void test_sizes_beyond_32_bits_are_walked(void **state)
{
    (void)state;
    struct nxc_desc   far[] = { { 4096, UINT64_C(1) << 40, NXC_HOST, 0 }, { 1, 1, NXC_HOST, 0 } };
    struct nxi_cursor c = nxi_cursor_at(far, 2);
    struct iovec      iov[2];
    uint64_t          len;
    nxi_cursor_skip(&c, (UINT64_C(1) << 40) - 5);
    assert_int_equal(nxi_cursor_iov(&c, UINT64_MAX, iov, 2, &len), 2);
    assert_int_equal(len, 6);
    assert_true((uintptr_t)iov[0].iov_base == 4096 + (UINT64_C(1) << 40) - 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_iov_covers_what_was_asked_without_moving),
        cmocka_unit_test(test_reading_in_steps_of_any_size_gives_the_same),
        cmocka_unit_test(test_writing_in_steps_of_any_size_gives_the_same),
        cmocka_unit_test(test_skipping_goes_to_the_end_and_no_further),
        cmocka_unit_test(test_scrap_takes_everything_and_gives_zeros),
        cmocka_unit_test(test_sizes_beyond_32_bits_are_walked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
