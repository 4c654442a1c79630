#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# run.sh - run one command in L1, a virtual machine in which /dev/kvm is genuine.
#
# L1 is a Debian under QEMU TCG with emulated AMD-V; the KVM inside it runs ordinary guests, on
# any x86-64 host, with or without a /dev/kvm of its own. README.md has the whole picture.
#
# One run = one private directory under $MSB_CACHE/lab/run, holding the disk made from --share,
# the console log and a lock. Nothing is written to the cached L1. QEMU asks the kernel to be
# killed with its parent, so that even `kill -9` of this script leaves no process; the directory
# is then removed by the next run, which sees that nobody holds the lock.
# shellcheck disable=SC2054,SC2317 # QEMU options have commas; cleanup is called by a trap
set -euo pipefail

here=$(dirname "$(realpath "$0")")
cache=${MSB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/msb}/lab
self=lab

usage() {
	cat <<'USAGE'
usage: tests/lab/run.sh [OPTION]... -- COMMAND [ARG]...

Runs COMMAND as root in the lab's L1 machine, streams its output (stdout and stderr in
one stream, on stdout) and exits with its exit code.

  --share DIR      a copy of DIR is at /share in L1, writable, changes are dropped
  --out DIR        what the command leaves in /out of L1 is copied to DIR afterwards
  --add FILE       puts FILE into /run/lab (repeatable; for scripts beside the share)
  --env NAME=VAL   set an environment variable of COMMAND (repeatable)
  --icount         1 guest instruction = 1 ns of virtual time: repeatable figures, slower
  --mem SIZE       memory of L1 (default 3G)
  --timeout S      give up after S seconds of wall time (default 900)
  --shell          an interactive root shell on the console instead of COMMAND
  --timing         say on stderr where the time went
  --console        copy the console of L1 to stderr as it appears
  --keep           keep the directory of this run and say where it is

Exit codes: COMMAND's own (128+N when signal N ended it), 124 timeout, 125 the lab itself
failed (its console is shown), 2 usage.
USAGE
}

say() {
	echo "$self: $*" >&2
}

die() {
	say "$@"
	exit 125
}

usage_error() {
	say "$*; see $0 --help"
	exit 2
}

share='' out='' icount='' mem=3G timeout=900 shell='' console='' keep='' timing=''
env_args=() add=()
while [ $# -gt 0 ]; do
	case $1 in
	--share | --out | --add | --env | --mem | --timeout)
		[ $# -ge 2 ] || usage_error "$1 needs a value"
		;;
	esac
	case $1 in
	--share) share=$2; shift 2 ;;
	--out) out=$2; shift 2 ;;
	--add) add+=("$2"); shift 2 ;;
	--env) env_args+=("$2"); shift 2 ;;
	--mem) mem=$2; shift 2 ;;
	--timeout) timeout=$2; shift 2 ;;
	--icount) icount=1; shift ;;
	--shell) shell=1; shift ;;
	--timing) timing=1; shift ;;
	--console) console=1; shift ;;
	--keep) keep=1; shift ;;
	-h | --help) usage; exit 0 ;;
	--) shift; break ;;
	*) usage_error "unknown option '$1'" ;;
	esac
done
[ -n "$shell" ] || [ $# -gt 0 ] || usage_error "no command"
[ -z "$share" ] || [ -d "$share" ] || usage_error "--share '$share' is not a directory"
[[ $timeout =~ ^[1-9][0-9]*$ ]] || usage_error "--timeout '$timeout' is not a number of seconds"
[[ $mem =~ ^[1-9][0-9]*[MG]$ ]] || usage_error "--mem '$mem' is not a size such as 3G or 2048M"

PATH=$PATH:/usr/sbin:/sbin
missing=()
for tool in qemu-system-x86_64=qemu-system-x86 mke2fs=e2fsprogs cpio=cpio setpriv=util-linux; do
	command -v "${tool%=*}" >/dev/null || missing+=("${tool#*=}")
done
[ ${#missing[@]} = 0 ] || die "missing packages; run: apt-get install ${missing[*]}"

started=${EPOCHREALTIME/./}
l1=$("$here/build.sh") || exit 125

# The run's directory.
run='' qemu_pid='' copy_pids=()
cleanup() {
	local status=$?
	trap - EXIT INT TERM HUP
	[ -z "$qemu_pid" ] || kill "$qemu_pid" 2>/dev/null || true
	[ ${#copy_pids[@]} = 0 ] || kill "${copy_pids[@]}" 2>/dev/null || true
	wait
	if [ -n "$run" ] && [ -n "$keep" ]; then
		say "kept $run"
	elif [ -n "$run" ]; then
		rm -rf "$run"
	fi
	exit "$status"
}
trap cleanup EXIT
trap 'exit 130' INT
trap 'exit 143' TERM
trap 'exit 129' HUP

# Directories whose owner died without cleaning up.
sweep() {
	local dir
	for dir in "$cache"/run/*/; do
		[ -e "$dir/lock" ] || continue
		(flock -n 8 && rm -rf "$dir") 8<"$dir/lock" 2>/dev/null || true
	done
}

mkdir -p "$cache/run"
sweep
run=$(mktemp -d "$cache/run/XXXXXX")
exec 7>"$run/lock"
flock 7

# The initramfs of this run: the cached one, then an archive with what changes between runs.
mkdir "$run/lab"
install -m 755 "$here/l1-boot" "$run/init"
install -m 755 "$here/l1-init" "$run/lab/"
cp -- "$l1/kvm-gid" "${add[@]}" "$run/lab/"
[ $# = 0 ] || printf '%s\0' "$@" >"$run/lab/argv"
[ ${#env_args[@]} = 0 ] || printf '%s\0' "${env_args[@]}" >"$run/lab/env"
[ -z "$shell" ] || : >"$run/lab/shell"
[ -z "$out" ] || : >"$run/lab/files"
{
	cat "$l1/initrd"
	(cd "$run" && printf '%s\n' init lab lab/* | cpio --quiet -o -H newc)
} >"$run/initrd"

drives=()
if [ -n "$share" ]; then
	kib=$(du -skx "$share" | cut -f1)
	files=$(find "$share" -xdev | wc -l)
	# The image is sparse; what is free in it is room for the command to write.
	mke2fs -q -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1,root_owner=0:0 \
		-N $((files + 16384)) -d "$share" "$run/share.img" $((kib * 5 / 4 + 1048576))k \
		>"$run/mke2fs.log" 2>&1 || {
		cat "$run/mke2fs.log" >&2
		die "cannot make a disk of '$share'"
	}
	drives+=(-drive "file=$run/share.img,format=raw,if=none,id=share,cache=unsafe"
		-device virtio-blk-pci,drive=share,serial=share)
fi

mkfifo "$run/output"
cat "$run/output" &
copy_pids+=($!)
serial=(-serial "file:$run/console.log")
# Everything after the first three only saves boot time.
append='console=ttyS0 panic=-1 nokaslr mitigations=off init_on_alloc=0 lsm=landlock tsc=reliable no_timer_check'
[ -n "$console" ] || append+=' quiet'
if [ -n "$shell" ]; then
	serial=(-serial mon:stdio)
elif [ -n "$console" ]; then
	mkfifo "$run/console.fifo"
	tee "$run/console.log" <"$run/console.fifo" >&2 &
	copy_pids+=($!)
	serial=(-serial "file:$run/console.fifo")
fi

# No XSAVE: TCG does not intercept XSETBV, so KVM never learns what a guest of L1 set XCR0 to and
# gives it the wrong one back. Linux as a guest then finds sizes that differ, warns and does without.
# One vCPU: with two, code patching in the L1 kernel crashes it now and then under TCG.
accel=(-accel tcg,thread=single)
[ -z "$icount" ] || accel+=(-icount shift=0,sleep=off)

qemu=(qemu-system-x86_64 "${accel[@]}" -M q35,smm=off,vmport=off -cpu max,la57=off,xsave=off,avx=off,avx2=off,fma=off,f16c=off,vaes=off -smp 1
	-m "$mem" -nodefaults -no-user-config -display none -no-reboot "${serial[@]}"
	-kernel "$l1/vmlinux" -initrd "$run/initrd" -append "$append"
	-drive "file=$l1/root.ext4,format=raw,if=none,id=root,snapshot=on,cache=unsafe"
	-device virtio-blk-pci,drive=root,serial=root "${drives[@]}"
	-device virtio-serial-pci
	-chardev "file,id=output,path=$run/output" -device virtserialport,name=output,chardev=output
	-chardev "file,id=status,path=$run/status" -device virtserialport,name=status,chardev=status
	-chardev "file,id=files,path=$run/files" -device virtserialport,name=files,chardev=files)

export TMPDIR=$run
if [ -n "$shell" ]; then
	setpriv --pdeathsig KILL "${qemu[@]}" || die "qemu failed"
	exit 0
fi
booting=${EPOCHREALTIME/./}
setpriv --pdeathsig KILL timeout -k 5 "$timeout" \
	setpriv --pdeathsig KILL "${qemu[@]}" </dev/null >"$run/qemu.log" 2>&1 7>&- &
qemu_pid=$!
rc=0
wait "$qemu_pid" || rc=$?
qemu_pid=''
# With QEMU gone the copiers see the end of their input.
wait "${copy_pids[@]}" || true
copy_pids=()

if [ -n "$out" ] && [ -s "$run/files" ]; then
	mkdir -p "$out"
	tar -x --no-same-owner --warning=no-timestamp -C "$out" -f "$run/files" || die "cannot unpack the results"
fi
status='' began='' finished=''
read -r status began finished <"$run/status" 2>/dev/null || true
if [ $rc = 124 ] || [ $rc = 137 ]; then
	say "no end after $timeout s; the last lines of the console:"
	tail -n 15 "$run/console.log" >&2
	exit 124
elif [ $rc != 0 ] || ! [[ $status =~ ^[0-9]+$ ]]; then
	say "L1 ended without a result (qemu: $rc); the last lines of qemu and the console:"
	tail -n 5 "$run/qemu.log" >&2
	tail -n 60 "$run/console.log" >&2
	exit 125
fi
if [ -n "$timing" ]; then
	now=${EPOCHREALTIME/./}
	printf 'lab: prepared in %s ms, L1 ran for %s ms; by its clock the command ran from %s s to %s s\n' \
		$(((booting - started) / 1000)) $(((now - booting) / 1000)) "$began" "$finished" >&2
fi
exit "$status"
