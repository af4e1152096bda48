#!/bin/sh
# package.sh: builds what can be handed out, in target/package, and tries each:
#   reanimator                   one static program
#   reanimator_VERSION_ARCH.deb  the same with man pages and completions
#   a container image            packaging/Containerfile
# and `cargo install`, into target/package/cargo.
set -eu
cd "$(dirname "$0")/.."
out=target/package
cargo=${CARGO:-cargo}
rm -rf "$out"
mkdir -p "$out"
step() { printf 'package: %s\n' "$*"; }

step "static program"
packaging/static.sh "$out"
packaging/try-static.sh "$out/reanimator"

step "Debian package"
"$cargo" deb --version >/dev/null 2>&1 || "$cargo" install --locked cargo-deb
packaging/share.sh "$out/reanimator" "$out/share"
gzip -9nf "$out"/share/man/man1/*.1
"$cargo" deb -q --locked --no-build --no-strip -p reanimator --output "$out"
packaging/try-deb.sh "$out"/reanimator_*.deb

step "cargo install"
"$cargo" install --quiet --locked --path crates/cli --root "$out/cargo"
packaging/try.sh "$out/cargo/bin/reanimator"

step "container image"
packaging/try-container.sh "$out"
ls -lh "$out"/reanimator "$out"/*.deb
