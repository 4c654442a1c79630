/* SPDX-License-Identifier: Apache-2.0 */
/* Processes of a guest: see guest-proc.h. */
#include "cli/guest-proc.h"

#include "base/str.h"

#include "lib/human.h"

/* What a guest's kernel of ours has. */
enum { TICK_MS = 10, PAGE_BYTES = 4096, KERNEL_THREAD = 0x00200000 };

/* Fields of the text behind the name, the state being the first. */
enum {
	AT_PPID = 1,
	AT_FLAGS = 6,
	AT_UTIME = 11,
	AT_STIME = 12,
	AT_THREADS = 17,
	AT_RSS = 21,
	N_FIELDS
};

static int parse_fields(char *at, struct guest_proc *ret)
{
	uint64_t v[N_FIELDS] = {0};
	char *save = NULL;
	char *word = strtok_r(at, " \n", &save);

	/* A letter. */
	if (!word || word[1] || word[0] < 'A' || word[0] > 'z')
		return -EBADMSG;
	ret->state[0] = word[0];
	for (unsigned int i = 1; i < N_FIELDS; i++) {
		word = strtok_r(NULL, " \n", &save);
		if (!word)
			return -EBADMSG;
		/* Some that nobody asks for may be negative. */
		if (word[0] != '-' && str_to_u64(word, &v[i]) < 0)
			return -EBADMSG;
	}
	if (v[AT_PPID] > UINT32_MAX || v[AT_THREADS] > UINT32_MAX ||
		v[AT_RSS] > INT64_MAX / PAGE_BYTES || v[AT_UTIME] > INT64_MAX / (2 * TICK_MS) ||
		v[AT_STIME] > INT64_MAX / (2 * TICK_MS))
		return -EBADMSG;
	ret->ppid = (uint32_t)v[AT_PPID];
	ret->threads = (uint32_t)v[AT_THREADS];
	ret->kernel = v[AT_FLAGS] & KERNEL_THREAD;
	ret->cpu_ms = (v[AT_UTIME] + v[AT_STIME]) * TICK_MS;
	ret->rss_bytes = v[AT_RSS] * PAGE_BYTES;
	return 0;
}

int guest_proc_stat(const char *text, size_t len, struct guest_proc *ret)
{
	char copy[1024];
	char *open;
	char *end;

	*ret = (struct guest_proc){.pid = 0};
	if (len >= sizeof(copy) || memchr(text, '\0', len))
		return -EBADMSG;
	memcpy(copy, text, len);
	copy[len] = '\0';
	/* The name may be anything, brackets included. */
	open = strstr(copy, " (");
	end = strrchr(copy, ')');
	if (!open || !end || end < open + 2)
		return -EBADMSG;
	*open = '\0';
	*end = '\0';
	if (str_to_u32(copy, 1, INT32_MAX, &ret->pid) < 0)
		return -EBADMSG;
	(void)human_text(ret->name, sizeof(ret->name), open + 2);
	(void)snprintf(ret->command, sizeof(ret->command), "[%s]", ret->name);
	return parse_fields(end + 1, ret);
}

void guest_proc_command(const char *text, size_t len, struct guest_proc *ret)
{
	char copy[PROC_COMMAND];

	len = MIN(len, sizeof(copy) - 1);
	while (len && text[len - 1] == '\0')
		len--;
	if (len == 0)
		return;
	for (size_t i = 0; i < len; i++)
		copy[i] = text[i] ? text[i] : ' ';
	copy[len] = '\0';
	(void)human_text(ret->command, sizeof(ret->command), copy);
}
