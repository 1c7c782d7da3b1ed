/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: sim_player [--seed N] [--count N] [--trace]
 *
 * Plays count schedules, from seed on; one when only the seed is given. NXC_SIM_COUNT
 * is another way to say the count.
 */
#include "tests/sim/player.h"

#include "base/intern.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

struct tally tally;

static volatile uint64_t current;

/* ---- memory: each schedule must give back all it took -------------------- */

void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *ptr, size_t size);
void  __real_free(void *ptr);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *ptr, size_t size);
void  __wrap_free(void *ptr);

static int64_t live;

void *__wrap_malloc(size_t size)
{
    live++;
    return __real_malloc(size);
}

void *__wrap_calloc(size_t n, size_t size)
{
    live++;
    return __real_calloc(n, size);
}

void *__wrap_realloc(void *ptr, size_t size)
{
    live += !ptr;
    return __real_realloc(ptr, size);
}

void __wrap_free(void *ptr)
{
    live -= ptr != NULL;
    __real_free(ptr);
}

/* ---- one schedule -------------------------------------------------------- */

static void play(uint64_t seed, FILE *trace, const uint8_t *content, uint8_t *pool)
{
    static struct play p;
    int64_t            before = live;
    current = seed;
    p = (struct play){ .seed = seed, .trace = trace, .pool = pool };
    plan_draw(&p, content);
    play_run(&p);
    PROMISE(&p, live == before, "%lld blocks of memory are left", (long long)(live - before));
    tally.schedules++;
}

/* A crash names its seed too. Only calls that a handler may make. */
static void say_seed(void)
{
    char     text[] = "crashed or hung in seed 00000000000000000000\n";
    uint64_t seed = current;
    for (size_t i = sizeof text - 3; text[i] == '0'; i--, seed /= 10)
        text[i] = (char)('0' + seed % 10);
    if (write(2, text, sizeof text - 1) < 0)
        return;
}

static void on_signal(int sig)
{
    static uint64_t seen = UINT64_MAX;
    if (sig == SIGALRM && seen != current) {
        seen = current;
        alarm(20);
        return;
    }
    say_seed();
    signal(sig, SIG_DFL);
    raise(sig);
}

/* The address sanitizer calls it before it ends the program. */
void __asan_on_error(void);
void __asan_on_error(void)
{
    say_seed();
}

/* ---- what was tested ----------------------------------------------------- */

static unsigned lacking;

/* Prints a count; with as many schedules as a real run has, it must not be small. */
static void show(const char *what, uint64_t count, uint64_t of, uint64_t per_100000)
{
    uint64_t least = tally.schedules * per_100000 / 100000;
    bool     few = tally.schedules >= 1000 && count < least;
    printf("  %-34s %12llu", what, (unsigned long long)count);
    if (of)
        printf("  %5.1f %%", 100.0 * (double)count / (double)of);
    printf("%s\n", few ? "  TOO FEW: this tests nothing" : "");
    lacking += few;
}

static void show_tally(void)
{
    const struct nxi_sim_stats *s = &tally.sim;
    uint64_t                    ends = tally.complete + tally.cancelled;
    for (int i = 0; i < 32; i++)
        ends += tally.errored[i];
    show("sides of operations", tally.ops, 0, 300000);
    show("ended complete", tally.complete, ends, 100000);
    show("ended cancelled", tally.cancelled, ends, 20000);
    static const struct {
        int      code;
        uint64_t least;
    } codes[] = { { NXC_ETIMEDOUT, 10000 }, { NXC_EPEER, 5000 }, { NXC_EACCESS, 5000 }, { NXC_EUNREACH, 1000 },
                  { NXC_EKIND, 500 }, { NXC_ESIZE, 500 }, { NXC_ENOMEM, 500 } };
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++)
        show(nxc_err_name(codes[i].code), tally.errored[-codes[i].code], ends, codes[i].least);
    show("ended by the peer's cancel or limit", tally.by_peer, ends, 1000);
    show("pairs judged by the table", tally.undisturbed, 0, 50000);
    show("cancels after the vote", tally.cancelled_voted, 0, 200);
    show("voted, unheard, receiver complete", tally.unknown, 0, 100);
    show("second users refused", tally.lost_races, 0, 1000);
    show("stops that had to wait", tally.stops_waited, 0, 500);
    show("ends after a lost peer, in time", tally.lost_peers, 0, 5000);
    show("last words of freed connectors", tally.last_words, 0, 5000);
    show("kills", tally.acts[ACT_KILL], 0, 2000);
    show("freezes", tally.acts[ACT_FREEZE], 0, 2000);
    show("thaws", tally.acts[ACT_THAW], 0, 1000);
    show("cuts", tally.acts[ACT_CUT], 0, 2000);
    show("drops", tally.acts[ACT_DROP], 0, 2000);
    show("links", s->up, 0, 50000);
    show("connects that failed", s->refused, 0, 1000);
    show("links lost in the middle of a frame", s->cut_short, 0, 200);
    show("frames", s->frames, 0, 500000);
    show("chunks", s->chunks, 0, 500000);
    show("sends that found no room", s->again, 0, 20000);
    show("replies queued", s->queued_replies, 0, 1000);
    show("payloads lent", s->lent, 0, 20000);
    show("payloads taken back in the middle", s->revoked, 0, 500);
    show("payloads turned to scrap midway", s->scrapped, 0, 500);
    show("pulls", s->pulls, 0, 10000);
    show("pulls that failed", s->pulls_failed, 0, 500);
    printf("  %-34s %12llu\n", "bytes received", (unsigned long long)tally.bytes);
}

int main(int argc, char **argv)
{
    const char *text = getenv("NXC_SIM_COUNT");
    uint64_t    seed = 1, count = text ? strtoull(text, NULL, 10) : 100000;
    bool        counted = false;
    FILE       *trace = NULL;
    for (int i = 1; i < argc; i++) {
        if (!strcmp(argv[i], "--seed") && i + 1 < argc) {
            seed = strtoull(argv[++i], NULL, 0);
            if (!counted)
                count = 1;
        } else if (!strcmp(argv[i], "--count") && i + 1 < argc) {
            count = strtoull(argv[++i], NULL, 0);
            counted = true;
        } else if (!strcmp(argv[i], "--trace")) {
            trace = stdout;
        } else {
            fprintf(stderr, "usage: %s [--seed N] [--count N] [--trace]\n", argv[0]);
            return 2;
        }
    }
    static uint8_t content[CONTENT_LEN], pool[MAX_OPS * ((320 << 10) + GUARD * (MAX_DESCS + 1))];
    struct nxi_rng rng = { 0 };
    for (size_t i = 0; i < sizeof content; i++)
        content[i] = (uint8_t)nxi_rng_next(&rng);
    /* Names that the library keeps for good, asked for before anything is counted. */
    static const char *const names[] = { "sim0", "sim0+pull", "sim1", "sim1+pull" };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        nxi_intern(names[i], "");
    static const int signals[] = { SIGALRM, SIGSEGV, SIGBUS, SIGABRT, SIGFPE };
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        signal(signals[i], on_signal);
    alarm(20);
    for (uint64_t i = 0; i < count; i++)
        play(seed + i, trace, content, pool);
    printf("%llu schedules, seeds %llu to %llu, all promises held\n", (unsigned long long)count,
           (unsigned long long)seed, (unsigned long long)(seed + count - 1));
    show_tally();
    return lacking ? 1 : 0;
}
