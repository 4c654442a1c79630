#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# check-features.sh CONFIG: does this kernel configuration hold every feature of features.txt?
# Prints what is missing and exits 1. CONFIG may be gzipped (a guest's /proc/config.gz).

set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
if [ $# -ne 1 ]; then
	printf 'usage: check-features.sh CONFIG\n' >&2
	exit 2
fi

gzip -dcf -- "$1" | awk -v table="$here/features.txt" '
	/^CONFIG_[A-Z0-9_]+=y$/ {
		sub(/^CONFIG_/, ""); sub(/=y$/, ""); on[$0] = 1; count++
	}
	function check(feature, symbol,   wanted) {
		wanted = sub(/^!/, "", symbol) ? 0 : 1
		if ((symbol in on) == wanted) return
		printf "kernel feature missing: %s: CONFIG_%s is %s\n", feature, symbol,
			wanted ? "not set" : "set"
		bad = 1
	}
	END {
		if (count == 0) { print "not a kernel configuration"; exit 1 }
		while ((got = (getline line < table)) > 0) {
			if (line ~ /^#/ || line !~ /: /) continue
			feature = line; sub(/: .*/, "", feature)
			sub(/^.*: /, "", line)
			n = split(line, symbols, " ")
			for (i = 1; i <= n; i++) { check(feature, symbols[i]); checked++ }
		}
		if (got < 0 || checked == 0) { print "cannot read " table; exit 1 }
		exit bad
	}' >&2
