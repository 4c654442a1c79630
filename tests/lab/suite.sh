#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# suite.sh - everything that needs genuine KVM, in one lab: the VMM's own tests and, on the kvm
# engine, the end-to-end and fault tests of an installed msb, and a soak of MSB_LAB_SOAK seconds.
# MSB_FAULT_KILLS and MSB_FAULT_SEED reach the fault tests and the soak; a long run of those needs
# more of MSB_LAB_TIMEOUT, seconds per program.
# MSB_LAB_SELECT='test_life and not cp' narrows the end-to-end and fault tests.
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
for test in "$build"/src/vmm/test-vmm-* "$build"/src/engine/test-engine-{probe,cgroup}; do
	[ ! -f "$test" ] || cp "$test" "$stage/lab-tests/"
done

# An installed msb and the tests of its user's view.
cp -r "$prefix" "$stage/prefix"
cp -r "$root/tests/e2e" "$root/tests/fault" "$root/tests/lib" "$root/tests/soak" "$stage/tests/"
cp "$root"/tests/tools/*.py "$stage/tests/tools/"
# The image that several of them run; L1 has nothing to build it with.
python=$(PYTHONPATH=$root/tests/lib python3 -c 'import offline; print(offline.image("python"))') || python=
if [ -n "$python" ]; then
	mkdir -p "$stage/cache/msb/images"
	cp "$python" "$stage/cache/msb/images/"
fi
for group in e2e e2e-images e2e-life e2e-net fault fault-life; do
	cp "$here/l1-pytest" "$stage/lab-tests/$group-kvm"
done
cp "$here/l1-soak" "$stage/lab-tests/soak-kvm"

env_args=()
for name in MSB_FAULT_KILLS MSB_FAULT_SEED MSB_LAB_SELECT MSB_LAB_SOAK; do
	[ -z "${!name-}" ] || env_args+=(--env "$name=${!name}")
done
limit=${MSB_LAB_TIMEOUT:-1800}
status=0
"$here/vmm-suite.sh" --timeout $((limit + 1100)) --test-timeout "$limit" ${env_args[@]+"${env_args[@]}"} "$stage" "$@" ||
	status=$?
exit $status
