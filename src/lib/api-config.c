/* SPDX-License-Identifier: Apache-2.0 */
/* libmsb: what a new sandbox is to be, in words for the table of msb create, one by one. */
#include "base/str.h"

#include "lib/api-create.h"

static void release_args(void *args)
{
	struct create_args *a = args;

	run_volumes_deinit(&a->volumes);
	run_net_deinit(&a->net);
	run_tmpfs_deinit(&a->tmpfs);
	run_scripts_deinit(&a->scripts);
	run_patches_deinit(&a->patches);
	run_conf_deinit(&a->conf);
	run_root_disk_deinit(&a->root_disk);
}

static const struct opt_command command = {
	.name = "create", .opts = create_opts, .n_opts = OPT_ENDED, .takes_command = true};
const struct api_table api_config_table = {.command = &command,
	.args_size = sizeof(struct create_args),
	.release = release_args,
	.noun = "a sandbox",
	.page = "msb-create(1)"};

struct msb_config *msb_config_new(void)
{
	return calloc(1, sizeof(struct msb_config));
}

struct msb_config *msb_config_free(struct msb_config *c)
{
	if (!c)
		return NULL;
	api_words_deinit(&c->words);
	free(c->image);
	free(c->command);
	free(c);
	return NULL;
}

int msb_config_set(
	struct msb_config *c, const char *option, const char *value, struct msb_error *error)
{
	struct msb_err err = {0};

	return api_result(
		error, &err, api_words_set(&c->words, &api_config_table, option, value, &err));
}

int msb_config_set_image(struct msb_config *c, const char *image, struct msb_error *error)
{
	struct msb_err err = {0};
	char *copy;

	if (!image[0])
		return api_fail(error, &err, msb_err_usage(&err, "the image is empty"));
	copy = strdup(image);
	if (!copy)
		return api_fail(error, &err, -ENOMEM);
	free(c->image);
	c->image = copy;
	return 0;
}

int msb_config_set_command(struct msb_config *c, const char *const *argv, struct msb_error *error)
{
	struct msb_err err = {0};
	char **copy;

	if (!argv[0])
		return api_fail(error, &err, msb_err_usage(&err, "the command has no words"));
	copy = api_list_dup(argv);
	if (!copy)
		return api_fail(error, &err, -ENOMEM);
	free(c->command);
	c->command = copy;
	return 0;
}
