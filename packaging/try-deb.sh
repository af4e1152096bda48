#!/bin/sh
# try-deb.sh FILE: what the package holds works from where it is unpacked. Nothing is installed.
set -eu
root=$(mktemp -d "${TMPDIR:-/tmp}/reanimator-deb.XXXXXX")
trap 'rm -rf "$root"' EXIT
dpkg-deb --extract "$1" "$root"
for file in bin/reanimator share/man/man1/reanimator-record.1.gz \
    share/bash-completion/completions/reanimator share/zsh/vendor-completions/_reanimator \
    share/fish/vendor_completions.d/reanimator.fish share/doc/reanimator/copyright; do
    test -f "$root/usr/$file" || { echo "package: $1 lacks /usr/$file" >&2; exit 1; }
done
packaging/try.sh "$root/usr/bin/reanimator"
dpkg --dry-run --install "$1" >/dev/null 2>&1 ||
    { echo "package: dpkg would refuse $1" >&2; exit 1; }
