# Two commands are enough: `make up` and `make test`.
CARGO ?= cargo
DASHBOARD = broker/dashboard

.PHONY: up test page dist functions

# Builds what is missing and starts the whole market on this machine. The page builds beside it and never holds it up.
up:
	@$(DASHBOARD)/build.sh --in-background
	$(CARGO) build --release
	./target/release/merit up $(ARGS)

# Installs what the tests need where it may, else says what to install; then everything that can be checked.
test:
	@tests/all.sh

page:
	@$(DASHBOARD)/build.sh

# One binary with the page inside: target/release/merit.
dist: page
	$(CARGO) build --release --features embed-page

# Rebuilds the sample functions' modules from their sources; needs clang.
functions:
	functions/build.sh
