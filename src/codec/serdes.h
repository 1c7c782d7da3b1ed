/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_CODEC_SERDES_H
#define NXI_CODEC_SERDES_H
/* The container of NIXL's metadata and notifications: a magic, then fields of
 * tag, u64 length, data, '|'. The reader knows which tag comes next. A tag may
 * be empty, data may contain '|'. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#define NXI_SERDES_MAGIC "nixlSerDes|"

/* What a field takes besides its tag and its data. */
enum { NXI_SERDES_FIELD = 8 + 1 };

/* Bytes that somebody else owns. */
struct nxi_span {
    const uint8_t *ptr;
    size_t         len;
};

static inline bool nxi_span_is(const struct nxi_span *s, const char *text)
{
    return s->len == strlen(text) && !memcmp(s->ptr, text, s->len);
}

struct nxi_serdes {
    const uint8_t *bytes;
    size_t         len, at;
    const char    *what; /* the container, for the text of an error: "the blob" */
    /* Where we are, for the same: "nixlSecElms[2].descs[5]". The reader sets
     * field and start, the caller the others. */
    const char *list; /* NULL outside of lists */
    size_t      index;
    const char *field;
    size_t      elem; /* NXI_SERDES_NO_ELEM, or which one of field */
    size_t      start;
};
#define NXI_SERDES_NO_ELEM SIZE_MAX

/* All of them return 0, or NXC_EFORMAT with field and position. */
int nxi_serdes_open(struct nxi_serdes *r, const uint8_t *bytes, size_t len, const char *what);
/* The next field, which has this tag and is called field in errors, since some tags are empty. */
int nxi_serdes_take(struct nxi_serdes *r, const char *tag, const char *field, struct nxi_span *ret);
/* The same for a field of so many bytes. */
int nxi_serdes_take_fixed(struct nxi_serdes *r, const char *tag, const char *field, size_t size, const uint8_t **ret);
/* Nothing follows. */
int nxi_serdes_end(const struct nxi_serdes *r);
/* Says what is wrong with the field that was read last. */
int nxi_serdes_bad(const struct nxi_serdes *r, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* With buf NULL the writer only counts, so that one function of the caller says
 * both how long something gets and what is in it. */
struct nxi_serdes_out {
    uint8_t *buf;
    size_t   at;
};

void nxi_serdes_put(struct nxi_serdes_out *w, const void *data, size_t len); /* bare bytes */
void nxi_serdes_put_head(struct nxi_serdes_out *w, const char *tag, size_t len);
void nxi_serdes_put_field(struct nxi_serdes_out *w, const char *tag, const void *data, size_t len);
void nxi_serdes_put_text(struct nxi_serdes_out *w, const char *tag, const char *text);
void nxi_serdes_put_u64(struct nxi_serdes_out *w, const char *tag, uint64_t value);

#endif
