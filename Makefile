# Two commands for a newcomer: `cargo run --release -- demo` and `make test`.

.PHONY: test lint demo bench docs

# Everything: unit tests, whole-system tests through real sockets, policy cases; on SQLite and on a real PostgreSQL.
test:
	tests/tools/with-postgres cargo test --all-targets
	cargo test --doc

lint:
	cargo fmt --check
	cargo clippy --all-targets -- -D warnings

demo:
	cargo run --release -- demo

# Rewrites the documents that are generated from the code; tests fail while they are out of date.
docs:
	UPDATE_DOCS=1 cargo test --lib -- docs_errors_page_is_current manual
