# demo, install, test, package, bench: what a newcomer needs. Building needs Rust (rustup.rs).
# Whatever else is missing is installed with apt.

CARGO  ?= cargo
PREFIX ?= /usr/local
RA     := target/release/reanimator
SHARE  := $(DESTDIR)$(PREFIX)/share
export CARGO_TERM_COLOR ?= auto

.PHONY: demo build install package test test-kernels sweep fuzz bench header build-needs

demo: build  ## Record an SQLite workload, replay it elsewhere, and compare the databases
	@tests/need.sh sqlite3
	tests/demo.sh $(RA)

build: build-needs  ## The program and the C library, in target/release
	$(CARGO) build --release --locked

# Under sudo there is often no cargo: what `make build` or `make demo` built is copied.
install:  ## Copy what was built, man pages and completions to PREFIX; builds nothing
	@test -x $(RA) && test -f target/release/libreanimator.so || { \
	    echo "make: nothing to install yet: run 'make build' first, without sudo" >&2; exit 1; }
	install -s -D -m 755 $(RA) $(DESTDIR)$(PREFIX)/bin/reanimator
	packaging/share.sh $(RA) $(SHARE)
	install -s -D -m 755 target/release/libreanimator.so $(DESTDIR)$(PREFIX)/lib/libreanimator.so
	install -D -m 644 target/release/libreanimator.a $(DESTDIR)$(PREFIX)/lib/libreanimator.a
	install -D -m 644 crates/capi/include/reanimator.h $(DESTDIR)$(PREFIX)/include/reanimator.h
	@mkdir -p $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed 's,@PREFIX@,$(PREFIX),' crates/capi/reanimator.pc.in \
	    >$(DESTDIR)$(PREFIX)/lib/pkgconfig/reanimator.pc
	@test -n "$(DESTDIR)" || test "$$(id -u)" != 0 || ldconfig

package: build  ## A static program, a .deb and a container image, each tried; minutes
	packaging/package.sh

test: build-needs  ## Everything that must hold before a change lands
	@tests/need.sh sqlite3 git rsync fio python3 python3-venv strace attr procps util-linux bash \
	    tar findutils dash make coreutils postgresql redis-server rocksdb-tools g++ gzip mount \
	    e2fsprogs xfsprogs btrfs-progs man-db zsh fish qemu-utils mariadb-server sysbench \
	    python3-lmdb
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || \
	    rustup component add rustfmt clippy
	$(CARGO) fmt --all --check
	rustfmt --check --edition 2024 crates/interop/src/export/*.rs
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps
	$(CARGO) build --release --locked --workspace --all-targets
	@if ! $(CARGO) nextest --version >/dev/null 2>&1; then \
	    echo "test: installing cargo-nextest with cargo (it is missing)"; \
	    $(CARGO) install --locked cargo-nextest || \
	        echo "test: cargo-nextest cannot be installed here: cargo test will do"; \
	fi
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    set -x; $(CARGO) nextest run --release --locked --workspace; \
	else \
	    set -x; $(CARGO) test --release --locked --workspace -- --test-threads=1; \
	fi

test-kernels: build  ## The same program on Debian's kernels, in QEMU; minutes, not in `test`
	@tests/need.sh qemu-system-x86 busybox-static cpio sqlite3
	tests/kernels.sh $(abspath $(RA))

sweep: build  ## Record and replay every program of /usr/bin, by both engines; hours, as root
	@tests/need.sh python3 util-linux coreutils
	tests/sweep.py $(RA)

SECONDS ?= 30
FUZZ    := $(patsubst fuzz/fuzz_targets/%.rs,%,$(sort $(wildcard fuzz/fuzz_targets/*.rs)))
fuzz: build  ## Each fuzz target for SECONDS (30), on stable Rust; compiles for minutes at first
	@tests/need.sh g++ tar gzip coreutils findutils sed util-linux
	@$(CARGO) fuzz --version >/dev/null 2>&1 || $(CARGO) install --locked cargo-fuzz
	rm -rf target/fuzz-seeds
	fuzz/seeds.sh $(RA) target/fuzz-seeds
	$(CARGO) fuzz build -s none
	@for target in $(FUZZ); do \
	    echo "fuzz: $$target for $(SECONDS) s"; mkdir -p fuzz/corpus/$$target; \
	    REANIMATOR=$(abspath $(RA)) nice -n 19 $(CARGO) fuzz run -s none $$target \
	        fuzz/corpus/$$target target/fuzz-seeds/$$target -- -max_total_time=$(SECONDS) \
	        -timeout=60 -rss_limit_mb=1024 -verbosity=0 -print_final_stats=1 || exit 1; \
	done

bench: build  ## Compare with untraced programs and with other tracers; an hour or more
	@tests/need.sh gcc libc6-dev sqlite3 strace python3 util-linux linux-perf bpftrace fio make \
	    rocksdb-tools postgresql babeltrace2
	bench/compare.py

header:  ## Write crates/capi/include/reanimator.h again
	$(CARGO) run --release --locked --manifest-path crates/capi/header/Cargo.toml

build-needs:
	@command -v $(CARGO) >/dev/null || { \
	    echo "make: cargo not found: install Rust from https://rustup.rs" >&2; exit 1; }
	@tests/need.sh gcc libc6-dev make pkg-config libelf-dev zlib1g-dev clang-19
