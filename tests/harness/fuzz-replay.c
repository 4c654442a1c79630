/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target over files and directories named on the command line, for builds without
 * libFuzzer. */
#include <dirent.h>

#include "base/base.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int replay_file(const char *path)
{
	cleanup_file FILE *f = fopen(path, "re");
	static uint8_t data[1 << 20];
	size_t n;

	if (!f) {
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
		return 1;
	}
	n = fread(data, 1, sizeof(data), f);
	/* An exact-size copy lets the sanitizers see reads beyond the end. */
	cleanup_free uint8_t *copy = malloc(n ? n : 1);
	if (!copy)
		return 1;
	memcpy(copy, data, n);
	LLVMFuzzerTestOneInput(copy, n);
	return 0;
}

static int replay_dir(DIR *d, const char *path, unsigned int *count)
{
	const struct dirent *e;
	int failed = 0;

	while ((e = readdir(d))) {
		char file[PATH_MAX];

		if (e->d_name[0] == '.')
			continue;
		(void)snprintf(file, sizeof(file), "%s/%s", path, e->d_name);
		failed |= replay_file(file);
		++*count;
	}
	return failed;
}

int main(int argc, char **argv)
{
	unsigned int count = 0;
	int failed = 0;

	for (int i = 1; i < argc; i++) {
		DIR *d = opendir(argv[i]);

		if (d) {
			failed |= replay_dir(d, argv[i], &count);
			closedir(d);
		} else {
			failed |= replay_file(argv[i]);
			count++;
		}
	}
	LLVMFuzzerTestOneInput((const uint8_t *)"", 0);
	printf("replayed %u inputs\n", count);
	return failed;
}
