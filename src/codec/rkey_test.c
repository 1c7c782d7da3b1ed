/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/error.h"
#include "codec/rkey.h"
#include "codec/vectors_test.h"

/* Packed rkeys of UCX 1.13.1: over tcp and cma, the same with a tail of newer
 * releases, and one whose middle entry has bytes. */
#define EMPTY_ENTRIES "\x13\0\0\0\0\0\0\0\0\0\0\0"
#define WITH_BYTES    "\x07\0\0\0\0\0\0\x80\x01\0\x02xy\0\x01z"

static struct nxi_span span(const char *bytes, size_t len)
{
    return (struct nxi_span){ (const uint8_t *)bytes, len };
}

#define SPAN(text) span(text, sizeof text - 1)

/* Checks a copy of exact size, so that a sanitizer sees every byte too far. */
static int check(struct nxi_span s)
{
    uint8_t *copy = malloc(s.len ? s.len : 1);
    memcpy(copy, s.ptr, s.len);
    int r = nxi_rkey_check(copy, s.len);
    free(copy);
    return r;
}

static void assert_strips_to(struct nxi_span packed, struct nxi_span want)
{
    uint8_t *ret = malloc(packed.len + 1);
    assert_int_equal(check(packed), 0);
    assert_int_equal(nxi_rkey_strip(packed.ptr, packed.len, ret), want.len);
    assert_memory_equal(ret, want.ptr, want.len);
    assert_int_equal(nxi_rkey_check(ret, want.len), 0);
    /* In place, and once more. */
    memcpy(ret, packed.ptr, packed.len);
    assert_int_equal(nxi_rkey_strip(ret, packed.len, ret), want.len);
    assert_memory_equal(ret, want.ptr, want.len);
    uint8_t *again = malloc(want.len + 1);
    assert_int_equal(nxi_rkey_strip(ret, want.len, again), want.len);
    assert_memory_equal(again, want.ptr, want.len);
    free(again);
    free(ret);
}

static void test_every_cut_of_an_rkey_without_a_tail_is_refused(void **state)
{
    (void)state;
    struct nxi_span packed = SPAN(WITH_BYTES);
    assert_int_equal(check(packed), 0);
    for (size_t len = 0; len < packed.len; len++)
        assert_int_equal(check((struct nxi_span){ packed.ptr, len }), NXC_EFORMAT);
    assert_string_equal(nxc_err_detail(), "rkey is cut off");
}

static void test_what_ucx_does_not_know_or_append_is_refused(void **state)
{
    (void)state;
    uint8_t packed[9 + 257] = { 0 };
    assert_int_equal(check((struct nxi_span){ packed, 9 + 256 }), 0);
    assert_int_equal(check((struct nxi_span){ packed, 9 + 257 }), NXC_EFORMAT);
    assert_string_equal(nxc_err_detail(), "rkey with 257 bytes too many");
    packed[8] = 8;
    assert_int_equal(check((struct nxi_span){ packed, 9 }), 0);
    packed[8] = 9;
    assert_int_equal(check((struct nxi_span){ packed, 9 }), NXC_EFORMAT);
    assert_string_equal(nxc_err_detail(), "rkey of memory type 9");
}

static void test_entries_of_length_zero_are_stripped(void **state)
{
    (void)state;
    assert_strips_to(SPAN(EMPTY_ENTRIES), SPAN("\0\0\0\0\0\0\0\0\0\xff"));
    assert_strips_to(SPAN(WITH_BYTES), SPAN("\x02\0\0\0\0\0\0\x80\x01\x02xy\x01z\xff"));
}

static void test_what_needs_no_stripping_only_gets_the_unknown_device(void **state)
{
    (void)state;
    assert_strips_to(SPAN("\0\0\0\0\0\0\0\0\0"), SPAN("\0\0\0\0\0\0\0\0\0\xff"));
    assert_strips_to(SPAN("\0\0\0\0\0\0\0\0\0\xff"), SPAN("\0\0\0\0\0\0\0\0\0\xff"));
    assert_strips_to(SPAN("\x01\0\0\0\0\0\0\0\0\x01z"), SPAN("\x01\0\0\0\0\0\0\0\0\x01z\xff"));
}

static void test_a_tail_stays_as_it_is(void **state)
{
    (void)state;
    assert_strips_to(SPAN(EMPTY_ENTRIES "\x02\x01xx\x03yy\xff"), SPAN("\0\0\0\0\0\0\0\0\0\x02\x01xx\x03yy\xff"));
}

static void test_an_rkey_is_constant_when_no_entry_has_bytes(void **state)
{
    (void)state;
    static const struct {
        struct {
            const char *bytes;
            size_t      len;
        } rkey;
        bool constant;
    } cases[] = {
#define CASE(text, constant) { { text, sizeof text - 1 }, constant }
        CASE(EMPTY_ENTRIES, true),
        CASE(EMPTY_ENTRIES "\xff", true),
        CASE("\0\0\0\0\0\0\0\0\0", true),
        CASE("\0\0\0\0\0\0\0\0\0\xff", true),
        CASE(EMPTY_ENTRIES "\x02", false), /* the memory of a device that is known */
        CASE(EMPTY_ENTRIES "\xff\xff", false),
        CASE(WITH_BYTES, false),
        CASE(WITH_BYTES "\xff", false),
        CASE("\x01\0\0\0\0\0\0\0\0\x01\xff", false),
#undef CASE
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct nxi_span s = span(cases[i].rkey.bytes, cases[i].rkey.len);
        assert_int_equal(check(s), 0);
        assert_int_equal(nxi_rkey_is_constant(s.ptr, s.len), cases[i].constant);
    }
}

static void test_a_padded_rkey_has_unknown_devices_behind_it(void **state)
{
    (void)state;
    struct nxi_span packed = SPAN(WITH_BYTES);
    uint8_t        *ret = malloc(packed.len + NXI_RKEY_PAD);
    nxi_rkey_pad(packed.ptr, packed.len, ret);
    assert_memory_equal(ret, packed.ptr, packed.len);
    for (size_t i = 0; i < NXI_RKEY_PAD; i++)
        assert_int_equal(ret[packed.len + i], 0xff);
    free(ret);
}

static size_t seen, shortened;

static void check_real(const char *path)
{
    size_t            len;
    uint8_t           stripped[512];
    char             *bytes = vectors_load(path, &len);
    struct nxi_agent *a = NULL;
    if (nxi_agent_decode((uint8_t *)bytes, len, &a) != 0)
        fail_msg("%s: %s", path, nxc_err_detail());
    free(bytes);
    for (size_t i = 0; i < a->n_sections; i++) {
        for (size_t j = 0; j < a->sections[i].n; j++) {
            struct nxi_span m = a->sections[i].descs[j].meta;
            assert_true(m.len < sizeof stripped);
            assert_true(nxi_rkey_is_constant(m.ptr, m.len));
            size_t n = nxi_rkey_strip(m.ptr, m.len, stripped);
            assert_int_equal(n, 10);
            assert_memory_equal(stripped, "\0\0\0\0\0\0\0\0\0\xff", n);
            shortened += n < m.len;
            seen++;
        }
    }
    nxi_agent_unref(a);
}

static void test_every_real_rkey_of_host_memory_is_stripped_to_the_same_bytes(void **state)
{
    (void)state;
    vectors_each("nixl-*.bin", check_real);
    assert_true(seen > 50);
    assert_true(shortened > 10);
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(test_every_cut_of_an_rkey_without_a_tail_is_refused),
        cmocka_unit_test(test_what_ucx_does_not_know_or_append_is_refused),
        cmocka_unit_test(test_entries_of_length_zero_are_stripped),
        cmocka_unit_test(test_what_needs_no_stripping_only_gets_the_unknown_device),
        cmocka_unit_test(test_a_tail_stays_as_it_is),
        cmocka_unit_test(test_an_rkey_is_constant_when_no_entry_has_bytes),
        cmocka_unit_test(test_a_padded_rkey_has_unknown_devices_behind_it),
    };
    const struct CMUnitTest with_vectors[] = {
        cmocka_unit_test(test_every_real_rkey_of_host_memory_is_stripped_to_the_same_bytes),
    };
    int failed = cmocka_run_group_tests(alone, NULL, NULL);
    if (failed)
        return failed;
    return vectors_dir() ? cmocka_run_group_tests(with_vectors, NULL, NULL) : 77;
}
