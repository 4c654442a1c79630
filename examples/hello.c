/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A sandbox from nothing, one command in it, and away with it.
 *
 *	cc -o hello hello.c $(pkg-config --cflags --libs msb)
 *	./hello [IMAGE]
 */
#include <msb/msb.h>
#include <stdio.h>
#include <stdlib.h>

static int failed(const char *what, const struct msb_error *e)
{
	fprintf(stderr, "%s: %s%s%s\n%s", what, e->message, e->hint[0] ? "; " : "", e->hint,
		e->console);
	return 1;
}

int main(int argc, char **argv)
{
	static const char *const uname[] = {"uname", "-sr", NULL};
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_config *config = msb_config_new();
	char name[MSB_NAME_SIZE];
	struct msb *m = NULL;
	char *output = NULL;
	int status = 1;
	int exit_status;

	if (!config || msb_open(NULL, NULL, &m, &e) < 0)
		return failed("open", &e);
	if ((argc > 1 && msb_config_set_image(config, argv[1], &e) < 0) ||
		msb_config_set(config, "memory", "256M", &e) < 0 ||
		msb_config_set(config, "label", "example=hello", &e) < 0 ||
		msb_create(m, config, name, &e) < 0) {
		status = failed("create", &e);
	} else {
		if (msb_exec_output(m, name, uname, 4096, &output, NULL, &exit_status, &e) < 0)
			failed("exec", &e);
		else
			status = printf("%s says %s", name, output) < 0 || exit_status;
		if (msb_remove(m, name, 1, &e) < 0)
			status = failed("remove", &e);
	}
	free(output);
	msb_config_free(config);
	msb_close(m);
	return status;
}
