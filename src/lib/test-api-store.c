/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <sys/stat.h>

#include "base/io.h"
#include "base/str.h"

#include "image/registry/creds.h"
#include "image/snapshot/snapshot.h"
#include "image/snapshot/sparse.h"
#include "image/store/store.h"
#include "lib/api-pull.h"
#include "lib/test-api.h"
#include "msb/msb.h"
#include "sandbox/state.h"

/* A sandbox that needs nothing but the base image. */
static void put_sandbox(const char *name)
{
	struct policy policy = {.n_rules = 0};
	struct sandbox_spec spec;
	struct sandbox_dir d;
	struct buf json;

	sandbox_spec_init(&spec);
	spec.name = name;
	spec.home = test_tmpdir();
	spec.lib_dir = test_tmpdir();
	spec.ephemeral = false;
	spec.created_ns = 1;
	spec.net.policy = &policy;
	buf_init(&json, MIB);
	ASSERT_OK(sandbox_spec_to_json(&spec, &json));
	ASSERT_OK(sandbox_dir_create(test_tmpdir(), name, &d, NULL));
	ASSERT_OK(io_write_file_atomic(
		d.fd, SANDBOX_SPEC, buf_data(&json), buf_len(&json), 0600, false));
	buf_deinit(&json);
	sandbox_dir_close(&d);
}

/* What it needs nobody knows. */
static void broken_sandbox(const char *name)
{
	static const char text[] = "{\"version\":1,\"ephemeral\":false,\"cpus\":-1}";
	struct sandbox_dir d;

	ASSERT_OK(sandbox_dir_create(test_tmpdir(), name, &d, NULL));
	ASSERT_OK(io_write_file_atomic(d.fd, SANDBOX_SPEC, text, sizeof(text) - 1, 0600, false));
	sandbox_dir_close(&d);
}

static void never(void *arg, const char *name)
{
	test_fail(__FILE__, __LINE__, "%s was removed", name);
}

static void count(void *arg, const char *name)
{
	ASSERT_STREQ(name, "data");
	++*(unsigned int *)arg;
}

TEST(volumes_and_images)
{
	struct msb_image_pruned pruned = MSB_IMAGE_PRUNED_INIT;
	struct msb *m = open_here();
	struct msb_items *l = NULL;
	char name[MSB_NAME_SIZE];
	char *path = NULL;
	uint64_t used = 0;
	unsigned int n = 0;

	ASSERT_OK(msb_volume_prune(m, never, NULL, &e));
	ASSERT_FAILS(msb_volume_create(m, "a/b", "dir", 0, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_volume_create(m, "data", "tape", 0, &e), EINVAL, "usage");
	ASSERT_OK(msb_volume_create(m, "data", "dir", 0, &e));
	ASSERT_FAILS(msb_volume_create(m, "data", "dir", 0, &e), EEXIST, "exists");
	ASSERT_OK(msb_volume_list(m, &l, &e));
	ASSERT_EQ(msb_items_size(l), 1);
	ASSERT_STREQ(msb_items_name(l, 0), "data");
	ASSERT_STREQ(msb_items_kind(l, 0), "dir");
	ASSERT_STREQ(msb_items_name(l, 1), "");
	l = msb_items_free(l);
	ASSERT_OK(msb_volume_used(m, "data", &used, &e));
	ASSERT_OK(msb_volume_users(m, "data", &l, &e));
	ASSERT_EQ(msb_items_size(l), 0);
	l = msb_items_free(l);
	put_sandbox("box");
	broken_sandbox("car");
	ASSERT_OK(msb_volume_users(m, "data", &l, &e));
	ASSERT_EQ(msb_items_size(l), 1);
	ASSERT_STREQ(msb_items_name(l, 0), "car");
	ASSERT_STREQ(msb_items_kind(l, 0), "unknown");
	l = msb_items_free(l);
	ASSERT_OK(msb_volume_prune(m, never, NULL, &e));
	ASSERT_OK(msb_remove(m, "car", 0, &e));
	ASSERT_OK(msb_volume_inspect(m, "data", &l, &e));
	ASSERT_STREQ(msb_items_name(l, 0), "data");
	l = msb_items_free(l);
	ASSERT_OK(msb_volume_path(m, "data", &path, &e));
	ASSERT_TRUE(str_starts(path, test_tmpdir()));
	free(path);
	ASSERT_FAILS(msb_volume_path(m, "nothing", &path, &e), ENOENT, "not-found");
	ASSERT_TRUE(!path);
	ASSERT_FAILS(msb_volume_create_any(m, "disk", 0, name, &e), EINVAL, "usage");
	ASSERT_OK(msb_volume_create_any(m, "dir", MIB, name, &e));
	ASSERT_TRUE(str_starts(name, "vol-"));
	ASSERT_OK(msb_volume_remove(m, name, &e));
	ASSERT_FAILS(msb_volume_users(m, "nothing", &l, &e), ENOENT, "not-found");
	ASSERT_TRUE(!l);
	ASSERT_OK(msb_volume_prune(m, count, &n, &e));
	ASSERT_EQ(n, 1);
	ASSERT_FAILS(msb_volume_remove(m, "data", &e), ENOENT, "not-found");

	ASSERT_OK(msb_image_prune(m, NULL, NULL, &pruned, &e));
	ASSERT_EQ(pruned.images, 0);
	ASSERT_FAILS(
		msb_image_save(m, (const char *const[]){"a", NULL}, "zip", 1, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_image_save(m, (const char *const[]){NULL}, "oci", 1, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_image_remove(m, "nothing:1", 0, &e), ENOENT, "not-found");
	ASSERT_FAILS(msb_image_json(m, "nothing:1", &path, &e), ENOENT, "not-found");
	ASSERT_FAILS(msb_snapshot_json(m, "nothing", &path, &e), ENOENT, "not-found");
	ASSERT_FAILS(msb_snapshot_verify(m, "nothing", &e), ENOENT, "not-found");
	(void)msb_close(m);
}

#define DIGITS "00000000000000000000000000000000000000000000000000000000000"
#define DIGEST "sha256:aaaa1" DIGITS

static void put_image(const char *reference)
{
	cleanup_with(store_close_p) struct store *s = NULL;
	cleanup_with(store_work_free_p) struct store_work *w = NULL;
	struct store_image image = {
		.created_s = 1, .manifest_json = (char[]){"{}"}, .config_json = (char[]){"{}"}};
	struct image_ref ref;
	int fd = -EBADF;

	memcpy(image.digest, DIGEST, sizeof(image.digest));
	memcpy(image.config_digest, DIGEST, sizeof(image.digest));
	ASSERT_OK(store_open(test_tmpdir(), &s, NULL));
	ASSERT_OK(store_image_begin(s, &w, &fd, NULL));
	close(fd);
	ASSERT_OK(store_image_commit(w, &image, NULL));
	ASSERT_OK(image_ref_parse(reference, &ref, NULL));
	ASSERT_OK(store_ref_set(s, &ref, DIGEST, NULL));
}

TEST(an_image)
{
	struct msb *m = open_here();
	struct msb_items *l = NULL;
	char *json = NULL;

	put_image("mine:1");
	ASSERT_OK(msb_image_list(m, &l, &e));
	ASSERT_EQ(msb_items_size(l), 1);
	ASSERT_STREQ(msb_items_name(l, 0), "mine:1");
	ASSERT_STREQ(msb_items_digest(l, 0), DIGEST);
	l = msb_items_free(l);
	for (int i = 0; i < 2; i++) {
		ASSERT_OK(msb_image_json(m, i ? "aaaa10" : "mine:1", &json, &e));
		ASSERT_TRUE(strstr(json, i ? "\"reference\": null" : "\"reference\": \"mine:1\""));
		ASSERT_TRUE(strstr(json, DIGEST));
		free(json);
	}
	ASSERT_OK(msb_image_remove(m, "mine:1", 0, &e));
	ASSERT_FAILS(msb_image_json(m, "mine:1", &json, &e), ENOENT, "not-found");
	ASSERT_TRUE(!json);
	(void)msb_close(m);
}

/* Who was told what, in one line. */
static char said[512];

static void on_removed(void *arg, const char *reference, int result, const struct msb_error *why)
{
	size_t n = strlen(said);

	ASSERT_EQ(arg, said);
	(void)snprintf(said + n, sizeof(said) - n, "%s %s;", reference,
		result < 0 ? msb_code_name(why->code) : "removed");
}

static void on_kept(void *arg, const char *reference, const char *what, const char *user)
{
	size_t n = strlen(said);

	ASSERT_EQ(arg, said);
	(void)snprintf(said + n, sizeof(said) - n, "%s kept by %s %s;", reference, what, user);
}

TEST(images_with_details)
{
	static const char *const both[] = {"nothing:1", "mine:1", "mine:2", NULL};
	struct msb_image_removal told = MSB_IMAGE_REMOVAL_INIT;
	struct msb *m = open_here();
	struct msb_items *l = NULL;

	told.removed = on_removed;
	told.kept = on_kept;
	told.arg = said;
	put_image("mine:1");
	put_image("mine:2");
	put_image("mine@" DIGEST);
	ASSERT_OK(msb_image_details(m, &l, &e));
	/* The name by its digest is another one of what the tags mean. */
	ASSERT_EQ(msb_items_size(l), 2);
	ASSERT_STREQ(msb_items_name(l, 1), "mine:2");
	ASSERT_EQ(msb_items_created_ns(l, 1), NSEC_PER_SEC);
	ASSERT_STREQ(msb_items_problem(l, 1), "");
	ASSERT_TRUE(strstr(msb_items_json(l, 1), "\"reference\": \"mine:2\""));
	ASSERT_TRUE(!strstr(msb_items_json(l, 1), "\"layers\""));
	ASSERT_STREQ(msb_items_json(l, 2), "");
	l = msb_items_free(l);
	ASSERT_OK(msb_image_inspect(m, "mine:2", &l, &e));
	ASSERT_EQ(msb_items_size(l), 1);
	ASSERT_TRUE(strstr(msb_items_json(l, 0), "\"layers\""));
	l = msb_items_free(l);
	ASSERT_FAILS(msb_image_inspect(m, "nothing:1", &l, &e), ENOENT, "not-found");
	ASSERT_TRUE(!l);
	/* All are tried; the last one that has a name would be kept by who may need it. */
	broken_sandbox("car");
	ASSERT_OK(msb_image_remove_all(m, both, 1, &told, &e));
	ASSERT_STREQ(said, "nothing:1 not-found;mine:1 removed;mine:2 removed;");
	said[0] = '\0';
	ASSERT_OK(msb_image_remove_all(m, (const char *const[]){DIGEST, NULL}, 1, &told, &e));
	ASSERT_STREQ(said, DIGEST " kept by sandbox car;" DIGEST " removed;");
	/* Nobody has to want to know. */
	ASSERT_OK(msb_image_remove_all(m, both, 0, NULL, &e));
	(void)msb_close(m);
}

TEST(a_damaged_image_does_not_hide_others)
{
	struct msb *m = open_here();
	struct msb_items *l = NULL;
	char path[PATH_MAX];

	put_image("mine:1");
	(void)snprintf(path, sizeof(path), "%s/images/manifests/%s/image.json", test_tmpdir(),
		&DIGEST[strlen("sha256:")]);
	ASSERT_OK(chmod(path, 0600));
	ASSERT_OK(truncate(path, 3));
	ASSERT_OK(msb_image_details(m, &l, &e));
	ASSERT_EQ(msb_items_size(l), 1);
	ASSERT_STREQ(msb_items_name(l, 0), "mine:1");
	ASSERT_TRUE(msb_items_problem(l, 0)[0]);
	ASSERT_STREQ(msb_items_json(l, 0), "");
	(void)msb_items_free(l);
	(void)msb_close(m);
}

enum { DISK_BYTES = 64 * 1024 * 1024 };

static void put_snapshot(const char *name, const char *parent)
{
	static const char *const labels[] = {"stage=test"};
	struct snapshot_manifest manifest = {.created_ns = 1,
		.parent = parent,
		.image = SNAPSHOT_BASE,
		.reference = "base",
		.image_digest = DIGEST,
		.sandbox = "box",
		.cpus = 1,
		.memory_mib = 256,
		.size_bytes = DISK_BYTES};
	struct snapshot_new n;
	char digest[DIGEST_TEXT];
	char dir[PATH_MAX];
	struct buf out;
	int disk;

	ASSERT_OK(snapshots_dir(test_tmpdir(), dir, NULL));
	ASSERT_OK(snapshot_new_begin(dir, name, false, &n, NULL));
	ASSERT_OK(snapshot_new_disk(&n, &disk, NULL));
	ASSERT_OK(ftruncate(disk, DISK_BYTES));
	ASSERT_EQ(pwrite(disk, name, strlen(name), 4096), (ssize_t)strlen(name));
	ASSERT_OK(sparse_digest(disk, digest));
	manifest.disk_digest = digest;
	close(disk);
	buf_init(&out, SNAPSHOT_MANIFEST_MAX);
	ASSERT_OK(snapshot_manifest_put(&manifest, labels, 1, &out));
	ASSERT_OK(snapshot_new_publish(&n, buf_data(&out), buf_len(&out), false, NULL));
	buf_deinit(&out);
	snapshot_new_end(&n);
}

static void damage(const char *name, const char *file)
{
	char path[PATH_MAX];
	int fd;

	(void)snprintf(path, sizeof(path), "%s/snapshots/%s/%s", test_tmpdir(), name, file);
	(void)chmod(path, 0600);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	ASSERT_OK(fd);
	ASSERT_EQ(pwrite(fd, "XXXX", 4, 4096), 4);
	close(fd);
}

TEST(snapshots_with_details)
{
	struct msb_snapshot_options o = MSB_SNAPSHOT_OPTIONS_INIT;
	char first[MSB_DIGEST_SIZE];
	struct msb *m = open_here();
	struct msb_items *l = NULL;

	put_snapshot("one", "");
	if (msb_snapshot_inspect(m, "one", 1, &l, &e) < 0)
		test_fail(__FILE__, __LINE__, "%s", e.message);
	ASSERT_EQ(msb_items_size(l), 1);
	ASSERT_STREQ(msb_items_kind(l, 0), "base");
	ASSERT_EQ(msb_items_bytes(l, 0), DISK_BYTES);
	ASSERT_TRUE(msb_items_used(l, 0) < DISK_BYTES);
	ASSERT_TRUE(strstr(msb_items_json(l, 0), "\"verified\": true"));
	ASSERT_TRUE(strstr(msb_items_json(l, 0), "\"stage\": \"test\""));
	(void)snprintf(first, sizeof(first), "%s", msb_items_digest(l, 0));
	l = msb_items_free(l);
	put_snapshot("two", first);
	put_snapshot("bad", "");
	damage("bad", SNAPSHOT_MANIFEST);
	ASSERT_OK(msb_snapshot_details(m, &l, &e));
	ASSERT_EQ(msb_items_size(l), 3);
	ASSERT_STREQ(msb_items_name(l, 0), "one");
	ASSERT_TRUE(strstr(msb_items_json(l, 1), first));
	ASSERT_TRUE(!strstr(msb_items_json(l, 1), "\"labels\""));
	/* What is damaged has a name and nothing else. */
	ASSERT_STREQ(msb_items_name(l, 2), "bad");
	ASSERT_TRUE(msb_items_problem(l, 2)[0] && !msb_items_json(l, 2)[0]);
	ASSERT_STREQ(msb_items_problem(l, 1), "");
	l = msb_items_free(l);
	ASSERT_OK(msb_snapshot_list(m, &l, &e));
	ASSERT_EQ(msb_items_size(l), 2);
	l = msb_items_free(l);
	damage("two", SNAPSHOT_DISK);
	ASSERT_FAILS(msb_snapshot_inspect(m, "two", 1, &l, &e), EBADMSG, "failed");
	ASSERT_TRUE(!l);
	ASSERT_FAILS(msb_snapshot_discard(m, "one", 0, &e), EBUSY, "busy");
	ASSERT_TRUE(strstr(e.message, "is the parent of 'two'"));
	ASSERT_OK(msb_snapshot_discard(m, "one", 1, &e));
	ASSERT_OK(msb_snapshot_discard(m, "two", 0, &e));
	ASSERT_ERR(msb_snapshot_discard(m, "bad", 0, &e), EBADMSG);
	ASSERT_OK(msb_snapshot_discard(m, "bad", 1, &e));
	ASSERT_FAILS(msb_snapshot_discard(m, "bad", 1, &e), ENOENT, "not-found");
	o.labels = (const char *const[]){"a", NULL};
	ASSERT_FAILS(msb_snapshot_import(m, 0, &o, &l, &e), EINVAL, "usage");
	ASSERT_TRUE(!l);
	(void)msb_close(m);
}

static int on_login(void *arg, const char *host, const char *username, const char *source)
{
	ASSERT_STREQ(host, "docker.io");
	ASSERT_STREQ(username, "me");
	ASSERT_STREQ(source, "msb");
	++*(unsigned int *)arg;
	return *(unsigned int *)arg > 1 ? -EPIPE : 0;
}

TEST(logins)
{
	char host[MSB_HOST_SIZE] = "x";
	struct msb *m = open_here();
	unsigned int n = 0;

	/* Those of docker are somebody else's. */
	ASSERT_OK(setenv("DOCKER_CONFIG", test_tmpdir(), 1));
	ASSERT_FAILS(msb_registry_host("a/b", host, &e), EINVAL, "usage");
	ASSERT_STREQ(host, "x");
	ASSERT_OK(msb_registry_host("localhost:5000", host, &e));
	ASSERT_STREQ(host, "localhost:5000");
	ASSERT_FAILS(msb_registry_login(m, "ghcr.io", "", "x", NULL, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_registry_login(m, "ghcr.io", "x", "", NULL, &e), EINVAL, "usage");
	ASSERT_FAILS(msb_registry_login(m, "a/b", "x", "x", NULL, &e), EINVAL, "usage");
	/* Where nothing is installed nobody can be asked. */
	ASSERT_TRUE(msb_registry_login(m, "ghcr.io", "x", "x", NULL, &e) < 0);
	ASSERT_OK(msb_registry_each(m, on_login, &n, &e));
	ASSERT_EQ(n, 0);
	ASSERT_OK(creds_set(test_tmpdir(), "docker.io", "me", "secret", NULL));
	ASSERT_OK(msb_registry_each(m, on_login, &n, &e));
	ASSERT_EQ(n, 1);
	ASSERT_ERR(msb_registry_each(m, on_login, &n, &e), EPIPE);
	ASSERT_OK(msb_registry_logout(m, "docker.io", &e));
	ASSERT_ERR(msb_registry_logout(m, "docker.io", &e), ENOENT);
	(void)msb_close(m);
}

static int never_idle(void *arg)
{
	test_fail(__FILE__, __LINE__, "nothing was started");
	return 0;
}

TEST(downloads_are_asked_for_properly)
{
	struct msb_pull_options o = MSB_PULL_OPTIONS_INIT;
	struct msb_pull_result result = MSB_PULL_RESULT_INIT;
	struct msb_pull_watch watch = MSB_PULL_WATCH_INIT;
	struct msb *m = open_here();

	watch.idle = never_idle;
	o.watch = &watch;
	ASSERT_FAILS(msb_image_fetch(m, "Not//One", &o, &result, &e), EINVAL, "usage");
	o.policy = 7;
	ASSERT_FAILS(msb_image_fetch(m, "a:1", &o, &result, &e), EINVAL, "usage");
	ASSERT_STREQ(result.digest, "");
	/* A program that knows nothing but the first member gets the defaults. */
	o.size = sizeof(size_t);
	ASSERT_FAILS(msb_image_fetch(m, "Not//One", &o, NULL, &e), EINVAL, "usage");
	ASSERT_TRUE(strstr(e.message, "Not//One"));
	(void)msb_close(m);
}

TEST(what_is_told_of_a_download)
{
	struct pull_event in = {.type = PULL_LAYER,
		.digest = DIGEST,
		.state = PULL_LAYER_RETRYING,
		.bytes = 1,
		.total = 2};
	struct msb_pull_event e1;

	ASSERT_TRUE(api_pull_event(&in, &e1));
	ASSERT_EQ(e1.type, MSB_PULL_LAYER);
	ASSERT_EQ(e1.state, MSB_LAYER_RETRYING);
	ASSERT_STREQ(e1.digest, DIGEST);
	ASSERT_STREQ(e1.from, "");
	ASSERT_STREQ(e1.text, "");
	ASSERT_EQ(e1.total, 2);
	in = (struct pull_event){.type = PULL_WARNING, .err = {.msg = "beware"}};
	ASSERT_TRUE(api_pull_event(&in, &e1));
	ASSERT_STREQ(e1.text, "beware");
	in.type = PULL_DONE;
	ASSERT_TRUE(!api_pull_event(&in, &e1));
}
