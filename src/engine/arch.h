/* SPDX-License-Identifier: Apache-2.0 */
/* What the engines need to know about the processor; one implementation under arch/<cpu>/. */
#pragma once

#include "base/base.h"

extern const char arch_qemu_binary[]; /* program name of QEMU for this processor */
extern const char arch_qemu_package[]; /* Debian package that holds it */
extern const char arch_qemu_machine[]; /* value of -M */
extern const char arch_qemu_cpu[]; /* value of -cpu */

/** arch_cmdline_qemu - kernel parameters for an emulated machine with @vcpus processors */
const char *arch_cmdline_qemu(uint32_t vcpus);

/** arch_cmdline_kvm - kernel parameters for a machine of msb-vmm */
const char *arch_cmdline_kvm(uint32_t vcpus);
