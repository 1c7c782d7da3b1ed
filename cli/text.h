/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TEXT_H
#define TEXT_H
/* Text for people on stderr, text for programs on stdout. */
#include <stdint.h>
#include <stdio.h>

/* One line on stderr, "nxconnect: ...". What a stranger's ticket brought into
 * it can't command the terminal: control characters become '?'. */
void say(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* The same for a system call that failed: appends ": <text of errno>". */
void say_errno(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Replaces control characters and what is not UTF-8, in place. */
void text_clean(char *text);
/* Prints text so cleaned. */
void text_print(FILE *out, const char *text);
/* Prints text as a JSON string with its quotes; bytes that are not UTF-8 become U+FFFD. */
void text_json(FILE *out, const char *text);

/* "1.5 GiB", "17 bytes". */
enum { TEXT_SIZE = 32 };
const char *text_size(uint64_t bytes, char buf[TEXT_SIZE]);

/* "7.9 GB/s", powers of 1000 as with networks and memory. */
const char *text_rate(double bytes_per_second, char buf[TEXT_SIZE]);

#endif
