/* SPDX-License-Identifier: Apache-2.0 */
/* json_parse() of arbitrary bytes; what it accepts must survive writing and reading back. */
#include "base/json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void write_value(struct buf *to, const struct json *v, enum json_style style)
{
	struct json_out o;
	int r;

	json_out_init(&o, to, style);
	json_put_value(&o, NULL, v);
	r = json_out_end(&o);
	assert(r == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const char *const keys[] = {"a", "b"};
	cleanup_json struct json *first = NULL;
	cleanup_json struct json *second = NULL;
	struct msb_err err = {0};
	struct buf once;
	struct buf twice;
	struct buf pretty;
	int r = json_parse((const char *)data, size, &first, &err);

	if (r < 0) {
		assert(err.msg[0]);
		return 0;
	}
	buf_init(&once, 64 * MIB);
	buf_init(&twice, 64 * MIB);
	buf_init(&pretty, 64 * MIB);
	write_value(&once, first, JSON_COMPACT);
	write_value(&pretty, first, JSON_PRETTY);
	r = json_parse((const char *)buf_data(&pretty), buf_len(&pretty), &second, &err);
	assert(r == 0 || r == -E2BIG);
	if (r == 0) {
		write_value(&twice, second, JSON_COMPACT);
		assert(buf_len(&once) == buf_len(&twice));
		assert(memcmp(buf_data(&once), buf_data(&twice), buf_len(&once)) == 0);
	}
	r = json_only(first, keys, ARRAY_SIZE(keys), &err);
	assert(r == 0 || r == -EINVAL);
	buf_deinit(&once);
	buf_deinit(&twice);
	buf_deinit(&pretty);
	return 0;
}
