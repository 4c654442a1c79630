/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of a sandbox: written, listed, read, copied both ways, removed. If it does not run it is
 * started for that, and stopped again.
 *
 *	cc -o files files.c $(pkg-config --cflags --libs msb)
 *	./files NAME HOST-DIRECTORY
 */
#include <msb/msb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What the guest calls its files is not to be trusted: no control characters on a terminal. */
static int show(void *arg, const char *name, const struct msb_stat *st, const char *target)
{
	(void)target;
	for (; *name; name++)
		putchar((unsigned char)*name < ' ' || *name == 127 ? '?' : *name);
	printf(" %o %llu\n", (unsigned int)st->mode & 07777, (unsigned long long)st->bytes);
	++*(unsigned int *)arg;
	return 0;
}

/* Another name, and away with it: a directory that is not empty only if that is what we want. */
static int tidy(struct msb_files *f, struct msb_error *e)
{
	int r = msb_files_rename(f, "/tmp/example", "/tmp/example.old", e);

	if (r == 0 && msb_files_remove(f, "/tmp/example.old", 0, e) == 0)
		return -1;
	printf("not removed: %s\n", e->message);
	return r < 0 ? r : msb_files_remove(f, "/tmp/example.old", 1, e);
}

static int work(struct msb_files *f, const char *host_dir, struct msb_error *e)
{
	static const char text[] = "written by libmsb\n";
	struct msb_stat st = MSB_STAT_INIT;
	unsigned int skipped = 0;
	unsigned int n = 0;
	char out[4096];
	void *back;
	size_t len;
	int r;

	r = msb_files_mkdir(f, "/tmp/example/deep", 0755, e);
	if (r == 0)
		r = msb_files_put(f, "/tmp/example/note", 0640, text, strlen(text), e);
	if (r == 0)
		r = msb_files_symlink(f, "/tmp/example/link", "note", e);
	if (r == 0)
		r = msb_files_stat(f, "/tmp/example/link", 1, &st, e);
	if (r == 0)
		r = msb_files_list(f, "/tmp/example", show, &n, e);
	if (r == 0)
		r = msb_files_get(f, "/tmp/example/note", 4096, &back, &len, e);
	if (r < 0)
		return r;
	printf("%u entries, %zu of %llu bytes: %s", n, len, (unsigned long long)st.bytes,
		(char *)back);
	free(back);
	/* The whole directory to the guest, and what we wrote back beside it. */
	r = msb_copy_in(f, host_dir, "/tmp/example/in", &skipped, e);
	if (r == 0 && snprintf(out, sizeof(out), "%s.out", host_dir) >= (int)sizeof(out))
		return -1;
	if (r == 0)
		r = msb_copy_out(f, "/tmp/example", out, NULL, e);
	if (r < 0)
		return r;
	printf("copied to %s, %u skipped\n", out, skipped);
	return tidy(f, e);
}

int main(int argc, char **argv)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_files *f = NULL;
	struct msb *m = NULL;
	int r;

	if (argc != 3) {
		fprintf(stderr, "usage: files NAME HOST-DIRECTORY\n");
		return 2;
	}
	r = msb_open(NULL, NULL, &m, &e);
	if (r == 0)
		r = msb_files_start(m, argv[1], &f, &e);
	if (r == 0) {
		r = work(f, argv[2], &e);
		if (r == 0)
			r = msb_files_end(f, &e);
		else
			msb_files_close(f);
	}
	if (r < 0)
		fprintf(stderr, "files: %s\n", e.message);
	msb_close(m);
	return r < 0;
}
