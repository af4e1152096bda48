#!/bin/sh
# static.sh DIR: builds DIR/reanimator with libc, libelf and zlib linked in. It has a target
# directory of its own, target/static: the build takes as long as the first one did.
set -eu
dir=$1
triple=$(rustc -vV | sed -n 's/^host: //p')
LIBBPF_SYS_LIBRARY_PATH=$(dirname "$(gcc -print-file-name=libelf.a)") \
RUSTFLAGS="-C target-feature=+crt-static" CARGO_INCREMENTAL=0 \
    "${CARGO:-cargo}" build --release --locked --target "$triple" --target-dir target/static \
    -p reanimator --bin reanimator --features static
install -D -m 755 "target/static/$triple/release/reanimator" "$dir/reanimator"
strip "$dir/reanimator"
