#!/bin/sh
# try-deb.sh FILE: installs the package into a root of its own, runs what it installed, and removes
# it again. This system's packages stay as they are.
set -eu
file=$(realpath "$1")
root=$(mktemp -d "${TMPDIR:-/tmp}/reanimator-deb.XXXXXX")
trap 'rm -rf "$root"' EXIT
mkdir -p "$root/var/lib/dpkg/info" "$root/var/lib/dpkg/updates"
: >"$root/var/lib/dpkg/status"
# There is no other package in it: what the package needs and does not say shows here.
try() {
    dpkg --root="$root" --force-not-root --force-script-chrootless --log="$root/log" "$@" \
        >"$root/said" 2>&1 || { cat "$root/said" >&2; exit 1; }
}
try --install "$file"
for path in bin/reanimator share/man/man1/reanimator-record.1.gz \
    share/bash-completion/completions/reanimator share/zsh/vendor-completions/_reanimator \
    share/fish/vendor_completions.d/reanimator.fish share/doc/reanimator/copyright; do
    test -f "$root/usr/$path" || { echo "package: $1 lacks /usr/$path" >&2; exit 1; }
done
packaging/try.sh "$root/usr/bin/reanimator"
# Its dependencies are those of the program: none, as it is linked statically.
needed=$(readelf -d "$root/usr/bin/reanimator" | grep -c NEEDED || true)
depends=$(dpkg-deb --field "$file" Depends)
test "$needed" = 0 -a -z "$depends" || {
    echo "package: $1 says 'Depends: $depends', and its program needs $needed libraries" >&2
    exit 1
}
try --purge reanimator
test ! -e "$root/usr/bin/reanimator" || { echo "package: $1 cannot be removed" >&2; exit 1; }
echo "package: $1 is installed and removed"
