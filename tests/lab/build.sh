#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# build.sh - build the lab's L1 machine once, and print the directory that holds it.
#
# L1 is the machine in which genuine KVM works (README.md). It consists of three files:
#   root.ext4    Debian root file system, never written to: every run works on a snapshot
#   vmlinux      Debian's cloud kernel, which has kvm-amd; unpacked because the kernel's own
#                decompressor takes a second under emulation
#   initrd       busybox and the modules to mount the root and run KVM
# They are cached under $MSB_CACHE/lab/<key>, where the key is a digest of this script, so an
# edited script builds a new L1. The Debian packages in it are those of the day of the build;
# `build.sh --fresh` builds again.
#
# Needs no privileges beyond a user namespace; as root it does not need that either.
# shellcheck disable=SC2016 # the inner shell expands it
set -euo pipefail

suite=bookworm
cache=${MSB_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/msb}/lab

# What the jobs find in L1. The sanitizer runtimes are for instrumented test programs, QEMU for
# the comparison with a bare inner microvm and for the e2e suite on the QEMU engine; git, sqlite3, curl and h2
# work on volumes; curl, isal and zstd are what msb-pull and msb-layer are linked with; iperf3 and other networks
# are for bench/net.
packages=(
	bash busybox-static ca-certificates coreutils cpio curl e2fsprogs erofs-utils gdb git iperf3 iproute2
	kmod libasan8 libcurl4 libisal2 libseccomp2 libubsan1 libzstd1 passt procps python3 python3-h2 python3-pytest qemu-system-x86
	qemu-utils slirp4netns sqlite3 strace time util-linux xz-utils zstd
)
kernel_meta=linux-image-6.12-cloud-amd64

# Modules that the initramfs loads; the root has all of them.
initrd_modules=(virtio_blk kvm_amd)
# Modules that jobs are likely to load.
plain_modules=("${initrd_modules[@]}" tun overlay loop erofs)

die() {
	echo "lab: $*" >&2
	exit 1
}

# need COMMAND PACKAGE: collect what is missing so that one message names all of it.
missing=()
need() {
	PATH=$PATH:/usr/sbin:/sbin command -v "$1" >/dev/null || missing+=("$2")
}

check_tools() {
	need mmdebstrap mmdebstrap
	need mke2fs e2fsprogs
	need cpio cpio
	need flock util-linux
	[ -e /usr/share/keyrings/debian-archive-keyring.gpg ] || missing+=(debian-archive-keyring)
	if [ "$(id -u)" != 0 ]; then
		need newuidmap uidmap
	fi
	[ ${#missing[@]} = 0 ] || die "missing packages; run: apt-get install ${missing[*]}"
}

# The boot header of a bzImage says where its payload, the compressed vmlinux, lies
# (Documentation/arch/x86/boot.rst: setup_sects, payload_offset, payload_length). Four bytes
# after the compressed stream hold the unpacked size, which zstd takes for a bad frame.
unpack_kernel='
set -e
python3 -c "
import struct, sys
image = sys.stdin.buffer.read()
offset, length = struct.unpack_from(\"<II\", image, 0x248)
start = ((image[0x1f1] or 4) + 1) * 512 + offset
sys.stdout.buffer.write(image[start:start + length - 4])
" | zstd -dc
'

# Runs inside mmdebstrap's namespace, with the finished root at $1 and its apt still usable.
customize() {
	local root=$1 out=$2 meta=$3 kernel

	# Unpack the kernel beside the root instead of installing it: its maintainer scripts would
	# only build an initramfs and a boot loader entry that nothing here reads.
	kernel=$(chroot "$root" apt-cache depends --important "$meta" |
		sed -n 's/^ *Depends: \(linux-image-[0-9].*\)$/\1/p' | head -n1)
	[ -n "$kernel" ] || die "$meta does not name a kernel package"
	(cd "$root/tmp" && chroot "$root" sh -c "cd /tmp && apt-get -qq download '$kernel'")
	mkdir "$out/kernel"
	dpkg-deb -x "$root"/tmp/linux-image-*.deb "$out/kernel"
	rm "$root"/tmp/linux-image-*.deb
	local version
	version=$(basename "$out"/kernel/lib/modules/*)
	chroot "$root" sh -c "$unpack_kernel" <"$(echo "$out"/kernel/boot/vmlinuz-*)" >"$out/vmlinux"
	mkdir -p "$root/usr/lib/modules"
	cp -a "$out/kernel/lib/modules/$version" "$root/usr/lib/modules/"
	# Decompressing under emulation is slow: what every run loads is kept plain.
	chroot "$root" depmod "$version"
	chroot "$root" modprobe -aS "$version" --show-depends "${plain_modules[@]}" |
		sed -n "s|^insmod \(/[^ ]*\.xz\).*|$root\1|p" | sort -u | xargs -r xz -d
	chroot "$root" depmod "$version"
	echo "$version" >"$out/kernel-version"

	build_initrd "$root" "$version" "$out"
	rm -rf "$out/kernel"

	chroot "$root" groupadd --system kvm
	chroot "$root" useradd -m -s /bin/bash -G kvm lab
	chroot "$root" getent group kvm | cut -d: -f3 >"$out/kvm-gid"
	echo lab >"$root/etc/hostname"
	printf '127.0.0.1 localhost lab\n::1 localhost\n' >"$root/etc/hosts"
	: >"$root/etc/fstab"
	rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/apt/*.bin
	mkdir -p "$root/share" "$root/out" "$root/work"
	# proc, sys and dev are mounted in the root while hooks run; a plain bind leaves them out.
	mkdir "$out/mnt"
	unshare --mount --propagation private sh -ec 'mount --bind "$1" "$2/mnt"
		mke2fs -q -F -t ext4 -O ^has_journal -m 0 -E lazy_itable_init=1 -L l1 \
			-d "$2/mnt" "$2/root.ext4" 4G' sh "$root" "$out"
	rmdir "$out/mnt"
	chmod 644 "$out"/{root.ext4,vmlinux,initrd,kernel-version,kvm-gid}
}

build_initrd() {
	local root=$1 version=$2 out=$3 dir=$3/initrd.d m path
	mkdir -p "$dir"/{bin,dev,proc,sys,root,modules}
	cp "$root/bin/busybox" "$dir/bin/"
	ln -s busybox "$dir/bin/sh"
	for m in "${initrd_modules[@]}"; do
		chroot "$root" modprobe -S "$version" --show-depends "$m"
	done | while read -r verb path _; do
		[ "$verb" = insmod ] || continue
		cp "$root$path" "$dir/modules/"
		basename "$path" >>"$dir/modules/order"
	done
	(cd "$dir" && find . | cpio --quiet -o -H newc) >"$out/initrd"
	rm -rf "$dir"
}

main() {
	local fresh=
	[ "${1:-}" = --fresh ] && fresh=1
	check_tools
	local key
	key=$(sha256sum <"$0" | cut -c1-12)
	mkdir -p "$cache"
	exec 9>"$cache/.lock"
	flock 9
	# Other branches may use other L1s; those that nobody used for two weeks go.
	find "$cache" -mindepth 1 -maxdepth 1 -name '[0-9a-f]*' -mtime +14 ! -name "$key" \
		-exec rm -rf {} +
	if [ -n "$fresh" ] || [ ! -e "$cache/$key/root.ext4" ]; then
		build "$cache/$key"
	fi
	touch "$cache/$key"
	echo "$cache/$key"
}

build() {
	local dest=$1 tmp t0=$SECONDS
	rm -rf --one-file-system "$cache"/.build.*
	tmp=$(mktemp -d "$cache/.build.XXXXXX")
	# Another user inside mmdebstrap's namespace writes here.
	chmod 777 "$tmp"
	echo "lab: building L1 in $dest (once, one to two minutes)" >&2
	local include
	include=$(IFS=,; echo "${packages[*]}")
	TMPDIR=$tmp setpriv --pdeathsig TERM mmdebstrap --quiet --variant=minbase --format=null --include="$include" \
		--aptopt='APT::Install-Recommends "false"' \
		--aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='Acquire::Languages "none"' \
		--dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' \
		--dpkgopt='path-exclude=/usr/share/locale/*' \
		--customize-hook="bash '$(realpath "$0")' --customize \"\$1\" '$tmp' '$kernel_meta'" \
		"$suite" /dev/null ${MSB_LAB_MIRROR:+"$MSB_LAB_MIRROR"} >"$tmp/log" 2>&1 ||
		{
			tail -n 20 "$tmp/log" >&2
			die "building L1 failed; the whole log is $tmp/log"
		}
	rm -rf "$dest"
	chmod 755 "$tmp"
	mv "$tmp" "$dest"
	echo "lab: L1 built in $((SECONDS - t0)) s, kernel $(cat "$dest/kernel-version")" >&2
}

PATH=$PATH:/usr/sbin:/sbin
if [ "${1:-}" = --customize ]; then
	shift
	customize "$@"
else
	main "$@"
fi
