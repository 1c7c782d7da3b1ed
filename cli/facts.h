/* SPDX-License-Identifier: Apache-2.0 */
#ifndef FACTS_H
#define FACTS_H
#include <stdbool.h>

/* An nxc_fact_fn that prints each fact as an object of a JSON array. arg is a
 * bool, false before the first. */
void facts_json(const char *name, int result, const char *text, void *arg);

#endif
