# `make help` lists the targets. Everything that is needed and not there is fetched into .tools, by hash.

ENVOY := .tools/envoy/1.40.0/envoy
OLDEST_ENVOY := .tools/envoy/1.36.4/envoy
BINARIES := -p control-plane -p launcher -p ctl

.PHONY: help demo test newest-envoy tools fmt lint unit cases bench bench-http fuzz clean

help: ## List the targets, a line each
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: newest-envoy ## A small shop on a real mesh: traffic split, kill -9, recovery (CHECK=1 asserts it and exits)
	@echo "== building kuma-cp, kuma-dp, kumactl and the demo (a first build takes some minutes)"
	cargo build --release --quiet $(BINARIES) -p demo
	@target/release/demo $(if $(CHECK),--check)

test: tools ## Everything: format, lints, all tests, the cases and the demo against a real Envoy
	@PATH=$$PATH:/usr/sbin tools/need curl:curl ip:iproute2 iptables:iptables unshare:util-linux python3:python3 \
	  $(if $(filter-out 0,$(shell id -u)),newuidmap:uidmap)
	@echo "== format"
	cargo fmt --all --check
	@echo "== lints"
	cargo clippy --workspace --all-targets --quiet -- -D warnings
	@echo "== the programs that the tests start (the whole workspace, so that the tests find every dependency built)"
	cargo build --quiet --workspace --bins
	@echo "== tests"
	ENVOY=$(abspath $(ENVOY)) OLDEST_ENVOY=$(abspath $(OLDEST_ENVOY)) cargo test --workspace --quiet
	@echo "== every generated configuration, validated by the newest Envoy and by the oldest"
	cargo run --quiet -p xtask -- validate-cases --envoy $(ENVOY)
	cargo run --quiet -p xtask -- validate-cases --envoy $(OLDEST_ENVOY)
	@echo "== the demo, asserted"
	target/debug/demo --check

newest-envoy:
	@tools/fetch-envoy

tools: newest-envoy ## Fetch the newest Envoy and the oldest into .tools, checked by their hashes
	@tools/fetch-envoy 1.36.4

fmt: ## Format the code
	cargo fmt --all

lint: ## Lints alone
	cargo clippy --workspace --all-targets -- -D warnings

unit: ## The tests that need nothing but Rust
	cargo test

cases: ## Rewrite the expected plans, Envoy configurations and inspections after a change that is meant
	UPDATE_CASES=1 cargo test --quiet -p plan

bench: ## 1,000 simulated proxies against a real kuma-cp (PROXIES=n ARGS=--mtls)
	cargo build --release --quiet $(BINARIES) -p bench
	@target/release/bench-mesh --proxies $(or $(PROXIES),1000) $(ARGS)

bench-http: ## The HTTP API beside nginx and etcd on this machine, in turns (ARGS="--rounds 3 --milliseconds 500")
	@PATH=$$PATH:/usr/sbin tools/need nginx:nginx etcd:etcd-server
	cargo build --release --quiet $(BINARIES) -p bench
	@target/release/bench-http $(ARGS)

fuzz: ## A fuzz target under libFuzzer, on nightly Rust (TARGET=json_document SECONDS=60)
	@tools/fuzz $(or $(TARGET),json_document) $(or $(SECONDS),60)

clean: ## Remove what was built; .tools stays
	cargo clean
