/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "base/error.h"

static void test_every_code_has_a_name_and_a_text(void **state)
{
    (void)state;
#define CHECK(name, number, text)                     \
    assert_int_equal(name, number);                   \
    assert_string_equal(nxc_err_name(number), #name); \
    assert_string_equal(nxc_err_text(number), text);  \
    assert_true(strlen(nxc_err_text(number)) > 3);
    NXC_ERROR_MAP(CHECK)
#undef CHECK
}

static void test_numbers_are_given_once_and_without_gaps(void **state)
{
    (void)state;
    int next = -1;
#define CHECK(name, number, text) assert_int_equal(number, next--);
    NXC_ERROR_MAP(CHECK)
#undef CHECK
}

static void test_any_other_number_has_a_name_too(void **state)
{
    (void)state;
    static const int numbers[] = { 0, 1, -1000, INT_MAX, INT_MIN };
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        assert_non_null(nxc_err_name(numbers[i]));
        assert_non_null(nxc_err_text(numbers[i]));
    }
    assert_string_equal(nxc_err_name(0), "NXC_OK");
    assert_string_equal(nxc_err_text(0), "no error");
}

static void test_a_failure_returns_its_code_and_sets_the_detail(void **state)
{
    (void)state;
    assert_int_equal(nxi_fail(NXC_EINVAL, "descs[%d] wraps around", 2), NXC_EINVAL);
    assert_string_equal(nxc_err_detail(), "descs[2] wraps around");
    assert_int_equal(nxi_fail_errno(NXC_ESYSTEM, ENOENT, "memfd"), NXC_ESYSTEM);
    assert_string_equal(nxc_err_detail(), "memfd: No such file or directory");
}

static void test_a_long_detail_is_cut(void **state)
{
    (void)state;
    char text[2000];
    memset(text, 'x', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    nxi_fail(NXC_EINVAL, "%s", text);
    assert_true(strlen(nxc_err_detail()) > 100 && strlen(nxc_err_detail()) < 1000);
}

static void *fail_elsewhere(void *arg)
{
    *(bool *)arg = nxc_err_detail()[0] == '\0';
    nxi_fail(NXC_ENOMEM, "of another thread");
    return NULL;
}

static void test_a_detail_belongs_to_its_thread(void **state)
{
    (void)state;
    pthread_t other;
    bool      empty = false;
    nxi_fail(NXC_EINVAL, "of this thread");
    assert_int_equal(pthread_create(&other, NULL, fail_elsewhere, &empty), 0);
    assert_int_equal(pthread_join(other, NULL), 0);
    assert_true(empty);
    assert_string_equal(nxc_err_detail(), "of this thread");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_code_has_a_name_and_a_text),
        cmocka_unit_test(test_numbers_are_given_once_and_without_gaps),
        cmocka_unit_test(test_any_other_number_has_a_name_too),
        cmocka_unit_test(test_a_failure_returns_its_code_and_sets_the_detail),
        cmocka_unit_test(test_a_long_detail_is_cut),
        cmocka_unit_test(test_a_detail_belongs_to_its_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
