/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_TESTS_PAIR_H
#define NXC_TESTS_PAIR_H
/*
 * Tests between processes. A test starts workers, each a fork of the test program
 * with a connector of its own, and tells them what to do; it has no connector and no
 * thread itself, so it can kill, freeze and start workers as it likes.
 *
 * An order is a function of this program that runs over there, with a few numbers
 * and a text; its answer comes back the same way. Nothing here sleeps: each wait
 * is for an answer, and bounded.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <nxconnect/nxconnect.h>
#include <stdbool.h>
#include <string.h>
#include <sys/types.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif
#ifndef SANITIZED
#define SANITIZED 0 /* 1: sizes and rounds are cut down, memory is not measured */
#endif

#define KIB 1024ull
#define MIB (1024 * KIB)
#define MS 1000000ull /* in ns */

enum { SLOTS = 16, PEERS = 6, HEAR_MS = 30000, TEST_S = 100 };

/* "At once", on a machine that is busy with other things too: far above what it
 * takes, far below what a wrong way to notice would take. */
enum { AT_ONCE_MS = SANITIZED ? 3000 : 1000 };

/* n descriptors of bytes in all. More than one: of uneven sizes, some of 0. All of
 * them `again` times more, the same memory: a long transfer that needs little. */
struct shape {
    size_t   n;
    uint64_t bytes;
    size_t   again;
};

/* What one can be sure to be in the middle of, having seen it move a little. */
#define LONG_SHAPE { 1, 32 * MIB, 31 }

struct order {
    int           slot; /* which of the worker's operations */
    enum nxc_kind kind;
    struct shape  shape;
    uint64_t      seed;   /* what the memory is filled with */
    uint64_t      number; /* as the order likes */
    int64_t       ms;
    bool          queued;
    const char   *text; /* a ticket, mostly */
};

struct answer {
    int         code;   /* what the library's function returned */
    int         status; /* of the operation in the slot, after it */
    int         error;
    uint64_t    number;
    uint64_t    ns; /* that the library's function took */
    char        detail[200]; /* the operation's error text, else nxc_err_detail() */
    char        transport[32];
    const char *text; /* until the worker's next answer that has one */
};

/* ---- what a worker has ----------------------------------------------------- */

struct slot {
    nxc_op          *op;
    uint8_t         *memory; /* the descriptors lie in it with gaps between */
    size_t           mapped;
    struct shape     shape;
    struct nxc_desc *descs;
    size_t           n; /* of descs */
};

struct worker {
    nxc_connector *c;
    struct slot    slots[SLOTS];
    pid_t          child; /* of do_fork */
    int            fd;    /* to the test */
    char          *text;  /* of the answer, the worker's to free */
};

typedef void order_fn(struct worker *w, const struct order *o, struct answer *a);

/* Orders. "(slot)" in a comment is the operation in o->slot. */
order_fn do_open;      /* the connector, as peer_start() was told */
order_fn do_close;     /* frees the connector */
order_fn do_create;    /* (slot) of kind, shape, filled from seed; ms is its limit; text: the ticket */
order_fn do_begin;     /* (slot) with the ticket text */
order_fn do_wait;      /* (slot), ms */
order_fn do_status;    /* (slot) */
order_fn do_cancel;    /* (slot) once number bytes have moved or it has ended; waits for its end, and then
                        * fills the memory from seed at once, unless that is 0 */
order_fn do_end;       /* the same without the cancel */
order_fn do_reach;     /* spins until (slot) has moved number bytes, or ended */
order_fn do_free;      /* (slot) once number bytes have moved */
order_fn do_fill;      /* the memory of (slot) from seed */
order_fn do_check;     /* number: the first byte of (slot) that is not of seed, or UINT64_MAX */
order_fn do_poll;      /* polls the connector's descriptor for at most ms, then takes one event: its
                        * code is the number of events, number the slot */
order_fn do_fork;      /* number 0: fork(), 1: the bare system call; the child keeps what it got until the test ends */
order_fn do_signal;    /* gets the signal ms once (slot) has moved number bytes */
order_fn do_measure;   /* text: "descriptors threads KiB" */

/* Fills in status, error and texts of (slot), after code. */
void answer(struct worker *w, const struct order *o, struct answer *a, int code);
/* Memory for an operation of this shape in (slot), filled. */
struct slot *lend(struct worker *w, const struct order *o);
uint64_t now_ns(void);

/* ---- the test's side ------------------------------------------------------- */

struct peer {
    pid_t pid;
    int   fd;
    bool  told; /* an answer is owed */
    char *text;
};

extern const char *transport; /* argument 1 of the program: "shm", "tcp", or "ucx" for NIXL's dialect */

/* Sets transport; ends the program with 77 where this host has none such. */
void take_transport(int argc, char **argv);
struct nxc_connector_opts plain_opts(void);

/* A worker with a connector. NULL: plain_opts(). peer_fork() leaves do_open to the test. */
struct peer *peer_fork(const struct nxc_connector_opts *opts);
struct peer *peer_start(const struct nxc_connector_opts *opts);
/* It frees its connector, if it has one, and exits; all that it should have done. */
void peer_stop(struct peer *p);
void peer_kill(struct peer *p);
/* Once (slot) has moved so many bytes; both return when it has happened. */
void peer_kill_at(struct peer *p, int slot, uint64_t bytes);
void peer_freeze(struct peer *p, int slot, uint64_t bytes);
void peer_thaw(struct peer *p);

void          peer_tell(struct peer *p, order_fn *fn, const struct order *o);
struct answer peer_hear(struct peer *p);
bool          peer_silent(struct peer *p, int ms); /* true: no answer came in so long */

#define TELL(peer, fn, ...) peer_tell(peer, fn, &(struct order){ __VA_ARGS__ })
#define DO(peer, fn, ...) (TELL(peer, fn, __VA_ARGS__), peer_hear(peer))

/* a creates, b begins, both in slot; a's memory is of seed 1, b's of seed 2. */
void start_op(struct peer *a, struct peer *b, int slot, enum nxc_kind kind, struct shape shape);
/* A small operation from offer to end, which must complete. */
void prove_link(struct peer *passive, struct peer *active, enum nxc_kind kind);

void assert_end(struct answer a, int status, int error);
void assert_text(struct answer a, const char *part); /* its detail has part in it */
void assert_memory(struct peer *p, int slot, uint64_t seed);

/* A test with two workers' limits: its own time limit, and no worker survives it. */
int test_begin(void **state);
int test_end(void **state);
#define PAIR_TEST(fn) cmocka_unit_test_setup_teardown(fn, test_begin, test_end)

#endif
