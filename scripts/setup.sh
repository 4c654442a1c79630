#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, builds msb and its guest kernel, installs both for this user and runs a first sandbox.
set -euo pipefail

usage()
{
	cat <<'END'
usage: bash scripts/setup.sh [--prefix DIR] [--no-run]

  --prefix DIR  install to DIR/bin and DIR/lib (default ~/.microsandbox), with a link in ~/.local/bin
  --no-run      do not run a sandbox at the end
END
}

prefix=$HOME/.microsandbox
link=true
run=true
while [ $# -gt 0 ]; do
	case $1 in
	--prefix)
		[ $# -ge 2 ] || { usage >&2; exit 2; }
		mkdir -p "$2"
		prefix=$(cd "$2" && pwd)
		link=false
		shift
		;;
	--no-run) run=false ;;
	-h | --help) usage; exit 0 ;;
	*)
		echo "setup.sh: unknown option '$1'; see --help" >&2
		exit 2
		;;
	esac
	shift
done

cd "$(dirname "$0")/.."
. scripts/packages.sh

step()
{
	printf '%s %s\n' "$(tput bold 2>/dev/null && [ -t 1 ] || true)==>" "$*"
}

case $(uname -m) in
x86_64) ;;
*)
	echo "setup.sh: this version runs on x86_64 hosts only; this is $(uname -m)" >&2
	exit 1
	;;
esac

step "Packages"
# shellcheck disable=SC2086
install_packages $build_packages $run_packages

step "Build"
build=${MSB_BUILD:-build}
if [ ! -f "$build/build.ninja" ]; then
	meson setup "$build" -Dbuildtype=release -Dlibdir=lib -Dtests=false >"$build.log" 2>&1 || { cat "$build.log" >&2; exit 1; }
	rm -f "$build.log"
fi
meson configure "$build" -Dprefix="$prefix" -Dstrip=true
ninja -C "$build"

step "Guest kernel (a few minutes the first time, then cached)"
kernel/build.sh --out "$build/vmlinux"

step "Install to $prefix"
meson install -C "$build" --no-rebuild --quiet
install -D -m 644 "$build/vmlinux" "$prefix/lib/msb/vmlinux"
if $link; then
	mkdir -p "$HOME/.local/bin"
	ln -sfn "$prefix/bin/msb" "$HOME/.local/bin/msb"
	case :$PATH: in
	*:$HOME/.local/bin:*) ;;
	*) echo "Add ~/.local/bin to your PATH to type 'msb' anywhere: export PATH=\"\$HOME/.local/bin:\$PATH\"" ;;
	esac
fi

if $run; then
	step "First sandbox"
	"$prefix/bin/msb" run --timing -- sh -c 'echo "Hello from Linux $(uname -r)"'
fi
