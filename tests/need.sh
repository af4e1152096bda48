#!/bin/sh
# need.sh PACKAGE...: installs with apt what is missing of these Debian packages, and says so.
# A package is there if dpkg says so, or if a command of the package's name is (built by hand, say).
set -eu
missing=
for package in "$@"; do
    command -v "$package" >/dev/null 2>&1 && continue
    case "$(dpkg-query -W -f='${Status}' "$package" 2>/dev/null || true)" in
    "install ok installed") ;;
    *) missing="$missing $package" ;;
    esac
done
[ -n "$missing" ] || exit 0
if ! command -v apt-get >/dev/null 2>&1; then
    echo "need: these are missing and there is no apt-get to install them with:$missing" >&2
    exit 1
fi
root=
if [ "$(id -u)" -ne 0 ]; then
    root=sudo
    if ! command -v sudo >/dev/null 2>&1; then
        echo "need: as root, run: apt-get install$missing" >&2
        exit 1
    fi
fi
echo "need: installing with apt:$missing" >&2
export DEBIAN_FRONTEND=noninteractive
# shellcheck disable=SC2086 # a list of names
$root apt-get install -y -qq --no-install-recommends $missing >/dev/null 2>&1 || {
    $root apt-get update -qq >&2
    $root apt-get install -y -qq --no-install-recommends $missing >&2
}
