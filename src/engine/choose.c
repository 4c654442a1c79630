/* SPDX-License-Identifier: Apache-2.0 */
/* Which engine runs a machine: QEMU, as long as the probe of KVM is not part of the build. */
#include "engine/engine.h"

int engine_choose(enum engine_kind kind, const char *cache_path, const struct engine_ops **ret,
	struct probe_result *ret_probe, struct msb_err *err)
{
	(void)cache_path;
	(void)ret_probe;
	if (kind == ENGINE_KVM)
		return msb_err_set(
			err, -EOPNOTSUPP, MSB_UNSUPPORTED, "this build has no KVM engine yet");
	*ret = &engine_qemu;
	return 0;
}

void engine_probe_kvm(const char *cache_path, struct probe_result *ret)
{
	(void)cache_path;
	*ret = (struct probe_result){
		.verdict = PROBE_TOO_OLD, .detail = "this build has no KVM engine yet"};
}
