#!/bin/sh
# try.sh COMMAND...: records a small program with it by ptrace, replays it, and converts it.
set -eu
dir=$(mktemp -d "${TMPDIR:-/tmp}/reanimator-try.XXXXXX")
trap 'rm -rf "$dir"' EXIT
case $1 in
*/*) program=$(realpath "$1") ;;
*) program=$1 ;;
esac
cd "$dir"
"$program" record -q --engine ptrace -o t.ra -- sh -c 'echo hello >greeting; cat greeting' >/dev/null
"$program" replay -q --root elsewhere t.ra >/dev/null
cmp greeting "elsewhere$dir/greeting"
"$program" convert -q t.ra t.jsonl
echo "package: $1 records and replays"
