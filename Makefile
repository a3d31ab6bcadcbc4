# Two commands are enough: `make up` and `make test`.
CARGO ?= cargo
DASHBOARD = broker/dashboard

.PHONY: up test soak page dist functions

# Builds what is missing and starts the whole market on this machine. The page builds beside it and never holds it up.
up:
	@$(DASHBOARD)/build.sh --in-background
	$(CARGO) build --release
	./target/release/merit up $(ARGS)

# Installs what the tests need where it may, else says what to install; then everything that can be checked.
test:
	@tests/all.sh

# 200 kills of real processes under load, and thousands of markets on a disk with faults; some minutes. See docs/soak.md.
soak:
	MERIT_KILLS=100 $(CARGO) test --release --workspace --test e2e -- --nocapture --test-threads 1 kill_9
	MERIT_SEEDS=10000 $(CARGO) test --release -p merit-sim --test crash_loop -- --nocapture

page:
	@$(DASHBOARD)/build.sh

# One binary with the page inside: target/release/merit.
dist: page
	$(CARGO) build --release

# Rebuilds the sample functions' modules from their sources; needs clang.
functions:
	functions/build.sh
