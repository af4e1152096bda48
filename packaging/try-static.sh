#!/bin/sh
# try-static.sh PROGRAM: runs it where there is no other file than the program.
set -eu
program=$1
if readelf -d "$program" | grep -q NEEDED; then
    echo "package: $program needs shared libraries" >&2
    exit 1
fi
packaging/try.sh "$program"
root=$(mktemp -d "${TMPDIR:-/tmp}/reanimator-root.XXXXXX")
trap 'rm -rf "$root"' EXIT
install -m 755 "$program" "$root/reanimator"
unshare --user --map-root-user chroot "$root" /reanimator --version
