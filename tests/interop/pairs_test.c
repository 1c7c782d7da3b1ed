/* SPDX-License-Identifier: Apache-2.0 */
/* Every pairing, number of descriptors, size, and writing of the ticket; each byte compared. */
#include "tests/interop/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum { KIB = 1024, MIB = 1024 * KIB };

/* A size of 0 is the mix. A hundred of 64 MiB would not fit in a small machine; the
 * mix of a hundred has one of those. */
static const struct {
    size_t n, size;
} shapes[] = {
    { 1, 1 },        { 1, 4 * KIB }, { 1, MIB }, { 1, 64 * MIB },  { 2, 1 },     { 2, 4 * KIB }, { 2, MIB },
    { 2, 64 * MIB }, { 2, 0 },       { 100, 1 }, { 100, 4 * KIB }, { 100, MIB }, { 100, 0 },
};

static size_t mixed(size_t i)
{
    static const size_t mix[] = { 4 * KIB + 1, 64 * MIB, 1, MIB, 7, 65 * KIB - 3, 4 * KIB, 300 };
    return i == 1 ? mix[1] : mix[i % 8 == 1 ? 0 : i % 8];
}

static void transfer(enum pairing pairing, const size_t *sizes, size_t n, enum nxc_encoding encoding)
{
    struct deal d;
    deal_make(&d, pairing, ours, theirs, sizes, n);
    char *ticket = deal_offer(&d, encoding, NULL);
    deal_use(&d, ticket);
    free(ticket);
    deal_end(&d);
}

/* How a ticket is written does not depend on how much it offers: large ones are in base64. */
static void every_shape(enum pairing pairing)
{
    for (size_t shape = 0; shape < sizeof shapes / sizeof shapes[0]; shape++) {
        size_t sizes[BLOCKS_MAX], n = shapes[shape].n, bytes = 0;
        for (size_t i = 0; i < n; i++)
            bytes += sizes[i] = shapes[shape].size ? shapes[shape].size : mixed(i);
        transfer(pairing, sizes, n, NXC_B64);
        if (bytes < 64 * MIB)
            transfer(pairing, sizes, n, NXC_HEX);
    }
}

static void they_read_what_we_offer(void **state)
{
    (void)state;
    every_shape(OUR_READABLE);
}

static void they_write_where_we_offer(void **state)
{
    (void)state;
    every_shape(OUR_WRITABLE);
}

static void we_read_what_they_offer(void **state)
{
    (void)state;
    every_shape(THEIR_READABLE);
}

static void we_write_where_they_offer(void **state)
{
    (void)state;
    every_shape(THEIR_WRITABLE);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(they_read_what_we_offer),
        cmocka_unit_test(they_write_where_we_offer),
        cmocka_unit_test(we_read_what_they_offer),
        cmocka_unit_test(we_write_where_they_offer),
    };
    session_arguments(argc, argv);
    return cmocka_run_group_tests(tests, session_open, session_close);
}
