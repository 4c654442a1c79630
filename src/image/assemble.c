/* SPDX-License-Identifier: Apache-2.0 */
/* From layers that are in the store to an image that is: see assemble.h. */
#include "image/assemble.h"

#include "image/layer/job.h"
#include "image/registry/manifest.h"

struct merge_input {
	size_t n;
	int *index_fds;
	uint64_t *data_bytes;
};

static void merge_input_deinit(struct merge_input *m)
{
	for (size_t i = 0; i < m->n; i++)
		fd_close(m->index_fds[i]);
	free(m->index_fds);
	free(m->data_bytes);
}

static int merge_input_open(const struct store *s, const struct store_image *image,
	struct merge_input *m, struct msb_err *err)
{
	size_t n = MAX((size_t)image->n_layers, (size_t)1);

	m->index_fds = calloc(n, sizeof(m->index_fds[0]));
	m->data_bytes = calloc(n, sizeof(m->data_bytes[0]));
	if (!m->index_fds || !m->data_bytes)
		return msb_err_errno(err, -ENOMEM, "cannot put an image together");
	for (size_t i = 0; i < image->n_layers; i++) {
		struct store_files files;
		int r = store_layer_open(s, image->layers[i].digest, &files, err);

		if (r < 0)
			return r;
		m->index_fds[i] = files.index_fd;
		m->data_bytes[i] = image->layers[i].data_bytes;
		m->n++;
		files.index_fd = -EBADF;
		store_files_close(&files);
	}
	return 0;
}

int image_assemble(
	struct store *s, const char *layer_program, struct store_image *image, struct msb_err *err)
{
	cleanup_with(merge_input_deinit) struct merge_input input = {};
	cleanup_with(store_work_free_p) struct store_work *work = NULL;
	cleanup_fd int meta_fd = -EBADF;
	int r = merge_input_open(s, image, &input, err);

	if (r == 0)
		r = store_image_begin(s, &work, &meta_fd, err);
	if (r == 0)
		r = layer_merge(
			layer_program, input.index_fds, input.data_bytes, input.n, meta_fd, err);
	if (r < 0)
		return r;
	image->created_s = clock_real_ns() / NSEC_PER_SEC;
	(void)snprintf(image->os, sizeof(image->os), "linux");
	(void)snprintf(image->architecture, sizeof(image->architecture), "%s", host_architecture());
	return store_image_commit(work, image, err);
}
