# demo · test · bench · install: the only commands a newcomer needs. They want Rust (rustup.rs), and install with apt whatever else is missing.

CARGO  ?= cargo
PREFIX ?= /usr/local
RA     := target/release/reanimator
SHARE  := $(DESTDIR)$(PREFIX)/share
export CARGO_TERM_COLOR ?= auto

.PHONY: demo test test-kernels sweep mutations bench header install build build-needs

demo: build  ## Record a real SQLite workload, perform it again elsewhere, prove it the same
	@tests/need.sh sqlite3
	tests/demo.sh $(RA)

test: build-needs  ## Everything that must hold before a change lands
	@tests/need.sh sqlite3 git rsync fio python3 python3-venv strace attr procps util-linux bash tar findutils dash make coreutils postgresql redis-server rocksdb-tools g++ gzip mount e2fsprogs xfsprogs btrfs-progs
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || rustup component add rustfmt clippy
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --release --locked --workspace --no-deps
	$(CARGO) build --release --locked --workspace --all-targets
	@if ! $(CARGO) nextest --version >/dev/null 2>&1; then \
	    echo "test: installing cargo-nextest with cargo (it is missing)"; \
	    $(CARGO) install --locked cargo-nextest || echo "test: cargo-nextest cannot be installed here: cargo test will do"; \
	fi
	@if $(CARGO) nextest --version >/dev/null 2>&1; then \
	    set -x; $(CARGO) nextest run --release --locked --workspace; \
	else \
	    set -x; $(CARGO) test --release --locked --workspace -- --test-threads=1; \
	fi

test-kernels: build  ## The same program on Debian's own kernels, in QEMU; takes some minutes, and is no part of `make test`
	@tests/need.sh qemu-system-x86 busybox-static cpio sqlite3
	tests/kernels.sh $(abspath $(RA))

sweep: build  ## Records and replays every program of /usr/bin that is here, by both engines; takes hours, needs root
	@tests/need.sh python3 util-linux coreutils
	tests/sweep.py $(RA)

COUNT  ?= 100000
FIRST  ?= 1
mutations: build  ## Give the program 100,000 damaged and forged traces, journals and logs (COUNT, FIRST); takes an hour or so, and is no part of `make test`
	@tests/need.sh tar gzip coreutils
	$(CARGO) build --release --locked --workspace --example mutate
	nice -n 19 target/release/examples/mutate $(RA) target/mutations $(COUNT) $(FIRST)

bench: build  ## Compare with the untraced programs and with other tracers, side by side
	@tests/need.sh gcc libc6-dev sqlite3 strace python3 util-linux linux-perf bpftrace fio make rocksdb-tools postgresql babeltrace2
	bench/compare.py

header:  ## Writes crates/capi/include/reanimator.h anew
	$(CARGO) run --release --locked --manifest-path crates/capi/header/Cargo.toml

install: build  ## Program, man pages, completions and the C library under PREFIX
	install -D -m 755 $(RA) $(DESTDIR)$(PREFIX)/bin/reanimator
	$(RA) man $(SHARE)/man/man1
	@mkdir -p $(SHARE)/bash-completion/completions $(SHARE)/zsh/site-functions $(SHARE)/fish/vendor_completions.d
	$(RA) completions bash >$(SHARE)/bash-completion/completions/reanimator
	$(RA) completions zsh >$(SHARE)/zsh/site-functions/_reanimator
	$(RA) completions fish >$(SHARE)/fish/vendor_completions.d/reanimator.fish
	install -D -m 755 target/release/libreanimator.so $(DESTDIR)$(PREFIX)/lib/libreanimator.so
	install -D -m 644 target/release/libreanimator.a $(DESTDIR)$(PREFIX)/lib/libreanimator.a
	install -D -m 644 crates/capi/include/reanimator.h $(DESTDIR)$(PREFIX)/include/reanimator.h
	@mkdir -p $(DESTDIR)$(PREFIX)/lib/pkgconfig
	sed 's,@PREFIX@,$(PREFIX),' crates/capi/reanimator.pc.in >$(DESTDIR)$(PREFIX)/lib/pkgconfig/reanimator.pc

build: build-needs
	$(CARGO) build --release --locked

build-needs:
	@command -v $(CARGO) >/dev/null || { echo "make: there is no cargo: install Rust from https://rustup.rs" >&2; exit 1; }
	@tests/need.sh gcc libc6-dev make pkg-config libelf-dev zlib1g-dev clang-19
