/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/error.h"
#include "codec/ucx_address.h"
#include "codec/vectors_test.h"

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* What ucp_worker_get_address() gave on a machine with one network card and no RDMA. */
struct sample {
    const char *made_by, *hex;
};

static const struct sample real[] = {
    { "UCX 1.13.1, all transports, v1",
      "20e0ddb5b18847ee342000637577cc2b3200f8d74f00000000004f03c088225ed86c2d1ca31a21060002c0000202cf19"
      "17b751389763344bd7e037370013230082c53321120102308d4293d753a5c6f9ffffef00000000cf1917b75138539e3e"
      "4bd7e03737011323008293794208308d4293d753a5468d5377cc2b32004c3e5077ccab33004f23c08825800300000000"
      "004308308d4293d753a546a7d377cc2b32004c3e5077ccab33004f23c0882b2a0000040000c02488308d4293d753a546"
      "478bbd37063600242e5077ccab3300922100842b2a0000" },
    { "UCX 1.13.1, all transports, v2, with a name",
      "01032267860600c2a03a08766d3a31303930310000637544a4000080001b0388268a4ab29d72762d01060002c0000202"
      "cf190c015a0080008b008284e501120102308d4293d753a5c6f9ffffef00000000cf190c015a0180008b0082d1130208"
      "308d4293d753a5468d534475430081009b03883d000400000000000308308d4293d753a546a7d34475430081009b0388"
      "952a0000040000c00488308d4293d753a546478bfb5543000000990084952a0000" },
    { "UCX 1.13.1, tcp, v1",
      "200efc4d5bbd06fae620060002c0000202cf1917b751389763344bd7e037370013230082b54520920102308d4293d753"
      "a5c6f9ffffef00000000cf1917b75138539e3e4bd7e037370113230082d3ad" },
    { "UCX 1.13.1, posix in a folder, v1",
      "20a74da1e57c12e9852000637577cc2b3200f8d74f00000000004f03c088f38edc1a00ad7bda4188308d4293d753a546"
      "a7d377cc2b32004c3e5077ccab33004f23c08df2e3cb4f000000002f746d7000" },
    { "UCX 1.22, all transports, v1",
      "20085c27b786a7995e0000637577cc2b320040975000000000004f03c088140d5f5b6691b14001060002c0000202cf19"
      "17b751389763344bd7e037370013230082d9d1010e0102308d4293d753a5c6f9ffffefcf1917b75138539e3e4bd7e037"
      "37011323008298210208308d4293d753a5468d5377cc2b320000705077ccab33004f23c0881480040000000000030830"
      "8d4293d753a546a7d377cc2b320000705077ccab33004f23c088ae2a0000040000c00408308d4293d753a546478bbd37"
      "063600242e5077ccab330092210084ae2a00008680" },
    { "UCX 1.22, all transports, v2",
      "6102df521517882716e5000063754426000080001b03884d17219e552992e301060002c0000202cf190c015a0080008b"
      "0082b383010e0102308d4293d753a5c6f9ffffefcf190c015a0180008b008285c10208308d4293d753a5468d5344e543"
      "0081009b038817000500000000000308308d4293d753a546a7d344e5430081009b0388f42a0000040000c00488308d42"
      "93d753a546478bfb5543000000990084f42a0000" },
    { "UCX 1.22, self, v1",
      "203829407f2bf2777c0000637577cc2b320040975000000000004f03c088dc04a494edd379bf8680" },
};

/* The same in unified mode, which has a format of its own. */
static const struct sample unified[] = {
    { "UCX 1.13.1, v1",
      "203218df3882930fa4200063758000000080df6b3d0fb4ebc34821060002c0000202cf1981d7e03737a74b2112010230"
      "8d4293d753a5c6f9ffffef00000000cf1982d7e03737aadb4308308d4293d753a546a7d38477ccabb3672a0000040000"
      "c02488308d4293d753a546478b8577ccab33672a0000" },
    { "UCX 1.22, v2",
      "6102d9ad664f7c7ec5c400006375800000008074e1c8c8a0a7f8de01060002c0000202cf1981d7e03737834b010e0102"
      "308d4293d753a5c6f9ffffefcf1982d7e03737a71f0488308d4293d753a546478b8577ccab334e2b0000" },
};

struct address {
    uint8_t bytes[(64 << 10) + 512];
    size_t  len;
};

static void from_hex(const char *hex, struct address *ret)
{
    for (ret->len = 0; hex[2 * ret->len]; ret->len++)
        assert_int_equal(sscanf(hex + 2 * ret->len, "%2hhx", &ret->bytes[ret->len]), 1);
}

/* Checks a copy of exact size, so that a sanitizer sees every byte too far. */
static int check(const uint8_t *bytes, size_t len)
{
    uint8_t *copy = malloc(len ? len : 1);
    memcpy(copy, bytes, len);
    int r = nxi_ucx_address_check(copy, len);
    free(copy);
    return r;
}

static void refused(const uint8_t *bytes, size_t len, const char *why)
{
    assert_int_equal(check(bytes, len), NXC_EFORMAT);
    if (!strstr(nxc_err_detail(), why))
        fail_msg("\"%s\" does not say \"%s\"", nxc_err_detail(), why);
}

/* It passes, and neither a part of it nor anything longer does. */
static void assert_exact(const uint8_t *bytes, size_t len)
{
    uint8_t *longer = malloc(len + 1);
    if (check(bytes, len) != 0)
        fail_msg("%s", nxc_err_detail());
    for (size_t cut = 0; cut < len; cut++)
        refused(bytes, cut, cut ? " is cut off at its byte " : "is empty");
    memcpy(longer, bytes, len);
    longer[len] = 0;
    refused(longer, len + 1, "1 bytes too many at its byte ");
    free(longer);
}

static void put(struct address *a, const void *bytes, size_t len)
{
    assert_true(a->len + len <= sizeof a->bytes);
    memcpy(a->bytes + a->len, bytes, len);
    a->len += len;
}

#define PUT(a, text) put(a, text, sizeof(text) - 1)

/* One with a worker's number, in v1 or v2, to which devices are added. */
static void begin(struct address *a, int version)
{
    a->len = 0;
    put(a, version == 1 ? "\x20" : "\x01\x02", (size_t)version);
    PUT(a, "worker 1");
}

/* A transport tcp, with these bytes after its attributes. */
#define TCP(a, version, rest)                                   \
    do {                                                        \
        PUT(a, "\xcf\x19");                                     \
        put(a, "attributes v1...", (version) == 1 ? 16 : 8);    \
        PUT(a, rest);                                           \
    } while (0)

static void test_real_addresses_pass_in_full_and_no_part_of_them(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(real); i++) {
        struct address a;
        from_hex(real[i].hex, &a);
        print_message("%s\n", real[i].made_by);
        assert_exact(a.bytes, a.len);
    }
}

static void test_addresses_of_unified_mode_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(unified); i++) {
        struct address a;
        from_hex(unified[i].hex, &a);
        refused(a.bytes, a.len, "worker address");
    }
}

static void test_an_address_without_devices_passes(void **state)
{
    (void)state;
    for (int version = 1; version <= 2; version++) {
        struct address a;
        begin(&a, version);
        PUT(&a, "\xff");
        assert_exact(a.bytes, a.len);
    }
}

static void test_bad_headers_are_refused(void **state)
{
    (void)state;
    for (unsigned version = 2; version < 16; version++)
        refused(&(uint8_t){ (uint8_t)(0x20 | version) }, 1, "is a worker address of version nibble ");
    refused((const uint8_t *)"\x00worker 1\xff", 10, "there is no worker's number at its byte 1");
    refused((const uint8_t *)"\x01\x00worker 1\xff", 11, "there is no worker's number at its byte 2");
    struct address big = { .len = NXI_UCX_ADDRESS_MAX + 1 };
    refused(big.bytes, big.len, "has 65537 bytes, at most 65536");
}

static void test_every_optional_part_is_walked(void **state)
{
    (void)state;
    static const char *const headers[] = { "\x20worker 1", "\x70worker 1client 1\x03who", "\x31\x0eworker 1client 1",
                                           "\xf1\x03worker 1\0" };
    static const size_t      lens[] = { 9, 21, 18, 11 };
    for (size_t i = 0; i < COUNT(headers); i++) {
        int            version = 1 + (headers[i][0] & 1);
        struct address a = { .len = 0 };
        put(&a, headers[i], lens[i]);
        PUT(&a, "\x80\x03" "abc");           /* no transports */
        PUT(&a, "\x01\x61\x02\x07" "d");     /* two paths, number 7 */
        TCP(&a, version, "\x02pp");
        TCP(&a, version, "\x81p");
        PUT(&a, "\x3f\xa1\x05" "d");         /* number 5, the last */
        TCP(&a, version, "\x81p");
        assert_exact(a.bytes, a.len);
    }
}

static void test_v2_has_lengths_of_two_bytes_and_v1_has_not(void **state)
{
    (void)state;
    struct address a;
    char           long_part[255] = { 0 };
    begin(&a, 2);
    PUT(&a, "\x7f\x3f\x9f\xff"); /* domain 63, a last device of 255 bytes ... */
    put(&a, long_part, 255);
    TCP(&a, 2, "\xbf\xff"); /* ... and a last transport of 255 */
    put(&a, long_part, 255);
    assert_exact(a.bytes, a.len);
    begin(&a, 1);
    PUT(&a, "\x1f\x9f"); /* 31 bytes and 63 */
    put(&a, long_part, 31);
    TCP(&a, 1, "\xbf");
    put(&a, long_part, 63);
    assert_exact(a.bytes, a.len);
}

static void test_memory_domains_beyond_the_tables_of_ucx_are_refused(void **state)
{
    (void)state;
    static const struct {
        int         version;
        const char *domain;
        size_t      len;
        const char *end; /* an empty last device: the release in v1 */
        bool        ok;
    } cases[] = {
        { 1, "\x3f", 1, "\x83", true },      { 1, "\x40", 1, "\x83", false }, /* 1.19: all seven bits count */
        { 1, "\x7f", 1, "\x8f", false },     { 1, "\x7f", 1, "\x82", true },  /* 1.18: two are flags */
        { 1, "\x7f", 1, "\x80", true },      { 1, "\x7f", 1, "\x92", true },
        { 1, "\x7f", 1, "\x93", false },     { 2, "\x3f", 1, "\x80", true },
        { 2, "\x40", 1, "\x80", false },     { 2, "\x7f\x3f", 2, "\x80", true },
        { 2, "\x7f\x40", 2, "\x80", false }, { 2, "\x7f\xff", 2, "\x82", false },
    };
    for (size_t i = 0; i < COUNT(cases); i++) {
        struct address a;
        begin(&a, cases[i].version);
        put(&a, cases[i].domain, cases[i].len);
        PUT(&a, "\x01" "d");
        TCP(&a, cases[i].version, "\x81p");
        put(&a, cases[i].end, 1);
        PUT(&a, "\x80");
        if (cases[i].ok)
            assert_exact(a.bytes, a.len);
        else
            refused(a.bytes, a.len, ": memory domain ");
    }
    /* Without that device at the end it is older than 1.16; one before the end is not it. */
    struct address a;
    begin(&a, 1);
    PUT(&a, "\x83\0\x7f\x81" "d");
    TCP(&a, 1, "\x81p");
    assert_exact(a.bytes, a.len);
    /* Nobody looks at the domain of a device without transports. */
    begin(&a, 2);
    PUT(&a, "\xc0\0\xff\xc8\x80");
    assert_exact(a.bytes, a.len);
}

static void test_more_devices_or_transports_than_ucx_counts_are_refused(void **state)
{
    (void)state;
    for (int over = 0; over <= 1; over++) {
        struct address devices, transports;
        begin(&devices, 2);
        begin(&transports, 2);
        PUT(&transports, "\x01\x81" "d");
        for (int i = 0; i < 127 + over; i++) {
            PUT(&devices, "\x81\0");
            TCP(&transports, 2, "\x01p");
        }
        PUT(&devices, "\x81\x80");
        TCP(&transports, 2, "\x81p");
        assert_int_equal(check(devices.bytes, devices.len), over ? NXC_EFORMAT : 0);
        assert_true(!over || strstr(nxc_err_detail(), "device 129, transport 0: at most 128 devices"));
        assert_int_equal(check(transports.bytes, transports.len), over ? NXC_EFORMAT : 0);
        assert_true(!over || strstr(nxc_err_detail(), "device 1, transport 129: at most 128 transports"));
    }
}

static void test_endpoints_have_no_place_in_a_workers_address(void **state)
{
    (void)state;
    struct address a;
    begin(&a, 1);
    PUT(&a, "\x01\x81" "d");
    TCP(&a, 1, "\xc1p\x01" "e\x80");
    refused(a.bytes, a.len, "device 1, transport 1: has endpoints at its byte 32");
}

static void test_attributes_that_ucx_can_not_weigh_are_refused(void **state)
{
    (void)state;
    /* v1: NaN, infinity and -1 as the first, second and third float. v2: no number in these places. */
    static const struct {
        int         version;
        const char *attrs, *why;
    } bad[] = {
        { 1, "\0\0\xc0\x7f\0\0\0\0\0\0\0\0\0\0\0\0", "attribute 0 is no number at its byte 30" },
        { 1, "\0\0\0\0\0\0\x80\x7f\0\0\0\0\0\0\0\0", "attribute 1 is no number" },
        { 1, "\0\0\0\0\0\0\0\0\0\0\x80\xbf\0\0\0\0", "attribute 2 is no number" },
        { 2, "\x0f\0\0\0\0\0\0\0", "attribute 0 is no number" },
        { 2, "\0\xff\0\0\0\0\0\0", "attribute 1 is no number" },
        { 2, "\0\0\x5f\0\0\0\0\0", "attribute 2 is no number" },
        { 2, "\0\0\0\0\x07\0\x02\0", "messages of 448 bytes" },
        { 1, "\0\0\0\0\0\0\0\0\0\0\0\0\xff\xff\xff\xff", NULL },
        { 2, "\0\0\0\xff\0\0\xfd\xff", NULL },
        { 2, "\0\0\0\0\x08\0\x02\0", NULL },
    };
    for (size_t i = 0; i < COUNT(bad); i++) {
        struct address a;
        begin(&a, bad[i].version);
        PUT(&a, "\x01\x81" "d\xcf\x19");
        put(&a, bad[i].attrs, bad[i].version == 1 ? 16 : 8);
        PUT(&a, "\x81i");
        if (bad[i].why)
            refused(a.bytes, a.len, bad[i].why);
        else
            assert_exact(a.bytes, a.len);
    }
}

/* CRC-16/X-25. */
static uint16_t checksum(const char *name)
{
    uint16_t crc = 0xffff;
    for (; *name; name++) {
        crc ^= (uint8_t)*name;
        for (int i = 0; i < 8; i++)
            crc = crc & 1 ? crc >> 1 ^ 0x8408 : crc >> 1;
    }
    return (uint16_t)~crc;
}

static int check_transport(const char *name, const char *device, const char *own)
{
    struct address a;
    uint8_t        sum[2];
    nxi_put16(sum, checksum(name));
    begin(&a, 2);
    a.bytes[a.len++] = 0;
    a.bytes[a.len++] = (uint8_t)(0x80 | strlen(device));
    put(&a, device, strlen(device));
    put(&a, sum, 2);
    PUT(&a, "attribut");
    a.bytes[a.len++] = (uint8_t)(0x80 | strlen(own));
    put(&a, own, strlen(own));
    return check(a.bytes, a.len);
}

static void test_a_transport_has_the_addresses_that_it_makes(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        bool        device, own;
    } known[] = {
        { "self", false, true },     { "tcp", true, true },       { "sysv", true, true },
        { "posix", true, true },     { "xpmem", true, true },     { "cma", true, true },
        { "knem", true, false },     { "rc_verbs", true, false }, { "rc_mlx5", true, true },
        { "dc_mlx5", true, true },   { "ud_verbs", true, true },  { "ud_mlx5", true, true },
        { "srd", true, true },       { "gga_mlx5", true, true },  { "rc_gda", true, true },
        { "cuda_copy", false, true }, { "cuda_ipc", true, true }, { "gdr_copy", false, true },
        { "rocm_copy", false, true }, { "rocm_ipc", true, true }, { "ze_copy", false, true },
        { "new in 2030", false, false },
    };
    for (size_t i = 0; i < COUNT(known); i++) {
        assert_int_equal(check_transport(known[i].name, "d", "i"), 0);
        assert_int_equal(check_transport(known[i].name, "", "i"), known[i].device ? NXC_EFORMAT : 0);
        assert_true(!known[i].device || strstr(nxc_err_detail(), "transport 1: has no device address"));
        assert_int_equal(check_transport(known[i].name, "d", ""), known[i].own ? NXC_EFORMAT : 0);
        assert_true(!known[i].own || strstr(nxc_err_detail(), "transport 1: has no address"));
    }
}

static void test_a_padded_address_has_zeros_behind_it(void **state)
{
    (void)state;
    uint8_t *ret = malloc(7 + NXI_UCX_ADDRESS_PAD);
    nxi_ucx_address_pad((const uint8_t *)"address", 7, ret);
    assert_memory_equal(ret, "address", 7);
    for (size_t i = 0; i < NXI_UCX_ADDRESS_PAD; i++)
        assert_int_equal(ret[7 + i], 0);
    free(ret);
}

static void test_changed_addresses_are_read_safely(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(real); i++) {
        struct address a;
        from_hex(real[i].hex, &a);
        for (size_t at = 0; at < a.len; at++) {
            uint8_t was = a.bytes[at];
            for (unsigned value = 0; value < 256; value++) {
                a.bytes[at] = (uint8_t)value;
                int r = check(a.bytes, a.len);
                assert_true(r == 0 || r == NXC_EFORMAT);
            }
            a.bytes[at] = was;
        }
    }
}

static size_t seen;

static void check_vector(const char *path)
{
    size_t            len;
    char             *bytes = vectors_load(path, &len);
    struct nxi_agent *a = NULL;
    if (nxi_agent_decode((uint8_t *)bytes, len, &a) != 0)
        fail_msg("%s: %s", path, nxc_err_detail());
    free(bytes);
    const struct nxi_agent_conn *ucx = nxi_agent_conn_find(a, "UCX");
    if (ucx) {
        assert_exact(ucx->info.ptr, ucx->info.len);
        seen++;
    }
    nxi_agent_unref(a);
}

static void test_the_address_in_every_real_blob_passes_in_full(void **state)
{
    (void)state;
    vectors_each("nixl-*.bin", check_vector);
    vectors_each("rdma-*.md.bin", check_vector);
    assert_true(seen >= 40);
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(test_real_addresses_pass_in_full_and_no_part_of_them),
        cmocka_unit_test(test_addresses_of_unified_mode_are_refused),
        cmocka_unit_test(test_an_address_without_devices_passes),
        cmocka_unit_test(test_bad_headers_are_refused),
        cmocka_unit_test(test_every_optional_part_is_walked),
        cmocka_unit_test(test_v2_has_lengths_of_two_bytes_and_v1_has_not),
        cmocka_unit_test(test_memory_domains_beyond_the_tables_of_ucx_are_refused),
        cmocka_unit_test(test_more_devices_or_transports_than_ucx_counts_are_refused),
        cmocka_unit_test(test_endpoints_have_no_place_in_a_workers_address),
        cmocka_unit_test(test_attributes_that_ucx_can_not_weigh_are_refused),
        cmocka_unit_test(test_a_transport_has_the_addresses_that_it_makes),
        cmocka_unit_test(test_a_padded_address_has_zeros_behind_it),
        cmocka_unit_test(test_changed_addresses_are_read_safely),
    };
    const struct CMUnitTest with_vectors[] = {
        cmocka_unit_test(test_the_address_in_every_real_blob_passes_in_full),
    };
    int failed = cmocka_run_group_tests(alone, NULL, NULL);
    if (failed)
        return failed;
    return vectors_dir() ? cmocka_run_group_tests(with_vectors, NULL, NULL) : 77;
}
