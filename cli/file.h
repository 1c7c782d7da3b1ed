/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FILE_H
#define FILE_H
/* Files as memory. The functions that fail say why. */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct mapping {
    void  *addr; /* never NULL, also when the file is empty */
    size_t len;
};

struct input {
    const char    *path;
    int            fd;
    struct mapping map;
};
#define INPUT_INIT { .fd = -1 }

bool input_open(const char *path, struct input *ret_in);
/* Whether the file has become shorter than what was mapped. */
bool input_shrank(const struct input *in);
void input_close(struct input *in);

/* A new file, without its name until it is whole. */
struct output {
    const char    *path;
    bool           force; /* a file of that name is replaced */
    int            dir, fd;
    char           temp[32]; /* its name in dir until then; empty where the system can do without */
    struct mapping map;
};
#define OUTPUT_INIT { .dir = -1, .fd = -1 }

/* Refuses a path that exists (unless force), and a disk without room for size. */
bool output_open(const char *path, uint64_t size, bool force, struct output *ret_out);
/* Gives the file its name. */
bool output_name(struct output *out);
/* Removes what has not got its name. */
void output_close(struct output *out);

#endif
