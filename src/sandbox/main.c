/* SPDX-License-Identifier: Apache-2.0 */
/*
 * msb-sandbox: the supervisor of one sandbox. Started by the client library with the description
 * and the owner's connection as inherited descriptors; the sandbox's name is its only argument, for
 * people who look at a process list.
 */
#include <fcntl.h>

#include "base/log.h"

#include "sandbox/supervisor.h"

/* Zero pages until touched; a stack would be too small for some limits. */
static struct supervisor supervisor;

int main(int argc, char **argv)
{
	log_init("msb-sandbox", LOG_WARN);
	if (argc != 2 || argv[1][0] == '-' || fcntl(SUP_FD_SPEC, F_GETFD) < 0 ||
		fcntl(SUP_FD_OWNER, F_SETFD, FD_CLOEXEC) < 0) {
		log_err("this program is started by msb, see msb run --help");
		return 2;
	}
	return sup_run(&supervisor);
}
