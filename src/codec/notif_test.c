/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/error.h"
#include "codec/notif.h"

/* A notification that NIXL 1.5.1 sent: name pyA, msg hello. */
static const char real[] = "nixlSerDes|name\x03\0\0\0\0\0\0\0pyA|msg\x05\0\0\0\0\0\0\0hello|";
enum { REAL = sizeof real - 1, NAME = 11, MSG = NAME + 4 + 8 + 3 + 1 };

/* Decodes a copy of exact size, so that a sanitizer sees every byte too far. The spans are gone then. */
static int decode(const void *bytes, size_t len, struct nxi_notif *ret_n)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    int r = nxi_notif_decode(copy, len, ret_n);
    free(copy);
    return r;
}

static void refused(const void *bytes, size_t len, const char *why)
{
    struct nxi_notif n = { { NULL, 42 }, { NULL, 43 } };
    assert_int_equal(decode(bytes, len, &n), NXC_EFORMAT);
    assert_true(n.name.len == 42 && n.msg.len == 43); /* outputs are set on success only */
    if (!strstr(nxc_err_detail(), why))
        fail_msg("\"%s\" does not say \"%s\"", nxc_err_detail(), why);
}

static void test_a_real_notification_is_read(void **state)
{
    (void)state;
    struct nxi_notif n;
    assert_int_equal(nxi_notif_decode((const uint8_t *)real, REAL, &n), 0);
    assert_int_equal(n.name.len, 3);
    assert_memory_equal(n.name.ptr, "pyA", 3);
    assert_int_equal(n.msg.len, 5);
    assert_memory_equal(n.msg.ptr, "hello", 5);
}

static void test_we_write_the_very_bytes_that_nixl_writes(void **state)
{
    (void)state;
    uint8_t          buf[REAL];
    struct nxi_notif n = { { (const uint8_t *)"pyA", 3 }, { (const uint8_t *)"hello", 5 } };
    assert_int_equal(nxi_notif_size(3, 5), REAL);
    nxi_notif_encode(&n, buf);
    assert_memory_equal(buf, real, REAL);
}

static void test_a_message_may_be_empty_or_binary(void **state)
{
    (void)state;
    static const uint8_t msg[] = { '|', 0, 0xff, '|' };
    for (size_t len = 0; len <= sizeof msg; len++) {
        struct nxi_notif n = { { (const uint8_t *)"n|", 2 }, { msg, len } }, back;
        size_t           size = nxi_notif_size(2, len);
        uint8_t         *buf = malloc(size);
        nxi_notif_encode(&n, buf);
        assert_int_equal(nxi_notif_decode(buf, size, &back), 0);
        assert_int_equal(back.name.len, 2);
        assert_int_equal(back.msg.len, len);
        assert_memory_equal(back.msg.ptr, msg, len);
        free(buf);
    }
}

static void test_a_payload_has_a_limit(void **state)
{
    (void)state;
    struct nxi_notif n = { { (const uint8_t *)"n", 1 }, { NULL, 0 } };
    uint8_t         *buf = calloc(1, NXI_NOTIF_MAX + 1);
    n.msg = (struct nxi_span){ calloc(1, NXI_NOTIF_MAX), NXI_NOTIF_MAX - nxi_notif_size(1, 0) };
    assert_int_equal(nxi_notif_size(1, n.msg.len), NXI_NOTIF_MAX);
    nxi_notif_encode(&n, buf);
    assert_int_equal(decode(buf, NXI_NOTIF_MAX, &(struct nxi_notif){ 0 }), 0);
    n.msg.len++;
    nxi_notif_encode(&n, buf);
    refused(buf, NXI_NOTIF_MAX + 1, "the notification has 65537 bytes, at most 65536");
    free((void *)n.msg.ptr);
    free(buf);
}

static void test_every_cut_is_refused(void **state)
{
    (void)state;
    for (size_t len = 0; len < REAL; len++)
        refused(real, len, len < 11 ? "magic: is missing, at byte 0" : "at byte ");
}

static void test_what_nixl_does_not_write_is_refused_by_field(void **state)
{
    (void)state;
    char bad[REAL + 1];
#define CHANGE(at, byte, why)      \
    memcpy(bad, real, sizeof bad); \
    bad[at] = byte;                \
    refused(bad, REAL, why)
    CHANGE(0, 'N', "magic: is missing, at byte 0 of the notification");
    CHANGE(NAME, 'N', "name: is missing, at byte 11 of the notification");
    CHANGE(NAME + 4, '\x04', "name: does not end with '|', at byte 11");
    CHANGE(NAME + 4, '\xff', "name: has 255 bytes, 21 are left");
    CHANGE(MSG, 'M', "msg: is missing, at byte 27");
    CHANGE(MSG + 3, '\x04', "msg: does not end with '|'");
    CHANGE(MSG + 3, '\x06', "msg: has 6 bytes, 6 are left");
    CHANGE(REAL - 1, 'X', "msg: does not end with '|'");
#undef CHANGE
    refused(real, REAL + 1, "the end: 1 bytes too many, at byte 44 of the notification");
    refused("nixlSerDes|name\0\0\0\0\0\0\0\0|msg\0\0\0\0\0\0\0\0|", REAL - 8, "name: is empty");
}

static void test_lengths_that_wrap_are_refused(void **state)
{
    (void)state;
    char bad[REAL];
    for (uint64_t back = 1; back <= 2 * REAL; back++) {
        memcpy(bad, real, REAL);
        nxi_put64(bad + NAME + 4, 0 - back);
        refused(bad, REAL, "name: has 184467440737");
        memcpy(bad, real, REAL);
        nxi_put64(bad + MSG + 3, 0 - back);
        refused(bad, REAL, "msg: has 184467440737");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_real_notification_is_read),
        cmocka_unit_test(test_we_write_the_very_bytes_that_nixl_writes),
        cmocka_unit_test(test_a_message_may_be_empty_or_binary),
        cmocka_unit_test(test_a_payload_has_a_limit),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_what_nixl_does_not_write_is_refused_by_field),
        cmocka_unit_test(test_lengths_that_wrap_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
