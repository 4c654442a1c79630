#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# Build the guest kernel from Debian's source package and our configuration, once.
#
# The result (vmlinux, config, System.map) lives in ~/.cache/msb/kernel/<key>/, or under
# $MSB_CACHE. The key is a digest of everything that decides the bytes: source package version,
# fragments, patches, this script, compiler and linker. A build happens in a private directory and
# is published by one rename, under a lock per key: callers racing for the same kernel build it
# once, and a killed build leaves nothing that a later call could mistake for a kernel.
#
# stdout carries only the answer (the key or the path of vmlinux); progress goes to stderr.

set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly here
readonly package=linux-source-6.12
readonly tarball=/usr/src/$package.tar.xz
# Bulk of the tree that an x86 guest never compiles. Kconfig files and Makefiles stay, the
# configuration language includes them all.
readonly unneeded=('drivers/gpu/*.[ch]' 'drivers/media/*.[ch]' 'drivers/net/*/*.[ch]'
	'drivers/infiniband/*.[ch]' 'drivers/scsi/*.[ch]' 'drivers/staging/*.[ch]' 'sound/*.[ch]'
	'arch/arm*/*.[chS]' 'arch/arm*/*.dts*' 'arch/[lmps]*/*.[chS]' 'arch/[mpr]*/*.dts*'
	'Documentation/*.rst' 'Documentation/*.yaml' 'tools/testing/*' 'tools/perf/*')

usage() {
	cat <<-END
	usage: kernel/build.sh [--profile NAME] [--out FILE] [-j N] [--print-key] [--work DIR]

	  --profile NAME  which kernel (default: run)
	  --out FILE      also place the kernel there
	  -j N            parallel compilers (default: number of CPUs)
	  --print-key     print the cache key and exit
	  --work DIR      build in DIR and keep the tree there, for work on the configuration
	END
}

die() {
	printf 'kernel/build.sh: %s\n' "$1" >&2
	exit "${2:-1}"
}

say() {
	printf 'kernel: %s\n' "$*" >&2
}

# The fragments of a profile, in the order they are merged.
fragments() {
	local f
	for f in "$here"/config/*.config; do
		printf '%s\n' "$f"
	done
	if [ "$1" != run ]; then
		for f in "$here/config/$1"/*.config; do
			printf '%s\n' "$f"
		done
	fi
}

package_version() {
	# shellcheck disable=SC2016 # dpkg's own placeholders
	dpkg-query -W -f '${db:Status-Status} ${Version}' "$package" 2>/dev/null |
		sed -n 's/^installed //p'
}

need_tools() {
	local tool missing=()
	# What each command stands for, as Debian packages it.
	local -A owner=([gcc]=gcc [make]=make [flex]=flex [bison]=bison [bc]=bc [xz]=xz-utils
		[ld]=binutils [flock]=util-linux [patch]=patch)
	for tool in gcc make flex bison bc xz ld flock patch; do
		command -v "$tool" >/dev/null || missing+=("${owner[$tool]}")
	done
	[ -e /usr/include/libelf.h ] || missing+=(libelf-dev)
	[ -n "$(package_version)" ] && [ -e "$tarball" ] || missing+=("$package")
	[ ${#missing[@]} -eq 0 ] ||
		die "missing to build the kernel: apt-get install ${missing[*]}"
}

cache_key() {
	local f
	{
		package_version
		gcc --version | head -n 1
		ld --version | head -n 1
		printf 'profile %s\n' "$profile"
		while read -r f; do
			printf '%s\n' "${f##*/}"
			cat "$f"
		done < <(fragments "$profile")
		cat "$here"/patches/*.patch "${BASH_SOURCE[0]}"
	} | sha256sum | cut -c 1-16
}

unpack() {
	local dir=$1 skip=() pattern
	[ -e "$dir/Makefile" ] && return
	for pattern in "${unneeded[@]}"; do
		skip+=("--exclude=$package/$pattern")
	done
	say "unpacking $tarball"
	mkdir -p "$dir"
	tar -xf "$tarball" -C "$dir" --strip-components=1 --wildcards "${skip[@]}"
	apply_patches "$dir"
}

# Our patches save boot time and nothing depends on them: one that no longer applies to a newer
# source package is reported and left out.
apply_patches() {
	local tree=$1 p
	for p in "$here"/patches/*.patch; do
		if patch -d "$tree" -p1 --dry-run -s -f <"$p" >/dev/null; then
			patch -d "$tree" -p1 -s -f <"$p"
		else
			say "warning: ${p##*/} does not apply to this source, the kernel will boot slower"
		fi
	done
}

# Every line of a fragment is a demand: report those that Kconfig did not grant.
verify_config() {
	awk '
		function symbol(line) {
			sub(/^# /, "", line); sub(/[ =].*/, "", line); return line
		}
		/^CONFIG_[A-Z0-9_]+=/ || /^# CONFIG_[A-Z0-9_]+ is not set$/ {
			name = symbol($0)
			if (FILENAME == ARGV[ARGC - 1]) { have[name] = $0; next }
			if (name in want) { print "  " name " is set twice"; bad = 1 }
			want[name] = $0
		}
		END {
			for (name in want) {
				got = (name in have) ? have[name] : "# " name " is not set"
				if (got != want[name]) {
					print "  wanted: " want[name] ", got: " got; bad = 1
				}
			}
			exit bad
		}' "$@" >&2
}

configure() {
	local tree=$1 parts
	mapfile -t parts < <(fragments "$profile")
	cat "${parts[@]}" >"$tree/msb.config"
	make -C "$tree" -s ARCH=x86_64 KCONFIG_ALLCONFIG=msb.config allnoconfig >/dev/null
	verify_config "${parts[@]}" "$tree/.config" ||
		die "the configuration did not survive: see the list above"
	"$here/check-features.sh" "$tree/.config"
}

compile() {
	local tree=$1 log=$1/msb-build.log date
	date=$(date -u -d "@$(stat -c %Y "$tree/Makefile")")
	say "compiling with -j$jobs (log: $log)"
	if ! make -C "$tree" -j"$jobs" ARCH=x86_64 KBUILD_BUILD_TIMESTAMP="$date" \
		KBUILD_BUILD_USER=msb KBUILD_BUILD_HOST=msb KBUILD_BUILD_VERSION=1 \
		vmlinux >"$log" 2>&1; then
		tail -n 25 "$log" >&2
		die "the kernel did not compile"
	fi
}

# Everything a user of the kernel reads goes to one fresh directory.
publish() {
	local tree=$1 entry=$2 fresh
	fresh=$(mktemp -d "$entry.new.XXXXXX")
	strip -s -o "$fresh/vmlinux" "$tree/vmlinux"
	cp "$tree/.config" "$fresh/config"
	cp "$tree/System.map" "$fresh/System.map"
	chmod 755 "$fresh"
	chmod 644 "$fresh"/*
	rm -rf "$entry"
	mv -T "$fresh" "$entry"
}

# Trees of a gigabyte that killed builds of other kernels left: nobody holds their locks.
sweep() {
	local dir
	for dir in "$cache"/*.build; do
		[ ! -d "$dir" ] || [ "$dir" = "$1.build" ] ||
			flock -n "${dir%.build}.lock" rm -rf "$dir" || continue
	done
}

build() {
	local entry=$1 tree start=$SECONDS
	need_tools
	sweep "$entry"
	if [ -n "$work" ]; then
		tree=$(realpath -m "$work")
	else
		# Under the lock: whatever a killed build left is ours to clear.
		tree=$entry.build
		rm -rf "$tree" "$entry".new.*
	fi
	say "building $package $(package_version), profile $profile (a few minutes, once)"
	unpack "$tree"
	configure "$tree"
	compile "$tree"
	publish "$tree" "$entry"
	[ -n "$work" ] || rm -rf "$tree"
	say "built in $((SECONDS - start)) s: $(stat -c %s "$entry/vmlinux") bytes"
}

profile=run out='' work='' print_key='' jobs=$(nproc)
while [ $# -gt 0 ]; do
	case $1 in
	--profile | --out | --work | -j)
		[ $# -ge 2 ] || die "$1 needs a value" 2
		case $1 in
		--profile) profile=$2 ;;
		--out) out=$2 ;;
		--work) work=$2 ;;
		-j) jobs=$2 ;;
		esac
		shift 2
		;;
	-j[0-9]*) jobs=${1#-j} && shift ;;
	--print-key) print_key=1 && shift ;;
	-h | --help) usage && exit 0 ;;
	*) die "unknown option '$1' (see --help)" 2 ;;
	esac
done
[[ $jobs =~ ^[1-9][0-9]{0,2}$ ]] || die "-j needs a number, not '$jobs'" 2
case $profile in
run) ;;
*[!a-z]* | '') die "no kernel profile '$profile'" 2 ;;
*) [ -d "$here/config/$profile" ] || die "no kernel profile '$profile'" 2 ;;
esac
[ -n "$(package_version)" ] || need_tools

key=$(cache_key)
if [ -n "$print_key" ]; then
	printf '%s\n' "$key"
	exit 0
fi

cache=${MSB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/msb}/kernel
entry=$cache/$key
mkdir -p "$cache"
if [ ! -e "$entry/vmlinux" ]; then
	exec 9>"$cache/$key.lock"
	flock -n 9 || { say "another build of this kernel is running, waiting for it" && flock 9; }
	[ -e "$entry/vmlinux" ] || build "$entry"
	exec 9>&-
fi

if [ -n "$out" ]; then
	[ ! -d "$out" ] || die "--out names a file, '$out' is a directory" 2
	mkdir -p "$(dirname "$out")"
	if ! cmp -s "$entry/vmlinux" "$out"; then
		cp "$entry/vmlinux" "$out.$$"
		mv "$out.$$" "$out"
	fi
	printf '%s\n' "$out"
else
	printf '%s\n' "$entry/vmlinux"
fi
