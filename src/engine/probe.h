/* SPDX-License-Identifier: Apache-2.0 */
/* Parts of the KVM probe that are tested one by one; users call engine_probe_kvm(). */
#pragma once

#include <sys/stat.h>

#include "engine/engine.h"
#include "engine/probe-arch.h"

/** probe_with - engine_probe_kvm() that asks @kvm instead of the real one */
void probe_with(const struct probe_kvm *kvm, const char *cache_path, struct probe_result *ret);

/** probe_explain_open - verdict on a device that cannot be opened
 * @r: negative errno of the open
 * @st: what stat() says of the device, NULL when that failed too
 */
void probe_explain_open(int r, const struct stat *st, struct probe_result *ret);

/** probe_key - what a cached verdict is valid for: our version, this boot, kernel and device */
int probe_key(int kvm_fd, char *ret, size_t size) MSB_MUST_CHECK;

/** probe_cache_read - 0; a negative errno when there is no verdict for @key that we wrote */
int probe_cache_read(const char *path, const char *key, struct probe_result *ret) MSB_MUST_CHECK;
int probe_cache_write(const char *path, const char *key, const struct probe_result *res)
	MSB_MUST_CHECK;
