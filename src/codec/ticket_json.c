/* SPDX-License-Identifier: Apache-2.0 */
#include "codec/ticket_json.h"

#include "base/error.h"
#include "base/mem.h"
#include "codec/arena.h"
#include "codec/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <yajl/yajl_parse.h>

/* Where the reader is. Each place has fields of its own, and wants values of
 * one type for each. */
enum place { OUTSIDE, TICKET, LIST, DESC };
enum { DESCRIPTORS, METADATA, KEY, KIND, TICKET_FIELDS };
enum { DEVICE, PTR, SIZE, DESC_FIELDS };
enum type { OBJECT, ARRAY, STRING, NUMBER };

static const struct field {
    const char *name;
    enum type   type;
} ticket_fields[TICKET_FIELDS] = {
    [DESCRIPTORS] = { "descriptors", ARRAY },
    [METADATA] = { "nixl_metadata", STRING },
    [KEY] = { "notification_key", STRING },
    [KIND] = { "operation_kind", NUMBER },
}, desc_fields[DESC_FIELDS] = {
    [DEVICE] = { "device", STRING },
    [PTR] = { "ptr", NUMBER },
    [SIZE] = { "size", NUMBER },
};

struct reader {
    const char             *json;
    size_t                  len;
    struct nxc_ticket      *t;
    struct nxi_ticket_json *j;
    struct nxi_arena       *arena;
    yajl_handle             yajl;
    size_t                  fed; /* bytes that yajl had before the present call */
    enum place              place;
    int                     field;          /* of this place, the last one named */
    unsigned                seen[DESC + 1]; /* per place, a bit for each field */
    uint64_t                total;          /* of all sizes */
    size_t                  cap;            /* of t->descs */
    int                     err;
};

/* "descriptors[2].size", "operation_kind", "ticket". */
static void name_place(const struct reader *r, bool with_field, char *buf, size_t cap)
{
    if (r->place == LIST)
        snprintf(buf, cap, "descriptors[%zu]", r->t->n);
    else if (r->place == DESC && with_field)
        snprintf(buf, cap, "descriptors[%zu].%s", r->t->n, desc_fields[r->field].name);
    else if (r->place == DESC)
        snprintf(buf, cap, "descriptors[%zu]", r->t->n);
    else
        snprintf(buf, cap, "%s", r->place == TICKET && with_field ? ticket_fields[r->field].name : "ticket");
}

/* The error that ends the reading. Returns 0, by which a callback stops yajl. */
__attribute__((format(printf, 4, 5))) static int bad(struct reader *r, bool with_field, size_t at, const char *format,
                                                     ...)
{
    char    where[64], problem[128];
    va_list args;
    va_start(args, format);
    vsnprintf(problem, sizeof problem, format, args);
    va_end(args);
    name_place(r, with_field, where, sizeof where);
    r->err = nxi_fail(NXC_EFORMAT, "%s: %s, at byte %zu", where, problem, at);
    return 0;
}

static int no_memory(struct reader *r)
{
    r->err = nxi_fail(NXC_ENOMEM, "no memory for a ticket");
    return 0;
}

/* Where yajl stands: behind the token that it tells us about. At the end it is
 * fed a space, which is not in the text. */
static size_t behind(const struct reader *r)
{
    size_t at = r->fed + yajl_get_bytes_consumed(r->yajl);
    return at < r->len ? at : r->len;
}

/* Whether a string lies in the JSON itself. One with escapes does not: yajl
 * decodes it into a buffer that it will use again. */
static bool in_json(const struct reader *r, const char *text)
{
    return (uintptr_t)text - (uintptr_t)r->json < r->len;
}

/* The opening quote of the string that ends here. Going backwards, a quote inside
 * the string has an odd number of backslashes before it, the opening one none. */
static size_t string_start(const struct reader *r, const char *text)
{
    if (in_json(r, text))
        return (size_t)(text - r->json) - 1;
    size_t at = behind(r) - 1, slashes;
    do {
        while (r->json[--at] != '"')
            ;
        for (slashes = 0; at > slashes && r->json[at - slashes - 1] == '\\';)
            slashes++;
    } while (slashes % 2);
    return at;
}

/* What follows "\u", four digits that yajl has checked. */
static unsigned escaped_unit(const char *p)
{
    unsigned unit = 0;
    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (unsigned)(p[i] <= '9' ? p[i] - '0' : (p[i] | ' ') - 'a' + 10);
    return unit;
}

/* Whether each \uD800..\uDFFF between the quotes is half of a pair. yajl makes
 * something of a lone one, and two different texts must not read the same. */
static bool surrogates_paired(const char *p, const char *end)
{
    bool high = false;
    while (p < end) {
        unsigned unit = p[0] == '\\' && p[1] == 'u' ? escaped_unit(p + 2) : 0;
        if (high != (unit >= 0xdc00 && unit <= 0xdfff))
            return false;
        high = unit >= 0xd800 && unit <= 0xdbff;
        p += p[0] != '\\' ? 1 : p[1] == 'u' ? 6 : 2;
    }
    return !high;
}

static const struct field *field_here(const struct reader *r)
{
    static const struct field object = { NULL, OBJECT };
    return r->place == TICKET ? &ticket_fields[r->field] : r->place == DESC ? &desc_fields[r->field] : &object;
}

/* Whether a value of this type may stand here. */
static int expect(struct reader *r, enum type type, size_t at)
{
    static const char *const names[] = { "an object", "an array", "a string", "a number" };
    enum type                want = field_here(r)->type;
    return type == want ? 1 : bad(r, true, at, "is not %s", names[want]);
}

static int on_key(void *ctx, const unsigned char *text, size_t len)
{
    struct reader      *r = ctx;
    const struct field *fields = r->place == TICKET ? ticket_fields : desc_fields;
    int                 n = r->place == TICKET ? TICKET_FIELDS : DESC_FIELDS;
    char                shown[NXI_SHOWN];
    size_t              at = string_start(r, (const char *)text);
    for (int i = 0; i < n; i++) {
        if (strlen(fields[i].name) != len || memcmp(fields[i].name, text, len) != 0)
            continue;
        if (r->seen[r->place] & 1u << i)
            return bad(r, false, at, "field \"%s\" is there twice", fields[i].name);
        r->seen[r->place] |= 1u << i;
        r->field = i;
        return 1;
    }
    return bad(r, false, at, "unknown field \"%s\"", nxi_show((const char *)text, len, shown));
}

static int read_device(struct reader *r, const char *text, size_t len, size_t at)
{
    struct nxc_desc *d = &r->t->descs[r->t->n];
    char             shown[NXI_SHOWN];
    if (nxi_device_parse(text, len, &d->device, &d->device_id) < 0)
        return bad(r, true, at, "unknown device \"%s\"", nxi_show(text, len, shown));
    return 1;
}

static int read_key(struct reader *r, const char *text, size_t len, size_t at)
{
    r->j->key_at = at;
    if (!len)
        return bad(r, true, at, "is empty");
    if (len > NXI_KEY_MAX)
        return bad(r, true, at, "has %zu bytes, at most %d", len, NXI_KEY_MAX);
    if (memchr(text, 0, len) || !nxi_utf8_valid(text, len))
        return bad(r, true, at, "is not UTF-8 text");
    if (!(r->t->key_text = nxi_malloc(len + 1)))
        return no_memory(r);
    memcpy(r->t->key_text, text, len);
    r->t->key_text[len] = '\0';
    return 1;
}

static int read_metadata(struct reader *r, const char *text, size_t len, size_t at)
{
    r->j->metadata_at = at;
    r->j->metadata = text;
    r->j->metadata_len = len;
    if (in_json(r, text))
        return 1;
    if (!(r->j->metadata_copy = nxi_malloc(len + 1)))
        return no_memory(r);
    r->j->metadata = memcpy(r->j->metadata_copy, text, len);
    return 1;
}

static int on_string(void *ctx, const unsigned char *s, size_t len)
{
    struct reader *r = ctx;
    const char    *text = (const char *)s;
    size_t         at = string_start(r, text);
    if (!expect(r, STRING, at))
        return 0;
    if (!in_json(r, text) && !surrogates_paired(r->json + at + 1, r->json + behind(r) - 1))
        return bad(r, true, at, "has half of a surrogate pair");
    if (r->place == DESC)
        return read_device(r, text, len, at);
    return r->field == KEY ? read_key(r, text, len, at) : read_metadata(r, text, len, at);
}

static int on_number(void *ctx, const char *text, size_t len)
{
    struct reader *r = ctx;
    size_t         at = behind(r) - len;
    uint64_t       value;
    if (!expect(r, NUMBER, at))
        return 0;
    if (nxi_u64_parse(text, len, UINT64_MAX, &value) < 0) {
        char problem[64];
        snprintf(problem, sizeof problem, "%s", nxc_err_detail());
        return bad(r, true, at, "%s", problem);
    }
    if (r->place == TICKET) {
        if (value != NXC_READ && value != NXC_WRITE)
            return bad(r, true, at, "is %llu, neither 1 nor 2", (unsigned long long)value);
        r->t->kind = (enum nxc_kind)value;
        return 1;
    }
    struct nxc_desc *d = &r->t->descs[r->t->n];
    if (r->field == PTR && !value)
        return bad(r, true, at, "is 0");
    if (r->field == SIZE && __builtin_add_overflow(r->total, value, &r->total))
        return bad(r, true, at, "the sum of all sizes does not fit 64 bits");
    *(r->field == PTR ? &d->addr : &d->len) = value;
    return 1;
}

static int on_start_map(void *ctx)
{
    struct reader *r = ctx;
    size_t         at = behind(r) - 1;
    if (!expect(r, OBJECT, at))
        return 0;
    if (r->place == OUTSIDE) {
        r->place = TICKET;
        return 1;
    }
    if (r->t->n == NXI_TICKET_DESCS_MAX)
        return bad(r, false, at, "too many, at most %d", NXI_TICKET_DESCS_MAX);
    if (r->t->n == r->cap) {
        size_t           cap = r->cap ? r->cap * 2 : 4;
        struct nxc_desc *descs = nxi_realloc(r->t->descs, cap * sizeof *descs);
        if (!descs)
            return no_memory(r);
        r->t->descs = descs;
        r->cap = cap;
    }
    r->place = DESC;
    r->seen[DESC] = 0;
    return 1;
}

static int on_end_map(void *ctx)
{
    struct reader      *r = ctx;
    const struct field *fields = r->place == TICKET ? ticket_fields : desc_fields;
    int                 n = r->place == TICKET ? TICKET_FIELDS : DESC_FIELDS;
    size_t              at = behind(r) - 1;
    uint64_t            end;
    for (int i = 0; i < n; i++) {
        if (!(r->seen[r->place] & 1u << i))
            return bad(r, false, at, "field \"%s\" is missing", fields[i].name);
    }
    if (r->place == TICKET) {
        r->place = OUTSIDE;
        return 1;
    }
    const struct nxc_desc *d = &r->t->descs[r->t->n];
    if (__builtin_add_overflow(d->addr, d->len, &end))
        return bad(r, false, at, "ptr + size wraps around");
    r->t->n++;
    r->place = LIST;
    return 1;
}

static int on_start_array(void *ctx)
{
    struct reader *r = ctx;
    if (!expect(r, ARRAY, behind(r) - 1))
        return 0;
    r->place = LIST;
    return 1;
}

static int on_end_array(void *ctx)
{
    struct reader *r = ctx;
    r->place = TICKET;
    r->field = DESCRIPTORS;
    return r->t->n ? 1 : bad(r, true, behind(r) - 1, "is empty");
}

/* null, true and false have no place in a ticket. */
static int on_other(struct reader *r, size_t len)
{
    return bad(r, true, behind(r) - len, "is neither string nor number");
}

static int on_null(void *ctx)
{
    return on_other(ctx, strlen("null"));
}

static int on_boolean(void *ctx, int value)
{
    return on_other(ctx, strlen(value ? "true" : "false"));
}

static const yajl_callbacks callbacks = {
    .yajl_null = on_null,
    .yajl_boolean = on_boolean,
    .yajl_number = on_number,
    .yajl_string = on_string,
    .yajl_start_map = on_start_map,
    .yajl_map_key = on_key,
    .yajl_end_map = on_end_map,
    .yajl_start_array = on_start_array,
    .yajl_end_array = on_end_array,
};

static int not_json(struct reader *r)
{
    char *text = (char *)yajl_get_error(r->yajl, 0, NULL, 0);
    return nxi_fail(NXC_EFORMAT, "ticket: not JSON, %.*s, near byte %zu", (int)strcspn(text, "\n"), text, behind(r));
}

static int run_yajl(struct reader *r)
{
    yajl_alloc_funcs funcs = { nxi_arena_malloc, nxi_arena_realloc, nxi_arena_release, r->arena };
    if (setjmp(r->arena->out))
        return nxi_fail(NXC_ENOMEM, "no memory for a ticket");
    r->yajl = yajl_alloc(&callbacks, &funcs, r);
    yajl_status s = yajl_parse(r->yajl, (const unsigned char *)r->json, r->len);
    if (s == yajl_status_ok) {
        r->fed = r->len;
        s = yajl_complete_parse(r->yajl);
    }
    return s == yajl_status_ok ? 0 : r->err ? r->err : not_json(r);
}

int nxi_ticket_json_read(const char *json, size_t len, struct nxc_ticket *t, struct nxi_ticket_json *ret_j)
{
    struct nxi_arena arena; /* large, hence not zeroed with the reader */
    struct reader    r = { .json = json, .len = len, .t = t, .j = ret_j, .arena = &arena };
    *ret_j = (struct nxi_ticket_json){ 0 };
    if (len > NXI_TICKET_MAX)
        return nxi_fail(NXC_EFORMAT, "ticket: has %zu bytes, at most %d", len, NXI_TICKET_MAX);
    nxi_arena_init(&arena);
    int e = run_yajl(&r);
    nxi_arena_free(&arena);
    return e;
}
