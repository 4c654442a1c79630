/* SPDX-License-Identifier: Apache-2.0 */
/* Output and places that all commands use: see cli.h. */
#include "cli/cli.h"

#include "base/io.h"
#include "base/str.h"

#include "lib/human.h"

int cli_fail(const struct msb_err *err)
{
	if (err->hint[0])
		cli_note("%s; %s", err->msg, err->hint);
	else
		cli_note("%s", err->msg);
	return msb_kind_exit_code(err->kind);
}

void cli_note(const char *fmt, ...)
{
	char text[1024];
	char line[sizeof(text) + 8] = "msb: ";
	size_t len = strlen(line);
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (n < 0)
		return;
	/* It may repeat what a guest, a file of an image or a server has said. */
	(void)human_text(line + len, sizeof(line) - len - 1, text);
	len = strlen(line);
	line[len++] = '\n';
	/* When stderr is gone there is nobody left to tell. */
	if (io_write_full(STDERR_FILENO, line, len) < 0)
		return;
}

void cli_console(const char *text)
{
	size_t len = strlen(text);

	if (len == 0)
		return;
	cli_note("last lines of the guest's console:");
	if (io_write_full(STDERR_FILENO, text, len) == 0 && text[len - 1] != '\n')
		(void)!io_write_full(STDERR_FILENO, "\n", 1);
}

int cli_print(struct buf *text)
{
	int r = io_write_full(STDOUT_FILENO, buf_data(text), buf_len(text));

	if (r == 0)
		return 0;
	cli_note("cannot write to standard output: %s", strerror(-r));
	return CLI_EXIT_FAILED;
}

int cli_print_name(const char *name)
{
	struct buf text;
	int status = CLI_EXIT_FAILED;

	buf_init(&text, NAME_MAX + 2);
	if (buf_printf(&text, "%s\n", name) == 0)
		status = cli_print(&text);
	buf_deinit(&text);
	return status;
}

int cli_print_json(struct json_out *out, struct buf *text)
{
	struct msb_err err = {0};
	int r = json_out_end(out);

	if (r == 0)
		return cli_print(text);
	(void)msb_err_errno(&err, r, "writing JSON");
	return cli_fail(&err);
}

void cli_done(const char *verb, const char *fmt, ...)
{
	const char *no_color = getenv("NO_COLOR");
	bool color = isatty(STDERR_FILENO) && !(no_color && *no_color);
	char what[1024];
	char clean[sizeof(what)];
	char line[1200];
	va_list ap;
	int n;

	va_start(ap, fmt);
	if (vsnprintf(what, sizeof(what), fmt, ap) < 0)
		what[0] = '\0';
	va_end(ap);
	n = snprintf(line, sizeof(line), "   %s\u2713%s %-12s %s\n", color ? "\033[32m" : "",
		color ? "\033[0m" : "", verb, human_text(clean, sizeof(clean), what));
	if (n < 0 || io_write_full(STDERR_FILENO, line, MIN((size_t)n, sizeof(line) - 1)) < 0)
		return;
}

int cli_confirm(const char *question, const char *hint, struct msb_err *err)
{
	char answer[16] = "";

	if (!isatty(STDIN_FILENO) || !isatty(STDERR_FILENO)) {
		int r = msb_err_usage(err, "there is nobody to ask");

		return msb_err_hint(err, r, "%s", hint);
	}
	(void)!fprintf(stderr, "%s [y/N] ", question);
	if (!fgets(answer, sizeof(answer), stdin))
		return 1;
	return answer[0] == 'y' || answer[0] == 'Y' ? 0 : 1;
}
