/* SPDX-License-Identifier: Apache-2.0 */
#ifndef NXI_FABRIC_TCP_NODE_TEST_H
#define NXI_FABRIC_TCP_NODE_TEST_H
/* Two tcp fabrics in one process, driven by hand over loopback. Include after
 * cmocka.h. What a node's fabric tells is written down in the node. */
#include "fabric/tcp.h"

#include <string.h>

enum { TEST_LOG = 64 };

struct node {
    struct nxi_timers     timers;
    struct nxi_fabric_env env;
    struct nxi_fabric    *fabric;
    struct nxi_entry      entry;
    /* what came up */
    struct nxi_link *link; /* the last that was greeted */
    unsigned         ups, downs, frames, payloads, sents, writables;
    int              down_code;
    char             down_text[256];
    void            *sent_token;
    uint8_t          headers[TEST_LOG][NXI_HEADER_MAX]; /* of the first frames */
    size_t           header_lens[TEST_LOG];
    uint64_t         payload_lens[TEST_LOG];
    /* what the node does */
    struct nxc_desc sink[2]; /* where each payload goes; len 0: to scrap */
    int             answer;  /* what header returns */
    size_t          reply;   /* bytes that are replied to each frame */
    bool            close_at_up;
};

/* Later than now by this much: tests of time limits turn the clock forward. */
extern uint64_t test_later;

void node_open_at(struct node *n, const char *listen, char name);
void node_open(struct node *n, char name); /* at 127.0.0.1 */
void node_free(struct node *n);
/* One round of the driver's work: epoll, timers, poll. */
void node_step(struct node *n);
uint64_t test_now(void);
/* Opens a link and steps both until it is greeted. *ret_a is a's end. */
void nodes_link(struct node *a, struct node *b, struct nxi_link **ret_a, struct nxi_link **ret_b);
int node_send(struct nxi_link *l, const char *header, void *payload, size_t len, enum nxi_send_mode mode);
/* Lets the kernel take as little as it can at a time. (A small buffer on the
 * other side would make TCP wait for its window, 0.2 s at a time.) */
void shrink(struct nxi_link *l);
/* A plain socket that is connected to the node. */
int plain_socket(const struct node *n);
/* The same, greeted by hand. */
int plain_link(struct node *n);
/* Waits for n bytes on a plain socket while the node works. Fewer: the end came. */
size_t plain_read(struct node *n, int fd, void *buf, size_t len);

/* Steps until the condition holds; 10 s at most. */
#define STEP_UNTIL(condition, ...)                                                        \
    do {                                                                                  \
        struct node *all_[] = { __VA_ARGS__ };                                            \
        uint64_t     end_ = nxi_now() + 10 * NXI_SEC;                                     \
        while (!(condition)) {                                                            \
            if (nxi_now() > end_)                                                         \
                fail_msg("waited in vain for %s", #condition);                            \
            for (size_t i_ = 0; i_ < sizeof all_ / sizeof *all_; i_++)                    \
                node_step(all_[i_]);                                                      \
        }                                                                                 \
    } while (0)

#endif
