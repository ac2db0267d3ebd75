/* SPDX-License-Identifier: MIT */
/* fuzz: what a fuzz target is. */
#ifndef ECSSH_TEST_FUZZ_H
#define ECSSH_TEST_FUZZ_H

#include <stddef.h>
#include <stdint.h>

/* Run one input; stop the process if something that must hold does not.
 * Returns 0.  The name is libFuzzer's. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#endif
