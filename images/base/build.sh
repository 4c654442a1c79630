#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes the root directory of the embedded image `base`: Debian's static busybox, a name for every applet and the few
# files that programs expect. usage: build.sh BUSYBOX MKEROFS IMAGE
set -eu

busybox=$1
mkerofs=$2
image=$3

root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
chmod 755 "$root" # mktemp made it for us alone
umask 022

for dir in bin dev etc home mnt opt proc root run sbin srv sys tmp usr/bin usr/local/bin usr/sbin var/log var/tmp; do
	mkdir -p "$root/$dir"
done
chmod 1777 "$root/tmp" "$root/var/tmp"
chmod 700 "$root/root"
ln -s ../run "$root/var/run"
ln -s ../proc/self/mounts "$root/etc/mtab"

cp "$busybox" "$root/bin/busybox"
chmod 755 "$root/bin/busybox"
"$busybox" --list-full | while read -r applet; do
	case $applet in
	bin/busybox | usr/bin/busybox) continue ;;
	linuxrc | init | sbin/init) continue ;; # the agent is PID 1
	esac
	mkdir -p "$root/$(dirname "$applet")"
	[ -e "$root/$applet" ] || ln "$root/bin/busybox" "$root/$applet"
done
[ -e "$root/bin/sh" ] || ln "$root/bin/busybox" "$root/bin/sh"

cat >"$root/etc/passwd" <<'END'
root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/bin/false
nobody:x:65534:65534:nobody:/nonexistent:/bin/sh
END
cat >"$root/etc/group" <<'END'
root:x:0:
daemon:x:1:
tty:x:5:
disk:x:6:
users:x:100:
nogroup:x:65534:
END
cat >"$root/etc/os-release" <<'END'
NAME="msb base"
ID=msb-base
PRETTY_NAME="msb base (busybox)"
END
printf '127.0.0.1\tlocalhost\n::1\tlocalhost\n' >"$root/etc/hosts"
printf '/bin/sh\n' >"$root/etc/shells"
printf "export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin\n" >"$root/etc/profile"

"$mkerofs" "$root" "$image.tmp"
mv "$image.tmp" "$image"
