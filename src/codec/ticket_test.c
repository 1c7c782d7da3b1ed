/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/error.h"
#include "base/mem.h"
#include "codec/ticket.h"
#include "codec/vectors_test.h"

static struct nxi_key key = { 0x0123456789abcdef, "secret of 16 byt" };

static void assert_detail(const char *part)
{
    if (!strstr(nxc_err_detail(), part))
        fail_msg("\"%s\" does not say \"%s\"", nxc_err_detail(), part);
}

/* Decodes a copy of exact size, so that a sanitizer sees every byte too far. */
static int decode(const char *json, size_t len, nxi_agent_from_text_fn agent, struct nxc_ticket **ret_t)
{
    char *copy = malloc(len ? len : 1);
    memcpy(copy, json, len);
    int r = nxi_ticket_decode(copy, len, agent, ret_t);
    free(copy);
    return r;
}

/* The text of a blob with our entry: shm, tcp4, tcp6; or with another backend only. */
static char *blob_text(bool native)
{
    struct nxi_entry e = { .version = 1, .version_min = 1, .n = 3 };
    uint8_t          info[NXI_ENTRY_MAX], *blob;
    size_t           len;
    char            *text;
    for (int i = 0; i < 16; i++)
        e.instance[i] = (uint8_t)(i * 37 + 11), e.link_key[i] = (uint8_t)(i * 59 + 7);
    e.addrs[0].tag = NXI_ADDR_SHM;
    e.addrs[1] = (struct nxi_addr){ NXI_ADDR_TCP4, 6, { 192, 0, 2, 7, 0x9c, 0x41 } };
    e.addrs[2] = (struct nxi_addr){ NXI_ADDR_TCP6, 18,
                                    "\x20\x01\x0d\xb8\x51\x9a\x00\x3c\xd2\x45\x8f\xff\xfe\x61\x07\xe8\x9c\x41" };
    struct nxi_agent_conn ours = { { (const uint8_t *)"NXC", 3 }, { info, nxi_entry_encode(&e, info) } };
    struct nxi_agent_conn other = { { (const uint8_t *)"OTHER", 5 }, { info, 4 } };
    assert_int_equal(
        nxi_agent_encode("9f86d081884c7d659a2feaa0c55ad015-1", native ? &ours : &other, 1, NULL, 0, &blob, &len), 0);
    assert_int_equal(nxi_blob_to_text(blob, len, false, &text), 0);
    free(blob);
    return text;
}

/* What a caller does that has seen the text before. */
static struct nxi_agent *remembered;
static int               remember(const char *text, size_t len, struct nxi_agent **ret_a)
{
    (void)text;
    (void)len;
    *ret_a = nxi_agent_ref(remembered);
    return 0;
}

static int any_key(void **state)
{
    (void)state;
    char *text = blob_text(false);
    int   r = nxi_agent_from_text(text, strlen(text), &remembered);
    free(text);
    return r;
}

static int forget(void **state)
{
    (void)state;
    nxi_agent_unref(remembered);
    return 0;
}

static char *print(const struct nxc_desc *descs, size_t n, const char *text, size_t *ret_len)
{
    char secret[NXI_KEY_TEXT], *json;
    nxi_key_encode(&key, secret);
    assert_int_equal(nxi_ticket_encode(NXC_READ, descs, n, text, secret, &json, ret_len), 0);
    assert_int_equal(strlen(json), *ret_len);
    return json;
}

/* ---- keys and printing --------------------------------------------------- */

static void test_a_key_is_32_characters_of_base64url(void **state)
{
    (void)state;
    char           text[NXI_KEY_TEXT];
    struct nxi_key max = { UINT64_MAX, { 0 } }, back;
    nxi_key_encode(&key, text);
    assert_int_equal(strlen(text), 32);
    assert_int_equal(nxi_key_decode(text, 32, &back), 0);
    assert_true(back.op == key.op);
    assert_memory_equal(back.secret, key.secret, NXI_SECRET_LEN);
    memset(max.secret, 0xfb, NXI_SECRET_LEN);
    nxi_key_encode(&max, text);
    assert_string_equal(text, "___________7-_v7-_v7-_v7-_v7-_v7");
    static const char *const wrong[] = {
        "",
        "___________7-_v7-_v7-_v7-_v7-_v",
        "___________7-_v7-_v7-_v7-_v7-_v77",
        "///////////7+/v7+/v7+/v7+/v7+/v7",
        "___________7-_v7-_v7-_v7-_v7-_v=",
        "___________7-_v7-_v7-_v7-_v7-_ 7",
        "0c1f0000-0000-4000-8000-000000000000",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(nxi_key_decode(wrong[i], strlen(wrong[i]), &back), NXC_EFORMAT);
}

static void test_a_ticket_prints_as_the_original_does(void **state)
{
    (void)state;
    struct nxc_desc descs[] = { { 1, 0, NXC_HOST, 0 }, { UINT64_MAX, 0, NXC_CUDA, 3 }, { 4096, 65536, NXC_XPU, 0 } };
    char           *json;
    size_t          len;
    assert_int_equal(nxi_ticket_encode(NXC_WRITE, descs, 3, "b64:eJw=", "k", &json, &len), 0);
    assert_string_equal(json, "{\"descriptors\":[{\"device\":\"cpu\",\"ptr\":1,\"size\":0},"
                              "{\"device\":\"cuda:3\",\"ptr\":18446744073709551615,\"size\":0},"
                              "{\"device\":\"xpu:0\",\"ptr\":4096,\"size\":65536}],"
                              "\"nixl_metadata\":\"b64:eJw=\",\"notification_key\":\"k\",\"operation_kind\":2}");
    assert_int_equal(len, strlen(json));
    free(json);
}

static void test_the_longest_of_everything_fits_what_was_allocated(void **state)
{
    (void)state;
    struct nxc_desc descs[5];
    char            long_key[NXI_KEY_MAX + 2], *json;
    size_t          len;
    for (size_t i = 0; i < 5; i++)
        descs[i] = (struct nxc_desc){ UINT64_MAX, UINT64_MAX, NXC_CUDA, UINT32_MAX };
    memset(long_key, 1, NXI_KEY_MAX);
    long_key[NXI_KEY_MAX] = '\0';
    assert_int_equal(nxi_ticket_encode(NXC_WRITE, descs, 5, "", long_key, &json, &len), 0);
    free(json);
    long_key[NXI_KEY_MAX] = 1;
    long_key[NXI_KEY_MAX + 1] = '\0';
    assert_int_equal(nxi_ticket_encode(NXC_WRITE, descs, 5, "", long_key, &json, &len), NXC_ELIMIT);
}

static void test_a_ticket_that_nobody_would_read_is_not_printed(void **state)
{
    (void)state;
    struct nxc_desc *descs = calloc(NXI_TICKET_DESCS_MAX + 1, sizeof *descs);
    char            *json;
    size_t           len;
    for (size_t i = 0; i <= NXI_TICKET_DESCS_MAX; i++)
        descs[i] = (struct nxc_desc){ 1, 0, NXC_HOST, 0 };
    assert_int_equal(nxi_ticket_encode(NXC_READ, descs, NXI_TICKET_DESCS_MAX + 1, "", "k", &json, &len), NXC_ELIMIT);
    assert_int_equal(nxi_ticket_encode(NXC_READ, descs, NXI_TICKET_DESCS_MAX, "", "k", &json, &len), NXC_ELIMIT);
    assert_detail("at most 1048576");
    assert_int_equal(nxi_ticket_encode(NXC_READ, descs, 30000, "", "k", &json, &len), 0);
    free(json);
    free(descs);
}

static void test_tickets_are_small(void **state)
{
    (void)state;
    struct nxc_desc descs[1000];
    char           *text = blob_text(true);
    size_t          len;
    for (size_t i = 0; i < 1000; i++)
        descs[i] = (struct nxc_desc){ 0x7fffffffe000 - i, 1 << 20, NXC_HOST, 0 };
    free(print(descs, 1, text, &len));
    print_message("one descriptor: %zu bytes\n", len);
    assert_true(len <= 512);
    free(print(descs, 1000, text, &len));
    print_message("1000 descriptors: %zu bytes\n", len);
    assert_true(len <= 64000);
    free(text);
}

static void test_a_native_ticket_reads_back_the_same(void **state)
{
    (void)state;
    struct nxc_desc    descs[] = { { 94072838533264, 4096, NXC_HOST, 0 }, { UINT64_MAX, 0, NXC_CUDA, 65535 } };
    char              *text = blob_text(true), secret[NXI_KEY_TEXT];
    size_t             len;
    char              *json = print(descs, 2, text, &len);
    struct nxc_ticket *t;
    assert_int_equal(decode(json, len, nxi_agent_from_text, &t), 0);
    nxi_key_encode(&key, secret);
    assert_int_equal(t->kind, NXC_READ);
    assert_int_equal(t->n, 2);
    assert_memory_equal(t->descs, descs, sizeof descs);
    assert_string_equal(t->key_text, secret);
    assert_true(t->key.op == key.op);
    assert_memory_equal(t->key.secret, key.secret, NXI_SECRET_LEN);
    assert_string_equal(t->agent->name, "9f86d081884c7d659a2feaa0c55ad015-1");
    assert_true(t->agent->has_native);
    assert_int_equal(t->agent->native.n, 3);
    nxi_ticket_free(t);
    nxi_ticket_free(NULL);
    free(json);
    free(text);
}

static void test_a_native_ticket_wants_a_native_key(void **state)
{
    (void)state;
    struct nxc_desc    desc = { 1, 1, NXC_HOST, 0 };
    char              *text = blob_text(true), *json;
    size_t             len;
    struct nxc_ticket *t;
    assert_int_equal(nxi_ticket_encode(NXC_READ, &desc, 1, text, "0c1f-a-uuid", &json, &len), 0);
    assert_int_equal(decode(json, len, nxi_agent_from_text, &t), NXC_EFORMAT);
    assert_detail("notification_key: is not 32 characters of base64url (value at byte ");
    free(json);
    free(text);
}

static void test_a_ticket_of_another_protocol_parses(void **state)
{
    (void)state;
    struct nxi_agent_conn conn = { { (const uint8_t *)"NXC", 3 }, { (const uint8_t *)"\x02\x00\x02\x00", 4 } };
    struct nxc_desc       desc = { 1, 1, NXC_HOST, 0 };
    struct nxc_ticket    *t;
    uint8_t              *blob;
    size_t                len;
    char                 *text, *json;
    assert_int_equal(nxi_agent_encode("w", &conn, 1, NULL, 0, &blob, &len), 0);
    assert_int_equal(nxi_blob_to_text(blob, len, true, &text), 0);
    assert_int_equal(nxi_ticket_encode(NXC_READ, &desc, 1, text, "a key of version 2", &json, &len), 0);
    assert_int_equal(decode(json, len, nxi_agent_from_text, &t), 0);
    assert_int_equal(t->agent->native_err, NXC_EVERSION);
    assert_string_equal(t->key_text, "a key of version 2");
    nxi_ticket_free(t);
    free(json);
    free(text);
    free(blob);
}

/* ---- the JSON, with an agent that is remembered --------------------------- */

#define DESC(ptr, size) "{\"device\":\"cpu\",\"ptr\":" ptr ",\"size\":" size "}"
#define OK              DESC("1", "2")
#define REST            "\"nixl_metadata\":\"m\",\"notification_key\":\"k\",\"operation_kind\":1}"
#define WITH(descs)     "{\"descriptors\":[" descs "]," REST
#define WITH_KEY(key) \
    "{\"descriptors\":[" OK "],\"nixl_metadata\":\"m\",\"notification_key\":" key ",\"operation_kind\":1}"
#define WITH_KIND(kind) \
    "{\"descriptors\":[" OK "],\"nixl_metadata\":\"m\",\"notification_key\":\"k\",\"operation_kind\":" kind "}"

static const struct {
    const char *json, *why;
} bad[] = {
    { "", "ticket: not JSON" },
    { " \n", "ticket: not JSON" },
    { "hello", "ticket: not JSON" },
    { "{", "premature EOF" },
    { "{\"descriptors\":[" OK, "premature EOF" },
    { "{\"descriptors\":[" OK "],\"nixl_metadata\":\"m", "premature EOF" },
    { "{\"descriptors\":[{\"device\":\"cpu\",\"ptr\":1", "premature EOF, near byte 39" },
    { "{\"operation_kind\":3", "operation_kind: is 3, neither 1 nor 2, at byte 18" },
    { WITH(OK) "x", "ticket: not JSON" },
    { WITH(OK) "{}", "trailing garbage" },
    { WITH(OK) WITH(OK), "trailing garbage" },
    { WITH("/* c */" OK), "ticket: not JSON" },
    { WITH(OK ","), "ticket: not JSON" },
    { "{'descriptors':[]}", "ticket: not JSON" },
    { "\xef\xbb\xbf" WITH(OK), "ticket: not JSON" },
    { "[]", "ticket: is not an object, at byte 0" },
    { "\"text\"", "ticket: is not an object, at byte 0" },
    { " 12", "ticket: is not an object, at byte 1" },
    { "null", "ticket: is neither string nor number, at byte 0" },
    { "{}", "ticket: field \"descriptors\" is missing, at byte 1" },
    { "{\"descriptors\":[" OK "]}", "ticket: field \"nixl_metadata\" is missing" },
    { "{\"descriptors\":[" OK "],\"nixl_metadata\":\"m\",\"operation_kind\":1}",
      "field \"notification_key\" is missing" },
    { "{\"descriptors\":[" OK "],\"nixl_metadata\":\"m\",\"notification_key\":\"k\"}",
      "\"operation_kind\" is missing" },
    { "{\"extra\":1," REST, "ticket: unknown field \"extra\", at byte 1" },
    { "{\"\\u0064escriptors \":1," REST, "ticket: unknown field \"descriptors \", at byte 1" },
    { "{\"a\\\"b\\\\\\\"\":1," REST, "ticket: unknown field \"a\"b\\\"\", at byte 1" },
    { "{\"operation_kind\":1,\"operation_kind\":1}", "ticket: field \"operation_kind\" is there twice, at byte 20" },
    { "{\"operation_kind\":1,\"operation_\\u006bind\":1}",
      "ticket: field \"operation_kind\" is there twice, at byte 20" },
    { "{\"descriptors\":{}," REST, "descriptors: is not an array, at byte 15" },
    { "{\"descriptors\":null," REST, "descriptors: is neither string nor number, at byte 15" },
    { WITH(""), "descriptors: is empty, at byte 16" },
    { WITH("[]"), "descriptors[0]: is not an object, at byte 16" },
    { WITH(OK ",1"), "descriptors[1]: is not an object" },
    { WITH(OK ",true"), "descriptors[1]: is neither string nor number" },
    { WITH("{}"), "descriptors[0]: field \"device\" is missing, at byte 17" },
    { WITH("{\"device\":\"cpu\",\"ptr\":1}"), "descriptors[0]: field \"size\" is missing" },
    { WITH(OK ",{\"device\":\"cpu\",\"size\":1}"), "descriptors[1]: field \"ptr\" is missing" },
    { WITH("{\"device\":\"cpu\",\"device\":\"cpu\"}"), "descriptors[0]: field \"device\" is there twice, at byte 32" },
    { WITH("{\"device_id\":1}"), "descriptors[0]: unknown field \"device_id\", at byte 17" },
    { WITH("{\"device\":1}"), "descriptors[0].device: is not a string, at byte 26" },
    { WITH("{\"device\":{}}"), "descriptors[0].device: is not a string" },
    { WITH("{\"device\":[]}"), "descriptors[0].device: is not a string" },
    { WITH("{\"device\":\"tpu:1\"}"), "descriptors[0].device: unknown device \"tpu:1\", at byte 26" },
    { WITH("{\"device\":\"cpu\\u0000\"}"), "descriptors[0].device: unknown device \"cpu?\", at byte 26" },
    { WITH("{\"device\":\"cuda:65536\"}"), "descriptors[0].device: unknown device" },
    { WITH(DESC("\"1\"", "1")), "descriptors[0].ptr: is not a number" },
    { WITH(DESC("0", "1")), "descriptors[0].ptr: is 0" },
    { WITH(DESC("-1", "1")), "descriptors[0].ptr: is negative" },
    { WITH(DESC("18446744073709551616", "1")), "descriptors[0].ptr: does not fit 64 bits" },
    { WITH(DESC("1.0", "1")), "descriptors[0].ptr: is not a whole number" },
    { WITH(DESC("1e3", "1")), "descriptors[0].ptr: is not a whole number" },
    { WITH(DESC("1", "0x10")), "ticket: not JSON" },
    { WITH(DESC("1", "01")), "ticket: not JSON" },
    { WITH(DESC("1", "-1")), "descriptors[0].size: is negative" },
    { WITH(DESC("1", "-0")), "descriptors[0].size: is negative" },
    { WITH(DESC("1", "1E0")), "descriptors[0].size: is not a whole number" },
    { WITH(OK "," OK "," DESC("1", "18446744073709551616")), "descriptors[2].size: does not fit 64 bits, at byte 115" },
    { WITH(DESC("1", "18446744073709551615")), "descriptors[0]: ptr + size wraps around" },
    { WITH(DESC("18446744073709551615", "1")), "descriptors[0]: ptr + size wraps around" },
    { WITH(DESC("1", "9223372036854775808") "," DESC("1", "9223372036854775808")),
      "descriptors[1].size: the sum of all sizes does not fit 64 bits" },
    { WITH_KIND("0"), "operation_kind: is 0, neither 1 nor 2" },
    { WITH_KIND("3"), "operation_kind: is 3, neither 1 nor 2" },
    { WITH_KIND("1.0"), "operation_kind: is not a whole number" },
    { WITH_KIND("\"1\""), "operation_kind: is not a number" },
    { WITH_KIND("true"), "operation_kind: is neither string nor number" },
    { WITH_KEY("\"\""), "notification_key: is empty" },
    { WITH_KEY("7"), "notification_key: is not a string" },
    { WITH_KEY("\"a\\u0000b\""), "notification_key: is not UTF-8" },
    { WITH_KEY("\"a\xff\""), "ticket: not JSON" },
    { WITH_KEY("\"\xc0\x80\""), "notification_key: is not UTF-8" },
    { WITH_KEY("\"\xed\xa0\x80\""), "notification_key: is not UTF-8" },
    { WITH_KEY("\"a\nb\""), "ticket: not JSON" },
    { WITH_KEY("\"\\x\""), "ticket: not JSON" },
    { WITH_KEY("\"\\ud800\""), "notification_key: has half of a surrogate pair" },
    { WITH_KEY("\"\\ud800x\""), "notification_key: has half of a surrogate pair" },
    { WITH_KEY("\"\\ud800\\\\udc00\""), "notification_key: has half of a surrogate pair" },
    { WITH_KEY("\"\\ud800\\ud800\\udc00\""), "notification_key: has half of a surrogate pair" },
    { WITH_KEY("\"\\udc00\\ud800\""), "notification_key: has half of a surrogate pair" },
};

static void test_what_is_no_ticket_is_refused_by_field_and_position(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        struct nxc_ticket *t;
        int                r = decode(bad[i].json, strlen(bad[i].json), remember, &t);
        if (r != NXC_EFORMAT)
            fail_msg("%s: %s", bad[i].json, nxc_err_name(r));
        assert_detail(bad[i].why);
        assert_detail(" byte ");
    }
}

static void test_every_cut_of_a_ticket_is_refused(void **state)
{
    (void)state;
    static const char  json[] = WITH(OK "," OK);
    struct nxc_ticket *t;
    for (size_t cut = 0; cut < sizeof json - 1; cut++) {
        assert_int_equal(decode(json, cut, remember, &t), NXC_EFORMAT);
        assert_detail("premature EOF");
    }
    assert_int_equal(decode(json, sizeof json - 1, remember, &t), 0);
    nxi_ticket_free(t);
}

static void test_space_order_and_escapes_do_not_matter(void **state)
{
    (void)state;
    static const char json[] =
        " {\n\t\"operation_kind\" : 2 "
        ",\r\n\"notification_key\":\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fc\\ud83d\\ude00\\\\\","
        "\"nixl_\\u006detadata\":\"m\\/\\u002b\",\"descriptors\" : [ { \"size\":0 ,\"ptr\" : 18446744073709551615,"
        "\"device\":\" CU\\u0064A:7\"} , {\"ptr\":9007199254740993,\"device\":\"host\",\"size\":9007199254740995}]}\n ";
    struct nxc_ticket *t;
    assert_int_equal(decode(json, sizeof json - 1, remember, &t), 0);
    assert_int_equal(t->kind, NXC_WRITE);
    assert_string_equal(t->key_text, "\"\\/\b\f\n\r\t\xc3\xbc\xf0\x9f\x98\x80\\");
    assert_int_equal(t->n, 2);
    assert_true(t->descs[0].addr == UINT64_MAX && t->descs[0].len == 0);
    assert_int_equal(t->descs[0].device, NXC_CUDA);
    assert_int_equal(t->descs[0].device_id, 7);
    assert_true(t->descs[1].addr == 9007199254740993 && t->descs[1].len == 9007199254740995);
    assert_int_equal(t->descs[1].device, NXC_HOST);
    nxi_ticket_free(t);
}

static int expect_unescaped(const char *text, size_t len, struct nxi_agent **ret_a)
{
    assert_int_equal(len, 6);
    assert_memory_equal(text, "m/+\"\\x", 6);
    return remember(text, len, ret_a);
}

static void test_the_agent_comes_from_the_unescaped_metadata(void **state)
{
    (void)state;
    static const char json[] = "{\"nixl_metadata\":\"m\\/\\u002b\\\"\\\\x\",\"notification_key\":\"over\\u0077ritten\","
                               "\"operation_kind\":1,\"descriptors\":[" OK "]}";
    struct nxc_ticket *t;
    assert_int_equal(decode(json, sizeof json - 1, expect_unescaped, &t), 0);
    assert_ptr_equal(t->agent, remembered);
    assert_string_equal(t->key_text, "overwritten");
    nxi_ticket_free(t);
}

static void test_every_key_prints_and_reads_back(void **state)
{
    (void)state;
    struct nxc_desc    desc = { 1, 1, NXC_HOST, 0 };
    struct nxc_ticket *t;
    char               text[300], *json;
    size_t             len;
    for (int i = 1; i < 128; i++)
        text[i - 1] = (char)i;
    strcpy(text + 127, "\xc3\xbc\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_int_equal(nxi_ticket_encode(NXC_READ, &desc, 1, "m", text, &json, &len), 0);
    assert_non_null(strstr(json, "\\u0001\\u0002"));
    assert_non_null(strstr(json, "\\b\\t\\n\\u000b\\f\\r"));
    assert_non_null(strstr(json, "\\u001f !\\\"#"));
    assert_non_null(strstr(json, "[\\\\]"));
    assert_int_equal(decode(json, len, remember, &t), 0);
    assert_string_equal(t->key_text, text);
    nxi_ticket_free(t);
    free(json);
}

/* A ticket with a field of so many bytes. */
static char *with_long(const char *before, size_t n, const char *after, size_t *ret_len)
{
    char *json = malloc(strlen(before) + n + strlen(after) + 1), *at = stpcpy(json, before);
    memset(at, 'k', n);
    strcpy(at + n, after);
    *ret_len = strlen(json);
    return json;
}

static void test_long_keys_and_tickets_are_refused(void **state)
{
    (void)state;
    static const char  before[] = "{\"descriptors\":[" OK "],\"nixl_metadata\":\"m\",\"notification_key\":\"";
    static const char  after[] = "\",\"operation_kind\":1}";
    struct nxc_ticket *t;
    size_t             len;
    char              *json = with_long(before, NXI_KEY_MAX, after, &len);
    assert_int_equal(decode(json, len, remember, &t), 0);
    nxi_ticket_free(t);
    free(json);
    json = with_long(before, NXI_KEY_MAX + 1, after, &len);
    assert_int_equal(decode(json, len, remember, &t), NXC_EFORMAT);
    assert_detail("notification_key: has 1025 bytes, at most 1024");
    free(json);
    json = with_long("\"", NXI_TICKET_MAX, "\"", &len);
    assert_int_equal(decode(json, len, remember, &t), NXC_EFORMAT);
    assert_detail("ticket: has 1048578 bytes, at most 1048576");
    free(json);
    /* Of the largest size, all but a few bytes spaces, escaped, or open brackets. */
    json = with_long(WITH(OK), 0, "", &len);
    char *padded = malloc(NXI_TICKET_MAX);
    memset(padded, ' ', NXI_TICKET_MAX);
    memcpy(padded + NXI_TICKET_MAX - len, json, len);
    assert_int_equal(decode(padded, NXI_TICKET_MAX, remember, &t), 0);
    nxi_ticket_free(t);
    for (size_t i = 0; i < NXI_TICKET_MAX; i++)
        padded[i] = i ? '\\' : '"';
    assert_int_equal(decode(padded, NXI_TICKET_MAX, remember, &t), NXC_EFORMAT);
    padded[NXI_TICKET_MAX - 1] = '"';
    assert_int_equal(decode(padded, NXI_TICKET_MAX, remember, &t), NXC_EFORMAT);
    memset(padded, '[', NXI_TICKET_MAX);
    assert_int_equal(decode(padded, NXI_TICKET_MAX, remember, &t), NXC_EFORMAT);
    free(padded);
    free(json);
}

static void test_bad_metadata_is_refused_by_field(void **state)
{
    (void)state;
    static const struct {
        const char *text, *why;
    } texts[] = {
        { "", "nixl_metadata: is empty" },
        { "zz", "nixl_metadata: bad hex, at byte 0 of it (value at byte 67)" },
        { "b64:e", "nixl_metadata: bad base64" },
        { "b64:eJw=", "nixl_metadata: zlib stream is cut off" },
        { "00", "nixl_metadata: zlib stream is cut off" },
        { "789c030000000001", "nixl_metadata: magic: is missing" },
    };
    struct nxc_desc    desc = { 1, 2, NXC_HOST, 0 };
    struct nxc_ticket *t;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
        char  *json;
        size_t len;
        assert_int_equal(nxi_ticket_encode(NXC_READ, &desc, 1, texts[i].text, "k", &json, &len), 0);
        assert_int_equal(decode(json, len, nxi_agent_from_text, &t), NXC_EFORMAT);
        assert_detail(texts[i].why);
        free(json);
    }
}

static int no_agent(const char *text, size_t len, struct nxi_agent **ret_a)
{
    (void)text;
    (void)len;
    (void)ret_a;
    return nxi_fail(NXC_ENOMEM, "no memory for an agent");
}

static void test_other_errors_of_the_agent_pass_unchanged(void **state)
{
    (void)state;
    struct nxc_ticket *t;
    assert_int_equal(decode(WITH(OK), strlen(WITH(OK)), no_agent, &t), NXC_ENOMEM);
    assert_string_equal(nxc_err_detail(), "no memory for an agent");
}

/* Fails each allocation in turn, alone or with all after it, until a run needs
 * none more. Returns how many could fail. */
static unsigned decode_without_memory(const char *json, size_t len, nxi_agent_from_text_fn agent)
{
    unsigned nth = 0;
    for (int again = 0; again <= 1; again++) {
        int r = NXC_ENOMEM;
        for (nth = 0; r == NXC_ENOMEM; nth++) {
            struct nxc_ticket *t = NULL;
            nxi_mem_fail(nth + 1, again);
            r = decode(json, len, agent, &t);
            nxi_mem_fail(0, false);
            nxi_ticket_free(t);
        }
        assert_int_equal(r, 0);
    }
    return nth - 1;
}

static void test_every_failed_allocation_is_ENOMEM_and_leaks_nothing(void **state)
{
    (void)state;
    struct nxc_desc descs[40];
    char           *text = blob_text(true);
    size_t          len;
    for (size_t i = 0; i < 40; i++)
        descs[i] = (struct nxc_desc){ i + 1, i, NXC_HOST, 0 };
    char *json = print(descs, 40, text, &len);
    assert_true(decode_without_memory(json, len, nxi_agent_from_text) > 10);
    free(json);
    /* Escapes make yajl itself ask for more than the arena's first piece. */
    char keys[NXI_KEY_MAX + 1] = { 0 };
    memset(keys, '"', NXI_KEY_MAX);
    assert_int_equal(nxi_ticket_encode(NXC_READ, descs, 1, "m", keys, &json, &len), 0);
    assert_true(decode_without_memory(json, len, remember) >= 4);
    free(json);
    char *huge = with_long("{\"nixl_metadata\":\"\\/", 100000,
                           "\",\"notification_key\":\"k\",\"operation_kind\":1,"
                           "\"descriptors\":[" OK "]}",
                           &len);
    assert_true(decode_without_memory(huge, len, remember) >= 5);
    free(huge);
    nxi_mem_fail(1, false);
    assert_int_equal(nxi_ticket_encode(NXC_READ, descs, 1, text, "k", &json, &len), NXC_ENOMEM);
    free(text);
}

/* ---- with vectors -------------------------------------------------------- */

static void check_real(const char *path)
{
    char   info[4096];
    size_t len, n;
    if (strstr(path, ".info.json"))
        return;
    vectors_beside(path, ".json", ".info.json", info);
    char              *json = vectors_load(path, &len), *again;
    yajl_val           v = vectors_json(info), descs = vectors_get(v, "descriptors");
    struct nxc_ticket *t;
    if (decode(json, len, nxi_agent_from_text, &t) != 0)
        fail_msg("%s: %s", path, nxc_err_detail());
    assert_int_equal(t->kind, vectors_u64(v, "operation_kind"));
    assert_string_equal(t->key_text, YAJL_GET_STRING(vectors_get(v, "notification_key")));
    assert_int_equal(t->n, YAJL_GET_ARRAY(descs)->len);
    for (size_t i = 0; i < t->n; i++) {
        yajl_val d = YAJL_GET_ARRAY(descs)->values[i];
        char     device[32];
        assert_int_equal(nxc_device_format(&t->descs[i], device, sizeof device), 0);
        assert_string_equal(device, YAJL_GET_STRING(vectors_get(d, "device")));
        assert_true(t->descs[i].addr == vectors_u64(d, "ptr"));
        assert_true(t->descs[i].len == vectors_u64(d, "size"));
    }
    vectors_assert_agent(t->agent, vectors_get(v, "nixl_metadata_parsed"));
    assert_false(t->agent->has_native);

    /* With the text of its blob we print it byte for byte. */
    char *text = strstr(json, "\"nixl_metadata\":\"") + strlen("\"nixl_metadata\":\"");
    char *blob = strndup(text, strcspn(text, "\""));
    assert_int_equal(nxi_ticket_encode(t->kind, t->descs, t->n, blob, t->key_text, &again, &n), 0);
    assert_int_equal(n, len);
    assert_memory_equal(again, json, len);
    free(blob);
    free(again);
    nxi_ticket_free(t);
    yajl_tree_free(v);
    free(json);
}

static void test_every_real_ticket_reads_as_its_info_says(void **state)
{
    (void)state;
    assert_true(vectors_each("rdma-*.json", check_real) >= 8);
}

static void check_inflated(const char *path)
{
    char     json[4096];
    size_t   len, n, blob_len;
    uint8_t *blob;
    vectors_beside(path, ".md.bin", ".json", json);
    char *want = vectors_load(path, &len), *ticket = vectors_load(json, &n);
    char *text = strstr(ticket, "\"nixl_metadata\":\"") + strlen("\"nixl_metadata\":\"");
    assert_int_equal(nxi_blob_from_text(text, strcspn(text, "\""), &blob, &blob_len), 0);
    assert_int_equal(blob_len, len);
    assert_memory_equal(blob, want, len);
    free(blob);
    free(want);
    free(ticket);
}

static void test_every_real_metadata_text_inflates_to_its_blob(void **state)
{
    (void)state;
    assert_true(vectors_each("rdma-*.md.bin", check_inflated) >= 4);
}

static void check_hostile(const char *path)
{
    struct nxc_desc    desc = { 65536, 4096, NXC_HOST, 0 };
    struct nxc_ticket *t;
    size_t             len, n;
    char              *bytes = vectors_load(path, &len), *text, *json;
    for (int hex = 0; len && hex <= 1; hex++) {
        assert_int_equal(nxi_blob_to_text((uint8_t *)bytes, len, hex, &text), 0);
        assert_int_equal(nxi_ticket_encode(NXC_WRITE, &desc, 1, text, "k", &json, &n), 0);
        if (decode(json, n, nxi_agent_from_text, &t) != NXC_EFORMAT)
            fail_msg("%s is not refused", path);
        assert_detail("nixl_metadata: ");
        if (strstr(path, "-nconn-0.bin"))
            assert_detail("nixl_metadata: Conns: is 0");
        free(text);
        free(json);
    }
    free(bytes);
}

static void test_no_hostile_blob_makes_a_ticket(void **state)
{
    (void)state;
    assert_true(vectors_each("syn-hostile-*.bin", check_hostile) >= 15);
}

static void test_partial_metadata_makes_no_ticket(void **state)
{
    (void)state;
    assert_true(vectors_each("nixl-*-partial-noconn.bin", check_hostile) >= 8);
}

int main(void)
{
    const struct CMUnitTest alone[] = {
        cmocka_unit_test(test_a_key_is_32_characters_of_base64url),
        cmocka_unit_test(test_a_ticket_prints_as_the_original_does),
        cmocka_unit_test(test_the_longest_of_everything_fits_what_was_allocated),
        cmocka_unit_test(test_a_ticket_that_nobody_would_read_is_not_printed),
        cmocka_unit_test(test_tickets_are_small),
        cmocka_unit_test(test_a_native_ticket_reads_back_the_same),
        cmocka_unit_test(test_a_native_ticket_wants_a_native_key),
        cmocka_unit_test(test_a_ticket_of_another_protocol_parses),
        cmocka_unit_test(test_what_is_no_ticket_is_refused_by_field_and_position),
        cmocka_unit_test(test_every_cut_of_a_ticket_is_refused),
        cmocka_unit_test(test_space_order_and_escapes_do_not_matter),
        cmocka_unit_test(test_the_agent_comes_from_the_unescaped_metadata),
        cmocka_unit_test(test_every_key_prints_and_reads_back),
        cmocka_unit_test(test_long_keys_and_tickets_are_refused),
        cmocka_unit_test(test_bad_metadata_is_refused_by_field),
        cmocka_unit_test(test_other_errors_of_the_agent_pass_unchanged),
        cmocka_unit_test(test_every_failed_allocation_is_ENOMEM_and_leaks_nothing),
    };
    const struct CMUnitTest with_vectors[] = {
        cmocka_unit_test(test_every_real_ticket_reads_as_its_info_says),
        cmocka_unit_test(test_every_real_metadata_text_inflates_to_its_blob),
        cmocka_unit_test(test_no_hostile_blob_makes_a_ticket),
        cmocka_unit_test(test_partial_metadata_makes_no_ticket),
    };
    int failed = cmocka_run_group_tests(alone, any_key, forget);
    if (failed)
        return failed;
    return vectors_dir() ? cmocka_run_group_tests(with_vectors, NULL, NULL) : 77;
}
