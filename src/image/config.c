/* SPDX-License-Identifier: Apache-2.0 */
/* Image configurations: see config.h. */
#include "image/config.h"

static int too_many(struct msb_err *err, const char *key, size_t n, size_t max)
{
	return msb_err_set(err, -E2BIG, MSB_LIMIT, "%s has %zu entries, at most %zu are accepted",
		key, n, max);
}

static int too_large(struct msb_err *err, const char *key, size_t max)
{
	return msb_err_set(err, -E2BIG, MSB_LIMIT, "%s is larger than %zu bytes", key, max);
}

static int get_text(
	const struct json *obj, const char *key, size_t max, const char **ret, struct msb_err *err)
{
	int r = json_opt_str(obj, key, ret, err);

	if (r == 0 && strlen(*ret) > max)
		r = too_large(err, key, max);
	return r;
}

static int new_list(struct oci_list *list, const char *key, size_t n, struct msb_err *err)
{
	if (n > OCI_LIST_MAX)
		return too_many(err, key, n, OCI_LIST_MAX);
	if (n == 0)
		return 0;
	list->items = calloc(n, sizeof(list->items[0]));
	return list->items ? 0 : msb_err_errno(err, -ENOMEM, "%s", key);
}

/* An array of strings; null, as Docker writes an empty one, is empty. */
static int get_list(
	const struct json *obj, const char *key, struct oci_list *ret, struct msb_err *err)
{
	const struct json *array = NULL;
	size_t bytes = 0;
	int r = json_opt_array(obj, key, &array, err);

	if (r == 0)
		r = new_list(ret, key, array ? json_len(array) : 0, err);
	if (r < 0 || !array)
		return r;
	json_foreach (item, array) {
		r = json_to_str(item, key, &ret->items[ret->n], err);
		if (r < 0)
			return r;
		bytes += strlen(ret->items[ret->n++]) + 1;
	}
	return bytes > LIMIT_EXEC_BYTES ? too_large(err, key, LIMIT_EXEC_BYTES) : 0;
}

/* The names of an object that stands for a set, as Volumes and ExposedPorts: {"/data": {}}. */
static int get_set(
	const struct json *obj, const char *key, struct oci_list *ret, struct msb_err *err)
{
	const struct json *set = NULL;
	int r = json_opt_object(obj, key, &set, err);

	if (r == 0)
		r = new_list(ret, key, set ? json_len(set) : 0, err);
	if (r < 0 || !set)
		return r;
	json_foreach (item, set) {
		const char *name = json_key(item);

		if (strlen(name) >= LIMIT_PATH)
			return too_large(err, key, LIMIT_PATH);
		ret->items[ret->n++] = name;
	}
	return 0;
}

static int get_labels(const struct json *obj, struct oci_config *c, struct msb_err *err)
{
	const struct json *labels = NULL;
	size_t bytes = 0;
	int r = json_opt_object(obj, "Labels", &labels, err);

	if (r < 0 || !labels || json_len(labels) == 0)
		return r;
	if (json_len(labels) > LIMIT_LABELS)
		return too_many(err, "Labels", json_len(labels), LIMIT_LABELS);
	c->labels = calloc(json_len(labels), sizeof(c->labels[0]));
	if (!c->labels)
		return msb_err_errno(err, -ENOMEM, "Labels");
	json_foreach (item, labels) {
		struct oci_label *l = &c->labels[c->n_labels++];

		*l = (struct oci_label){.name = json_key(item), .value = ""};
		if (json_type(item) == JSON_NULL)
			continue;
		r = json_to_str(item, "Labels", &l->value, err);
		if (r < 0)
			return r;
		bytes += strlen(l->name) + strlen(l->value) + 2;
	}
	return bytes > LIMIT_LABEL_BYTES ? too_large(err, "Labels", LIMIT_LABEL_BYTES) : 0;
}

static int get_execution(const struct json *root, struct oci_config *c, struct msb_err *err)
{
	const struct json *obj = NULL;
	int r = json_opt_object(root, "config", &obj, err);

	if (r < 0 || !obj)
		return r;
	r = get_text(obj, "User", LIMIT_USER, &c->user, err);
	if (r == 0)
		r = get_text(obj, "WorkingDir", LIMIT_PATH - 2, &c->workdir, err);
	if (r == 0)
		r = get_text(obj, "StopSignal", LIMIT_USER, &c->stop_signal, err);
	if (r == 0)
		r = get_list(obj, "Entrypoint", &c->entrypoint, err);
	if (r == 0)
		r = get_list(obj, "Cmd", &c->cmd, err);
	if (r == 0)
		r = get_list(obj, "Env", &c->env, err);
	if (r == 0)
		r = get_set(obj, "Volumes", &c->volumes, err);
	if (r == 0)
		r = get_set(obj, "ExposedPorts", &c->ports, err);
	if (r == 0)
		r = get_labels(obj, c, err);
	if (r == 0)
		r = json_opt_object(obj, "Healthcheck", &c->healthcheck, err);
	return r;
}

static int get_history(const struct json *root, struct oci_config *c, struct msb_err *err)
{
	const struct json *array = NULL;
	int r = json_opt_array(root, "history", &array, err);

	if (r < 0 || !array || json_len(array) == 0)
		return r;
	if (json_len(array) > OCI_HISTORY_MAX)
		return too_many(err, "history", json_len(array), OCI_HISTORY_MAX);
	c->history = calloc(json_len(array), sizeof(c->history[0]));
	if (!c->history)
		return msb_err_errno(err, -ENOMEM, "history");
	json_foreach (item, array) {
		struct oci_history *h = &c->history[c->n_history++];

		*h = (struct oci_history){.created = "", .created_by = "", .comment = ""};
		if (json_type(item) != JSON_OBJECT)
			return msb_err_set(err, -EINVAL, MSB_PROTOCOL, "history: not an object");
		r = json_opt_str(item, "created", &h->created, err);
		if (r == 0)
			r = json_opt_str(item, "created_by", &h->created_by, err);
		if (r == 0)
			r = json_opt_str(item, "comment", &h->comment, err);
		if (r == 0)
			r = json_opt_bool(item, "empty_layer", &h->empty_layer, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int get_about(const struct json *root, struct oci_config *c, struct msb_err *err)
{
	const struct {
		const char *key;
		const char **ret;
	} texts[] = {
		{"os", &c->os},
		{"architecture", &c->architecture},
		{"variant", &c->variant},
		{"created", &c->created},
		{"author", &c->author},
	};
	int r = 0;

	if (json_type(root) != JSON_OBJECT)
		return msb_err_set(err, -EINVAL, MSB_PROTOCOL, "not an object");
	for (size_t i = 0; i < ARRAY_SIZE(texts) && r == 0; i++)
		r = get_text(root, texts[i].key, LIMIT_PATH, texts[i].ret, err);
	return r;
}

int oci_config_parse(const char *text, size_t len, struct oci_config *ret, struct msb_err *err)
{
	int r;

	*ret = (struct oci_config){
		.os = "",
		.architecture = "",
		.variant = "",
		.created = "",
		.author = "",
		.user = "",
		.workdir = "",
		.stop_signal = "",
	};
	r = json_parse(text, len, &ret->doc, err);
	if (r == 0)
		r = get_about(ret->doc, ret, err);
	if (r == 0)
		r = get_execution(ret->doc, ret, err);
	if (r == 0)
		r = get_history(ret->doc, ret, err);
	return r < 0 ? msb_err_prefix(err, r, "image configuration") : 0;
}

void oci_config_deinit(struct oci_config *c)
{
	free(c->entrypoint.items);
	free(c->cmd.items);
	free(c->env.items);
	free(c->volumes.items);
	free(c->ports.items);
	free(c->labels);
	free(c->history);
	json_free(c->doc);
	*c = (struct oci_config){};
}
