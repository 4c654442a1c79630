# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=sh
# The Debian packages that building, running and testing need, and how they get onto the machine. Sourced.

# shellcheck disable=SC2034
build_packages="build-essential pkg-config meson ninja-build python3 musl-tools linux-libc-dev busybox-static
	linux-source-6.12 xz-utils bc flex bison libelf-dev cpio rsync
	libisal-dev libzstd-dev libssl-dev libcurl4-openssl-dev libnghttp2-dev"
run_packages="qemu-system-x86"
test_packages="clang-14 clang-format-14 clang-tidy-14 libclang-rt-14-dev python3-pytest erofs-utils e2fsprogs sqlite3 strace
	mmdebstrap qemu-system-common qemu-utils procps util-linux iproute2 zsh fish mandoc shellcheck
	debian-archive-keyring umoci skopeo buildah docker-registry apache2-utils openssl zstd isal
	iperf3 slirp4netns passt python3-h11 python3-h2 curl nghttp2-client nghttp2-server"

# Whoever has npm from elsewhere cannot install Debian's beside it.
command -v npm >/dev/null || test_packages="$test_packages npm"

# Prints the packages of its arguments that are not installed.
missing_packages()
{
	for package in "$@"; do
		dpkg-query -W -f='${Status}\n' "$package" 2>/dev/null | grep -q 'ok installed' || printf '%s ' "$package"
	done
}

# Installs the packages of its arguments that are missing.
install_packages()
{
	missing=$(missing_packages "$@")
	[ -n "$missing" ] || return 0
	if ! command -v apt-get >/dev/null; then
		echo "This is not a Debian system. Install what corresponds to these Debian packages, then run me again:" >&2
		echo "  $missing" >&2
		return 1
	fi
	sudo=
	if [ "$(id -u)" != 0 ]; then
		if ! command -v sudo >/dev/null; then
			echo "Missing packages: $missing" >&2
			echo "Install them as root (apt-get install $missing), then run me again." >&2
			return 1
		fi
		sudo=sudo
		echo "Installing with sudo: $missing"
	else
		echo "Installing: $missing"
	fi
	$sudo apt-get update -qq
	# shellcheck disable=SC2086
	$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
