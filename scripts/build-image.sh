#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds an OCI image from Debian packages alone, for machines that reach a Debian mirror but no image registry.
set -euo pipefail

usage()
{
	cat <<'END'
usage: scripts/build-image.sh [-o FILE] [-t NAME[:TAG]] [--with PACKAGE,...] [--mirror URL] debian|python|node

Builds an image of Debian 12 with mmdebstrap and umoci and writes an OCI archive, for `msb load -i FILE` or
`skopeo copy oci-archive:FILE ...`. Needs no root.

  debian  a small Debian with apt
  python  the same with python3 (as python3 and python) and pip
  node    the same with nodejs and npm

  -o FILE  where to write (default NAME.tar)
  -t NAME  name inside the archive (default the image's name, tag latest)
  --with PACKAGE,...  more Debian packages
END
}

die()
{
	echo "build-image.sh: $*" >&2
	exit 1
}

out=
ref=
more=
mirror=
name=
while [ $# -gt 0 ]; do
	case $1 in
	-o) out=${2:?}; shift ;;
	-t) ref=${2:?}; shift ;;
	--with) more=${2:?}; shift ;;
	--mirror) mirror=${2:?}; shift ;;
	-h | --help) usage; exit 0 ;;
	-*) echo "build-image.sh: unknown option '$1'; see --help" >&2; exit 2 ;;
	*) [ -z "$name" ] || { usage >&2; exit 2; }; name=$1 ;;
	esac
	shift
done

cmd=(/bin/bash)
case $name in
debian) packages= ;;
python)
	packages=python3,python3-pip,python3-venv,ca-certificates
	cmd=(python3)
	;;
node)
	packages=nodejs,npm,ca-certificates
	cmd=(node)
	;;
"") usage >&2; exit 2 ;;
*) die "no recipe for '$name'; there are debian, python and node" ;;
esac
out=${out:-$name.tar}
ref=${ref:-$name}
case $ref in *:*) ;; *) ref=$ref:latest ;; esac

for tool in mmdebstrap umoci skopeo; do
	command -v "$tool" >/dev/null || die "$tool is missing: apt-get install $tool"
done

tmp=$(mktemp -d "${TMPDIR:-/tmp}/msb-image.XXXXXX")
trap 'rm -rf "$tmp"' EXIT

# Documentation and caches are of no use in a sandbox; licences stay.
options=(--variant=minbase --quiet
	--dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*'
	--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-include=/usr/share/doc/*/copyright'
	--aptopt='Apt::Install-Recommends "false"'
	--customize-hook='rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/apt/* "$1"/var/log/*.log "$1"/var/log/apt'
	--customize-hook=': >"$1/etc/hostname"; : >"$1/etc/resolv.conf"')
packages=$packages${packages:+${more:+,}}$more
[ -z "$packages" ] || options+=("--include=$packages")
[ "$name" != python ] || options+=(--customize-hook='ln -s python3 "$1/usr/bin/python"')

echo "Building $ref from Debian packages" >&2
mmdebstrap "${options[@]}" bookworm "$tmp/root.tar" ${mirror:+"$mirror"}
umoci init --layout "$tmp/layout"
umoci new --image "$tmp/layout:image"
umoci raw add-layer --image "$tmp/layout:image" --history.created_by "scripts/build-image.sh $name" "$tmp/root.tar"
umoci config --image "$tmp/layout:image" --config.cmd "${cmd[0]}" --config.env \
	PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin --architecture "$(dpkg --print-architecture)"
skopeo --insecure-policy copy --quiet "oci:$tmp/layout:image" "oci-archive:$tmp/out.tar:$ref"
mv "$tmp/out.tar" "$out"
echo "$out: $(du -h "$out" | cut -f1)" >&2
