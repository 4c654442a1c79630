/* SPDX-License-Identifier: Apache-2.0 */
/* How an init is asked for the end: by what it listens to. */
#include <signal.h>

#include "agent/init/hand-over.h"

#include "test.h"

enum { POWEROFF = 38 };

static int asked_by(const char *status, bool wanted_heard)
{
	bool heard = !wanted_heard;
	int signo = hand_over_signal(status, &heard);

	ASSERT_EQ(heard, wanted_heard);
	return signo;
}

TEST(an_init_is_asked_in_its_own_way)
{
	/* systemd blocks what it reads from a descriptor. */
	ASSERT_EQ(asked_by("Name:\tsystemd\nSigBlk:\t7fe3c0fe28014a03\n"
			   "SigIgn:\t0000000000001000\nSigCgt:\t00000000000004ec\n",
			  true),
		POWEROFF);
	/* busybox has handlers. */
	ASSERT_EQ(asked_by("Name:\tinit\nSigBlk:\t0000000000000000\n"
			   "SigCgt:\t0000000000004a02\n",
			  true),
		SIGUSR2);
	/* A script with a trap, and what listens to nothing yet. */
	ASSERT_EQ(asked_by("Name:\tsh\nSigBlk:\t0000000000000000\n"
			   "SigCgt:\t0000000000004000\n",
			  true),
		SIGTERM);
	ASSERT_EQ(asked_by("", false), SIGTERM);
	ASSERT_EQ(asked_by("\nSigCgt:", false), SIGTERM);
	/* Ignoring is no listening. */
	ASSERT_EQ(asked_by("\nSigIgn:\tffffffffffffffff\nSigCgt:\t0\n", false), SIGTERM);
}
