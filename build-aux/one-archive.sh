#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# one-archive.sh OUT.a LIB.a... - a static library of one object, in which only what is visible has a name for the linker:
# all of the first archive, and what it needs of the others.
set -eu
out=$1
first=$2
shift 2
object=${out%.a}.o
ld -r -o "$object.all" --whole-archive "$first" --no-whole-archive --start-group "$@" --end-group
objcopy --localize-hidden --strip-debug "$object.all" "$object"
rm -f "$out" "$object.all"
ar rcsD "$out" "$object"
rm -f "$object"
