/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: commands in sandboxes. */
#ifndef MSB_EXEC_H
#define MSB_EXEC_H

#include <msb/base.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { MSB_STDOUT = 1, MSB_STDERR = 2 };

/* A command. Strings given are copied. It can be run any number of times, one after the other. */
struct msb_command;

/** msb_command_new - @argv ends with NULL; NULL: no memory, or no words */
MSB_API struct msb_command *msb_command_new(const char *const *argv);
/** msb_command_usual - one without words: what the image of the sandbox runs by itself, or else the
 * sandbox's shell; for msb_process_run(): the command of the configuration. NULL: no memory */
MSB_API struct msb_command *msb_command_usual(void);
/** msb_command_free - NULL is fine. Return: NULL */
MSB_API struct msb_command *msb_command_free(struct msb_command *c);

/** msb_command_env - NAME=VALUE beside those of the sandbox; -ENOMEM, -EINVAL */
MSB_API int msb_command_env(struct msb_command *c, const char *entry);
/** msb_command_user - USER[:GROUP], by name or number; by default the sandbox's */
MSB_API int msb_command_user(struct msb_command *c, const char *user);
/** msb_command_workdir - absolute; by default the sandbox's */
MSB_API int msb_command_workdir(struct msb_command *c, const char *dir);
/** msb_command_timeout - kill it after this long, msb_exec() returns -ETIMEDOUT; 0: no limit */
MSB_API void msb_command_timeout(struct msb_command *c, uint64_t ms);
/** msb_command_terminal - a terminal of this size instead of pipes; all output is MSB_STDOUT */
MSB_API void msb_command_terminal(struct msb_command *c, unsigned int rows, unsigned int columns);

/** msb_command_term - type of its terminal, as in TERM, unless its environment has that; -ENOMEM,
 * -EINVAL */
MSB_API int msb_command_term(struct msb_command *c, const char *type);

/** msb_command_rlimit - NAME=SOFT[:HARD], e.g. "nofile=1024:2048"; -EINVAL, -ENOMEM */
MSB_API int msb_command_rlimit(struct msb_command *c, const char *limit);
/** msb_command_start_sandbox - @start: if the sandbox does not run it is started for the command,
 * and stopped when that has ended; it also ends with the process */
MSB_API void msb_command_start_sandbox(struct msb_command *c, int start);
/** msb_command_detach - @detach: nobody waits for the command. It has no input, what it prints is
 * only in the log; it is over for the caller, with status 0, as soon as it runs. A sandbox that was
 * started for it ends with it */
MSB_API void msb_command_detach(struct msb_command *c, int detach);

/**
 * msb_command_output - where output goes; by default it is dropped
 * @fn: @stream is MSB_STDOUT or MSB_STDERR. Return 0; a negative errno kills the command and
 * becomes the result of msb_exec(). The command waits while the function runs
 */
MSB_API void msb_command_output(struct msb_command *c,
	int (*fn)(void *arg, int stream, const void *data, size_t n), void *arg);

/**
 * msb_command_input - where input comes from; by default there is none
 * @fn: fills @to with up to @n bytes and returns how many, 0 at the end; a negative errno kills the
 * command and becomes the result of msb_exec(). Called when the command takes more. -EAGAIN: there
 * is nothing now, msb_process_more() tells when there is
 */
MSB_API void msb_command_input(
	struct msb_command *c, ssize_t (*fn)(void *arg, void *to, size_t n), void *arg);

/**
 * msb_command_fds - descriptors instead of functions; borrowed, and left as they are
 * @in, @out, @err: -1: what the functions say. Pipes, terminals, sockets and files will do
 */
MSB_API void msb_command_fds(struct msb_command *c, int in, int out, int err);

/** msb_command_lose_stderr - @lose: when standard error cannot be written to its descriptor any
 * more the rest of it is dropped, and the command goes on */
MSB_API void msb_command_lose_stderr(struct msb_command *c, int lose);

/**
 * msb_exec - run it in the sandbox @name, and wait for it
 * @ret_status: 0 to 255 as it exited, 128 plus the signal that killed it; may be NULL
 *
 * Success means that the command ran and that all its output was delivered, whatever its status.
 * MSB_E_EXEC_NOT_FOUND and MSB_E_EXEC_DENIED are about the program, MSB_E_NOT_RUNNING about the
 * sandbox.
 */
MSB_API int msb_exec(struct msb *m, const char *name, const struct msb_command *c, int *ret_status,
	struct msb_error *err);

/* A command on its way, for those who do other things meanwhile. */
struct msb_process;

/**
 * msb_process_start - as msb_exec(), without waiting
 * @c: may be freed at once; what it points to (descriptors, arguments of callbacks) may not
 * @ret: msb_process_free()
 *
 * Everything happens inside msb_process_work() and msb_process_wait(), callbacks, too; they may
 * call msb_process_signal() and the like, as may the function given to msb_set_cancel().
 */
MSB_API int msb_process_start(struct msb *m, const char *name, const struct msb_command *c,
	struct msb_process **ret, struct msb_error *err);

struct msb_config;
struct msb_create_options;

/**
 * msb_process_run - msb_process_start() in a new sandbox that exists for the command
 * @config: what it is to be, see sandbox.h; its command is run by a @c without words
 * @options: as for msb_create_watched(), with @run; NULL: nobody looks on
 *
 * Without a name in @config nothing is left of it afterwards. One that has the name already is used
 * as it is, and started for the command if it does not run. Returns when the machine boots; until
 * msb_process_free() what the sandbox needs of the store stays there.
 */
MSB_API int msb_process_run(struct msb *m, const struct msb_config *config,
	const struct msb_create_options *options, const struct msb_command *c,
	struct msb_process **ret, struct msb_error *err);

enum msb_process_state {
	MSB_PROCESS_BOOTING = 0, /* it does not run yet */
	MSB_PROCESS_RUNNING,
	MSB_PROCESS_ENDING, /* it has ended or was given up; what is left is put in order */
	MSB_PROCESS_OVER
};

/** msb_process_state - one of the above */
MSB_API int msb_process_state(const struct msb_process *p);

/* Why it is over. */
enum msb_process_end {
	MSB_END_COMMAND = 0, /* it has ended, was let go, or could not be run */
	MSB_END_TIMEOUT, /* msb_command_timeout() */
	MSB_END_MAX_DURATION, /* of the sandbox, which has stopped it */
	MSB_END_CANCELED, /* msb_process_kill(), msb_set_cancel() */
	MSB_END_OUTPUT, /* nobody takes what it prints */
	MSB_END_INPUT, /* what it reads has failed */
	MSB_END_STOPPED, /* the sandbox was stopped */
	MSB_END_SANDBOX, /* the sandbox has failed, or did not come up */
	MSB_END_LEFT /* it, or the sandbox, did not end in time and was left alone */
};

/** msb_process_end - one of the above */
MSB_API int msb_process_end(const struct msb_process *p);

/** msb_process_sandbox - name of the sandbox */
MSB_API const char *msb_process_sandbox(const struct msb_process *p);

/** msb_process_owns - 1: the sandbox was started for the command */
MSB_API int msb_process_owns(const struct msb_process *p);

/** msb_process_notice - what a user should know about the sandbox that was started: that it is
 * emulated, and why. "": nothing, or its guest is not up yet */
MSB_API const char *msb_process_notice(const struct msb_process *p);

/* When what had happened: CLOCK_MONOTONIC, 0: not, or nobody saw it. */
struct msb_process_times {
	size_t size; /* set by the caller: MSB_PROCESS_TIMES_INIT */
	/* Of a sandbox that was started: */
	uint64_t spawn_ns; /* its supervisor runs */
	uint64_t engine_ns; /* it is known what machine it will be */
	uint64_t vm_created_ns;
	uint64_t first_run_ns; /* the first instruction of the guest */
	uint64_t hello_ns; /* the agent in the guest answers */
	uint64_t ready_ns; /* it serves requests */
	uint64_t guest_pid1_ns; /* by the guest's clock: the agent began */
	uint64_t guest_ready_ns; /* by the guest's clock: it was ready */
	/* Of the command: */
	uint64_t exec_ns; /* it runs */
	uint64_t exit_ns; /* it has ended */
	uint64_t end_ns; /* nothing is left to be done in the sandbox */
};

/* clang-format off */
#define MSB_PROCESS_TIMES_INIT {sizeof(struct msb_process_times), 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0}
/* clang-format on */

MSB_API void msb_process_times(const struct msb_process *p, struct msb_process_times *ret);

/** msb_process_fd - for poll(): readable when msb_process_work() has something to do. Not to be
 * read or closed */
MSB_API int msb_process_fd(const struct msb_process *p);

/** msb_process_poll_ms - how long poll() may take at most; -1: as long as it likes */
MSB_API int msb_process_poll_ms(const struct msb_process *p);

/** msb_process_work - what there is to do, without waiting. Return: 1 when it is over, 0 when it is
 * not, or what msb_exec() fails with: then it is over, too */
MSB_API int msb_process_work(struct msb_process *p, struct msb_error *err);

/** msb_process_wait - until it is over; otherwise as msb_exec(), also when called again */
MSB_API int msb_process_wait(struct msb_process *p, int *ret_status, struct msb_error *err);

/** msb_process_pid - in the guest; 0: it does not run yet */
MSB_API uint32_t msb_process_pid(const struct msb_process *p);

/* Those that follow return -EAGAIN before msb_process_pid() says that it runs, and -ESRCH when it
 * is over. */

/** msb_process_signal - to the command's process group */
MSB_API int msb_process_signal(struct msb_process *p, int signo);
/** msb_process_resize - its terminal has another size now */
MSB_API int msb_process_resize(struct msb_process *p, unsigned int rows, unsigned int columns);
/** msb_process_more - the function of msb_command_input() has something again */
MSB_API int msb_process_more(struct msb_process *p);
/** msb_process_detach - as msb_command_detach(), from now on: it is soon over with status 0 */
MSB_API int msb_process_detach(struct msb_process *p);
/** msb_process_kill - end it; msb_process_wait() returns -ECANCELED */
MSB_API int msb_process_kill(struct msb_process *p);

/** msb_process_free - one that is not over is killed, and a sandbox that was started for it ends;
 * NULL is fine. Return: NULL */
MSB_API struct msb_process *msb_process_free(struct msb_process *p);

/**
 * msb_exec_output - the simple case: what a command prints
 * @argv: ends with NULL
 * @ret: its standard output, NUL-terminated, for free(); standard error is dropped
 * @ret_len: may be NULL
 *
 * More than @max bytes kill the command: -E2BIG (MSB_E_LIMIT).
 */
MSB_API int msb_exec_output(struct msb *m, const char *name, const char *const *argv, size_t max,
	char **ret, size_t *ret_len, int *ret_status, struct msb_error *err);

#ifdef __cplusplus
}
#endif

#endif
