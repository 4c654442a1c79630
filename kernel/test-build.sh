#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Tests of build.sh and check-features.sh (TAP). tar, make and strip are replaced by programs that
# pretend, so that a whole "build" takes a moment: what is tested is the cache, not the compiler.

set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
export MSB_CACHE=$work/cache PATH=$work/bin:$PATH
count=0

ok() {
	count=$((count + 1))
	printf 'ok %d - %s\n' "$count" "$1"
}

not_ok() {
	count=$((count + 1))
	printf 'not ok %d - %s\n' "$count" "$1"
	sed 's/^/# /' "$work/log" 2>/dev/null
}

# check NAME COMMAND...: COMMAND succeeds; its output is in $work/log
check() {
	local name=$1
	shift
	if "$@" >"$work/log" 2>&1; then ok "$name"; else not_ok "$name"; fi
}

# refused NAME STATUS TEXT COMMAND...: COMMAND ends with STATUS and says TEXT
refused() {
	local name=$1 status=$2 text=$3 got=0
	shift 3
	"$@" >"$work/log" 2>&1 || got=$?
	if [ "$got" = "$status" ] && grep -qF -- "$text" "$work/log"; then
		ok "$name"
	else
		not_ok "$name (status $got)"
	fi
}

program() {
	cat >"$work/bin/$1"
	chmod +x "$work/bin/$1"
}

pretend() {
	mkdir -p "$work/bin"
	program dpkg-query <<-'END'
		#!/bin/sh
		[ -z "$NO_PACKAGE" ] && echo "installed 6.12-test"
	END
	program tar <<-'END'
		#!/bin/sh
		while [ "$1" != -C ]; do shift; done
		touch "$2/Makefile"
	END
	program patch <<-'END'
		#!/bin/sh
		exit 1
	END
	# Kconfig grants everything but $REFUSE; compiling is logged and takes as long as $GATE exists.
	program make <<-END
		#!/bin/sh
		case "\$*" in
		*allnoconfig*) grep -v "^\${REFUSE:-none}=" "\$2/msb.config" >"\$2/.config" ;;
		*)
			echo built >>$work/builds
			while [ -e $work/gate ]; do read -r _ <$work/gate; done
			echo kernel >"\$2/vmlinux"
			echo map >"\$2/System.map"
			;;
		esac
	END
	program strip <<-'END'
		#!/bin/sh
		cp "$4" "$3"
	END
}

builds() {
	grep -c built "$work/builds"
}

test_cache() {
	check "builds" "$here/build.sh" --out "$work/vmlinux"
	check "places the kernel" grep -q kernel "$work/vmlinux"
	check "finds it again" "$here/build.sh"
	check "built once" test "$(builds)" = 1
	check "leaves no tree behind" test -z "$(find "$MSB_CACHE" -name '*.build' -o -name '*.new.*')"
}

test_refusals() {
	refused "unknown option" 2 "unknown option '--fast'" "$here/build.sh" --fast
	refused "unknown profile" 2 "no kernel profile 'none'" "$here/build.sh" --profile none
	refused "profile with a path" 2 "no kernel profile" "$here/build.sh" --profile ../x
	refused "bad number of jobs" 2 "-j needs a number" "$here/build.sh" -j 0
	refused "option without value" 2 "--out needs a value" "$here/build.sh" --out
	refused "directory as --out" 2 "is a directory" "$here/build.sh" --out "$work"
	refused "no source package" 1 "apt-get install linux-source-6.12" \
		env NO_PACKAGE=1 MSB_CACHE="$work/other" "$here/build.sh"
	refused "symbol that did not survive" 1 "wanted: CONFIG_OVERLAY_FS=y" \
		env REFUSE=CONFIG_OVERLAY_FS MSB_CACHE="$work/other" "$here/build.sh"
	check "and no kernel from it" test -z "$(find "$work/other" -name vmlinux)"
}

# Two callers want the same kernel while it is being built: one builds, both get it.
test_concurrent() {
	local first second
	rm -rf "$MSB_CACHE" "$work/builds"
	mkfifo "$work/gate"
	"$here/build.sh" >"$work/first" 2>/dev/null &
	first=$!
	"$here/build.sh" >"$work/second" 2>"$work/second.log" &
	second=$!
	# Opening the gate waits for the compiler to stand at it.
	exec 8>"$work/gate"
	rm "$work/gate"
	echo >&8
	exec 8>&-
	wait "$first" && wait "$second"
	check "both callers succeed" test $? = 0
	check "with the same kernel" cmp "$work/first" "$work/second"
	check "built once" test "$(builds)" = 1
}

# A build killed half-way is no kernel, and the next call starts afresh.
test_killed() {
	rm -rf "$MSB_CACHE" "$work/builds"
	mkfifo "$work/gate"
	setsid "$here/build.sh" >/dev/null 2>&1 &
	exec 8>"$work/gate"
	kill -KILL -- "-$!"
	wait "$!" 2>/dev/null
	rm "$work/gate"
	exec 8>&-
	check "a killed build leaves no kernel" test -z "$(find "$MSB_CACHE" -path '*.build' -prune -o -name vmlinux -print)"
	check "the next call builds it" "$here/build.sh"
	mkdir "$MSB_CACHE/kernel/0123456789abcdef.build"
	find "$MSB_CACHE" -name vmlinux -delete
	check "a build" "$here/build.sh"
	check "sweeps what others left" test ! -e "$MSB_CACHE/kernel/0123456789abcdef.build"
}

test_features() {
	local config=$work/config
	cat "$here"/config/*.config >"$config"
	check "the fragments hold every feature" "$here/check-features.sh" "$config"
	gzip -k "$config"
	check "also compressed" "$here/check-features.sh" "$config.gz"
	grep -v CONFIG_USER_NS "$config" >"$config.less"
	refused "a missing feature" 1 "namespaces: CONFIG_USER_NS is not set" \
		"$here/check-features.sh" "$config.less"
	echo CONFIG_MODULES=y >>"$config"
	refused "a feature that must stay out" 1 "CONFIG_MODULES is set" "$here/check-features.sh" "$config"
	refused "something else" 1 "not a kernel configuration" "$here/check-features.sh" "$here/build.sh"
}

pretend
test_cache
test_refusals
test_concurrent
test_killed
test_features
printf '1..%d\n' "$count"
