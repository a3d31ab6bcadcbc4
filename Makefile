# Two commands are enough: `make up` and `make test`.
CARGO ?= cargo

.PHONY: test
test:
	./tests/prepare.sh
	$(CARGO) fmt --all --check
	$(CARGO) clippy --release --workspace --all-targets -- -D warnings
	$(CARGO) test --release --workspace
