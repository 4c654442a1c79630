#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# vmm-suite.sh - run the test programs that need genuine KVM, in the lab.
#
# Every executable in SHARE/lab-tests is a test program: put one there (by the build, or by hand)
# and it runs. It sees SHARE at /share, real KVM at /dev/kvm, and MSB_MUST_WORK=kvm, which turns
# "no KVM here" from a skip into a failure. l1-suite says how results are counted; the summary
# line is the last line of the output.
set -euo pipefail

here=$(dirname "$(realpath "$0")")

usage() {
	cat <<'USAGE'
usage: tests/lab/vmm-suite.sh [--timeout S] [--test-timeout S] [--env NAME=VAL]... SHARE [PATTERN]...

Runs SHARE/lab-tests/* (those whose names match a PATTERN) as root in the lab.

  --timeout S       for the whole suite (default 900)
  --test-timeout S  for one test program (default 180)
  --env NAME=VAL    an environment variable of the test programs
USAGE
}

timeout=900 test_timeout=180 env_args=()
while [ $# -gt 0 ]; do
	case $1 in
	--timeout) timeout=${2:?}; shift 2 ;;
	--test-timeout) test_timeout=${2:?}; shift 2 ;;
	--env) env_args+=(--env "${2:?}"); shift 2 ;;
	-h | --help) usage; exit 0 ;;
	-*) usage >&2; exit 2 ;;
	*) break ;;
	esac
done
[ $# -ge 1 ] || { usage >&2; exit 2; }
share=$1
shift
exec "$here/run.sh" --share "$share" --timeout "$timeout" --add "$here/l1-suite" \
	--env MSB_MUST_WORK=kvm ${env_args[@]+"${env_args[@]}"} -- /run/lab/l1-suite /share/lab-tests "$test_timeout" "$@"
