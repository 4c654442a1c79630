#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Every C file is formatted as .clang-format says. `check-format.sh --fix` reformats.
set -eu
cd "$(dirname "$0")/.."
if [ "${1-}" = --fix ]; then
	git ls-files '*.c' '*.h' | xargs clang-format-14 -i
else
	git ls-files '*.c' '*.h' | xargs clang-format-14 --dry-run --Werror
fi
