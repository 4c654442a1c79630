/* SPDX-License-Identifier: Apache-2.0 */
/* One sandbox's machine: see machine.h. */
#include "vmm/machine.h"

#include <sys/eventfd.h>
#include <sys/mman.h>

enum { BALLOON_PAGES_MIB = MIB >> VIRTIO_BALLOON_PFN_SHIFT };

/* Gives @dev the next window and interrupt line. */
static int attach(struct machine *m, struct virtio_dev *dev, struct msb_err *err)
{
	unsigned int slot = m->n_transports;
	struct virtio_mmio *t = &m->transports[slot];
	uint64_t gpa = arch_devices.mmio_gpa + slot * arch_devices.mmio_size;
	int r;

	assert(slot < MACHINE_DEVICES_MAX);
	if (slot >= arch_devices.max)
		return msb_err_set(err, -ENOSPC, MSB_LIMIT, "more than %u devices", slot);
	_Static_assert((int)MACHINE_DEVICES_MAX <= (int)BUS_DEVS_MAX, "room on the bus");
	virtio_mmio_init(t, dev, gpa);
	r = bus_add(&m->mmio, &t->bus);
	if (r == 0)
		r = vm_ioeventfd(&m->vm, dev->kick_fd, gpa + VIRTIO_MMIO_QUEUE_NOTIFY);
	if (r == 0)
		r = vm_irqfd(&m->vm, dev->irq_fd, arch_devices.irq + slot);
	if (r < 0)
		return msb_err_errno(err, r, "cannot wire device %s", dev->ops->name);
	m->n_transports++;
	return 0;
}

static int add_disks(struct machine *m, const struct vmm_config *c, const struct virtio_env *env,
	struct msb_err *err)
{
	const struct vmm_extent *from = c->extents;
	struct blk_extent *to = m->extents;

	for (uint32_t i = 0; i < c->n_disks; i++) {
		struct blk_host host = {.extents = to,
			.n_extents = c->disks[i].n_extents,
			.read_only = c->disks[i].read_only != 0,
			.unsafe = c->disks[i].unsafe != 0};
		struct virtio_blk *b = &m->disks[i];
		int r;

		for (uint32_t n = 0; n < host.n_extents; n++, from++, to++)
			*to = (struct blk_extent){
				.fd = from->fd, .offset = from->offset, .len = from->len};
		(void)snprintf(host.serial, sizeof(host.serial), "msb-disk%" PRIu32, i);
		r = virtio_blk_init(b, env, &host);
		if (r < 0)
			return msb_err_errno(err, r, "cannot use disk %" PRIu32, i);
		m->n_disks++;
		m->disk_max = MAX(m->disk_max, host.extents[0].offset + b->sectors * 512);
		r = attach(m, &b->dev, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_shares(struct machine *m, const struct vmm_config *c, const struct virtio_env *env,
	struct msb_err *err)
{
	for (uint32_t i = 0; i < c->n_shares; i++) {
		int r = virtio_fs_init(&m->shares[i], env, c->shares[i].fd, c->shares[i].tag);

		if (r < 0)
			return msb_err_errno(err, r, "cannot share directory %" PRIu32, i);
		m->n_shares++;
		r = attach(m, &m->shares[i].dev, err);
		if (r < 0)
			return r;
	}
	return 0;
}

static int add_net(struct machine *m, const struct vmm_config *c, const struct virtio_env *env,
	struct msb_err *err)
{
	int r;

	if (c->net.fd < 0)
		return 0;
	r = virtio_net_init(&m->net, env, c->net.fd, c->net.mac);
	if (r < 0)
		return msb_err_errno(err, r, "cannot create the network device");
	return attach(m, &m->net.dev, err);
}

static int add_vsock(struct machine *m, const struct vmm_config *c, const struct virtio_env *env,
	struct msb_err *err)
{
	int r;

	if (c->vsock_fd < 0)
		return 0;
	r = virtio_vsock_init(&m->vsock, env, c->vsock_fd);
	if (r < 0)
		return msb_err_errno(err, r, "cannot create the socket device");
	return attach(m, &m->vsock.dev, err);
}

/*
 * An open channel is closed by the death of the agent or by the kernel, when it resets its devices
 * for a halt or a power-off that this machine has no button for: nothing will happen any more.
 */
static void on_channel_open(struct virtio_console *c, bool open, void *arg)
{
	struct machine *m = arg;

	(void)c;
	if (open)
		return;
	m->channel_closed = true;
	/* While the last bytes go out, the end is known. */
	if (!m->stopping)
		m->on_end(m);
}

static void on_given(struct virtio_balloon *b, uint32_t pages, void *arg)
{
	struct machine *m = arg;

	(void)b;
	if (m->on_balloon)
		m->on_balloon(m, pages / BALLOON_PAGES_MIB);
}

static int add_balloon(struct machine *m, const struct vmm_config *c, const struct virtio_env *env,
	struct msb_err *err)
{
	int r = virtio_balloon_init(&m->balloon, env);

	if (r < 0)
		return msb_err_errno(err, r, "cannot create the balloon");
	/* The driver looks at the target when it starts; nobody has to be told before. */
	virtio_balloon_set_target(&m->balloon, c->balloon_mib * BALLOON_PAGES_MIB);
	m->balloon.on_given = on_given;
	m->balloon.arg = m;
	return attach(m, &m->balloon.dev, err);
}

/* The console comes first: the kernel probes in this order, and early messages are the ones missed.
 */
static int add_devices(struct machine *m, const struct vmm_config *c, struct msb_err *err)
{
	const struct virtio_env env = {.mem = &m->mem, .loop = m->loop};
	const struct console_host host = {.log_fd = c->log_fd,
		.channel_fd = c->channel_fd,
		.on_guest_open = on_channel_open,
		.arg = m};
	int r;

	r = virtio_console_init(&m->console, &env, &host);
	if (r < 0)
		return msb_err_errno(err, r, "cannot create the console");
	r = attach(m, &m->console.dev, err);
	if (r < 0)
		return r;
	r = add_disks(m, c, &env, err);
	if (r == 0)
		r = add_shares(m, c, &env, err);
	if (r == 0)
		r = add_net(m, c, &env, err);
	if (r == 0)
		r = add_vsock(m, c, &env, err);
	if (r < 0)
		return r;
	r = virtio_rng_init(&m->rng, &env);
	if (r < 0)
		return msb_err_errno(err, r, "cannot create the entropy device");
	r = attach(m, &m->rng.dev, err);
	if (r < 0)
		return r;
	return add_balloon(m, c, &env, err);
}

static int add_memory(struct machine *m, const struct vmm_config *c, struct msb_err *err)
{
	struct arch_range ranges[ARCH_RAM_RANGES_MAX];
	unsigned int n = arch_ram_layout(c->mem_mib * MIB, ranges);

	for (unsigned int i = 0; i < n; i++) {
		int r = gmem_alloc(&m->mem, ranges[i].gpa, ranges[i].size);

		if (r < 0)
			return msb_err_errno(
				err, r, "cannot reserve %" PRIu32 " MiB of memory", c->mem_mib);
		/*
		 * Huge pages halve the faults of a boot and the depth of page walks ever after, for
		 * some memory that is touched in part only; free page reporting gives it back.
		 * Advice only: a host may have none.
		 */
		(void)madvise(m->mem.regions[i].hva, m->mem.regions[i].size, MADV_HUGEPAGE);
	}
	return 0;
}

/* After the files were mapped into the RAM: KVM looks at the mapping as it is when first touched.
 */
static int give_memory(struct machine *m, struct msb_err *err)
{
	for (unsigned int i = 0; i < m->mem.n_regions; i++) {
		const struct gmem_region *region = &m->mem.regions[i];
		int r = vm_add_ram(&m->vm, region->gpa, region->size, region->hva, err);

		if (r < 0)
			return r;
	}
	return 0;
}

/* The caller's words, then one announcement per device. */
static int build_cmdline(
	const struct machine *m, const struct vmm_config *c, char *to, struct msb_err *err)
{
	int r;

	memcpy(to, c->cmdline, sizeof(c->cmdline));
	for (unsigned int i = 0; i < m->n_transports; i++) {
		r = arch_cmdline_device(to, LIMIT_CMDLINE, i);
		if (r < 0)
			return msb_err_errno(err, r, "kernel command line");
	}
	return 0;
}

static int add_vcpus(struct machine *m, const struct vmm_config *c, struct msb_err *err)
{
	m->group.mmio = &m->mmio;
	m->group.vm = &m->vm;
	m->group.end_fd = m->end_fd;
	for (unsigned int i = 0; i < c->vcpus; i++) {
		int r = vcpu_init(&m->vcpus[i], &m->group, i, err);

		if (r < 0)
			return r;
		m->n_vcpus++;
	}
	return 0;
}

static void on_end_event(struct loop_fd *src, uint32_t events)
{
	struct machine *m = container_of(src, struct machine, end_src);

	(void)events;
	loop_fd_del(src); /* never reset: one end is all there is */
	m->on_end(m);
}

static int build(struct machine *m, const struct vmm_config *c, struct msb_err *err)
{
	struct arch_boot boot = {
		.kernel_fd = c->kernel_fd, .initramfs_fd = c->initramfs_fd, .vcpus = c->vcpus};
	char cmdline[LIMIT_CMDLINE];
	struct arch_entry entry;
	int r;

	m->end_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (m->end_fd < 0)
		return msb_err_errno(err, -errno, "cannot create an eventfd");
	r = loop_fd_add(m->loop, &m->end_src, m->end_fd, EPOLLIN, on_end_event);
	if (r < 0)
		return msb_err_errno(err, r, "cannot watch an eventfd");
	r = vm_init(&m->vm, c->kvm_fd, err);
	if (r == 0)
		r = arch_vm_init(&m->vm, err);
	if (r == 0)
		r = add_memory(m, c, err);
	if (r == 0)
		r = add_devices(m, c, err);
	if (r == 0)
		r = build_cmdline(m, c, cmdline, err);
	boot.cmdline = cmdline;
	if (r == 0)
		r = arch_boot_load(&boot, &m->mem, &entry, err);
	if (r == 0)
		r = give_memory(m, err);
	if (r == 0)
		r = add_vcpus(m, c, err);
	if (r == 0)
		r = arch_vcpus_init(&m->vm, m->vcpus, m->n_vcpus, &entry, err);
	return r;
}

int machine_build(struct machine *m, const struct vmm_config *c, struct loop *loop,
	void (*on_end)(struct machine *m), struct msb_err *err)
{
	int r;

	m->loop = loop;
	m->on_end = on_end;
	m->end_fd = m->vm.fd = -EBADF;
	gmem_init(&m->mem);
	r = build(m, c, err);
	if (r < 0)
		machine_deinit(m);
	return r;
}

int machine_start(struct machine *m, int (*confine)(void), struct msb_err *err)
{
	m->group.confine = confine;
	return vcpus_start(&m->group, m->vcpus, m->n_vcpus, err);
}

void machine_go(struct machine *m)
{
	vcpus_go(&m->group);
}

int machine_balloon(struct machine *m, uint32_t mib)
{
	if (mib >= m->balloon.total / BALLOON_PAGES_MIB)
		return -EINVAL;
	virtio_balloon_set_target(&m->balloon, mib * BALLOON_PAGES_MIB);
	return 0;
}

/* Has the loop more to do for the console, now or when the channel's reader takes something? */
static bool console_busy(const struct machine *m)
{
	return m->console.dev.again.loop || m->console.tx_blocked;
}

void machine_stop(struct machine *m, uint64_t patience_ns)
{
	const uint64_t *sent = &m->console.dev.stats.bytes_out;
	uint64_t deadline_ns;
	uint64_t before;

	vcpus_stop(&m->group, m->vcpus, m->n_vcpus);
	/* Whatever ended the machine: only the supervisor may cut its last words short now. */
	m->stopping = true;
	loop_fd_del(&m->end_src);
	if (m->n_transports == 0)
		return;
	/* The guest's last kick may not have been seen yet. */
	virtio_dev_run(&m->console.dev);
	before = *sent;
	deadline_ns = clock_mono_ns() + patience_ns;
	while (console_busy(m) && !m->loop->stopped && clock_mono_ns() < deadline_ns) {
		if (loop_once(m->loop, deadline_ns) < 0)
			break;
		if (*sent == before)
			continue;
		before = *sent;
		deadline_ns = clock_mono_ns() + patience_ns;
	}
}

enum vmm_exit_reason machine_end(const struct machine *m, const char **ret_text)
{
	uint32_t ended = __atomic_load_n(&m->group.ended, __ATOMIC_ACQUIRE);
	const struct vcpu *v;

	*ret_text = "";
	if (ended == 0)
		return m->channel_closed ? VMM_EXIT_POWEROFF : VMM_EXIT_STOPPED;
	v = &m->vcpus[ended - 1];
	*ret_text = v->text;
	switch (v->verdict) {
	case VCPU_SHUTDOWN:
		return VMM_EXIT_SHUTDOWN;
	case VCPU_POWEROFF:
		return VMM_EXIT_POWEROFF;
	case VCPU_GUEST_FAULT:
		return VMM_EXIT_GUEST_FAULT;
	case VCPU_CONTINUE:
	case VCPU_HOST_FAULT:
		break;
	}
	return VMM_EXIT_HOST_FAULT;
}

/* Devices that were initialised are those with operations. */
static void remove_devices(struct machine *m)
{
	if (m->balloon.dev.ops)
		virtio_balloon_deinit(&m->balloon);
	if (m->rng.dev.ops)
		virtio_rng_deinit(&m->rng);
	if (m->vsock.dev.ops)
		virtio_vsock_deinit(&m->vsock);
	if (m->net.dev.ops)
		virtio_net_deinit(&m->net);
	while (m->n_shares > 0)
		virtio_fs_deinit(&m->shares[--m->n_shares]);
	while (m->n_disks > 0)
		virtio_blk_deinit(&m->disks[--m->n_disks]);
	if (m->console.dev.ops)
		virtio_console_deinit(&m->console);
}

void machine_deinit(struct machine *m)
{
	vcpus_stop(&m->group, m->vcpus, m->n_vcpus);
	while (m->n_vcpus > 0)
		vcpu_deinit(&m->vcpus[--m->n_vcpus]);
	remove_devices(m);
	vm_deinit(&m->vm);
	gmem_deinit(&m->mem);
	loop_fd_del(&m->end_src);
	m->end_fd = fd_close(m->end_fd);
}
