/* SPDX-License-Identifier: Apache-2.0 */
/* What all engines have in common: see engine.h. */
#include "engine/engine.h"

#include "engine/engine-internal.h"
#include "engine/share.h"
#include "vmm/config.h"

/* msb-vmm checks the same and more, but in the words of a protocol. */
static int check_disks(const struct engine_spec *spec, struct msb_err *err)
{
	uint64_t n = 0;

	for (uint32_t i = 0; i < spec->n_disks; i++) {
		const struct engine_disk *d = &spec->disks[i];

		n += d->n_extents;
		if (d->n_extents < 1 || (d->n_extents > 1 && !d->read_only))
			return msb_err_set(
				err, -EINVAL, MSB_FAIL, "disk %u: wrong number of extents", i);
		for (uint32_t k = 0; k < d->n_extents; k++) {
			const struct engine_extent *e = &d->extents[k];

			if (e->len % 512 || (e->len == 0 && d->n_extents > 1) ||
				((e->offset || e->len) && !d->read_only))
				return msb_err_set(err, -EINVAL, MSB_FAIL,
					"disk %u: extent %u cannot be used", i, k);
		}
	}
	if (n > LIMIT_EXTENTS)
		return msb_err_set(err, -E2BIG, MSB_LIMIT,
			"the disks consist of %" PRIu64 " pieces: at most %u", n, LIMIT_EXTENTS);
	return 0;
}

int engine_check_spec(const struct engine_spec *spec, struct msb_err *err)
{
	uint32_t vcpus = engine_max_vcpus(spec);
	uint32_t mem_mib = engine_max_mem_mib(spec);

	if (spec->vcpus < 1 || vcpus > LIMIT_VCPUS)
		return msb_err_set(
			err, -EINVAL, MSB_USAGE, "%u CPUs: must be 1 to %u", vcpus, LIMIT_VCPUS);
	if (spec->mem_mib < LIMIT_MEM_MIN_MIB || mem_mib > LIMIT_MEM_MAX_MIB)
		return msb_err_set(err, -EINVAL, MSB_USAGE, "%u MiB of memory: must be %u to %u",
			mem_mib, LIMIT_MEM_MIN_MIB, LIMIT_MEM_MAX_MIB);
	if (spec->n_disks > LIMIT_DISKS)
		return msb_err_set(err, -EINVAL, MSB_LIMIT, "%u disks: at most %u", spec->n_disks,
			LIMIT_DISKS);
	if (spec->n_shares > LIMIT_SHARES)
		return msb_err_set(err, -EINVAL, MSB_LIMIT, "%u shares: at most %u", spec->n_shares,
			LIMIT_SHARES);
	if (spec->n_shares > 0 && !spec->fs_path)
		return msb_err_set(err, -EINVAL, MSB_FAIL, "no path of msb-fs");
	return check_disks(spec, err);
}

uint32_t engine_extents(const struct engine_spec *spec)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < spec->n_disks; i++)
		n += spec->disks[i].n_extents;
	return n;
}

void engine_vm_reset(struct engine_vm *vm, const struct engine_ops *ops)
{
	*vm = (struct engine_vm){
		.ops = ops,
		.pid = -1,
		.pidfd = -EBADF,
		.channel_fd = -EBADF,
		.console_fd = -EBADF,
		.control_fd = -EBADF,
		.stderr_fd = -EBADF,
		.cgroup = CGROUP_NONE,
		.exit = ENGINE_EXIT_FAILED,
	};
}

void engine_vm_deinit(struct engine_vm *vm)
{
	vm->pidfd = fd_close(vm->pidfd);
	vm->channel_fd = fd_close(vm->channel_fd);
	vm->console_fd = fd_close(vm->console_fd);
	vm->control_fd = fd_close(vm->control_fd);
	vm->stderr_fd = fd_close(vm->stderr_fd);
	shares_end(vm);
	cgroup_remove(&vm->cgroup);
	free(vm->priv);
	vm->priv = NULL;
}

/* Page tables of guest and host take up to a 64th of the guest's memory, a processor's state
 * little.
 */
void engine_vm_limit(
	struct engine_vm *vm, const struct engine_spec *spec, uint32_t extra_mib, uint32_t threads)
{
	uint32_t mem_mib = engine_max_mem_mib(spec);
	uint32_t vcpus = engine_max_vcpus(spec);
	struct cgroup_limits limits = {
		.mem_bytes = (mem_mib + mem_mib / 64 + (uint64_t)vcpus + extra_mib) * MIB,
		.processes = vcpus + threads,
	};

	if (cgroup_create(&limits, &vm->cgroup) == 0)
		vm->jail_level |= VMM_JAIL_CGROUP;
}

int engine_cmdline(const struct engine_spec *spec, const char *base, char *to, size_t size)
{
	char maxcpus[24] = "";
	int n;

	if (spec->vcpus < engine_max_vcpus(spec))
		(void)snprintf(maxcpus, sizeof(maxcpus), " maxcpus=%" PRIu32, spec->vcpus);
	n = snprintf(to, size, "%s%s%s%s", base, maxcpus, spec->cmdline_extra[0] ? " " : "",
		spec->cmdline_extra);
	return n < 0 || (size_t)n >= size ? -E2BIG : 0;
}

int engine_kind_parse(const char *s, enum engine_kind *ret)
{
	static const char *const names[] = {
		[ENGINE_AUTO] = "auto",
		[ENGINE_KVM] = "kvm",
		[ENGINE_QEMU] = "qemu",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		if (streq(s, names[i])) {
			*ret = (enum engine_kind)i;
			return 0;
		}
	}
	return -EINVAL;
}

/* The pipe holds the beginning of what was written, the tail of that is looked at. */
void engine_last_words(int fd, char *to, size_t size)
{
	char text[2048];
	size_t len = 0;
	size_t start;

	to[0] = '\0';
	if (fd < 0)
		return;
	for (;;) {
		ssize_t n;

		if (len > sizeof(text) / 2) {
			memmove(text, text + len - sizeof(text) / 2, sizeof(text) / 2);
			len = sizeof(text) / 2;
		}
		n = read(fd, text + len, sizeof(text) - len);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			break;
		len += (size_t)n;
	}
	while (len > 0 && (text[len - 1] == '\n' || text[len - 1] == '\r'))
		len--;
	for (start = len; start > 0 && text[start - 1] != '\n'; start--)
		;
	len = MIN(len - start, size - 1);
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[start + i];

		to[i] = c >= 0x20 && c < 0x7f ? (char)c : '?';
	}
	to[len] = '\0';
}

int engine_choose(enum engine_kind kind, const char *cache_path, const struct engine_ops **ret,
	struct probe_result *ret_probe, struct msb_err *err)
{
	struct probe_result probe = {};

	if (kind != ENGINE_QEMU)
		engine_probe_kvm(cache_path, &probe);
	/* Who asks for KVM is not to wait for a machine that will never be up. */
	if (kind == ENGINE_KVM && probe.verdict != PROBE_OK) {
		(void)msb_err_set(err, -EOPNOTSUPP,
			probe.verdict == PROBE_DENIED ? MSB_PERMISSION : MSB_UNSUPPORTED,
			"engine kvm: %s", probe.detail);
		return msb_err_hint(err, -EOPNOTSUPP, "%s", probe.hint);
	}
	*ret = kind == ENGINE_QEMU || probe.verdict != PROBE_OK ? &engine_qemu : &engine_kvm;
	if (ret_probe)
		*ret_probe = probe;
	return 0;
}
