/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_VECTORS_TEST_H
#define NXI_CODEC_VECTORS_TEST_H
/* For tests only: real blobs and tickets of the original, and what is in them.
 * Include cmocka before. */
#include <glob.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <yajl/yajl_tree.h>

#include "codec/agent.h"
#include "codec/text.h"

/* The folder, or NULL when it is not there. */
static inline const char *vectors_dir(void)
{
    const char *dir = getenv("NXC_VECTORS");
#ifdef NXI_VECTORS_DIR
    if (!dir)
        dir = NXI_VECTORS_DIR;
#endif
    if (dir && access(dir, R_OK | X_OK) == 0)
        return dir;
    fprintf(stderr, "skipped: no vectors in %s (NXC_VECTORS names the folder)\n", dir ? dir : "any folder");
    return NULL;
}

/* Calls fn for each file, and returns how many there were. */
static inline size_t vectors_each(const char *pattern, void (*fn)(const char *path))
{
    char   full[4096];
    glob_t g;
    snprintf(full, sizeof full, "%s/%s", vectors_dir(), pattern);
    if (glob(full, 0, NULL, &g) != 0)
        return 0;
    size_t n = g.gl_pathc;
    for (size_t i = 0; i < n; i++)
        fn(g.gl_pathv[i]);
    globfree(&g);
    return n;
}

/* A whole file, with a NUL behind it that is not counted. */
static inline char *vectors_load(const char *path, size_t *ret_len)
{
    FILE *f = fopen(path, "rb");
    if (!f)
        fail_msg("can't open %s", path);
    char  *bytes = malloc(1 << 20);
    size_t n = fread(bytes, 1, (1 << 20) - 1, f);
    fclose(f);
    bytes[n] = '\0';
    *ret_len = n;
    return bytes;
}

/* The file that has `to` in its name where path has `from`, at the end. */
static inline void vectors_beside(const char *path, const char *from, const char *to, char ret_path[4096])
{
    snprintf(ret_path, 4096, "%.*s%s", (int)(strlen(path) - strlen(from)), path, to);
}

static inline yajl_val vectors_json(const char *path)
{
    size_t   len;
    char    *text = vectors_load(path, &len), why[256];
    yajl_val v = yajl_tree_parse(text, why, sizeof why);
    free(text);
    if (!v)
        fail_msg("%s: %s", path, why);
    return v;
}

static inline yajl_val vectors_get(yajl_val v, const char *name)
{
    const char *const path[] = { name, NULL };
    yajl_val          found = yajl_tree_get(v, (const char **)path, yajl_t_any);
    if (!found)
        fail_msg("the vector has no %s", name);
    return found;
}

static inline uint64_t vectors_u64(yajl_val v, const char *name)
{
    const char *raw = YAJL_GET_NUMBER(vectors_get(v, name));
    uint64_t    value = 0;
    assert_int_equal(nxi_u64_parse(raw, strlen(raw), UINT64_MAX, &value), 0);
    return value;
}

static inline void vectors_assert_text(struct nxi_span s, const char *text)
{
    assert_int_equal(s.len, strlen(text));
    assert_memory_equal(s.ptr, text, s.len);
}

static inline void vectors_assert_hex(struct nxi_span s, const char *hex)
{
    assert_int_equal(2 * s.len, strlen(hex));
    for (size_t i = 0; i < s.len; i++) {
        char two[3];
        snprintf(two, sizeof two, "%02x", s.ptr[i]);
        assert_memory_equal(two, hex + 2 * i, 2);
    }
}

/* The vectors' JSON shows a name byte by byte, each as one Latin-1 character. */
static inline void vectors_assert_name(const char *name, const char *latin1)
{
    for (; *name; name++) {
        unsigned byte = (unsigned char)*name, shown = (unsigned char)*latin1++;
        if (shown >= 0xc0)
            shown = (shown & 3) << 6 | ((unsigned char)*latin1++ & 0x3f);
        assert_int_equal(byte, shown);
    }
    assert_int_equal(*latin1, '\0');
}

/* The agent has the fields that a vector's JSON lists. */
static inline void vectors_assert_agent(const struct nxi_agent *a, yajl_val want)
{
    yajl_val conns = vectors_get(want, "connections"), sections = vectors_get(want, "sections");
    vectors_assert_name(a->name, YAJL_GET_STRING(vectors_get(want, "agent")));
    assert_int_equal(a->n_conns, YAJL_GET_ARRAY(conns)->len);
    for (size_t i = 0; i < a->n_conns; i++) {
        yajl_val conn = YAJL_GET_ARRAY(conns)->values[i];
        vectors_assert_text(a->conns[i].backend, YAJL_GET_STRING(vectors_get(conn, "backend")));
        vectors_assert_hex(a->conns[i].info, YAJL_GET_STRING(vectors_get(conn, "hex")));
    }
    assert_int_equal(a->n_sections, YAJL_GET_ARRAY(sections)->len);
    for (size_t i = 0; i < a->n_sections; i++) {
        yajl_val section = YAJL_GET_ARRAY(sections)->values[i], descs = vectors_get(section, "descs");
        vectors_assert_text(a->sections[i].backend, YAJL_GET_STRING(vectors_get(section, "backend")));
        assert_int_equal(a->sections[i].mem_type, vectors_u64(section, "mem_type"));
        assert_int_equal(a->sections[i].n, YAJL_GET_ARRAY(descs)->len);
        for (size_t j = 0; j < a->sections[i].n; j++) {
            const struct nxi_agent_desc *d = &a->sections[i].descs[j];
            yajl_val                     desc = YAJL_GET_ARRAY(descs)->values[j];
            assert_true(d->addr == vectors_u64(desc, "addr"));
            assert_true(d->len == vectors_u64(desc, "len"));
            assert_true(d->dev == vectors_u64(desc, "dev"));
            vectors_assert_hex(d->meta, YAJL_GET_STRING(vectors_get(desc, "public_meta_hex")));
        }
    }
}

#endif
