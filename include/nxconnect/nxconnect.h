/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXCONNECT_H
#define NXCONNECT_H
/*
 * nxconnect moves memory from one worker to another. One worker offers memory
 * and gets a ticket, a JSON text. It travels by any road: HTTP, NATS, a file. The
 * other worker uses it to read or write that memory. Both learn of the end.
 *
 * Five rules hold for everything below.
 *  1. int functions return 0 or more, or a negative NXC_E code. A ret_ argument
 *     is set on success and untouched on failure.
 *  2. An op ends exactly once. nxc_op_wait() and nxc_op_status() tell, as often
 *     as asked; a queued op also comes out of nxc_connector_next(), once, unless
 *     it is freed before that.
 *  3. Buffers are lent to the library from create or begin until the op has
 *     ended or nxc_op_free() has returned. Then they are yours again, however it
 *     ended: nobody writes them, and what is read from them by a peer that was
 *     lost is thrown away. (With NIXL peers: see enum nxc_peers.)
 *  4. An object is freed with its own _free, which takes NULL too, in any order,
 *     while no other thread uses it. Text got from an object lives as long as it.
 *  5. Any thread may call any function. After fork() the child may only _free,
 *     which there gives back memory and nothing else; int functions give
 *     NXC_ESTATE there, the others what was true at the fork.
 */
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NXC_API __attribute__((visibility("default")))

/* ---- version and errors ------------------------------------------------- */
#define NXC_VERSION_MAJOR 0 /* same major number: same ABI */
#define NXC_VERSION_MINOR 1
#define NXC_VERSION_PATCH 0
NXC_API const char *nxc_version(void); /* of the loaded library: "0.1.0" */

/* Numbers are never reused. New ones go at the end. */
#define NXC_ERROR_MAP(X)                                           \
    X(NXC_EINVAL,     -1,  "invalid argument")                     \
    X(NXC_ENOMEM,     -2,  "out of memory")                        \
    X(NXC_ESTATE,     -3,  "not possible in this state")           \
    X(NXC_ENOTSUP,    -4,  "not supported on this host or build")  \
    X(NXC_ETIMEDOUT,  -5,  "time limit reached")                   \
    X(NXC_ECANCELLED, -6,  "cancelled")                            \
    X(NXC_EFORMAT,    -7,  "malformed ticket")                     \
    X(NXC_EKIND,      -8,  "ticket is for the other kind of op")   \
    X(NXC_ESIZE,      -9,  "local and remote sizes differ")        \
    X(NXC_EDEVICE,    -10, "unknown or unusable device")           \
    X(NXC_EREGISTER,  -11, "memory could not be registered")       \
    X(NXC_EUNREACH,   -12, "the peer was never reached")           \
    X(NXC_EPEER,      -13, "the peer went away")                   \
    X(NXC_EACCESS,    -14, "the peer's memory may not be used")    \
    X(NXC_ELIMIT,     -15, "a configured limit was reached")       \
    X(NXC_ESYSTEM,    -16, "system call or transport failed")      \
    X(NXC_EAGAIN,     -17, "still running")                        \
    X(NXC_EVERSION,   -18, "the peer speaks another version")
#define NXC_ERROR_ENUM(name, number, text) name = number,
enum nxc_error { NXC_ERROR_MAP(NXC_ERROR_ENUM) NXC_OK = 0 };

NXC_API const char *nxc_err_name(int err); /* "NXC_EINVAL"; never NULL */
NXC_API const char *nxc_err_text(int err); /* "invalid argument"; never NULL */
NXC_API const char *nxc_err_detail(void);  /* of this thread's last failure, until the next: "descs[2] wraps around" */

/* ---- memory ------------------------------------------------------------- */
enum nxc_device { NXC_HOST = 1, NXC_CUDA = 2, NXC_XPU = 3 };

/* A stretch of memory. The address is a number because it often belongs to
 * another process. These 24 bytes are frozen: no field will ever be added. */
struct nxc_desc {
    uint64_t addr, len;
    uint32_t device, device_id; /* enum nxc_device; id is 0 for NXC_HOST */
};
static inline struct nxc_desc nxc_desc_host(void *ptr, size_t len)
{
    struct nxc_desc d = { (uint64_t)(uintptr_t)ptr, len, NXC_HOST, 0 };
    return d;
}
/* "cpu", "cuda", "gpu:1", "xpu:0" into device and device_id, and back (cap 32 is enough). */
NXC_API int nxc_device_parse(const char *name, struct nxc_desc *desc);
NXC_API int nxc_device_format(const struct nxc_desc *desc, char *buf, size_t cap);

/* ---- connector: this worker's end --------------------------------------- */
typedef struct nxc_connector nxc_connector;
typedef struct nxc_region    nxc_region;
typedef struct nxc_ticket    nxc_ticket;
typedef struct nxc_op        nxc_op;

/* Option structs carry their own size so that they can grow, by multiples of 8
 * bytes. Start from _INIT. 0 and NULL mean the default, NXC_OFF switches off; a
 * NULL opts pointer means all defaults. A size smaller than the first version's
 * is NXC_EINVAL; a larger one must have a zero tail, else NXC_ENOTSUP. */
#define NXC_OFF UINT32_MAX

struct nxc_connector_opts {
    size_t      size;
    const char *worker_id;    /* default: a fresh UUID without dashes */
    const char *transports;   /* of "shm,tcp,ucx"; default: all that peers allows. ucx is for NIXL peers */
    const char *require;      /* one of those: begin fails with NXC_EUNREACH rather than do without */
    const char *listen;       /* tcp: "eth0,192.0.2.7:7000-7100"; default: any port of all addresses but
                               * loopback (loopback when there is no other). In the clear: see SECURITY.md */
    uint32_t    peers;        /* enum nxc_peers; default NXC_PEERS_NATIVE */
    uint32_t    connect_ms;   /* until a peer has greeted us; default 5000 */
    uint32_t    keepalive_ms; /* a peer silent for so long in an operation is lost; default 5000 */
    uint32_t    spin_us;      /* spin this long before sleeping; default 50 */
    uint32_t    max_ops;      /* unfinished ops allowed; default 65536 */
    uint32_t    turn_kb;      /* longest turn of one op on a shared link; default 256 */
};
/* ANY admits NIXL peers too (dynamo.nixl_connect on nixl; docs/interop.md says which were
 * tried); it loads the UCX module, or fails with NXC_ENOTSUP and what is missing. Such peers
 * use one-sided access: whoever knows this worker's address can write anywhere in it, and a
 * peer that has a ticket can use it until the memory is deregistered, over TCP until this
 * connector is freed, whatever became of the op: keep memory mapped for so long whose op did
 * not complete. Trusted networks only. And less is known of them: a created op hears of
 * nothing but its peer's success, so give it a timeout_ms; it stays INITIALIZED until then. */
enum nxc_peers { NXC_PEERS_NATIVE = 0, NXC_PEERS_ANY = 1 };
#define NXC_CONNECTOR_OPTS_INIT { sizeof(struct nxc_connector_opts), NULL, NULL, NULL, NULL, 0, 0, 0, 0, 0, 0 }

NXC_API int nxc_connector_new(const struct nxc_connector_opts *opts, nxc_connector **ret_c);
/* Cancels what runs and blocks until all buffers are free of it and the peers
 * have been told, or keepalive_ms. No other
 * thread may be using c. Ops you still hold may be asked and freed later. */
NXC_API void nxc_connector_free(nxc_connector *c);
NXC_API const char *nxc_connector_name(const nxc_connector *c); /* the worker_id */

struct nxc_event {
    nxc_op  *op;
    void    *arg;    /* from the op's options */
    int32_t  status; /* enum nxc_status: COMPLETE, CANCELLED or ERRORED */
    int32_t  error;  /* 0 or why it did not complete */
};
/* For your event loop: readable exactly while nxc_connector_next() has
 * something to give. Level-triggered; never read or close it. */
NXC_API int nxc_connector_fd(const nxc_connector *c);
/* Takes up to max ended ops that were queued, and returns how many. Never blocks.
 * Free such an op in the thread that calls next: its event is gone with it. */
NXC_API int nxc_connector_next(nxc_connector *c, struct nxc_event *ret_events, unsigned max);

/* Told about something, a line at a time: its name, 0 or an NXC_E code, a text.
 * name and text are valid during the call only. */
typedef void (*nxc_fact_fn)(const char *name, int result, const char *text, void *arg);

/* Registers memory ahead of time, so that ops inside it start faster: where NIXL peers are
 * admitted, elsewhere it costs and changes nothing. Ops hold it: _free may come early, but
 * the memory must outlive the ops. NXC_EREGISTER. */
NXC_API int  nxc_region_new(nxc_connector *c, const struct nxc_desc *desc, nxc_region **ret_r);
NXC_API void nxc_region_free(nxc_region *r);

/* ---- tickets: what travels over the side channel (NIXL Connect: RdmaMetadata) */
enum nxc_kind { NXC_READ = 1, NXC_WRITE = 2 };

/* Checks all that can be checked without the peer. The input is untrusted. */
NXC_API int  nxc_ticket_parse(const char *json, size_t len, nxc_ticket **ret_t);
NXC_API void nxc_ticket_free(nxc_ticket *t);
NXC_API enum nxc_kind nxc_ticket_kind(const nxc_ticket *t);
NXC_API const char *nxc_ticket_peer(const nxc_ticket *t); /* the agent's name in it */
NXC_API size_t nxc_ticket_descs(const nxc_ticket *t, const struct nxc_desc **ret_descs);
/* Explains a ticket without contacting anybody: fn is called per fact, such as
 * ("dialect", 0, "native, protocol 1") or ("address", 0, "tcp 192.0.2.7:7000");
 * result is 0, or why this library could not use that part. Names are one lower-case word. */
NXC_API int nxc_ticket_explain(const nxc_ticket *t, nxc_fact_fn fn, void *arg);

/* ---- operations --------------------------------------------------------- */
enum nxc_status { /* the numbers of Dynamo's OperationStatus; 0 is unused here */
    NXC_INITIALIZED = 1, NXC_IN_PROGRESS, NXC_COMPLETE, NXC_CANCELLED, NXC_ERRORED
};

struct nxc_op_opts {
    size_t      size;
    uint32_t    queued;     /* non-zero: its end comes out of nxc_connector_next() */
    uint32_t    reserved;   /* 0 */
    void       *arg;        /* comes with the event */
    uint64_t    timeout_ms; /* from now to the end, then NXC_ETIMEDOUT; default: no limit */
};
#define NXC_OP_OPTS_INIT { sizeof(struct nxc_op_opts), 0, 0, NULL, 0 }

/* Offer memory to one peer. descs and opts are copied, the memory is lent. */
NXC_API int nxc_op_create_readable(nxc_connector *c, const struct nxc_desc *descs, size_t n,
                                   const struct nxc_op_opts *opts, nxc_op **ret_op);
NXC_API int nxc_op_create_writable(nxc_connector *c, const struct nxc_desc *descs, size_t n,
                                   const struct nxc_op_opts *opts, nxc_op **ret_op);
/* Use a peer's offer. descs match its descriptors in number and size. Starts
 * at once; t may be freed when this returns. */
NXC_API int nxc_op_begin_read(nxc_connector *c, const nxc_ticket *t,
                              const struct nxc_desc *descs, size_t n,
                              const struct nxc_op_opts *opts, nxc_op **ret_op);
NXC_API int nxc_op_begin_write(nxc_connector *c, const nxc_ticket *t,
                               const struct nxc_desc *descs, size_t n,
                               const struct nxc_op_opts *opts, nxc_op **ret_op);
/* The JSON for the peer, made when first asked for; of a created op only, else
 * NXC_ESTATE. It is a secret: who has it can use the op, once. */
enum nxc_encoding { NXC_B64 = 0, NXC_HEX = 1 };
NXC_API int nxc_op_ticket(nxc_op *op, enum nxc_encoding enc,
                          const char **ret_json, size_t *ret_len);
NXC_API enum nxc_status nxc_op_status(const nxc_op *op);
NXC_API enum nxc_kind nxc_op_kind(const nxc_op *op);
NXC_API uint64_t nxc_op_id(const nxc_op *op); /* in logs and error texts; never reused */
/* 0 or why it ended; ret_text may be NULL. */
NXC_API int nxc_op_error(const nxc_op *op, const char **ret_text);
/* How far it is, for a progress bar; either pointer may be NULL. */
NXC_API int nxc_op_progress(const nxc_op *op, uint64_t *ret_done, uint64_t *ret_total);
/* "shm", "shm+pull", "tcp/eth0", "ucx"...; NULL while unknown. nxc_host_check() says why not better. */
NXC_API const char *nxc_op_transport(const nxc_op *op);
/* A wish; the end is the answer. Twice or too late is fine. Never blocks. */
NXC_API int nxc_op_cancel(nxc_op *op);
/* Blocks until the op has ended. Returns 0 if complete, nxc_op_error if it ended
 * otherwise, NXC_EAGAIN if it still runs after timeout_ms (< 0: no limit). */
NXC_API int nxc_op_wait(nxc_op *op, int64_t timeout_ms);
/* Of an op that runs: cancels it and blocks until it has ended, milliseconds
 * while the peer lives, connect_ms or keepalive_ms at most. To avoid the wait,
 * queue the op, cancel it, and free it when its event comes. */
NXC_API void nxc_op_free(nxc_op *op);

/* ---- looking inside ----------------------------------------------------- */
struct nxc_stats { /* set size; fields beyond the size you get back are unset */
    size_t   size;
    uint64_t started, completed, cancelled, errored, bytes_read, bytes_written;
    uint64_t region_bytes;               /* in regions not freed */
    uint64_t region_hits, region_misses; /* descriptors that a region covered, or that were registered on the way */
    uint64_t peers;                      /* links that are up, and NIXL workers that are held reachable */
};
NXC_API int nxc_connector_stats(const nxc_connector *c, struct nxc_stats *stats);

/* What this host can do, and why not better: fn is called per check ("shm",
 * "pull", "tcp", "memlock", "cuda", "ucx"...). Contacts nobody. */
NXC_API int nxc_host_check(nxc_fact_fn fn, void *arg);

/* The library prints nothing. Levels are syslog's, 3 error to 7 debug. fn may be
 * called from any thread and must not call this library. */
typedef void (*nxc_log_fn)(int level, const char *text, void *arg);
NXC_API void nxc_log_set(nxc_log_fn fn, void *arg, int max_level);

#ifdef __cplusplus
}
#endif
#endif /* NXCONNECT_H */
