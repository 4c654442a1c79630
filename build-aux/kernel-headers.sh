#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Makes a directory of links to the kernel's uapi headers only, for compilers that must not see glibc's headers.
set -eu
to=$1
mkdir -p "$to"
for dir in linux asm-generic mtd; do
	[ -d "/usr/include/$dir" ] && ln -sfn "/usr/include/$dir" "$to/$dir"
done
arch=$(gcc -print-multiarch)
ln -sfn "/usr/include/$arch/asm" "$to/asm"
