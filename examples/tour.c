/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The life of a named sandbox with a volume: started, looked at, stopped, saved, restored.
 *
 *	cc -o tour tour.c $(pkg-config --cflags --libs msb)
 *	./tour NAME
 *
 * Nothing of that name may exist; nothing is left, unless something fails.
 */
#include <msb/msb.h>
#include <stdio.h>
#include <stdlib.h>

#define TRY(call)                                                            \
	do {                                                                 \
		if ((call) < 0) {                                            \
			fprintf(stderr, "%s: %s (%s)\n%s", #call, e.message, \
				msb_code_name(e.code), e.console);           \
			return 1;                                            \
		}                                                            \
	} while (0)

static int show(struct msb *m, const char *name)
{
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_info *i;

	TRY(msb_inspect(m, name, &i, &e));
	printf("%s: %s%s%s, %u CPUs, %u MiB, image %s, stage %s\n", msb_info_name(i),
		msb_info_status_name(i), msb_info_reason(i)[0] ? ", " : "", msb_info_reason(i),
		msb_info_cpus(i), msb_info_memory_mib(i), msb_info_image(i),
		msb_info_label(i, "stage"));
	msb_info_free(i);
	return 0;
}

static int create(struct msb *m, const char *name, const char *snapshot)
{
	struct msb_config *c = msb_config_new();
	struct msb_error e = MSB_ERROR_INIT;
	char volume[MSB_NAME_SIZE + 16];

	if (!c)
		return 1;
	snprintf(volume, sizeof(volume), "%s:/data", name);
	TRY(msb_config_set(c, "name", name, &e));
	TRY(msb_config_set(c, "label", snapshot ? "stage=second" : "stage=first", &e));
	TRY(msb_config_set(c, "volume", volume, &e));
	TRY(msb_config_set(c, "memory", "256M", &e));
	if (snapshot)
		TRY(msb_config_set(c, "from-snapshot", snapshot, &e));
	else
		TRY(msb_config_set(c, "root-disk", "256M", &e));
	TRY(msb_create(m, c, NULL, &e));
	msb_config_free(c);
	return 0;
}

static int run(struct msb *m, const char *name, const char *script)
{
	const char *const argv[] = {"sh", "-c", script, NULL};
	struct msb_error e = MSB_ERROR_INIT;
	char *output;
	int status;

	TRY(msb_exec_output(m, name, argv, 65536, &output, NULL, &status, &e));
	printf("$ %s\n%s", script, output);
	free(output);
	return status;
}

static int logs(struct msb *m, const char *name)
{
	struct msb_log_entry entry = MSB_LOG_ENTRY_INIT;
	struct msb_error e = MSB_ERROR_INIT;
	unsigned int n = 0;
	struct msb_logs *l;
	int r;

	TRY(msb_logs_open(m, name, &l, &e));
	while ((r = msb_logs_next(l, &entry, &e)) > 0)
		n++;
	TRY(r);
	printf("%s entries in the log\n", n ? "some" : "no");
	msb_logs_close(l);
	return 0;
}

static int counts(struct msb *m)
{
	const char *const labels[] = {"stage", NULL};
	struct msb_error e = MSB_ERROR_INIT;
	struct msb_items *snapshots;
	struct msb_items *volumes;
	struct msb_items *images;
	struct msb_list *list;

	TRY(msb_list(m, labels, &list, &e));
	TRY(msb_volume_list(m, &volumes, &e));
	TRY(msb_snapshot_list(m, &snapshots, &e));
	TRY(msb_image_list(m, &images, &e));
	printf("%zu sandboxes, %zu volumes, %zu snapshots\n", msb_list_size(list),
		msb_items_size(volumes), msb_items_size(snapshots));
	msb_list_free(list);
	msb_items_free(volumes);
	msb_items_free(snapshots);
	msb_items_free(images);
	return 0;
}

int main(int argc, char **argv)
{
	struct msb_metrics metrics = MSB_METRICS_INIT;
	struct msb_error e = MSB_ERROR_INIT;
	const char *name = argv[1];
	uint64_t used;
	struct msb *m;

	if (argc != 2) {
		fprintf(stderr, "usage: tour NAME\n");
		return 2;
	}
	TRY(msb_open(NULL, NULL, &m, &e));
	TRY(msb_volume_create(m, name, "dir", 0, &e));
	if (create(m, name, NULL) || show(m, name))
		return 1;
	if (run(m, name, "echo kept > /root/file; echo shared > /data/file; echo done"))
		return 1;
	TRY(msb_ping(m, name, 1, &e));
	TRY(msb_metrics_get(m, name, &metrics, &e));
	printf("%s processes, %s memory\n", metrics.processes ? "some" : "no",
		metrics.memory_available_bytes ? "some" : "no");
	TRY(msb_snapshot_create(m, name, name, 0, &e));
	TRY(msb_stop(m, name, 5000, &e));
	TRY(msb_wait(m, name, 1000, &e));
	if (show(m, name) || logs(m, name) || counts(m))
		return 1;
	TRY(msb_start(m, name, &e));
	if (run(m, name, "cat /root/file /data/file"))
		return 1;
	TRY(msb_remove(m, name, 1, &e));
	/* Another one that begins where the snapshot was taken. */
	if (create(m, name, name) || show(m, name) || run(m, name, "cat /root/file"))
		return 1;
	TRY(msb_remove(m, name, 1, &e));
	TRY(msb_snapshot_remove(m, name, &e));
	TRY(msb_volume_used(m, name, &used, &e));
	printf("%s in the volume\n", used ? "something" : "nothing");
	TRY(msb_volume_remove(m, name, &e));
	msb_close(m);
	return 0;
}
