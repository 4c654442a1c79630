/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The end of the guest: processes are asked to end, then killed, file systems are written back, the
 * host gets BYE, the machine is reset (frame.h says why not powered off).
 */
#pragma once

#include "agent/agent.h"

/* For those of the guest who say `poweroff`. */
enum { POWER_GRACE_MS = 3000 };

/**
 * power_stop - begin the end
 * @grace_ms: SIGKILL follows SIGTERM after this long; 0: SIGKILL at once, also when the end has
 *	begun before
 * @signo: by which a process of the guest asked, 0: the host asks
 */
void power_stop(struct agent *a, uint32_t grace_ms, uint32_t signo);

/** power_check - a process was reaped: go on if it was the last */
void power_check(struct agent *a);

/** power_off - end the machine now, without BYE: the reason was reported in another way */
void power_off(struct agent *a);
