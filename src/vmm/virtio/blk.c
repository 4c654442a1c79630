/* SPDX-License-Identifier: Apache-2.0 */
/*
 * virtio-blk: see blk.h.
 *
 * A request is a header of 16 bytes, data, and one status byte at the very end of the writable
 * part; how they are cut into descriptors is the driver's business. The header is copied once and
 * validated, the range of sectors is compared with the capacity without any sum of the guest's
 * numbers. A request that is wrong in itself is answered with an error status; one that has no room
 * for a status byte is returned empty and counted.
 *
 * #syscalls(vmm:loop): preadv pwritev fdatasync fallocate
 */
#include "vmm/virtio/blk.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <linux/virtio_ids.h>
#include <sys/stat.h>
#include <sys/uio.h>

enum {
	SECTOR = 512,
	QUEUE_SIZE = 128,
	SEG_MAX = QUEUE_SIZE - 2,
	REQUEST_BYTES_MAX = 32 << 20, /* longer ones would keep the loop from its other work */
	RUN_REQUESTS = 64, /* budget of one run */
	RUN_BYTES = 8 << 20,
	FLUSH_REQUESTS = 16, /* show completions at least this often */
	FLUSH_BYTES = 256 << 10,
	SEGMENTS_MAX = 32, /* ranges of one DISCARD or WRITE_ZEROES */
	DISCARD_SECTORS_MAX = 1 << 21, /* 1 GiB */
	ZERO_SECTORS_MAX = 1 << 14, /* 8 MiB: may have to be written */
	ZERO_CHUNK = 64 << 10,
};

struct request {
	struct virtio_blk_outhdr hdr;
	struct virtq_chain *chain;
	uint32_t written; /* data bytes for the guest */
};

static struct virtio_blk *to_blk(struct virtio_dev *dev)
{
	return container_of(dev, struct virtio_blk, dev);
}

/* Is [@sector, @sector + @n) on the disk? */
static bool range_ok(const struct virtio_blk *b, uint64_t sector, uint64_t n)
{
	return sector <= b->sectors && n <= b->sectors - sector;
}

/* The extent that holds byte @off of the disk, which is below the capacity. */
static const struct blk_extent *extent_at(const struct virtio_blk *b, uint64_t off)
{
	uint32_t low = 0;
	uint32_t high = b->host.n_extents;

	while (high - low > 1) {
		uint32_t mid = low + (high - low) / 2;

		if (b->host.extents[mid].start <= off)
			low = mid;
		else
			high = mid;
	}
	return &b->host.extents[low];
}

/*
 * Shortens @iov to @max bytes.
 * @ret_cut: what was taken off the last entry, to be given back
 * Return: entries that are left.
 */
static size_t iov_shorten(struct iovec *iov, size_t n, uint64_t max, size_t *ret_cut)
{
	size_t i = 0;

	*ret_cut = 0;
	for (; i < n && max > 0; i++) {
		if (iov[i].iov_len > max) {
			*ret_cut = iov[i].iov_len - (size_t)max;
			iov[i].iov_len = (size_t)max;
		}
		max -= iov[i].iov_len;
	}
	return i;
}

/*
 * Moves all bytes of @iov from or to the files. A file ending early is an error: the capacity was
 * its size.
 */
static uint8_t transfer(
	const struct virtio_blk *b, struct iovec *iov, size_t n_iov, uint64_t off, bool in)
{
	while (n_iov > 0) {
		const struct blk_extent *e = extent_at(b, off);
		off_t at = (off_t)(e->offset + (off - e->start));
		size_t cut;
		size_t n_here = iov_shorten(iov, n_iov, e->start + e->len - off, &cut);
		ssize_t n;

		if (in)
			n = preadv(e->fd, iov, (int)n_here, at);
		else
			n = pwritev(e->fd, iov, (int)n_here, at);
		if (n_here > 0)
			iov[n_here - 1].iov_len += cut;
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return VIRTIO_BLK_S_IOERR;
		off += (uint64_t)n;
		n_iov = iov_window(&iov, n_iov, (size_t)n, SIZE_MAX);
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_read(const struct virtio_blk *b, struct request *q)
{
	struct iovec *iov = q->chain->iov + q->chain->n_out;
	uint32_t len = q->chain->in_len - 1;
	uint8_t status;
	size_t n;

	if (len % SECTOR != 0 || len > REQUEST_BYTES_MAX ||
		!range_ok(b, q->hdr.sector, len / SECTOR))
		return VIRTIO_BLK_S_IOERR;
	n = iov_window(&iov, q->chain->n_in, 0, len);
	status = transfer(b, iov, n, q->hdr.sector * SECTOR, true);
	if (status == VIRTIO_BLK_S_OK)
		q->written = len;
	return status;
}

static uint8_t do_write(const struct virtio_blk *b, struct request *q)
{
	struct iovec *iov = q->chain->iov;
	uint32_t len = q->chain->out_len - (uint32_t)sizeof(q->hdr);
	size_t n;

	if (b->host.read_only || len % SECTOR != 0 || len > REQUEST_BYTES_MAX ||
		!range_ok(b, q->hdr.sector, len / SECTOR))
		return VIRTIO_BLK_S_IOERR;
	n = iov_window(&iov, q->chain->n_out, sizeof(q->hdr), len);
	return transfer(b, iov, n, q->hdr.sector * SECTOR, false);
}

static uint8_t write_zeros(const struct virtio_blk *b, uint64_t off, uint64_t len)
{
	static uint8_t zeros[ZERO_CHUNK];

	while (len > 0) {
		struct iovec iov = {.iov_base = zeros, .iov_len = MIN(len, sizeof(zeros))};
		size_t n = iov.iov_len;

		if (transfer(b, &iov, 1, off, false) != VIRTIO_BLK_S_OK)
			return VIRTIO_BLK_S_IOERR;
		off += n;
		len -= n;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t zero_range(const struct virtio_blk *b, uint64_t off, uint64_t len, bool unmap)
{
	const struct blk_extent *e = &b->host.extents[0]; /* the only one of a writable disk */
	int mode = FALLOC_FL_KEEP_SIZE | (unmap ? FALLOC_FL_PUNCH_HOLE : FALLOC_FL_ZERO_RANGE);
	int r;

	do {
		r = fallocate(e->fd, mode, (off_t)(e->offset + off), (off_t)len);
	} while (r < 0 && errno == EINTR);
	if (r == 0)
		return VIRTIO_BLK_S_OK;
	return errno == EOPNOTSUPP || errno == ENODEV ? VIRTIO_BLK_S_UNSUPP : VIRTIO_BLK_S_IOERR;
}

static uint8_t do_range(
	const struct virtio_blk *b, bool discard, const struct virtio_blk_discard_write_zeroes *seg)
{
	uint64_t off = seg->sector * SECTOR;
	uint64_t len = (uint64_t)seg->num_sectors * SECTOR;
	uint8_t status;

	if (len == 0)
		return VIRTIO_BLK_S_OK;
	status = zero_range(
		b, off, len, discard || (seg->flags & VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP));
	if (status == VIRTIO_BLK_S_UNSUPP && !discard)
		status = write_zeros(b, off, len);
	return status;
}

/* DISCARD and WRITE_ZEROES: nothing is done before every range was found good. */
static uint8_t do_ranges(const struct virtio_blk *b, struct request *q)
{
	bool discard = q->hdr.type == VIRTIO_BLK_T_DISCARD;
	uint32_t sectors_max = discard ? DISCARD_SECTORS_MAX : ZERO_SECTORS_MAX;
	uint32_t flags_max = discard ? 0 : VIRTIO_BLK_WRITE_ZEROES_FLAG_UNMAP;
	uint32_t len = q->chain->out_len - (uint32_t)sizeof(q->hdr);
	struct virtio_blk_discard_write_zeroes seg[SEGMENTS_MAX];

	if (b->host.read_only || len == 0 || len % sizeof(seg[0]) != 0 || len > sizeof(seg))
		return VIRTIO_BLK_S_IOERR;
	if (!chain_read(q->chain, sizeof(q->hdr), seg, len))
		return VIRTIO_BLK_S_IOERR;
	for (uint32_t i = 0; i < len / sizeof(seg[0]); i++) {
		if (seg[i].flags & ~flags_max)
			return VIRTIO_BLK_S_UNSUPP;
		if (seg[i].num_sectors > sectors_max ||
			!range_ok(b, seg[i].sector, seg[i].num_sectors))
			return VIRTIO_BLK_S_IOERR;
	}
	for (uint32_t i = 0; i < len / sizeof(seg[0]); i++) {
		uint8_t status = do_range(b, discard, &seg[i]);

		if (status != VIRTIO_BLK_S_OK)
			return status;
	}
	return VIRTIO_BLK_S_OK;
}

static uint8_t do_flush(const struct virtio_blk *b)
{
	int r;

	if (b->host.read_only || b->host.unsafe)
		return VIRTIO_BLK_S_OK;
	do {
		r = fdatasync(b->host.extents[0].fd);
	} while (r < 0 && errno == EINTR);
	return r == 0 ? VIRTIO_BLK_S_OK : VIRTIO_BLK_S_IOERR;
}

/* A driver without FLUSH expects that what was answered is on the disk. */
static bool is_write_through(const struct virtio_blk *b)
{
	return !(b->dev.acked & UINT64_C(1) << VIRTIO_BLK_F_FLUSH);
}

static uint8_t do_get_id(const struct virtio_blk *b, struct request *q)
{
	/* NUL-padded, without a terminator when all bytes are used. */
	if (q->chain->in_len - 1 < VIRTIO_BLK_ID_BYTES ||
		!chain_write(q->chain, 0, b->host.serial, VIRTIO_BLK_ID_BYTES))
		return VIRTIO_BLK_S_IOERR;
	q->written = VIRTIO_BLK_ID_BYTES;
	return VIRTIO_BLK_S_OK;
}

static uint8_t execute(const struct virtio_blk *b, struct request *q)
{
	uint8_t status;

	switch (q->hdr.type) {
	case VIRTIO_BLK_T_IN:
		return do_read(b, q);
	case VIRTIO_BLK_T_OUT:
		status = do_write(b, q);
		break;
	case VIRTIO_BLK_T_FLUSH:
		return do_flush(b);
	case VIRTIO_BLK_T_GET_ID:
		return do_get_id(b, q);
	case VIRTIO_BLK_T_DISCARD:
	case VIRTIO_BLK_T_WRITE_ZEROES:
		status = do_ranges(b, q);
		break;
	default:
		return VIRTIO_BLK_S_UNSUPP;
	}
	if (status == VIRTIO_BLK_S_OK && is_write_through(b))
		status = do_flush(b);
	return status;
}

static void complete(struct virtio_blk *b, struct virtq *vq, struct virtq_chain *chain)
	VMM_REQUIRES(b->dev.lock);

static void complete(struct virtio_blk *b, struct virtq *vq, struct virtq_chain *chain)
{
	struct request q = {.chain = chain};
	uint8_t status;

	b->dev.stats.requests++;
	/* transfer() cuts the iovecs, so the place of the status byte is remembered first. */
	if (chain->in_len == 0 || !chain_read(chain, 0, &q.hdr, sizeof(q.hdr))) {
		virtio_dev_malformed(&b->dev, "request without header or status byte");
		virtq_push(vq, chain, 0);
		return;
	}
	const struct iovec *last = &chain->iov[chain->n_out + chain->n_in - 1];
	uint8_t *status_at = (uint8_t *)last->iov_base + last->iov_len - 1;

	status = execute(b, &q);
	if (status != VIRTIO_BLK_S_OK)
		b->dev.stats.failed++;
	else if (q.hdr.type == VIRTIO_BLK_T_OUT)
		b->dev.stats.bytes_out += chain->out_len - sizeof(q.hdr);
	b->dev.stats.bytes_in += q.written;
	*status_at = status;
	/* The status byte is written only when all bytes before it are, or when it is the first. */
	virtq_push(vq, chain, q.written == chain->in_len - 1 ? chain->in_len : q.written);
}

static bool blk_run(struct virtio_dev *dev) VMM_REQUIRES(dev->lock);

static bool blk_run(struct virtio_dev *dev)
{
	struct virtio_blk *b = to_blk(dev);
	struct virtq *vq = &dev->queues[0];
	struct iovec iov[QUEUE_SIZE];
	uint64_t bytes = 0;
	uint64_t flushed_bytes = 0;

	vmm_lock_held(&b->dev.lock);
	virtq_notify_off(vq);
	for (unsigned int i = 1; i <= RUN_REQUESTS && bytes < RUN_BYTES; i++) {
		struct virtq_chain chain;

		if (virtq_next(vq, iov, QUEUE_SIZE, &chain) != 0)
			return false;
		complete(b, vq, &chain);
		bytes += (uint64_t)chain.out_len + chain.in_len;
		if (i % FLUSH_REQUESTS == 0 || bytes - flushed_bytes >= FLUSH_BYTES) {
			virtio_dev_flush(dev);
			flushed_bytes = bytes;
		}
	}
	return true;
}

static const struct virtio_ops blk_ops = {
	.device_id = VIRTIO_ID_BLOCK,
	.name = "virtio-blk",
	.features = UINT64_C(1) << VIRTIO_BLK_F_SEG_MAX | UINT64_C(1) << VIRTIO_BLK_F_BLK_SIZE |
		    UINT64_C(1) << VIRTIO_BLK_F_TOPOLOGY | UINT64_C(1) << VIRTIO_BLK_F_FLUSH,
	.n_queues = 1,
	.queue_sizes = {QUEUE_SIZE},
	.run = blk_run,
};

static int disk_size(int fd, uint64_t *ret)
{
	struct stat st;
	off_t end;

	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISREG(st.st_mode)) {
		*ret = (uint64_t)st.st_size;
		return 0;
	}
	if (!S_ISBLK(st.st_mode))
		return -ENOTBLK;
	end = lseek(fd, 0, SEEK_END);
	if (end < 0)
		return -errno;
	*ret = (uint64_t)end;
	return 0;
}

/* Puts the extents one behind the other. */
static int lay_out(const struct blk_host *host, uint64_t *ret_bytes)
{
	struct blk_extent *e = host->extents;
	uint64_t bytes = 0;

	if (host->n_extents < 1 || (host->n_extents > 1 && !host->read_only))
		return -EINVAL;
	if (host->n_extents == 1 && e->len == 0) {
		int r = disk_size(e->fd, &bytes);

		if (r < 0)
			return r;
		if (bytes < e->offset)
			return -EINVAL;
		e->len = (bytes - e->offset) / SECTOR * SECTOR;
		bytes = 0;
	}
	for (uint32_t i = 0; i < host->n_extents; i++) {
		if (e[i].len % SECTOR || (e[i].len == 0 && host->n_extents > 1))
			return -EINVAL;
		e[i].start = bytes;
		bytes += e[i].len;
	}
	*ret_bytes = bytes;
	return 0;
}

int virtio_blk_init(struct virtio_blk *b, const struct virtio_env *env, const struct blk_host *host)
{
	uint64_t features;
	uint64_t bytes = 0;
	int r;

	r = lay_out(host, &bytes);
	if (r < 0)
		return r;
	*b = (struct virtio_blk){
		.host = *host,
		.sectors = bytes / SECTOR,
		.space =
			{
				.capacity = bytes / SECTOR,
				.seg_max = SEG_MAX,
				.blk_size = SECTOR,
				.physical_block_exp = 3, /* 4 KiB pages behind it */
				.min_io_size = 8,
				.max_discard_sectors = DISCARD_SECTORS_MAX,
				.max_discard_seg = SEGMENTS_MAX,
				.discard_sector_alignment = 8,
				.max_write_zeroes_sectors = ZERO_SECTORS_MAX,
				.max_write_zeroes_seg = SEGMENTS_MAX,
				.write_zeroes_may_unmap = 1,
			},
	};
	if (host->read_only)
		features = UINT64_C(1) << VIRTIO_BLK_F_RO;
	else
		features = UINT64_C(1) << VIRTIO_BLK_F_DISCARD |
			   UINT64_C(1) << VIRTIO_BLK_F_WRITE_ZEROES;
	return virtio_dev_init(&b->dev, &blk_ops, env, features, &b->space, sizeof(b->space));
}

void virtio_blk_deinit(struct virtio_blk *b)
{
	virtio_dev_deinit(&b->dev);
}
