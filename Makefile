# `make demo` and `make test` set up what they need on a fresh Debian or Ubuntu machine with Rust.

ESTIBA = target/release/estiba

.PHONY: demo test test-whole build check bench clean

# Deploys the example to this machine: a release, one under load, a broken one.
# What is missing is set up while the binary is built: on a fresh machine each takes some minutes. A release build
# that is there already is brought up to date; else the quickest build will do.
demo:
	scripts/demo

# A telling part of all tests. The heavy ones run one after another.
test: build
	scripts/setup test
	scripts/test

# The same, and the variants that `make test` leaves out: another hour.
test-whole: build
	scripts/setup test
	scripts/test --whole

# Formatting, lints and workflow checks.
check:
	scripts/setup check
	scripts/check

build:
	cargo build --release --locked

# Whole-process benchmarks, paired against what a user would use instead.
bench: build
	scripts/setup bench
	cargo bench --locked --bench whole_process

clean:
	cargo clean
