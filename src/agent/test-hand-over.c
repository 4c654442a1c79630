/* SPDX-License-Identifier: Apache-2.0 */
/* How an init is asked for the end: by what it listens to. */
#include <signal.h>

#include "agent/init/hand-over.h"

#include "test.h"

enum { POWEROFF = 38 };

TEST(an_init_is_asked_in_its_own_way)
{
	/* systemd blocks what it reads from a descriptor. */
	ASSERT_EQ(hand_over_signal("Name:\tsystemd\nSigBlk:\t7fe3c0fe28014a03\n"
				   "SigIgn:\t0000000000001000\nSigCgt:\t00000000000004ec\n"),
		POWEROFF);
	/* busybox has handlers. */
	ASSERT_EQ(hand_over_signal("Name:\tinit\nSigBlk:\t0000000000000000\n"
				   "SigCgt:\t0000000000004a02\n"),
		SIGUSR2);
	/* A script with a trap, and what listens to nothing. */
	ASSERT_EQ(hand_over_signal("Name:\tsh\nSigBlk:\t0000000000000000\n"
				   "SigCgt:\t0000000000004000\n"),
		SIGTERM);
	ASSERT_EQ(hand_over_signal(""), SIGTERM);
	ASSERT_EQ(hand_over_signal("\nSigCgt:"), SIGTERM);
	/* Ignoring is no listening. */
	ASSERT_EQ(hand_over_signal("\nSigIgn:\tffffffffffffffff\nSigCgt:\t0\n"), SIGTERM);
}
