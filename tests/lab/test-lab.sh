#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# test-lab.sh - the lab keeps its promises: real KVM, exit codes, files both ways, no leftovers.
# Prints TAP. Takes about half a minute once L1 is built.
# shellcheck disable=SC2016 # the shell in L1 expands it
set -uo pipefail

here=$(dirname "$(realpath "$0")")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MSB_CACHE=${MSB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/msb}
number=0 failures=0 run=

lab() {
	"$here/run.sh" "$@" 2>"$work/stderr"
}

# result NAME COMMAND...: one test, passed when COMMAND succeeds.
result() {
	local name=$1
	shift
	number=$((number + 1))
	if "$@"; then
		echo "ok $number - $name"
	else
		echo "not ok $number - $name"
		sed 's/^/# /' "$work/stderr"
		failures=$((failures + 1))
	fi
}

command_in_l1() {
	mkdir "$work/share"
	echo 'from the host' >"$work/share/file"
	local output code=0
	output=$(lab --share "$work/share" --out "$work/out" --add "$here/l1-check-kvm" \
		--env GREETING='hello  world' -- sh -c '
			echo "$GREETING"
			echo error >&2
			cat /share/file && rm /share/file
			echo "from L1" >/out/file
			/run/lab/l1-check-kvm >/out/kvm || exit 1
			exit 42') || code=$?
	echo "# $(cat "$work/out/kvm")"
	[ $code = 42 ] && [ "$output" = $'hello  world\nerror\nfrom the host' ] &&
		[ "$(cat "$work/out/file")" = 'from L1' ] && [ -e "$work/share/file" ]
}

code_of() {
	local expected=$1 code=0
	shift
	lab "$@" >"$work/stdout" || code=$?
	echo "# exit code $code"
	[ $code = "$expected" ]
}

panic() {
	code_of 125 -- sh -c 'echo c >/proc/sysrq-trigger; sleep 10' &&
		grep -q 'Kernel panic' "$work/stderr"
}

# Kill run.sh in the middle of a run; with KILL it has no chance to clean up.
killed() {
	local signal=$1 pid timeout_pid qemu_pid
	mkfifo "$work/fifo.$signal"
	"$here/run.sh" -- sh -c 'echo up; sleep 100' >"$work/fifo.$signal" 2>"$work/stderr" &
	pid=$!
	read -r _ <"$work/fifo.$signal"
	timeout_pid=$(pgrep -P "$pid" -x timeout) && qemu_pid=$(pgrep -P "$timeout_pid") || {
		kill "$pid"
		return 1
	}
	run=$(tr '\0' '\n' <"/proc/$qemu_pid/cmdline" | sed -n 's|.*path=\(.*\)/status$|\1|p')
	echo "# run directory $run"
	kill "-$signal" "$pid"
	wait "$pid" 2>/dev/null
	timeout 10 tail --pid="$qemu_pid" -f /dev/null
}

terminated() {
	killed TERM && [ ! -e "$run" ]
}

swept() {
	[ -e "$run" ] && lab -- true && [ ! -e "$run" ]
}

echo 1..7
result 'command, environment, files both ways, genuine KVM' command_in_l1
result 'a command that is not there' code_of 127 -- no-such-command
result 'a panic of L1 is reported as such' panic
result 'timeout' code_of 124 --timeout 2 -- true
result 'SIGTERM leaves nothing' terminated
result 'SIGKILL leaves no process' killed KILL
result 'the next run removes what SIGKILL left' swept
[ $failures = 0 ]
