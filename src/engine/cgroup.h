/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A cgroup of its own for the process of a machine, where the host has delegated a subtree to us.
 *
 * It bounds what a taken-over VMM can eat: memory and processes. cgroup v2 hands controllers only
 * to cgroups whose parent has no processes, so ours must be beside the one we are in: its parent is
 * used when it belongs to us, passes the controllers on, and was given away by systemd (Delegate=,
 * with DelegateSubgroup= for us) or there is no systemd. Everywhere else machines run without.
 *
 * The directory is locked as long as its owner lives. What a killed owner left is removed by the
 * next one that comes along.
 */
#pragma once

#include "base/base.h"

struct cgroup {
	int parent_fd; /* -EBADF: there is no cgroup */
	int dir_fd;
	char name[32];
};

struct cgroup_limits {
	uint64_t mem_bytes;
	uint32_t processes; /* threads count */
};

#define CGROUP_NONE                                   \
	{                                             \
		.parent_fd = -EBADF, .dir_fd = -EBADF \
	}

/** cgroup_create - beside the cgroup of this process
 *
 * Return: 0; or a negative errno, then @ret is CGROUP_NONE and the machine goes without.
 */
int cgroup_create(const struct cgroup_limits *limits, struct cgroup *ret) MSB_MUST_CHECK;

/** cgroup_create_at - cgroup_create() below the directory @parent_fd (not owned) */
int cgroup_create_at(int parent_fd, const struct cgroup_limits *limits, struct cgroup *ret)
	MSB_MUST_CHECK;

/** cgroup_remove - after its last process was reaped; legal for CGROUP_NONE */
void cgroup_remove(struct cgroup *c);
