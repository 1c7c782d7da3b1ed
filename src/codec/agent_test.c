/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sodium.h>
#include <zlib.h>

#include "base/bytes.h"
#include "base/error.h"
#include "base/mem.h"
#include "codec/agent.h"
#include "codec/ucx_address.h"
#include "codec/vectors_test.h"

/* Decodes a copy of exact size, so that a sanitizer sees every byte too far. */
static int decode(const void *bytes, size_t len, struct nxi_agent **ret_a)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    int r = nxi_agent_decode(copy, len, ret_a);
    free(copy);
    return r;
}

static void assert_detail(const char *part)
{
    if (!strstr(nxc_err_detail(), part))
        fail_msg("\"%s\" does not say \"%s\"", nxc_err_detail(), part);
}

static struct nxi_span span(const char *bytes, size_t len)
{
    return (struct nxi_span){ (const uint8_t *)bytes, len };
}

#define SPAN(text) span(text, sizeof text - 1)

/* A worker address of version 1 without devices and an rkey without memory domains. */
#define UCX_ADDR SPAN("\x20worker 1\xff")
#define RKEY     SPAN("\0\0\0\0\0\0\0\0\0\xff")

/* Encodes and decodes. */
static int through(const char *name, const struct nxi_agent_conn *conns, size_t n_conns,
                   const struct nxi_agent_section *sections, size_t n_sections, struct nxi_agent **ret_a)
{
    uint8_t *blob;
    size_t   len;
    assert_int_equal(nxi_agent_encode(name, conns, n_conns, sections, n_sections, &blob, &len), 0);
    int r = decode(blob, len, ret_a);
    free(blob);
    return r;
}

static void conns_refused(const struct nxi_agent_conn *conns, size_t n, const char *why)
{
    struct nxi_agent *a;
    assert_int_equal(through("w", conns, n, NULL, 0, &a), NXC_EFORMAT);
    assert_detail(why);
    assert_detail("at byte ");
}

static void section_refused(struct nxi_agent_section sec, const char *why)
{
    struct nxi_agent_conn ucx = { SPAN("UCX"), UCX_ADDR };
    struct nxi_agent     *a;
    assert_int_equal(through("w", &ucx, 1, &sec, 1, &a), NXC_EFORMAT);
    assert_detail(why);
    assert_detail("at byte ");
}

static int rkey_result(struct nxi_span rkey)
{
    struct nxi_agent_conn    ucx = { SPAN("UCX"), UCX_ADDR };
    struct nxi_agent_desc    desc = { 4096, 1, 0, rkey };
    struct nxi_agent_section sec = { SPAN("UCX"), 0, 1, &desc };
    struct nxi_agent        *a = NULL;
    int                      r = through("w", &ucx, 1, &sec, 1, &a);
    nxi_agent_unref(a);
    return r;
}

static size_t native_info(uint8_t *buf)
{
    struct nxi_entry e = { .version = 1, .version_min = 1, .instance = "instance", .n = 1 };
    e.addrs[0].tag = NXI_ADDR_SHM;
    return nxi_entry_encode(&e, buf);
}

/* ---- without vectors ----------------------------------------------------- */

static void test_a_blob_reads_back_the_same(void **state)
{
    (void)state;
    uint8_t                  info[NXI_ENTRY_MAX];
    struct nxi_agent_conn    conns[] = { { SPAN("NXC"), { info, native_info(info) } }, { SPAN("UCX"), UCX_ADDR } };
    struct nxi_agent_desc    descs[] = { { 1, 2, 3, RKEY }, { UINT64_MAX - 1, 1, UINT64_MAX, RKEY } };
    struct nxi_agent_section secs[] = { { SPAN("UCX"), 0, 2, descs }, { SPAN("UCX"), 4, 1, descs } };
    struct nxi_agent        *a;
    assert_int_equal(through("w\xc3\xb6rker|1", conns, 2, secs, 2, &a), 0);
    assert_string_equal(a->name, "w\xc3\xb6rker|1");
    assert_int_equal(a->n_conns, 2);
    assert_int_equal(a->n_sections, 2);
    assert_true(a->has_native);
    assert_int_equal(a->native_err, 0);
    assert_memory_equal(a->native.instance, "instance", 9);
    assert_int_equal(a->native.n, 1);
    assert_int_equal(a->sections[1].mem_type, 4);
    assert_true(a->sections[0].descs[1].addr == UINT64_MAX - 1 && a->sections[0].descs[1].dev == UINT64_MAX);
    assert_int_equal(a->sections[0].descs[1].meta.len, 10);
    struct nxi_agent *twin = nxi_agent_ref(a);
    nxi_agent_unref(a);
    assert_string_equal(twin->name, "w\xc3\xb6rker|1");
    nxi_agent_unref(twin);
    nxi_agent_unref(NULL);
}

static void test_connections_and_sections_are_found_by_backend(void **state)
{
    (void)state;
    struct nxi_agent_conn    conns[] = { { SPAN("UC"), SPAN("x") }, { SPAN("UCX"), UCX_ADDR } };
    struct nxi_agent_desc    desc = { 1, 2, 3, RKEY };
    struct nxi_agent_section secs[] = {
        { SPAN("UCX"), 1, 1, &desc }, { SPAN("UCXX"), 0, 1, &desc }, { SPAN("UCX"), 0, 1, &desc }
    };
    struct nxi_agent *a;
    assert_int_equal(through("w", conns, 2, secs, 3, &a), 0);
    assert_ptr_equal(nxi_agent_conn_find(a, "UCX"), &a->conns[1]);
    assert_ptr_equal(nxi_agent_section_find(a, "UCX", 0), &a->sections[2]);
    assert_ptr_equal(nxi_agent_section_find(a, "UCX", 1), &a->sections[0]);
    assert_null(nxi_agent_conn_find(a, "U"));
    assert_null(nxi_agent_conn_find(a, "NXC"));
    assert_null(nxi_agent_section_find(a, "UCX", 2));
    assert_null(nxi_agent_section_find(a, "UC", 0));
    nxi_agent_unref(a);
}

static void test_names_that_are_no_text_are_refused(void **state)
{
    (void)state;
    struct nxi_agent_conn conn = { SPAN("OTHER"), SPAN("x") };
    struct nxi_agent     *a;
    char                  name[1026];
    memset(name, 'n', sizeof name);
    name[1025] = '\0';
    assert_int_equal(through(name, &conn, 1, NULL, 0, &a), NXC_EFORMAT);
    assert_detail("Agent: has 1025 bytes");
    name[1024] = '\0';
    assert_int_equal(through(name, &conn, 1, NULL, 0, &a), 0);
    nxi_agent_unref(a);
    assert_int_equal(through("\xff", &conn, 1, NULL, 0, &a), NXC_EFORMAT);
    assert_detail("Agent: is not UTF-8");
    assert_int_equal(through("", &conn, 1, NULL, 0, &a), NXC_EFORMAT);
    assert_detail("Agent: is empty");
    uint8_t *blob;
    size_t   len;
    assert_int_equal(nxi_agent_encode("nul", &conn, 1, NULL, 0, &blob, &len), 0);
    blob[11 + 5 + 8 + 1] = '\0';
    assert_int_equal(decode(blob, len, &a), NXC_EFORMAT);
    assert_detail("Agent: is not UTF-8");
    free(blob);
}

static void test_bad_connections_are_refused(void **state)
{
    (void)state;
    uint8_t               info[NXI_ENTRY_MAX], big[NXI_UCX_ADDRESS_MAX + 1] = { 0x20 };
    size_t                len = native_info(info);
    struct nxi_agent_conn twins[] = { { SPAN("NXC"), { info, len } }, { SPAN("NXC"), { info, len } } };
    conns_refused(twins, 2, "Conns[1].t: is the backend of Conns[0] again");
    conns_refused(&(struct nxi_agent_conn){ SPAN(""), SPAN("x") }, 1, "Conns[0].t: is empty");
    conns_refused(&(struct nxi_agent_conn){ SPAN("UCX"), SPAN("") }, 1, "Conns[0].c: is empty");
    conns_refused(&(struct nxi_agent_conn){ SPAN("UCX"), SPAN("\x22xx") }, 1, "Conns[0].c: is a worker address of");
    conns_refused(&(struct nxi_agent_conn){ SPAN("UCX"), { big, sizeof big } }, 1, "Conns[0].c: has 65537 bytes");
    conns_refused(&(struct nxi_agent_conn){ SPAN("NXC"), { info, len - 1 } }, 1, "Conns[0].c: address 0 is cut off");
    conns_refused(NULL, 0, "Conns");
    char                  names[65];
    struct nxi_agent_conn many[65];
    for (int i = 0; i < 65; i++) {
        names[i] = (char)(' ' + i);
        many[i] = (struct nxi_agent_conn){ span(&names[i], 1), SPAN("x") };
    }
    conns_refused(many, 65, "Conns: is 65, at most 64");
    struct nxi_agent *a;
    assert_int_equal(through("w", many, 64, NULL, 0, &a), 0);
    nxi_agent_unref(a);
}

static void test_a_worker_address_has_the_structure_that_ucx_reads(void **state)
{
    (void)state;
    static const struct {
        const char *bytes;
        size_t      len;
        const char *why;
    } bad[] = {
        { "\x20worker 1", 9, "Conns[0].c: worker address, device 1, transport 0: memory domain is cut off at" },
        { "\x20worker 1\xff\xff", 11, "Conns[0].c: worker address, 1 bytes too many at its byte 10, at byte 61" },
        { "\x20worker 1\x01\xe0z", 12, "Conns[0].c: worker address, device 1, transport 0: device number is" },
        { "\x20worker 1\x81\x9fz", 12, "Conns[0].c: worker address, device 1, transport 0: device address is" },
        { "\x20worker 1\x81\x01z\x81\x01z", 15, "device 3, transport 0: memory domain is cut off" },
        { "\x31\x02worker 1\x7f\x40\x80", 13, "device 1, transport 1: name is cut off" },
        { "\x30worker 1\xff", 10, "name is cut off" },
        { "\x10worker 1\xff", 10, "there is no worker's number" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        conns_refused(&(struct nxi_agent_conn){ SPAN("UCX"), span(bad[i].bytes, bad[i].len) }, 1, bad[i].why);
}

static void test_an_entry_of_another_version_is_kept_as_such(void **state)
{
    (void)state;
    struct nxi_agent_conn conn = { SPAN("NXC"), SPAN("\x07\x00\x05\x00whatever") };
    struct nxi_agent     *a;
    assert_int_equal(through("w", &conn, 1, NULL, 0, &a), 0);
    assert_true(a->has_native);
    assert_int_equal(a->native_err, NXC_EVERSION);
    assert_int_equal(a->native.version, 7);
    assert_int_equal(a->native.version_min, 5);
    nxi_agent_unref(a);
}

static void test_bad_sections_are_refused(void **state)
{
    (void)state;
    struct nxi_agent_desc ok = { 4096, 1, 0, RKEY }, zero = { 4096, 0, 0, RKEY };
    struct nxi_agent_desc wraps = { UINT64_MAX, 1, 0, RKEY }, twins[] = { { 8, 1, 0, RKEY }, ok, { 8, 1, 0, RKEY } };
    section_refused((struct nxi_agent_section){ SPAN(""), 0, 1, &ok }, "nixlSecElms[0].bknd: is empty");
    section_refused((struct nxi_agent_section){ SPAN("UCX"), 5, 1, &ok }, "nixlSecElms[0].t: is memory type 5");
    section_refused((struct nxi_agent_section){ SPAN("UCX"), -1, 1, &ok }, "nixlSecElms[0].t: is memory type -1");
    section_refused((struct nxi_agent_section){ SPAN("UCX"), 0, 0, NULL }, "nixlSecElms[0].n: is 0");
    section_refused((struct nxi_agent_section){ SPAN("UCX"), 0, 1, &zero }, "nixlSecElms[0].descs[0]: len is 0");
    section_refused((struct nxi_agent_section){ SPAN("UCX"), 0, 1, &wraps }, "nixlSecElms[0].descs[0]: addr + len");
    section_refused((struct nxi_agent_section){ SPAN("ANY"), 0, 3, twins }, "addr 0x8, len 1, dev 0 is there twice");
    struct nxi_agent_conn    conn = { SPAN("UCX"), UCX_ADDR };
    struct nxi_agent_section secs[] = { { SPAN("UCX"), 1, 1, &ok }, { SPAN("UCX"), 1, 1, &ok } };
    struct nxi_agent        *a;
    assert_int_equal(through("w", &conn, 1, secs, 2, &a), NXC_EFORMAT);
    assert_detail("nixlSecElms[1].t: is the memory type of nixlSecElms[0] again");
}

static void test_a_descriptor_too_short_for_its_numbers_is_refused(void **state)
{
    (void)state;
    struct nxi_agent_desc    descs[] = { { 1, 1, 0, SPAN("0123456789") }, { 2, 1, 0, SPAN("0123456789") } };
    struct nxi_agent_section sec = { SPAN("OTHER"), 0, 2, descs };
    struct nxi_agent        *a;
    uint8_t                 *blob;
    size_t                   len;
    assert_int_equal(nxi_agent_encode("w", NULL, 0, &sec, 1, &blob, &len), 0);
    /* The first of the two, of 34 bytes, now says 23. */
    uint8_t *first = blob + len - 2 * (8 + 34 + 1);
    nxi_put64(first, 23);
    first[8 + 23] = '|';
    assert_int_equal(decode(blob, len, &a), NXC_EFORMAT);
    assert_detail("nixlSecElms[0].descs[0]: has 23 bytes, at least 24");
    free(blob);
}

static void test_lengths_that_wrap_are_refused(void **state)
{
    (void)state;
    struct nxi_agent_conn conn = { SPAN("OTHER"), SPAN("x") };
    struct nxi_agent     *a;
    uint8_t              *blob;
    size_t                len;
    assert_int_equal(nxi_agent_encode("w", &conn, 1, NULL, 0, &blob, &len), 0);
    for (uint64_t back = 1; back <= 2 * len; back++) {
        nxi_put64(blob + 11 + 5, 0 - back);
        assert_int_equal(decode(blob, len, &a), NXC_EFORMAT);
        assert_detail("Agent: has 184467440737");
    }
    free(blob);
}

static void test_descriptors_out_of_order_are_sorted(void **state)
{
    (void)state;
    struct nxi_agent_desc descs[] = {
        { 9, 1, 1, SPAN("d") }, { 9, 2, 0, SPAN("c") }, { 9, 1, 0, SPAN("b") }, { 8, 7, 0, SPAN("a") }
    };
    struct nxi_agent_section sec = { SPAN("OTHER"), 0, 4, descs };
    struct nxi_agent        *a;
    assert_int_equal(through("w", NULL, 0, &sec, 1, &a), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(*a->sections[0].descs[i].meta.ptr, "abcd"[i]);
    nxi_agent_unref(a);
}

static void test_an_rkey_has_the_structure_that_ucx_unpacks(void **state)
{
    (void)state;
    assert_int_equal(rkey_result(SPAN("\0\0\0\0\0\0\0\0\0")), 0);
    assert_int_equal(rkey_result(SPAN("\x13\0\0\0\0\0\0\0\0\0\x02xy\0\xff")), 0);
    assert_int_equal(rkey_result(SPAN("\0\0\0\0\0\0\0\0\x08\xff\x01\x02\x03")), 0);
    char long_tail[9 + 257] = { 0 };
    assert_int_equal(rkey_result(span(long_tail, 9 + 256)), 0);
    static const struct {
        const char *bytes;
        size_t      len;
        const char *why;
    } bad[] = {
        { "", 0, "rkey of 0 bytes" },
        { "\0\0\0\0\0\0\0\0", 8, "rkey of 8 bytes" },
        { "\0\0\0\0\0\0\0\0\x09", 9, "rkey of memory type 9" },
        { "\x01\0\0\0\0\0\0\0\0", 9, "rkey is cut off" },
        { "\x01\0\0\0\0\0\0\0\0\x01", 10, "rkey is cut off" },
        { "\x03\0\0\0\0\0\0\0\0\x01z", 11, "rkey is cut off" },
        { "\x01\0\0\0\0\0\0\0\0\xffz", 11, "rkey is cut off" },
        { "\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0", 12, "rkey is cut off" },
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(rkey_result(span(bad[i].bytes, bad[i].len)), NXC_EFORMAT);
        assert_detail(bad[i].why);
        assert_detail("nixlSecElms[0].descs[0]: ");
    }
    assert_int_equal(rkey_result(span(long_tail, sizeof long_tail)), NXC_EFORMAT);
    assert_detail("rkey with 257 bytes too many");
}

static void test_a_text_turns_back_into_its_blob(void **state)
{
    (void)state;
    uint8_t  blob[5000], *back;
    size_t   len;
    char    *text;
    unsigned seed = 1;
    for (size_t i = 0; i < sizeof blob; i++)
        blob[i] = (uint8_t)((seed = seed * 1103515245 + 12345) >> 16 & (i % 3 ? 0xff : 0));
    for (int hex = 0; hex <= 1; hex++) {
        for (size_t n = 1; n <= sizeof blob; n = n * 3 + 1) {
            assert_int_equal(nxi_blob_to_text(blob, n, hex, &text), 0);
            assert_int_equal(strncmp(text, hex ? "789c" : "b64:eJ", hex ? 4 : 6), 0); /* level 6 */
            assert_int_equal(nxi_blob_from_text(text, strlen(text), &back, &len), 0);
            assert_int_equal(len, n);
            assert_memory_equal(back, blob, n);
            free(back);
            free(text);
        }
    }
}

static void test_hex_in_either_case_and_not_packed_is_read(void **state)
{
    (void)state;
    static const char *const texts[] = { "6e69786c5365724465737c00fFaBc7", "6E69786C5365724465737C00fFaBc7" };
    uint8_t                 *back;
    size_t                   len;
    for (size_t i = 0; i < 2; i++) {
        assert_int_equal(nxi_blob_from_text(texts[i], strlen(texts[i]), &back, &len), 0);
        assert_int_equal(len, 15);
        assert_memory_equal(back, "nixlSerDes|\x00\xff\xab\xc7", 15);
        free(back);
    }
    assert_int_equal(nxi_blob_from_text("789C030000000001", 16, &back, &len), 0);
    assert_int_equal(len, 0);
    free(back);
}

static void test_bad_texts_are_refused_with_their_position(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } bad[] = {
        { "", "is empty, at byte 0" },
        { "b64:", "is empty, at byte 4" },
        { "abc", "bad hex" },
        { "abxg", "bad hex, at byte 2" },
        { "ab cd", "bad hex, at byte 2" },
        { "abcd", "bad zlib stream" },
        { "B64:eJw=", "bad hex" },
        { "b64:====", "bad base64" },
        { "b64:eJzL$6zI", "bad base64, at byte 8" },
        { "b64:eJzL-_zI", "bad base64, at byte 8" },
        { "b64:eJw", "bad base64" },
        { "b64:eJw\n", "bad base64" },
        { "b64:eJw=", "zlib stream is cut off" },
        { "b64:AAEA", "bad zlib stream (incorrect header check)" },
        { "b64:eLsAAAAB", "bad zlib stream (wants a dictionary)" },
    };
    uint8_t *back;
    size_t   len;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(nxi_blob_from_text(bad[i].text, strlen(bad[i].text), &back, &len), NXC_EFORMAT);
        assert_detail(bad[i].why);
    }
}

static void test_no_cut_changed_or_longer_zlib_stream_is_taken(void **state)
{
    (void)state;
    uint8_t *back;
    char    *good;
    size_t   len;
    assert_int_equal(nxi_blob_to_text((const uint8_t *)"some blob, some blob, some blob", 31, false, &good), 0);
    size_t n = strlen(good);
    for (size_t cut = 8; cut < n; cut += 4) {
        assert_int_equal(nxi_blob_from_text(good, cut, &back, &len), NXC_EFORMAT);
        assert_detail(cut % 4 ? "base64" : "cut off");
    }
    free(good);
    /* An empty stream, whole; one with a byte behind it; one whose checksum is wrong. */
    assert_int_equal(nxi_blob_from_text("b64:eJwDAAAAAAE=", 16, &back, &len), 0);
    assert_int_equal(len, 0);
    free(back);
    assert_int_equal(nxi_blob_from_text("b64:eJwDAAAAAAEA", 16, &back, &len), NXC_EFORMAT);
    assert_detail("1 bytes too many");
    assert_int_equal(nxi_blob_from_text("b64:eJwDAAAAAAI=", 16, &back, &len), NXC_EFORMAT);
    assert_detail("incorrect data check");
}

/* The text of so many zeros, packed by zlib itself. */
static char *bomb(size_t inflated)
{
    uLong    packed_len = compressBound(inflated);
    uint8_t *zeros = calloc(1, inflated), *packed = malloc(packed_len);
    assert_int_equal(compress2(packed, &packed_len, zeros, inflated, 9), Z_OK);
    size_t size = sodium_base64_encoded_len(packed_len, sodium_base64_VARIANT_ORIGINAL);
    char  *text = malloc(4 + size);
    sodium_bin2base64(memcpy(text, "b64:", 4) + 4, size, packed, packed_len, sodium_base64_VARIANT_ORIGINAL);
    free(packed);
    free(zeros);
    return text;
}

static void test_a_bomb_is_refused_at_the_limit(void **state)
{
    (void)state;
    uint8_t *back;
    size_t   len;
    char    *text = bomb(NXI_AGENT_MAX);
    assert_int_equal(nxi_blob_from_text(text, strlen(text), &back, &len), 0);
    assert_int_equal(len, NXI_AGENT_MAX);
    free(back);
    free(text);
    for (size_t over = 1; over < 64u << 20; over *= 64) {
        text = bomb(NXI_AGENT_MAX + over);
        assert_int_equal(nxi_blob_from_text(text, strlen(text), &back, &len), NXC_EFORMAT);
        assert_detail("inflates to more than 16777216 bytes");
        free(text);
    }
}

static void test_every_failed_allocation_is_ENOMEM_and_leaks_nothing(void **state)
{
    (void)state;
    uint8_t                  info[NXI_ENTRY_MAX], *blob, *back;
    struct nxi_agent_conn    conns[] = { { SPAN("NXC"), { info, native_info(info) } }, { SPAN("UCX"), UCX_ADDR } };
    struct nxi_agent_desc    descs[] = { { 1, 2, 3, RKEY } };
    struct nxi_agent_section secs[] = { { SPAN("UCX"), 0, 1, descs }, { SPAN("UCX"), 1, 1, descs } };
    struct nxi_agent        *a;
    char                    *text;
    size_t                   len;
    int                      r;
    nxi_mem_fail(1, false);
    assert_int_equal(nxi_agent_encode("w", conns, 2, secs, 2, &blob, &len), NXC_ENOMEM);
    assert_int_equal(nxi_agent_encode("w", conns, 2, secs, 2, &blob, &len), 0);
    unsigned nth = 1;
    for (r = NXC_ENOMEM; r == NXC_ENOMEM; nth++) {
        nxi_mem_fail(nth, false);
        r = nxi_agent_decode(blob, len, &a);
    }
    nxi_mem_fail(0, false);
    assert_int_equal(r, 0);
    assert_int_equal(nth, 7); /* agent, connections, sections, two lists: five fail */
    nxi_agent_unref(a);
    for (nth = 1, r = NXC_ENOMEM; r == NXC_ENOMEM; nth++) {
        nxi_mem_fail(nth, false);
        r = nxi_blob_to_text(blob, len, false, &text);
    }
    nxi_mem_fail(0, false);
    assert_int_equal(r, 0);
    assert_true(nth > 4);
    for (nth = 1, r = NXC_ENOMEM; r == NXC_ENOMEM; nth++) {
        nxi_mem_fail(nth, false);
        r = nxi_blob_from_text(text, strlen(text), &back, &len);
    }
    nxi_mem_fail(0, false);
    assert_int_equal(r, 0);
    assert_true(nth > 4);
    free(back);
    free(text);
    free(blob);
}

/* ---- with vectors -------------------------------------------------------- */

static struct nxi_agent *load(const char *path)
{
    size_t            len;
    char             *bytes = vectors_load(path, &len);
    struct nxi_agent *a = NULL;
    if (decode(bytes, len, &a) != 0)
        fail_msg("%s: %s", path, nxc_err_detail());
    free(bytes);
    return a;
}

static void check_real(const char *path)
{
    char json[4096];
    vectors_beside(path, ".bin", ".json", json);
    struct nxi_agent *a = load(path);
    yajl_val          v = vectors_json(json);
    vectors_assert_agent(a, vectors_get(v, "parsed"));
    yajl_tree_free(v);
    nxi_agent_unref(a);
}

static void check_of_ticket(const char *path)
{
    char json[4096];
    vectors_beside(path, ".md.bin", ".info.json", json);
    struct nxi_agent *a = load(path);
    yajl_val          v = vectors_json(json);
    vectors_assert_agent(a, vectors_get(v, "nixl_metadata_parsed"));
    yajl_tree_free(v);
    nxi_agent_unref(a);
}

static void test_every_real_blob_reads_as_its_json_says(void **state)
{
    (void)state;
    assert_true(vectors_each("nixl-*.bin", check_real) >= 55);
    assert_true(vectors_each("rdma-*.md.bin", check_of_ticket) >= 4);
}

static void check_encoded(const char *path)
{
    size_t            len, n;
    uint8_t          *blob;
    char             *bytes = vectors_load(path, &len);
    struct nxi_agent *a = load(path);
    assert_int_equal(nxi_agent_encode(a->name, a->conns, a->n_conns, a->sections, a->n_sections, &blob, &n), 0);
    if (strstr(path, "nixl-0.3") || strstr(path, "nixl-0.5")) {
        /* The older form has one field more, in each section. */
        assert_int_equal(n, len - a->n_sections * (1 + 8 + 1 + 1));
    } else {
        assert_int_equal(n, len);
        assert_memory_equal(blob, bytes, len);
    }
    free(blob);
    nxi_agent_unref(a);
    free(bytes);
}

static void test_we_write_the_very_bytes_that_nixl_writes(void **state)
{
    (void)state;
    assert_true(vectors_each("nixl-*.bin", check_encoded) >= 55);
    assert_true(vectors_each("rdma-*.md.bin", check_encoded) >= 4);
    assert_int_equal(vectors_each("syn-[0-9r]*.bin", check_encoded), 3);
}

static struct nxi_agent *load_named(const char *name)
{
    char path[4096];
    snprintf(path, sizeof path, "%s/%s", vectors_dir(), name);
    return load(path);
}

static void test_valid_blobs_made_by_hand_are_read(void **state)
{
    (void)state;
    struct nxi_agent *a = load_named("syn-100descs.bin");
    assert_string_equal(a->name, "syn-agent");
    assert_int_equal(a->n_sections, 1);
    assert_int_equal(a->sections[0].n, 100);
    assert_true(a->sections[0].descs[1].addr == 1056768 && a->sections[0].descs[1].len == 4096);
    nxi_agent_unref(a);

    a = load_named("syn-2sections-ucx.bin");
    assert_int_equal(a->n_sections, 2);
    assert_int_equal(a->sections[0].n, 2);
    assert_int_equal(a->sections[0].mem_type, 0);
    assert_int_equal(a->sections[1].mem_type, 1);
    assert_true(a->sections[1].descs[0].addr == 139637976727552 && a->sections[1].descs[0].dev == 3);
    nxi_agent_unref(a);

    a = load_named("syn-rkey-with-pipe.bin");
    assert_true(a->sections[0].descs[0].addr == 2088533116 && a->sections[0].descs[0].len == 0x7c);
    assert_int_equal(a->sections[0].descs[0].dev, 0x7c);
    assert_int_equal(a->sections[0].descs[0].meta.len, 10);
    nxi_agent_unref(a);
}

static const struct {
    const char *name, *why;
} hostile[] = {
    { "agent-empty", "Agent: is empty" },
    { "desc-10-bytes", "nixlSecElms[0].n: is 1, too many for the 19 bytes left" },
    { "desc-len-2-64-1", "nixlSecElms[0].descs[0]: addr + len wraps" },
    { "dup-descs-diff-rkey", "nixlSecElms[0].descs: addr 0x10000, len 4096, dev 0 is there twice" },
    { "empty", "magic: is missing" },
    { "huge-count", "nixlSecElms[0].n: is 18446744073709551615, too many" },
    { "just-magic", "Agent: is cut off" },
    { "nconn-2-63", "Conns: is 9223372036854775808, too many" },
    { "ndesc-0", "nixlSecElms[0].n: is 0" },
    { "rkey-1-byte", "nixlSecElms[0].descs[0]: rkey of 1 bytes" },
    { "string-length-wraps-2-64-8", "Agent: has 18446744073709551608 bytes" },
    { "trailing---replaced-by-X-after-Agent", "Agent: does not end with '|'" },
    { "trailing-junk", "the end: 4 bytes too many" },
    { "truncated-before-nixlSecElms", "nixlSecElms: is cut off" },
};

static size_t hostile_known;

static void check_hostile(const char *path)
{
    size_t            len, i = 0, n = sizeof hostile / sizeof *hostile;
    char             *bytes = vectors_load(path, &len), name[128];
    struct nxi_agent *a = NULL;
    int               r = decode(bytes, len, &a);
    free(bytes);
    if (strstr(path, "-nconn-0.bin")) {
        /* Well-formed partial metadata, which real workers make too (*-partial-noconn):
         * what is wrong with it is that a ticket needs more, and ticket_test sees to that. */
        assert_int_equal(r, 0);
        assert_int_equal(a->n_conns, 0);
        nxi_agent_unref(a);
        return;
    }
    assert_int_equal(r, NXC_EFORMAT);
    assert_detail("at byte ");
    do
        snprintf(name, sizeof name, "syn-hostile-%s.bin", hostile[i].name);
    while (!strstr(path, name) && ++i < n);
    if (i == n)
        return; /* a vector that is newer than this test */
    assert_detail(hostile[i].why);
    hostile_known++;
}

static void test_every_hostile_blob_is_refused_by_field(void **state)
{
    (void)state;
    assert_true(vectors_each("syn-hostile-*.bin", check_hostile) >= 15);
    assert_int_equal(hostile_known, sizeof hostile / sizeof *hostile);
}

static void check_cuts_and_changes(const char *path)
{
    size_t            len;
    uint8_t          *bytes = (uint8_t *)vectors_load(path, &len);
    struct nxi_agent *a;
    for (size_t cut = 0; cut < len; cut++)
        assert_int_equal(decode(bytes, cut, &a), NXC_EFORMAT);
    for (size_t at = 0; at < len; at++) {
        static const uint8_t values[] = { 0x00, 0x01, 0x7c, 0x7f, 0x80, 0xff };
        uint8_t              was = bytes[at];
        for (size_t i = 0; i < sizeof values; i++) {
            bytes[at] = values[i];
            a = NULL;
            int r = decode(bytes, len, &a);
            assert_true(r == 0 || r == NXC_EFORMAT);
            nxi_agent_unref(a);
        }
        bytes[at] = was;
    }
    free(bytes);
}

static void test_cut_and_changed_blobs_are_read_safely(void **state)
{
    (void)state;
    assert_int_equal(vectors_each("nixl-[01].5.1-3desc.bin", check_cuts_and_changes), 2);
    assert_int_equal(vectors_each("syn-2sections-ucx.bin", check_cuts_and_changes), 1);
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(test_a_blob_reads_back_the_same),
        cmocka_unit_test(test_connections_and_sections_are_found_by_backend),
        cmocka_unit_test(test_names_that_are_no_text_are_refused),
        cmocka_unit_test(test_bad_connections_are_refused),
        cmocka_unit_test(test_a_worker_address_has_the_structure_that_ucx_reads),
        cmocka_unit_test(test_an_entry_of_another_version_is_kept_as_such),
        cmocka_unit_test(test_bad_sections_are_refused),
        cmocka_unit_test(test_a_descriptor_too_short_for_its_numbers_is_refused),
        cmocka_unit_test(test_lengths_that_wrap_are_refused),
        cmocka_unit_test(test_descriptors_out_of_order_are_sorted),
        cmocka_unit_test(test_an_rkey_has_the_structure_that_ucx_unpacks),
        cmocka_unit_test(test_a_text_turns_back_into_its_blob),
        cmocka_unit_test(test_hex_in_either_case_and_not_packed_is_read),
        cmocka_unit_test(test_bad_texts_are_refused_with_their_position),
        cmocka_unit_test(test_no_cut_changed_or_longer_zlib_stream_is_taken),
        cmocka_unit_test(test_a_bomb_is_refused_at_the_limit),
        cmocka_unit_test(test_every_failed_allocation_is_ENOMEM_and_leaks_nothing),
    };
    const struct CMUnitTest with_vectors[] = {
        cmocka_unit_test(test_every_real_blob_reads_as_its_json_says),
        cmocka_unit_test(test_we_write_the_very_bytes_that_nixl_writes),
        cmocka_unit_test(test_valid_blobs_made_by_hand_are_read),
        cmocka_unit_test(test_every_hostile_blob_is_refused_by_field),
        cmocka_unit_test(test_cut_and_changed_blobs_are_read_safely),
    };
    int failed = cmocka_run_group_tests(alone, NULL, NULL);
    if (failed)
        return failed;
    return vectors_dir() ? cmocka_run_group_tests(with_vectors, NULL, NULL) : 77;
}
