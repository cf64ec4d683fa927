# Everyday commands. `make` alone lists them.
.PHONY: help run build test quick bench lint docs fmt servers

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 10

run: ## the gateway on embedded defaults
	cargo run --release -- serve

build: ## the binary for releases, with all drivers: smaller and faster, but slow to build
	cargo build --profile dist --features full

test: ## all tests; installs what they need
	scripts/test

quick: ## the tests that are quick: no Go, Node.js or Python
	scripts/test quick

bench: ## micro benchmarks and load, side by side with peers
	scripts/bench

lint: ## clippy, with warnings as errors
	cargo clippy --workspace --all-targets --features prism/full -- -D warnings

docs: ## the documentation of the crates
	cargo doc --workspace --no-deps --open

fmt: ## format
	cargo fmt --all

servers: ## PostgreSQL, Redis, NATS and Kafka servers to try Prism with
	scripts/servers up
