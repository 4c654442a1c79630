/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is accepted is within its caps and has every text. */
#include "image/config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_text(const char *s, size_t max)
{
	if (!s || strlen(s) > max)
		abort();
}

static void check_list(const struct oci_list *l)
{
	if (l->n > OCI_LIST_MAX || (l->n && !l->items))
		abort();
	for (size_t i = 0; i < l->n; i++)
		check_text(l->items[i], LIMIT_EXEC_BYTES);
}

static void check(const struct oci_config *c)
{
	check_text(c->os, LIMIT_PATH);
	check_text(c->architecture, LIMIT_PATH);
	check_text(c->variant, LIMIT_PATH);
	check_text(c->created, LIMIT_PATH);
	check_text(c->author, LIMIT_PATH);
	check_text(c->user, LIMIT_USER);
	check_text(c->workdir, LIMIT_PATH);
	check_text(c->stop_signal, LIMIT_USER);
	check_list(&c->entrypoint);
	check_list(&c->cmd);
	check_list(&c->env);
	check_list(&c->volumes);
	check_list(&c->ports);
	if (c->n_labels > LIMIT_LABELS || c->n_history > OCI_HISTORY_MAX)
		abort();
	for (size_t i = 0; i < c->n_labels; i++) {
		check_text(c->labels[i].name, LIMIT_LABEL_BYTES);
		check_text(c->labels[i].value, LIMIT_LABEL_BYTES);
	}
	for (size_t i = 0; i < c->n_history; i++) {
		check_text(c->history[i].created, LIMIT_JSON_BYTES);
		check_text(c->history[i].created_by, LIMIT_JSON_BYTES);
		check_text(c->history[i].comment, LIMIT_JSON_BYTES);
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct oci_config c;

	if (oci_config_parse((const char *)data, size, &c, NULL) == 0)
		check(&c);
	oci_config_deinit(&c);
	return 0;
}
