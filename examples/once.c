/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A command in a sandbox that exists for it alone, on our stdin, stdout and stderr: once IMAGE
 * COMMAND... Says what happens on the way, and exits as the command did.
 */
#include <msb/msb.h>
#include <stdio.h>
#include <unistd.h>

static int on_phase(void *arg, int phase, const char *what)
{
	(void)arg;
	if (phase == MSB_PHASE_DOWNLOAD)
		fprintf(stderr, "downloading %s\n", what);
	else if (phase == MSB_PHASE_BOOT)
		fprintf(stderr, "booting\n");
	return 0;
}

static int run(struct msb *m, struct msb_config *config, const char *const *argv, int *ret_status,
	struct msb_error *e)
{
	struct msb_create_options options = MSB_CREATE_OPTIONS_INIT;
	struct msb_process_times times = MSB_PROCESS_TIMES_INIT;
	struct msb_command *c = msb_command_usual();
	struct msb_process *p = NULL;
	int r;

	if (!c)
		return -1;
	options.phase = on_phase;
	msb_command_fds(c, STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO);
	r = msb_config_set_image(config, argv[0], e);
	if (r == 0)
		r = msb_config_set_command(config, argv + 1, e);
	if (r == 0)
		r = msb_process_run(m, config, &options, c, &p, e);
	if (r == 0)
		r = msb_process_wait(p, ret_status, e);
	if (p) {
		msb_process_times(p, &times);
		fprintf(stderr, "%s %s\n", msb_process_owns(p) ? "its own:" : "shared:",
			times.ready_ns && times.exec_ns >= times.ready_ns &&
					times.end_ns >= times.exit_ns
				? "up, run, gone"
				: "not run");
	}
	(void)msb_process_free(p);
	(void)msb_command_free(c);
	return r;
}

int main(int argc, char **argv)
{
	struct msb_config *config = msb_config_new();
	struct msb_error e = MSB_ERROR_INIT;
	struct msb *m = NULL;
	int status = 1;
	int r;

	if (argc < 3 || !config) {
		fprintf(stderr, "usage: once IMAGE COMMAND...\n");
		return 2;
	}
	r = msb_open(NULL, NULL, &m, &e);
	if (r == 0)
		r = run(m, config, (const char *const *)argv + 1, &status, &e);
	if (r < 0) {
		fprintf(stderr, "once: %s\n%s", e.message, e.console);
		status = e.code == MSB_E_EXEC_NOT_FOUND ? 127 : 1;
	}
	(void)msb_config_free(config);
	(void)msb_close(m);
	return status;
}
