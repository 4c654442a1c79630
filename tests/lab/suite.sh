#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# suite.sh - everything that needs genuine KVM, in one lab: the VMM's own tests and, on the kvm
# engine, the end-to-end and fault tests of an installed msb.
set -euo pipefail

here=$(dirname "$(realpath "$0")")
root=$(dirname "$(dirname "$here")")

if [ $# -lt 2 ]; then
	echo "usage: tests/lab/suite.sh PREFIX BUILD [PATTERN]..." >&2
	exit 2
fi
prefix=$(realpath "$1")
build=$(realpath "$2")
shift 2

stage=$(mktemp -d "${TMPDIR:-/tmp}/msb-lab-stage.XXXXXX")
trap 'rm -rf "$stage"' EXIT
mkdir -p "$stage/lab-tests" "$stage/src" "$stage/tests"

# What the VMM's tests expect of a build directory.
for part in src/vmm tests/tools tests/vmm; do
	mkdir -p "$stage/$part"
	find "$build/$part" -maxdepth 1 -type f ! -name '*.a' -exec cp -t "$stage/$part" {} +
done
cp "$prefix/lib/msb/vmlinux" "$stage/"
cp "$build"/lab-tests/* "$stage/lab-tests/"
for test in "$build"/src/vmm/test-vmm-* "$build"/src/engine/test-engine-probe*; do
	[ ! -f "$test" ] || cp "$test" "$stage/lab-tests/"
done

# An installed msb and the tests of its user's view.
cp -r "$prefix" "$stage/prefix"
cp -r "$root/tests/e2e" "$root/tests/fault" "$stage/tests/"
cp "$here/l1-pytest" "$stage/lab-tests/e2e-kvm"
cp "$here/l1-pytest" "$stage/lab-tests/fault-kvm"

status=0
"$here/vmm-suite.sh" --timeout 2000 --test-timeout 900 "$stage" "$@" || status=$?
exit $status
