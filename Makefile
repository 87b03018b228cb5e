# Two commands for a newcomer: `cargo run --release -- demo` and `make test`.

.PHONY: test lint demo docs fuzz-check fuzz-smoke

# Everything, once SoftHSM2 and poppler are there: unit tests, whole-system tests through real sockets, policy cases; on SQLite and on a real PostgreSQL, with a
# real identity provider and a real object storage (npm's oidc-provider and s3rver, installed into target/; Node from Debian where it is missing),
# and sealed papers in other readers (PyPI's easyofd, npm's ofd.js, there too).
test:
	tests/tools/need openssl openssl "time-stamps, revocation and evidence with OpenSSL"
	tests/tools/need softhsm2-util softhsm2 "keys in tokens"
	tests/tools/need faketime faketime "what ends at midnight"
	tests/tools/need python3 python3 "the log before an independent verifier"
	tests/tools/need unzip unzip "evidence opened by others"
	tests/tools/need cc gcc "a disk that fails under a gateway"
	tests/tools/need pdfsig poppler-utils "signed PDF in another reader"
	tests/tools/with-postgres tests/tools/in-two-lanes
	cargo test --doc

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings

demo:
	cargo run --release -- demo

# Rewrites the documents that are generated from the code; tests fail while they are out of date.
docs:
	UPDATE_DOCS=1 cargo test --lib -- docs_errors_page_is_current manual

# Fuzz targets are a workspace of their own: nothing else tells that they still fit the code. A minute after `lint`, whose work it uses.
fuzz-check:
	tests/tools/need c++ g++ "whether fuzz targets compile"
	cargo check --manifest-path fuzz/Cargo.toml --target-dir target

# Every fuzz target for a few seconds, from seeds made here. Installs cargo-fuzz where it is missing; needs a C++ compiler.
FUZZ_SECONDS ?= 5
fuzz-smoke: export RUSTC_BOOTSTRAP = 1
fuzz-smoke:
	command -v cargo-fuzz || cargo install --locked cargo-fuzz
	cargo run --example fuzz-seeds
	cargo fuzz build
	for target in $$(cargo fuzz list); do \
		cargo fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -max_len=65536 -rss_limit_mb=1024 -timeout=10 || exit 1; \
	done
