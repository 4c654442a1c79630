/* SPDX-License-Identifier: Apache-2.0 */
/* store-gc HOME: collects an image store as the CLI does, for tests that kill it meanwhile. */
#include "image/store/store.h"

int main(int argc, char **argv)
{
	struct store_gc_report report;
	struct msb_err err = {};

	if (argc != 2)
		return 2;
	if (store_gc(argv[1], NULL, NULL, &report, &err) < 0) {
		fprintf(stderr, "store-gc: %s\n", err.msg);
		return 1;
	}
	printf("%" PRIu64 " images, %" PRIu64 " layers, %" PRIu64 " bytes\n", report.images,
		report.layers, report.bytes);
	return 0;
}
