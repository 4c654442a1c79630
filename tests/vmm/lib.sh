# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash disable=SC2034
#
# Runs the bare-metal guest under msb-vmm; sourced by the test programs beside it.
#
# They run in the lab from SHARE/lab-tests, or anywhere with a KVM that executes kernels:
# MSB_BUILD names the build directory. MSB_VMM is another msb-vmm to
# test; one with sanitizers runs too, if it neither looks for leaks nor changes signal stacks at its
# end: its filter of system calls knows nothing of that.
export ASAN_OPTIONS=detect_leaks=0:use_sigaltstack=0

build=${MSB_BUILD:-$(cd "$(dirname "$0")/.." && pwd)}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if ! [ -r /dev/kvm ] || ! [ -w /dev/kvm ]; then
	case ,${MSB_MUST_WORK-}, in
	*,kvm,*) echo "Bail out! /dev/kvm cannot be opened"; exit 1 ;;
	esac
	echo "1..0 # SKIP /dev/kvm cannot be opened"
	exit 77
fi

# Two disks and a file that no guest has any business with.
make_disks() {
	truncate -s 1M "$work/ro.img" "$work/rw.img"
	printf 'read-only disk' | dd of="$work/ro.img" conv=notrunc status=none
	printf 'writable disk' | dd of="$work/rw.img" conv=notrunc status=none
	head -c 65536 /dev/urandom >"$work/bystander"
	sums=$(cd "$work" && sha256sum ro.img bystander)
}

# unchanged - nothing on the host was written but the disk that may be, and that kept its size
unchanged() {
	(cd "$work" && sha256sum --quiet -c - <<<"$sums") &&
		[ "$(stat -c %s "$work/rw.img")" = 1048576 ] &&
		[ "$(find "$work" -type f | wc -l)" = "$files" ]
}

# run_guest CMDLINE [OPTION]... - output of the guest in $out, remarks of the VMM in $err, exit status in $code
run_guest() {
	out=$work/out err=$work/err code=0
	: >"$out"
	: >"$err"
	files=$(find "$work" -type f | wc -l)
	"$build/tests/tools/vmm-run" --vmm "${MSB_VMM:-$build/src/vmm/msb-vmm}" \
		--kernel "$build/tests/vmm/guest.elf" --mem 64 --timeout 60 --cmdline "$1" "${@:2}" \
		--disk-ro "$work/ro.img" --disk "$work/rw.img" >"$out" 2>"$err" || code=$?
	if grep -q 'Sanitizer\|runtime error' "$err"; then
		code=99
	fi
}

show() {
	sed 's/^/# guest: /' "$out"
	sed 's/^/# /' "$err"
}
