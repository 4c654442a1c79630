#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# clang-tidy over every source file of a clang build directory. usage: check-tidy.sh BUILDDIR [JOBS]
set -eu
build=$1
jobs=${2:-$(nproc)}
cd "$(dirname "$0")/.."
git ls-files 'src/*.c' 'tests/*.c' | grep -v '^tests/vmm/' >"$build/tidy-files"
# Only files that this build compiles have a command line in the database.
python3 - "$build" <<'END'
import json, os, sys
build = sys.argv[1]
known = {os.path.realpath(os.path.join(e["directory"], e["file"])) for e in json.load(open(f"{build}/compile_commands.json"))}
files = [f.strip() for f in open(f"{build}/tidy-files") if os.path.realpath(f.strip()) in known]
open(f"{build}/tidy-files", "w").write("\n".join(files) + "\n")
END
# One file a run: clang 14 takes va_lists of later ones for uninitialised.
xargs -P "$jobs" -n 1 clang-tidy-14 --quiet -p "$build" <"$build/tidy-files" 2>/dev/null
echo "clang-tidy: $(wc -l <"$build/tidy-files") files"
