/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Files of the guest of tests: see fake-store.h.
 *
 * On disk: an index of all files at STORE_AT, which one write replaces, and behind it one slot of
 * FAKE_FILE_MAX for each. Data go before the index, so a file that the index names is whole.
 */
#include "sandbox/fake-store.h"

#include "base/io.h"
#include "base/str.h"

/* Beyond anything that the supervisor writes when it makes a disk. */
static const off_t STORE_AT = (off_t)GIB;

struct disk_entry {
	char name[FAKE_NAME_MAX];
	uint32_t used;
	uint32_t size;
};

struct disk_index {
	struct disk_entry entries[FAKE_FILES];
};

static off_t slot_at(size_t i)
{
	return STORE_AT + (off_t)(sizeof(struct disk_index) + i * FAKE_FILE_MAX);
}

static int read_at(int fd, void *p, size_t n, off_t at)
{
	ssize_t got = pread(fd, p, n, at);

	return got < 0 ? -errno : (size_t)got == n ? 0 : -EIO;
}

static int write_at(int fd, const void *p, size_t n, off_t at)
{
	ssize_t put = pwrite(fd, p, n, at);

	return put < 0 ? -errno : (size_t)put == n ? 0 : -EIO;
}

int fake_store_load(struct fake_store *st, int fd)
{
	struct disk_index index;
	int r;

	*st = (struct fake_store){.fd = fd};
	if (fd < 0)
		return 0;
	r = read_at(fd, &index, sizeof(index), STORE_AT);
	for (size_t i = 0; i < FAKE_FILES && r == 0; i++) {
		struct fake_file *f = &st->files[i];

		if (!index.entries[i].used)
			continue;
		index.entries[i].name[FAKE_NAME_MAX - 1] = '\0';
		if (index.entries[i].size > FAKE_FILE_MAX)
			return -EBADMSG;
		f->data = malloc(FAKE_FILE_MAX);
		if (!f->data)
			return -ENOMEM;
		f->size = index.entries[i].size;
		r = str_copy(f->name, sizeof(f->name), index.entries[i].name);
		if (r == 0)
			r = read_at(fd, f->data, f->size, slot_at(i));
	}
	return r;
}

int fake_store_sync(struct fake_store *st)
{
	struct disk_index index = {0};
	bool changed = false;
	int r = 0;

	if (st->fd < 0)
		return 0;
	for (size_t i = 0; i < FAKE_FILES && r == 0; i++) {
		struct fake_file *f = &st->files[i];

		if (!f->name[0])
			continue;
		memcpy(index.entries[i].name, f->name, sizeof(f->name));
		index.entries[i].used = 1;
		index.entries[i].size = f->size;
		if (f->dirty)
			r = write_at(st->fd, f->data, f->size, slot_at(i));
		changed = changed || f->dirty;
	}
	if (r == 0 && changed)
		r = write_at(st->fd, &index, sizeof(index), STORE_AT);
	for (size_t i = 0; i < FAKE_FILES && r == 0; i++)
		st->files[i].dirty = false;
	return r;
}

void fake_store_deinit(struct fake_store *st)
{
	for (size_t i = 0; i < FAKE_FILES; i++)
		free(st->files[i].data);
	*st = (struct fake_store){.fd = -EBADF};
}

struct fake_file *fake_store_find(struct fake_store *st, const char *name)
{
	for (size_t i = 0; i < FAKE_FILES; i++) {
		if (st->files[i].name[0] && streq(st->files[i].name, name))
			return &st->files[i];
	}
	return NULL;
}

struct fake_file *fake_store_make(struct fake_store *st, const char *name)
{
	struct fake_file *f = fake_store_find(st, name);

	for (size_t i = 0; i < FAKE_FILES && !f; i++) {
		if (!st->files[i].name[0])
			f = &st->files[i];
	}
	if (!f || !name[0])
		return NULL;
	if (!f->data)
		f->data = malloc(FAKE_FILE_MAX);
	if (!f->data || str_copy(f->name, sizeof(f->name), name) < 0)
		return NULL;
	f->size = 0;
	f->dirty = true;
	return f;
}

int fake_file_append(struct fake_file *f, const void *p, size_t n)
{
	if (n > (size_t)FAKE_FILE_MAX - f->size)
		return -EFBIG;
	memcpy(f->data + f->size, p, n);
	f->size += (uint32_t)n;
	f->dirty = true;
	return 0;
}
