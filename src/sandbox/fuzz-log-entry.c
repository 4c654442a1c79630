/* SPDX-License-Identifier: Apache-2.0 */
/* A line of the log as a supervisor that was taken over might write it. */
#include "sandbox/exec-log.h"
#include "sandbox/log-read.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	volatile uint8_t sum = 0;
	struct log_entry e;

	(void)exec_log_seq((const char *)data, size);
	if (log_entry_parse((const char *)data, size, &e) < 0)
		return 0;
	for (size_t i = 0; i < e.len; i++)
		sum = (uint8_t)(sum + (uint8_t)e.data[i]);
	assert(e.len <= size);
	log_entry_deinit(&e);
	return 0;
}
