/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_CONFORMANCE_H
#define TESTS_CONFORMANCE_H
/*
 * What every fabric must do, written once against fabric/fabric.h. A program that
 * stamps the suite says how its fabric is opened and how time passes, and calls
 * conformance_run(). Two sides, A and B, live in one process and are driven by hand.
 */
#include "base/mem.h"
#include "fabric/fabric.h"

struct side;

/* What is different between fabrics. */
struct conformance_kind {
    const char *name;
    /* Opens a side's fabric, whose env is ready; number is 0 for A, 1 for B, 2... for more. */
    int (*open)(struct side *s, unsigned number);
    void (*begin)(void); /* before a test's sides are opened, may be NULL */
    void (*end)(void);   /* after they are freed, may be NULL */
    /* NULL: real time, descriptors in an epoll. */
    uint64_t (*now)(void);
    /* Simulated: goes on to what happens next; false when nothing ever will. */
    bool (*pass)(uint64_t timer);
};
/* Returns what main returns, 77 where the fabric can't be opened. */
int conformance_run(const struct conformance_kind *kind);

/* ---- the world of a test ------------------------------------------------- */

enum { MAX_SIDES = 3, MAX_LINKS = 4 };

struct frame_in {
    uint8_t  header[NXI_HEADER_MAX];
    size_t   header_len;
    uint64_t payload_len;
    uint8_t *payload; /* where the sink led, unless the test chose another */
    bool     whole;   /* payload came, or none was due */
};

struct side {
    struct nxi_fabric_env env;
    struct nxi_timers     timers;
    struct nxi_fabric    *fabric;
    struct nxi_entry      entry;
    bool                  still; /* not driven */
    /* what came up */
    unsigned         ups, downs, sents, writables;
    int              down_code;
    void            *sent_token;
    struct nxi_link *links[MAX_LINKS]; /* up, in that order; NULL once down */
    struct frame_in *frames;
    size_t           n_frames, cap_frames;
    /* what the test wants done */
    struct nxi_cursor sink;  /* for the next payload, instead of a fresh buffer */
    bool              scrap; /* payloads are not wanted */
    int               refuse_header, refuse_payload;
    bool              close_on_header, close_on_up;
};

struct world {
    const struct conformance_kind *kind;
    struct side                    sides[MAX_SIDES];
    unsigned                       n;
    int                            epfd; /* of the sides' epolls */
};

/* Two fresh sides. */
struct world *world_new(void);
void world_free(struct world *w);
struct side *world_add(struct world *w);
void side_free(struct side *s); /* its fabric, early */
uint64_t world_now(const struct world *w);
/* Drives all sides that are not still, and waits if nothing moved. */
void world_step(struct world *w);
/* Connects from to to and waits until both are up. */
void world_connect(struct world *w, struct side *from, struct side *to);

/* Two fresh sides, connected from A to B. */
struct world *world_connected(void);
/* A frame there and back, behind everything that was under way before it. */
void world_settle(struct world *w);

/* ---- frames as tests send them ------------------------------------------- */

/* The kind of a send, and the first byte of its header of 8; the last 4 are a number. */
enum { TAG_WHOLE = 1, TAG_LENT, TAG_REPLY };
int      link_send(struct world *w, struct nxi_link *l, uint8_t tag, uint32_t number, const void *payload, size_t len,
                   void *token);
/* Where there is no room waits to be told that there is again. s is l's side. */
void     link_send_surely(struct world *w, struct side *s, struct nxi_link *l, uint8_t tag, uint32_t number,
                          const void *payload, size_t len);
uint32_t frame_number(const struct frame_in *f);
bool     side_has_all(const struct side *s, size_t n); /* n frames, the last of them whole */
uint8_t *make_pattern(size_t len, unsigned seed); /* the caller's to free() */

/* Lends once; the descriptors live as long as the payload. As send. */
int  link_try_lend(struct world *w, struct nxi_link *l, const struct nxc_desc *descs, size_t n, size_t len,
                   void *token);
/* As soon as there is room. */
int  link_lend(struct world *w, struct side *s, struct nxi_link *l, const struct nxc_desc *descs, size_t n, size_t len,
               void *token);
/* And until the payload is in other hands. */
void link_lend_surely(struct world *w, struct side *s, struct nxi_link *l, const void *payload, size_t len);
/* The receiver being still, lends until a payload stays under way, and says how many
 * were taken at once before it. false: the link copies, nothing is ever under way. */
bool link_lend_until_under_way(struct world *w, struct nxi_link *l, const struct nxc_desc *desc, size_t *ret_n);
size_t link_piece(const struct nxi_link *l); /* the longest payload to lend, 1 MiB at most */

#define A (&w->sides[0])
#define B (&w->sides[1])

#define UNTIL(w, condition)                                                    \
    do {                                                                       \
        uint64_t until_limit_ = world_now(w) + 10 * NXI_SEC;                   \
        while (!(condition)) {                                                 \
            if (world_now(w) >= until_limit_)                                  \
                fail_msg("waited in vain for " #condition);                    \
            world_step(w);                                                     \
        }                                                                      \
    } while (0)

#endif
