/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/error.h"
#include "codec/entry.h"

enum { FIXED = 36 };

/* version 1 to 1, instance 0x11.., link key 0x22.., then what the test appends. */
static size_t fixed_part(uint8_t *buf)
{
    nxi_put16(buf, 1);
    nxi_put16(buf + 2, 1);
    memset(buf + 4, 0x11, NXI_INSTANCE_LEN);
    memset(buf + 20, 0x22, NXI_LINK_KEY_LEN);
    return FIXED;
}

/* Decodes a copy of exact size, so that a sanitizer sees every byte too far. */
static int decode(const uint8_t *bytes, size_t len, struct nxi_entry *ret_e)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    int r = nxi_entry_decode(copy, len, ret_e);
    free(copy);
    return r;
}

static void refused(const uint8_t *bytes, size_t len, const char *why)
{
    struct nxi_entry e;
    assert_int_equal(decode(bytes, len, &e), NXC_EFORMAT);
    if (!strstr(nxc_err_detail(), why) || !strstr(nxc_err_detail(), "at byte "))
        fail_msg("\"%s\" names no \"%s\" or no position", nxc_err_detail(), why);
}

static void test_an_entry_has_the_documented_bytes(void **state)
{
    (void)state;
    struct nxi_entry e = { .version = 1, .version_min = 1, .n = 2 };
    uint8_t          buf[NXI_ENTRY_MAX], want[FIXED + 2 + 8];
    memset(e.instance, 0x11, sizeof e.instance);
    memset(e.link_key, 0x22, sizeof e.link_key);
    e.addrs[0] = (struct nxi_addr){ .tag = NXI_ADDR_SHM };
    e.addrs[1] = (struct nxi_addr){ NXI_ADDR_TCP4, 6, { 192, 0, 2, 7, 0x1b, 0x58 } };
    fixed_part(want);
    memcpy(want + FIXED, "\x01\x00\x02\x06\xc0\x00\x02\x07\x1b\x58", 10);
    assert_int_equal(nxi_entry_encode(&e, buf), sizeof want);
    assert_memory_equal(buf, want, sizeof want);
}

static void test_the_largest_entry_reads_back_the_same(void **state)
{
    (void)state;
    struct nxi_entry e, back;
    uint8_t          buf[NXI_ENTRY_MAX];
    memset(&e, 0, sizeof e);
    e.version = 1;
    e.version_min = 1;
    e.instance[15] = 1;
    e.n = NXI_ENTRY_ADDRS;
    for (size_t i = 0; i < e.n; i++) {
        e.addrs[i].tag = NXI_ADDR_TCP6;
        e.addrs[i].len = 18;
        memset(e.addrs[i].bytes, (int)i, 18);
    }
    size_t len = nxi_entry_encode(&e, buf);
    assert_true(len <= NXI_ENTRY_MAX);
    memset(&back, 0, sizeof back);
    assert_int_equal(decode(buf, len, &back), 0);
    assert_memory_equal(&back, &e, sizeof e);
}

static void test_every_cut_is_refused(void **state)
{
    (void)state;
    uint8_t          buf[64];
    struct nxi_entry e;
    size_t           len = fixed_part(buf);
    memcpy(buf + len, "\x02\x06\xc0\x00\x02\x07\x1b\x58", 8);
    len += 8;
    for (size_t cut = 0; cut < len; cut++) {
        if (cut == FIXED)
            assert_int_equal(decode(buf, cut, &e), 0);
        else
            refused(buf, cut, "is cut off");
    }
    assert_int_equal(decode(buf, len, &e), 0);
}

static void test_unknown_and_reserved_tags_are_skipped(void **state)
{
    (void)state;
    uint8_t          buf[512];
    struct nxi_entry e;
    size_t           len = fixed_part(buf);
    buf[len++] = 200;
    buf[len++] = 255;
    memset(buf + len, 0xee, 255);
    len += 255;
    memcpy(buf + len, "\x05\x04\x01\x00\x00\x00", 6);
    len += 6;
    buf[len++] = NXI_ADDR_TLS;
    buf[len++] = 32;
    memset(buf + len, 0xdd, 32);
    len += 32;
    memcpy(buf + len, "\x00\x00\x01\x00", 4);
    len += 4;
    assert_int_equal(decode(buf, len, &e), 0);
    assert_int_equal(e.n, 2);
    assert_int_equal(e.addrs[0].tag, NXI_ADDR_SIM);
    assert_int_equal(e.addrs[1].tag, NXI_ADDR_SHM);
}

static void test_an_entry_without_known_addresses_is_fine(void **state)
{
    (void)state;
    uint8_t          buf[FIXED];
    struct nxi_entry e;
    assert_int_equal(decode(buf, fixed_part(buf), &e), 0);
    assert_int_equal(e.n, 0);
    assert_int_equal(e.version, 1);
    assert_int_equal(e.instance[0], 0x11);
    assert_int_equal(e.link_key[15], 0x22);
}

static void test_a_known_tag_with_another_length_is_refused(void **state)
{
    (void)state;
    static const uint8_t tags[] = { NXI_ADDR_SHM, NXI_ADDR_TCP4, NXI_ADDR_TCP6, NXI_ADDR_SIM },
                         right[] = { 0, 6, 18, 4 };
    for (size_t i = 0; i < sizeof tags; i++) {
        for (unsigned len = 0; len < 40; len++) {
            uint8_t          buf[FIXED + 2 + 40] = { 0 };
            struct nxi_entry e;
            fixed_part(buf);
            buf[FIXED] = tags[i];
            buf[FIXED + 1] = (uint8_t)len;
            if (len == right[i])
                assert_int_equal(decode(buf, FIXED + 2 + len, &e), 0);
            else
                refused(buf, FIXED + 2 + len, "address of tag");
        }
    }
}

static void test_a_second_shm_and_a_seventeenth_address_are_refused(void **state)
{
    (void)state;
    uint8_t          buf[512];
    struct nxi_entry e;
    size_t           len = fixed_part(buf);
    memcpy(buf + len, "\x01\x00\x05\x04\x00\x00\x00\x00\x01\x00", 10);
    refused(buf, len + 10, "second shm");
    for (int i = 0; i < NXI_ENTRY_ADDRS; i++, len += 6)
        memcpy(buf + len, "\x05\x04\x01\x02\x03\x04", 6);
    assert_int_equal(decode(buf, len, &e), 0);
    assert_int_equal(e.n, NXI_ENTRY_ADDRS);
    memcpy(buf + len, "\x05\x04\x01\x02\x03\x04", 6);
    refused(buf, len + 6, "more than 16 addresses");
}

static void test_versions_that_are_no_range_are_refused(void **state)
{
    (void)state;
    uint8_t buf[FIXED];
    fixed_part(buf);
    nxi_put16(buf, 0);
    nxi_put16(buf + 2, 0);
    refused(buf, FIXED, "version");
    nxi_put16(buf, 1);
    refused(buf, FIXED, "version");
    nxi_put16(buf + 2, 2);
    refused(buf, FIXED, "version");
    fixed_part(buf);
    memset(buf + 4, 0, NXI_INSTANCE_LEN);
    refused(buf, FIXED, "instance");
}

static void test_another_protocol_is_EVERSION_and_names_both(void **state)
{
    (void)state;
    uint8_t          buf[FIXED];
    struct nxi_entry e;
    nxi_put16(buf, 4);
    nxi_put16(buf + 2, 3);
    /* What follows may have any form: four bytes say enough. */
    assert_int_equal(decode(buf, 4, &e), NXC_EVERSION);
    assert_string_equal(nxc_err_detail(), "the peer speaks protocol 3 to 4, this library 1");
    assert_int_equal(e.version, 4);
    assert_int_equal(e.version_min, 3);
    assert_int_equal(e.n, 0);
    assert_int_equal(nxi_entry_check(&e), NXC_EVERSION);
}

static void test_a_newer_peer_that_still_speaks_ours_is_read(void **state)
{
    (void)state;
    uint8_t          buf[FIXED];
    struct nxi_entry e;
    fixed_part(buf);
    nxi_put16(buf, 9);
    assert_int_equal(decode(buf, FIXED, &e), 0);
    assert_int_equal(e.version, 9);
    assert_int_equal(nxi_entry_check(&e), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_an_entry_has_the_documented_bytes),
        cmocka_unit_test(test_the_largest_entry_reads_back_the_same),
        cmocka_unit_test(test_every_cut_is_refused),
        cmocka_unit_test(test_unknown_and_reserved_tags_are_skipped),
        cmocka_unit_test(test_an_entry_without_known_addresses_is_fine),
        cmocka_unit_test(test_a_known_tag_with_another_length_is_refused),
        cmocka_unit_test(test_a_second_shm_and_a_seventeenth_address_are_refused),
        cmocka_unit_test(test_versions_that_are_no_range_are_refused),
        cmocka_unit_test(test_another_protocol_is_EVERSION_and_names_both),
        cmocka_unit_test(test_a_newer_peer_that_still_speaks_ours_is_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
