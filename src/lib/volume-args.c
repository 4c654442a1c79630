/* SPDX-License-Identifier: Apache-2.0 */
/* --volume and --mount-*: see volume-args.h. */
#include "lib/volume-args.h"

#include <sys/stat.h>

#include "base/str.h"

enum { QUOTED = 120 };

enum form { FORM_ANY, FORM_DIR, FORM_FILE, FORM_DISK, FORM_NAMED };

static int malformed(struct msb_err *err, const char *what)
{
	int r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s", what);

	return msb_err_hint(
		err, r, "write HOST:GUEST[:OPTION,...], e.g. ./src:/app:ro or data:/data");
}

/* The first ':' before a '/' ends the host's path: it may hold others. */
static int split(char *text, const char **ret_guest, char **ret_options, struct msb_err *err)
{
	char *colon = strstr(text, ":/");
	char *guest;
	char *options;

	if (!colon || colon == text)
		return malformed(err, strchr(text, ':') ? "the path in the sandbox is not absolute"
							: "the path in the sandbox is missing");
	*colon = '\0';
	*ret_guest = guest = colon + 1;
	options = strchr(guest, ':');
	if (options)
		*options++ = '\0';
	*ret_options = options ? options : guest + strlen(guest);
	if (strchr(guest, ','))
		return malformed(err, "options come behind a ':', not a ','");
	return 0;
}

static bool is_path(const char *s)
{
	return s[0] == '/' || s[0] == '.' || s[0] == '~';
}

static int check_type(
	const struct stat *st, enum form form, const char *quoted, struct msb_err *err)
{
	if (form == FORM_DIR && !S_ISDIR(st->st_mode))
		return msb_err_set(err, -ENOTDIR, MSB_USAGE, "%s is not a directory", quoted);
	if (form == FORM_FILE && !S_ISREG(st->st_mode))
		return msb_err_set(err, -EINVAL, MSB_USAGE, "%s is not a regular file", quoted);
	if (form == FORM_DISK && !S_ISREG(st->st_mode) && !S_ISBLK(st->st_mode))
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "%s is neither a file nor a block device", quoted);
	return 0;
}

/* Absolute, because the supervisor has another working directory. */
static int find_source(const char *word, enum form form, char **ret, struct msb_err *err)
{
	char quoted[QUOTED];
	struct stat st;
	int r;

	(void)str_quote(quoted, sizeof(quoted), word, strlen(word));
	if (lstat(word, &st) < 0)
		return msb_err_errno(err, -errno, "%s", quoted);
	if (S_ISLNK(st.st_mode)) {
		r = msb_err_set(err, -EINVAL, MSB_USAGE, "%s is a symbolic link", quoted);
		return msb_err_hint(err, r, "name what it points to");
	}
	r = check_type(&st, form, quoted, err);
	if (r < 0)
		return r;
	*ret = realpath(word, NULL);
	return *ret ? 0 : msb_err_errno(err, -errno, "%s", quoted);
}

static int parse_kind(struct run_volume *v, const char *value)
{
	if (v->given_kind)
		return -EEXIST;
	v->given_kind = true;
	for (int i = 0; volume_kind_names[i]; i++) {
		if (streq(value, volume_kind_names[i])) {
			v->kind = (enum volume_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

static int parse_size(struct run_volume *v, const char *value)
{
	uint64_t mib = 0;
	int r = v->given_size ? -EEXIST : str_to_mib(value, &mib);

	if (r == 0 && (mib == 0 || mib > LIMIT_ROOT_DISK_MAX_MIB))
		r = -ERANGE;
	v->given_size = true;
	v->size_bytes = mib * MIB;
	return r;
}

/* Return: 1 when @word says something about the volume itself and not about its use. */
static int take_word(struct run_volume *v, const char *word)
{
	static const char *const sizes[] = {"size=", "quota="};
	int r;

	if (str_starts(word, "kind=")) {
		r = parse_kind(v, word + strlen("kind="));
		return r < 0 ? r : 1;
	}
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		if (!str_starts(word, sizes[i]))
			continue;
		r = parse_size(v, word + strlen(sizes[i]));
		return r < 0 ? r : 1;
	}
	return 0;
}

/* Takes out of the options what describes the volume. */
static int take_words(struct run_volume *v, struct msb_err *err)
{
	char *to = v->options;
	char *save = NULL;
	char quoted[QUOTED];

	for (char *w = strtok_r(v->options, ",", &save); w; w = strtok_r(NULL, ",", &save)) {
		size_t len = strlen(w);
		int r = take_word(v, w);

		if (r < 0)
			return msb_err_set(err, -EINVAL, MSB_USAGE,
				r == -EEXIST ? "%s says again, or otherwise, what was said before"
					     : "%s has a value that is not possible",
				str_quote(quoted, sizeof(quoted), w, len));
		if (r > 0)
			continue;
		if (to != v->options)
			*to++ = ',';
		memmove(to, w, len);
		to += len;
	}
	*to = '\0';
	return 0;
}

static bool same_place(const char *a, const char *b)
{
	size_t n = strlen(a);
	size_t m = strlen(b);

	while (n > 1 && a[n - 1] == '/')
		n--;
	while (m > 1 && b[m - 1] == '/')
		m--;
	return n == m && memcmp(a, b, n) == 0;
}

/* For a volume of unknown kind the options must mean something for one of the two. */
static int check_options(const struct run_volume *v, struct msb_err *err)
{
	struct share_options share;
	struct disk_options disk;

	if (v->disk || (v->given_kind && v->kind == VOLUME_DISK))
		return disk_options_parse(v->options, &disk, err);
	if (v->volume && !v->given_kind && disk_options_parse(v->options, &disk, NULL) == 0)
		return 0;
	return share_options_parse(v->options, &share, err);
}

static int parse_named(struct run_volume *v, struct msb_err *err)
{
	int r;

	v->volume = v->text;
	r = volume_name_check(v->volume, err);
	if (r < 0)
		return strchr(v->volume, '/')
			       ? msb_err_hint(
					 err, r, "to share a directory write ./%.100s", v->volume)
			       : r;
	r = take_words(v, err);
	if (r == 0 && v->given_size)
		r = volume_size_check(v->kind, v->size_bytes, err);
	return r;
}

static int parse(struct run_volume *v, enum form form, struct msb_err *err)
{
	int r = split(v->text, &v->path, &v->options, err);

	if (r == 0)
		r = share_path_check(v->path, err);
	if (r < 0)
		return r;
	v->disk = form == FORM_DISK;
	if (form == FORM_NAMED || (form == FORM_ANY && !is_path(v->text)))
		r = parse_named(v, err);
	if (r == 0)
		r = check_options(v, err);
	if (r == 0 && !v->volume)
		r = find_source(v->text, form, &v->source, err);
	return r;
}

static int add(void *target, const char *value, enum form form, struct msb_err *err)
{
	struct run_volumes *vs = target;
	cleanup_free char *text = strdup(value);
	struct run_volume v = {.text = text, .path = "", .options = text};
	int r;

	if (!text)
		return msb_err_errno(err, -ENOMEM, "reading the command line");
	r = vs->n < LIMIT_SHARES ? parse(&v, form, err)
				 : msb_err_set(err, -EINVAL, MSB_USAGE,
					   "more than %u volumes and mounts", LIMIT_SHARES);
	for (uint32_t i = 0; i < vs->n && r == 0; i++) {
		if (same_place(vs->list[i].path, v.path))
			r = msb_err_set(err, -EINVAL, MSB_USAGE, "%.100s is given twice", v.path);
	}
	if (r == 0) {
		vs->list[vs->n++] = v;
		(void)TAKE_PTR(text);
		return 0;
	}
	free(v.source);
	return r;
}

int run_parse_volume(void *target, const char *value, struct msb_err *err)
{
	return add(target, value, FORM_ANY, err);
}

int run_parse_mount_dir(void *target, const char *value, struct msb_err *err)
{
	return add(target, value, FORM_DIR, err);
}

int run_parse_mount_file(void *target, const char *value, struct msb_err *err)
{
	return add(target, value, FORM_FILE, err);
}

int run_parse_mount_disk(void *target, const char *value, struct msb_err *err)
{
	return add(target, value, FORM_DISK, err);
}

int run_parse_mount_named(void *target, const char *value, struct msb_err *err)
{
	return add(target, value, FORM_NAMED, err);
}

static int differs(const struct run_volume *v, const struct volume_info *info, struct msb_err *err)
{
	if (v->given_kind && v->kind != info->kind)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "volume '%s' is of kind %s", info->name,
			volume_kind_names[info->kind]);
	if (v->given_size && v->size_bytes != info->size_bytes)
		return info->size_bytes
			       ? msb_err_set(err, -EINVAL, MSB_USAGE,
					 "volume '%s' has a size of %" PRIu64 " MiB", info->name,
					 info->size_bytes / MIB)
			       : msb_err_set(err, -EINVAL, MSB_USAGE,
					 "volume '%s' was made without a size", info->name);
	return 0;
}

/* The volume as it is, or as it is then made. */
static int find_volume(
	const char *home, const struct run_volume *v, struct volume_info *ret, struct msb_err *err)
{
	struct volume_info made = {.kind = v->kind, .size_bytes = v->size_bytes};
	int r = volume_get(home, v->volume, ret, err);

	if (r == -ENOENT) {
		if (v->kind == VOLUME_DISK && !v->given_size) {
			r = msb_err_set(err, -EINVAL, MSB_USAGE,
				"volume '%s' does not exist, and a disk needs a size", v->volume);
			return msb_err_hint(err, r, "add size=SIZE to its options");
		}
		r = str_copy(made.name, sizeof(made.name), v->volume);
		if (r == 0)
			r = volume_create(home, &made, err);
		/* Somebody else was faster. */
		if (r == 0 || r == -EEXIST)
			r = volume_get(home, v->volume, ret, err);
	}
	return r < 0 ? r : differs(v, ret, err);
}

int run_volumes_apply(const struct run_volumes *vs, struct sandbox_spec *spec, struct msb_err *err)
{
	for (uint32_t i = 0; i < vs->n; i++) {
		const struct run_volume *v = &vs->list[i];
		const char *source = v->source ? v->source : "";
		const char *volume = v->volume ? v->volume : "";
		struct volume_info info = {.kind = v->disk ? VOLUME_DISK : VOLUME_DIR};
		int r = v->volume ? find_volume(spec->home, v, &info, err) : 0;

		if (r < 0)
			return r;
		if (info.kind == VOLUME_DISK)
			spec->disks[spec->n_disks++] =
				(struct sandbox_disk){source, volume, v->path, v->options};
		else
			spec->shares[spec->n_shares++] =
				(struct sandbox_share){source, volume, v->path, v->options};
	}
	return 0;
}

void run_volumes_deinit(struct run_volumes *v)
{
	for (uint32_t i = 0; i < v->n; i++) {
		free(v->list[i].text);
		free(v->list[i].source);
	}
	v->n = 0;
}
