/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever is accepted prints to a text that means the same. */
#include "image/ref.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char text[REF_TEXT_MAX + 1];
	char again[REF_TEXT_MAX + 1];
	struct image_ref ref;

	if (size >= sizeof(text))
		return 0;
	memcpy(text, data, size);
	text[size] = '\0';
	if (image_ref_parse(text, &ref, NULL) < 0)
		return 0;
	image_ref_print(&ref, text);
	if (image_ref_parse(text, &ref, NULL) < 0)
		abort();
	image_ref_print(&ref, again);
	if (!streq(text, again))
		abort();
	return 0;
}
