/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXC_BENCH_H
#define NXC_BENCH_H
/*
 * The benchmark sets nxconnect beside raw UCX and beside what the machine can
 * do at all. Two processes, A and B, hold every contender at once and use the
 * same buffers for all of them, so that neither the placement of pages nor that
 * of processes favours one. The parent orders one measurement at a time; what
 * is not being measured sleeps.
 */
#include "base/clock.h"

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

enum bench_fabric { BENCH_SHM = 1, BENCH_TCP = 2 };
enum bench_family { BENCH_OURS, BENCH_UCX, BENCH_FLOOR };

enum bench_job {
    BENCH_WRITE = 1,        /* A to B until B knows: half of a round trip */
    BENCH_READ = 2,         /* A fetches from B until A has it */
    BENCH_WHOLE = 4,        /* one operation from create to both ends */
    BENCH_OPEN = 8,         /* a connector opens */
    BENCH_IDLE_CPU = 16,    /* share of a core, while operations wait */
    BENCH_IDLE_MEMORY = 32, /* bytes per waiting operation */
    BENCH_CHURN = 64,       /* small operations in batches, everything counted */
};

struct bench_case {
    enum bench_job job;
    enum bench_fabric fabric;
    size_t size;
    unsigned batches, turns; /* the result is the median of the batches' means */
};

#define BENCH_MAX_BATCHES 64
#define BENCH_MAX_TURNS 1000
#define BENCH_MAX_SIZE ((size_t)1 << 30)

/* ---- the two sides ------------------------------------------------------ */
#define BENCH_BOX_SIZE ((size_t)1 << 20)

/* Memory of both processes. Every flag has a cache line of its own. */
struct bench_box {
    _Alignas(64) _Atomic uint32_t len; /* 0 while empty */
    _Alignas(64) unsigned char data[BENCH_BOX_SIZE];
};
struct bench_page {
    struct {
        _Alignas(64) _Atomic uint64_t meetings;
        _Alignas(64) _Atomic uint64_t flag;
    } of[2];
    _Alignas(64) _Atomic uint64_t reads_over;
    struct bench_box box[2]; /* indexed by the receiver */
};

struct bench_side {
    int me;              /* 0 is A, which begins and holds the clock, 1 is B */
    int order_fd;        /* to the parent */
    int peer_fd;         /* Unix stream socket to the other side */
    pid_t peer_pid;
    struct bench_page *page;
    unsigned char *out, *in; /* source and destination, private, reused */
    size_t touched;      /* how much of both has pages */
    uint64_t meetings, reads_over;
    uint64_t seed;       /* of the measurement that runs */
    char note[64];       /* what the report should say beside the figure */
};

/* Tells the parent and ends the process: no contender goes on half-way. */
_Noreturn void bench_fail(struct bench_side *s, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* Returns when both sides are here. idle may be NULL; it is called meanwhile. */
void bench_meet(struct bench_side *s, void (*idle)(void *arg), void *arg);

/* Messages of the set-up, through shared memory: they make no system call. */
void bench_post(struct bench_side *s, const void *data, size_t len);
size_t bench_collect(struct bench_side *s, void *buf, size_t cap);

/* Small messages get a slot each, so that no source is stamped while lent. */
#define BENCH_SMALL 64
static inline unsigned char *bench_slot(unsigned char *base, size_t size, unsigned turn)
{
    return size <= BENCH_SMALL ? base + (size_t)turn * 64 : base;
}

/* ---- turns: the loops that are timed ------------------------------------ */
struct bench_mover {
    struct bench_side *side;
    size_t size;
    /* Not timed, before and after each batch. */
    void (*prepare)(struct bench_mover *m, unsigned turns);
    void (*finish)(struct bench_mover *m, unsigned turns);
    /* A write: start it, see the peer's arrive, get the source back. */
    void (*send)(struct bench_mover *m, unsigned turn);
    void (*arrive)(struct bench_mover *m, unsigned turn);
    void (*settle)(struct bench_mover *m, unsigned turn);
    /* A read: A fetches; B serves until all turns are over. */
    void (*fetch)(struct bench_mover *m, unsigned turn);
    void (*serve)(struct bench_mover *m, unsigned turns);
    /* While one side waits for the other between batches. */
    void (*idle)(void *m);
};

/* Seconds of one way, after every byte that arrived was compared. */
double bench_turns(struct bench_mover *m, const struct bench_case *c);

/* Whether A has said that the reads of this batch are over. */
static inline int bench_reads_over(struct bench_side *s)
{
    return atomic_load_explicit(&s->page->reads_over, memory_order_acquire) > s->reads_over;
}

/* Gives the first size bytes of both buffers their pages. */
void bench_touch(struct bench_side *s, size_t size);
double bench_median(double *values, size_t n); /* sorts values */
static inline double bench_seconds(uint64_t nanoseconds)
{
    return (double)nanoseconds * 1e-9;
}

/* ---- ways: who moves the bytes, and how --------------------------------- */
struct bench_way {
    const char *name;
    enum bench_family family;
    unsigned jobs;    /* a set of enum bench_job */
    unsigned fabrics; /* a set of enum bench_fabric */
    size_t min, max;
    double (*measure)(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
    int how, how_much; /* for measure only */
};

extern const struct bench_way bench_ways[];
extern const size_t bench_way_count;
int bench_way_fits(const struct bench_way *w, const struct bench_case *c);

extern uint32_t bench_ours_spin_us; /* the option of connectors that are opened from now on; 0: the default */
double bench_ours_move(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
double bench_ours_churn(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
double bench_ours_whole(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
double bench_ours_open(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
double bench_ours_idle(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
void bench_ours_close(void);

double bench_ucx_move(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
void bench_ucx_close(void);
const char *bench_ucx_version(void);

double bench_floor_memcpy(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
double bench_floor_pull(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
double bench_floor_flag(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);
double bench_floor_socket(struct bench_side *s, const struct bench_way *w, const struct bench_case *c);

/* ---- pairs of processes ------------------------------------------------- */
struct bench_answer {
    int failed;
    double value;
    uint64_t rss; /* resident bytes of the process */
    uint64_t fds;
    char text[160]; /* why it failed, or the note */
};
uint64_t bench_resident_bytes(void);

struct bench_pair {
    pid_t pid[2]; /* 0: not running */
    int fd[2];
    struct bench_page *page;
};

/* pin: A on the first processor that we may use, B on the second. */
int bench_pair_start(struct bench_pair *p, int pin);
/* Answers come from both sides; A's is the value. After a failure the pair is gone. */
int bench_pair_order(struct bench_pair *p, size_t way, const struct bench_case *c,
                     struct bench_answer ret_answers[2]);
void bench_pair_stop(struct bench_pair *p);

#endif
