/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/error.h"
#include "codec/text.h"

static void test_whole_numbers_up_to_the_limit_are_read(void **state)
{
    (void)state;
    uint64_t v;
    assert_int_equal(nxi_u64_parse("0", 1, 0, &v), 0);
    assert_true(v == 0);
    assert_int_equal(nxi_u64_parse("65535", 5, 65535, &v), 0);
    assert_true(v == 65535);
    assert_int_equal(nxi_u64_parse("18446744073709551615", 20, UINT64_MAX, &v), 0);
    assert_true(v == UINT64_MAX);
    assert_int_equal(nxi_u64_parse("9007199254740993", 16, UINT64_MAX, &v), 0);
    assert_true(v == 9007199254740993u);
}

static void test_what_is_no_whole_number_is_refused_with_its_reason(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "whole number" },
        { "-1", "negative" },
        { "-0", "negative" },
        { "+1", "whole number" },
        { " 1", "whole number" },
        { "1 ", "whole number" },
        { "01", "whole number" },
        { "00", "whole number" },
        { "1.0", "whole number" },
        { "1e3", "whole number" },
        { "0x10", "whole number" },
        { "18446744073709551616", "64 bits" },
        { "18446744073709551620", "64 bits" },
        { "99999999999999999999999", "64 bits" },
        { "101", "more than 100" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        uint64_t v = 7;
        assert_int_equal(nxi_u64_parse(bad[i].text, strlen(bad[i].text), 100, &v), NXC_EFORMAT);
        assert_non_null(strstr(nxc_err_detail(), bad[i].why));
        assert_true(v == 7);
    }
}

static void test_every_spelling_of_a_device_is_read(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        uint32_t    device, id;
    } good[] = {
        { "cpu", NXC_HOST, 0 },          { "host", NXC_HOST, 0 },   { " CPU\t\n", NXC_HOST, 0 },
        { "cuda", NXC_CUDA, 0 },         { "Cuda:1", NXC_CUDA, 1 }, { "gpu:12", NXC_CUDA, 12 },
        { "xpu:65535", NXC_XPU, 65535 }, { "xpu", NXC_XPU, 0 },     { " gpu:0 ", NXC_CUDA, 0 },
    };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
        struct nxc_desc d = { .addr = 1, .len = 2 };
        assert_int_equal(nxc_device_parse(good[i].text, &d), 0);
        assert_int_equal(d.device, good[i].device);
        assert_int_equal(d.device_id, good[i].id);
        assert_true(d.addr == 1 && d.len == 2);
    }
}

static void test_unknown_devices_are_refused_by_name(void **state)
{
    (void)state;
    static const char *const bad[] = { "",        " ",        "tpu",     "cp",      "cpux",
                                       "cpu:0",   "host:1",   "cuda:",   "cuda:-1", "cuda:x",
                                       "cuda:01", "cuda:1:2", "cuda :1", "cuda: 1", "xpu:65536" };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nxc_desc d = { .device = 77 };
        assert_int_equal(nxc_device_parse(bad[i], &d), NXC_EDEVICE);
        assert_non_null(strstr(nxc_err_detail(), "unknown device"));
        assert_int_equal(d.device, 77);
    }
    uint32_t device, id;
    assert_int_equal(nxi_device_parse("cpu\0x", 5, &device, &id), NXC_EDEVICE);
    assert_int_equal(nxi_device_parse("cpux", 3, &device, &id), 0);
}

static void test_devices_print_as_they_parse(void **state)
{
    (void)state;
    static const char *const texts[] = { "cpu", "cuda:0", "cuda:7", "xpu:65535" };
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        struct nxc_desc d;
        char            buf[32];
        assert_int_equal(nxc_device_parse(texts[i], &d), 0);
        assert_int_equal(nxc_device_format(&d, buf, sizeof buf), 0);
        assert_string_equal(buf, texts[i]);
        assert_int_equal(nxc_device_format(&d, buf, strlen(texts[i]) + 1), 0);
        assert_int_equal(nxc_device_format(&d, buf, strlen(texts[i])), NXC_EINVAL);
    }
}

static void test_wrong_arguments_of_the_device_functions_are_named(void **state)
{
    (void)state;
    struct nxc_desc d = { .device = 9 };
    char            buf[32];
    assert_int_equal(nxc_device_parse(NULL, &d), NXC_EINVAL);
    assert_string_equal(nxc_err_detail(), "name is NULL");
    assert_int_equal(nxc_device_parse("cpu", NULL), NXC_EINVAL);
    assert_string_equal(nxc_err_detail(), "desc is NULL");
    assert_int_equal(nxc_device_format(NULL, buf, sizeof buf), NXC_EINVAL);
    assert_int_equal(nxc_device_format(&d, NULL, 32), NXC_EINVAL);
    assert_int_equal(nxc_device_format(&d, buf, sizeof buf), NXC_EDEVICE);
}

static void test_utf8_is_strict(void **state)
{
    (void)state;
    static const char *const good[] = { "",
                                        "plain",
                                        "\xc2\x80",
                                        "gr\xc3\xbc\xc3\x9f",
                                        "\xe2\x82\xac",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf" };
    static const char *const bad[] = { "\x80",         "\xc0\x80",         "\xc1\xbf",         "\xc3",
                                       "\xe0\x80\x80", "\xe0\x9f\xbf",     "\xe2\x82",         "\xed\xa0\x80",
                                       "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf8\x88\x80\x80\x80",
                                       "\xff",         "a\xe2\x28\xa1",    "\xc3\xc3" };
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
        assert_true(nxi_utf8_valid(good[i], strlen(good[i])));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_false(nxi_utf8_valid(bad[i], strlen(bad[i])));
}

static void test_a_foreign_text_is_shown_short_and_printable(void **state)
{
    (void)state;
    char buf[NXI_SHOWN], text[100];
    assert_string_equal(nxi_show("plain", 5, buf), "plain");
    assert_string_equal(nxi_show("\x1b[2J\0\xff", 6, buf), "?[2J??");
    memset(text, 'x', sizeof text);
    assert_int_equal(strlen(nxi_show(text, NXI_SHOWN - 1, buf)), NXI_SHOWN - 1);
    assert_null(strstr(buf, "..."));
    assert_int_equal(strlen(nxi_show(text, NXI_SHOWN, buf)), NXI_SHOWN - 1);
    assert_string_equal(buf + NXI_SHOWN - 4, "...");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whole_numbers_up_to_the_limit_are_read),
        cmocka_unit_test(test_what_is_no_whole_number_is_refused_with_its_reason),
        cmocka_unit_test(test_every_spelling_of_a_device_is_read),
        cmocka_unit_test(test_unknown_devices_are_refused_by_name),
        cmocka_unit_test(test_devices_print_as_they_parse),
        cmocka_unit_test(test_wrong_arguments_of_the_device_functions_are_named),
        cmocka_unit_test(test_utf8_is_strict),
        cmocka_unit_test(test_a_foreign_text_is_shown_short_and_printable),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
