#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# check-libmsb.sh symbols LIB INCLUDE | headers INCLUDE CC... - what libmsb exports is what its headers declare, no more
# and no less; each header compiles alone, as C99 and as C++11.
set -eu
what=$1
shift
case $what in
symbols)
	lib=$1
	include=$2
	work=$(mktemp -d)
	trap 'rm -rf "$work"' EXIT
	# A declaration may go over several lines; the name stands before the first parenthesis.
	cat "$include"/msb/*.h | tr '\n' ' ' | grep -o 'MSB_API [a-z][^;(]*(' | grep -v 'define' |
		sed 's/ *($//; s/.*[ *]//' | sort -u >"$work/declared"
	case $lib in
	*.a)
		# Nothing but the C library is needed beside it.
		echo 'int main(void) { return 0; }' | ${CC:-cc} -x c - -x none -Wl,--whole-archive "$lib" -Wl,--no-whole-archive -o "$work/program"
		;;
	esac
	case $lib in
	*.a) nm --defined-only -g "$lib" ;;
	*) nm -D --defined-only "$lib" ;;
	esac | awk 'NF == 3 && $2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort -u >"$work/exported"
	[ -s "$work/declared" ]
	diff -u "$work/declared" "$work/exported" || {
		echo "(-: declared only, +: exported only)"
		exit 1
	}
	echo "$(wc -l <"$work/declared") symbols"
	;;
headers)
	include=$1
	shift
	for header in "$include"/msb/*.h; do
		name=msb/${header##*/}
		echo "#include <$name>" | "$@" -x c -std=c99 -pedantic-errors -Wall -Wextra -Wstrict-prototypes -Werror \
			-fsyntax-only -I"$include" -
		echo "#include <$name>" | "$@" -x c++ -std=c++11 -pedantic-errors -Wall -Wextra -Werror -fsyntax-only \
			-I"$include" -
	done
	# The initialisers, too.
	for language in 'c -std=c99' 'c++ -std=c++11'; do
		# shellcheck disable=SC2086
		"$@" -x $language -pedantic-errors -Wall -Wextra -Werror -fsyntax-only -I"$include" - <<'END'
#include <msb/msb.h>
struct msb_error error = MSB_ERROR_INIT;
struct msb_stat st = MSB_STAT_INIT;
struct msb_metrics metrics = MSB_METRICS_INIT;
struct msb_sample sample = MSB_SAMPLE_INIT;
struct msb_ledger_check check = MSB_LEDGER_CHECK_INIT;
struct msb_pull_watch watch = MSB_PULL_WATCH_INIT;
struct msb_pull_options pull = MSB_PULL_OPTIONS_INIT;
struct msb_pull_result result = MSB_PULL_RESULT_INIT;
struct msb_create_options create = MSB_CREATE_OPTIONS_INIT;
struct msb_process_times times = MSB_PROCESS_TIMES_INIT;
struct msb_log_entry entry = MSB_LOG_ENTRY_INIT;
struct msb_snapshot_options snapshot = MSB_SNAPSHOT_OPTIONS_INIT;
struct msb_port port = MSB_PORT_INIT;
struct msb_image_pruned pruned = MSB_IMAGE_PRUNED_INIT;
struct msb_image_removal removal = MSB_IMAGE_REMOVAL_INIT;
struct msb_copy_options options = MSB_COPY_OPTIONS_INIT;
END
	done
	;;
*)
	echo "check-libmsb.sh: unknown check '$what'" >&2
	exit 2
	;;
esac
