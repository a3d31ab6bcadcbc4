# Two commands are enough: `make up` and `make test`.
CARGO ?= cargo
DASHBOARD = broker/dashboard

.PHONY: up test check fuzz deny soak page picture dist functions

# Builds what is missing and starts the whole market on this machine. The page builds beside it and never holds it up.
up:
	@$(DASHBOARD)/build.sh --in-background
	$(CARGO) build --release
	./target/release/merit up $(ARGS)

# Installs what the tests need where it may, else says what to install; then everything that can be checked.
test:
	@tests/all.sh

# A quick look at what changed since main: format, lints, tidy and the tests of changed packages.
check:
	@tests/check.sh

# Some seconds of libFuzzer for each target; needs nightly and cargo-fuzz. `make test` has a short run without them.
fuzz:
	@tests/fuzz.sh $(ARGS)

# Licences, bans, sources and advisories of all dependencies; installs cargo-deny where it is missing.
deny:
	@$(CARGO) deny --version >/dev/null 2>&1 || $(CARGO) install cargo-deny --locked
	@tests/deny.sh

# 200 kills of real processes under load, and thousands of markets on a disk with faults; some minutes. See docs/soak.md.
soak:
	MERIT_KILLS=100 $(CARGO) test --release --workspace --test e2e -- --nocapture --test-threads 1 kill_9
	MERIT_SEEDS=10000 $(CARGO) test --release -p merit-sim --test crash_loop -- --nocapture

page:
	@$(DASHBOARD)/build.sh

# The picture of the README: a minute of the demo in Chromium.
picture: dist
	node $(DASHBOARD)/picture.mjs target/release/merit docs/page.png

# One binary with the page inside: target/release/merit.
dist: page
	$(CARGO) build --release

# Rebuilds the sample functions' modules from their sources; needs clang.
functions:
	functions/build.sh
