/* SPDX-License-Identifier: Apache-2.0 */
/* How msb-fs is started: see config.h. */
#include "fs/config.h"

#include "base/str.h"

static int parse_number(const char *s, uint32_t *ret)
{
	return str_to_u32(s, 0, UINT32_MAX - 1, ret);
}

static int parse_only(const char *s, struct fs_options *o)
{
	if (s[0] == '\0' || strchr(s, '/') || streq(s, ".") || streq(s, ".."))
		return -EINVAL;
	return str_copy(o->only, sizeof(o->only), s);
}

static int parse_word(const char *w, struct fs_options *o)
{
	if (streq(w, "ro"))
		o->read_only = true;
	else if (streq(w, "nosuid"))
		o->no_suid = true;
	else if (streq(w, "nodev"))
		o->no_dev = true;
	else if (streq(w, "whole"))
		o->whole = true;
	else if (streq(w, "stat-virt=strict"))
		o->stat_virt = FS_STAT_STRICT;
	else if (streq(w, "stat-virt=relaxed"))
		o->stat_virt = FS_STAT_RELAXED;
	else if (streq(w, "stat-virt=off"))
		o->stat_virt = FS_STAT_OFF;
	else if (streq(w, "host-perms=private"))
		o->private_perms = true;
	else if (str_starts(w, "uid="))
		return parse_number(w + strlen("uid="), &o->uid);
	else if (str_starts(w, "gid="))
		return parse_number(w + strlen("gid="), &o->gid);
	else if (str_starts(w, "quota="))
		return str_to_u64(w + strlen("quota="), &o->quota);
	else if (str_starts(w, "only="))
		return parse_only(w + strlen("only="), o);
	else
		return -EINVAL;
	return 0;
}

int fs_config_parse(int argc, char *const *argv, enum fs_speech *ret_speech, struct fs_options *ret,
	struct msb_err *err)
{
	struct fs_options o = {0};

	if (argc < 2 || !(streq(argv[1], "link") || streq(argv[1], "vhost")))
		return msb_err_set(err, -EINVAL, MSB_USAGE,
			"msb-fs is started by msb: first word 'link' or 'vhost'");
	for (int i = 2; i < argc; i++) {
		int r = parse_word(argv[i], &o);

		if (r < 0)
			return msb_err_set(
				err, r, MSB_USAGE, "'%s' is no option of a share", argv[i]);
	}
	*ret_speech = streq(argv[1], "link") ? FS_LINK : FS_VHOST;
	*ret = o;
	return 0;
}

unsigned int fs_config_words(const struct fs_options *o, char words[FS_WORDS_MAX][FS_WORD_SIZE])
{
	static const char *const stat_virt[] = {
		[FS_STAT_STRICT] = "strict", [FS_STAT_RELAXED] = "relaxed", [FS_STAT_OFF] = "off"};
	unsigned int n = 0;

	if (o->read_only)
		(void)snprintf(words[n++], FS_WORD_SIZE, "ro");
	(void)snprintf(words[n++], FS_WORD_SIZE, "stat-virt=%s", stat_virt[o->stat_virt]);
	if (o->no_suid)
		(void)snprintf(words[n++], FS_WORD_SIZE, "nosuid");
	if (o->no_dev)
		(void)snprintf(words[n++], FS_WORD_SIZE, "nodev");
	if (o->private_perms)
		(void)snprintf(words[n++], FS_WORD_SIZE, "host-perms=private");
	if (o->uid)
		(void)snprintf(words[n++], FS_WORD_SIZE, "uid=%" PRIu32, o->uid);
	if (o->gid)
		(void)snprintf(words[n++], FS_WORD_SIZE, "gid=%" PRIu32, o->gid);
	if (o->quota)
		(void)snprintf(words[n++], FS_WORD_SIZE, "quota=%" PRIu64, o->quota);
	if (o->whole)
		(void)snprintf(words[n++], FS_WORD_SIZE, "whole");
	if (o->only[0])
		(void)snprintf(words[n++], FS_WORD_SIZE, "only=%s", o->only);
	return n;
}
