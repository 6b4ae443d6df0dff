# The one entry point: every check that CI makes is a target here. `make` or `make help` lists them.

ENVOY_VERSION := 1.40.0
ENVOY ?= .tools/envoy-$(ENVOY_VERSION)/envoy
export ENVOY

PLUGIN := dist/breakwater.wasm
PLUGIN_LIMIT := 1000000
# The SDK exports these too, nothing is done in them, and Envoy enters the VM for each of them on every request.
UNUSED_CALLBACKS := proxy_on_done proxy_on_log

SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

# Unlike `target/`, which cargo shares between profiles, each of these may run beside the others.
CARGO := cargo
say = @printf '\n== %s\n' "$(1)"

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

## ---- Using it

.PHONY: wasm
wasm: ## Build the plugin: dist/breakwater.wasm
	@.ci/setup/wasm-cargo.sh wasm32-wasip1 build --quiet --release --lib
	@mkdir -p dist target
	@[ target/trim -nt .ci/setup/trim.rs ] || rustc --edition 2024 -O -o target/trim .ci/setup/trim.rs
	@target/trim target/wasm/wasm32-wasip1/release/breakwater.wasm $(PLUGIN).new $(UNUSED_CALLBACKS)
	@cmp -s $(PLUGIN).new $(PLUGIN) && rm $(PLUGIN).new || mv $(PLUGIN).new $(PLUGIN)
	@size=$$(wc -c < $(PLUGIN)); printf '%s: %d bytes\n' $(PLUGIN) $$size; \
	  [ $$size -lt $(PLUGIN_LIMIT) ] || { echo 'breakwater: the plugin must stay under $(PLUGIN_LIMIT) bytes' >&2; exit 1; }

.PHONY: demo
demo: wasm envoy redis ## Watch the wall hold: waves, a second Envoy, a failing upstream, a chain of services (about two minutes)
	@$(CARGO) run --quiet --example demo -- $(ARGS)

.PHONY: run
run: ## Put the wall before your own service: make run UPSTREAM=host:port [LISTEN=10000] [REDIS=host:port]
	@[ -n "$(UPSTREAM)" ] || { echo 'breakwater: say where your service is: make run UPSTREAM=host:port' >&2; exit 1; }
	@$(MAKE) wasm envoy $(if $(REDIS),,redis)
	@UPSTREAM="$(UPSTREAM)" REDIS="$(REDIS)" LISTEN="$(LISTEN)" ADMIN="$(ADMIN)" .ci/setup/run.sh

.PHONY: bench
bench: wasm envoy wrk ## Measure an L1 hit against Envoy's direct_response and its own cache filter
	@$(CARGO) bench --quiet --profile dev --bench l1_hit

.PHONY: bench-passing
bench-passing: wasm envoy redis ## Measure what cannot be cached, on its way through, against the same Envoy without L2 or plugin
	@$(CARGO) bench --quiet --profile dev --bench passing

.PHONY: bench-waves
bench-waves: wasm envoy redis peers ## Measure waves beside nginx and Varnish: identical, private, over a fleet, of different pages (four minutes)
	@PATH="$$PWD/.tools/peers:$$PATH:/usr/sbin" $(CARGO) bench --quiet --profile dev --bench waves

## ---- Checking it

.PHONY: test
test: ## Everything CI checks: lint, unit, simulation, breakers, validate, integration, conformance, differential, memory, test-wasm
	@$(MAKE) lint
	@$(MAKE) unit
	@$(MAKE) simulation
	@$(MAKE) breakers
	@$(MAKE) validate
	@$(MAKE) integration
	@$(MAKE) conformance
	@$(MAKE) differential
	@$(MAKE) soak-memory URLS=100000
	@$(MAKE) test-wasm

.PHONY: lint
lint: ## Formatting and clippy, for the host and for the plugin's own target
	$(call say,lint)
	@$(CARGO) fmt --all --check
	@$(CARGO) clippy --quiet --all-targets -- -D warnings
	@.ci/setup/wasm-cargo.sh wasm32-wasip1 clippy --quiet --lib -- -D warnings
	@bash -n .ci/setup/*.sh .ci/run

.PHONY: unit
unit: ## Unit and property tests, and the rules of the house (layering, sizes, paths in the documents)
	$(call say,unit)
	@$(CARGO) test --quiet --lib --test repo

.PHONY: simulation
simulation: ## The whole plugin in a seeded simulation: many workers, lost and late callbacks
	$(call say,simulation)
	@$(CARGO) test --quiet --test simulation

.PHONY: breakers
breakers: ## Ours beside Hystrix, resilience4j and Envoy's outlier detection, under seeded loads, as a table (SEEDS=n)
	$(call say,breakers)
	@$(if $(SEEDS),BREAKWATER_SEEDS=$(SEEDS)) $(CARGO) test --quiet --test breakers -- --nocapture

# What reads bytes from outside; the properties of the breaker and of an exchange come on top.
READERS := ^(config|flight|http|redis|store)::

.PHONY: test-deep
test-deep: DEEP := 100
test-deep: ## Millions of generated cases instead of thousands, 100,000 seeds of the simulation, 10,000 sequences of differential (or DEEP=n)
	$(call say,test-deep)
	@mkdir -p target; rm -f target/cases.tsv
	@BREAKWATER_DEEP=$(DEEP) BREAKWATER_CASES=$$PWD/target/cases.tsv \
	  $(CARGO) test --quiet --lib -- --test-threads=$$(($$(nproc) + 1))
	@awk -F '\t' '{all += $$1} $$2 ~ /$(READERS)/ {readers += $$1} \
	  END {printf "%d properties passed %d generated cases, %d of them where bytes from outside are read\n", NR, all, readers; \
	    if (readers < 1000000) {print "breakwater: that is less than a million" > "/dev/stderr"; exit 1}}' target/cases.tsv
	@BREAKWATER_SEEDS=100000 $(CARGO) test --quiet --test simulation
	@$(MAKE) differential SEQUENCES=10000

.PHONY: validate
validate: wasm envoy ## Have Envoy check envoy/*.yaml, and docker-compose its file
	$(call say,validate)
	@.ci/setup/validate.sh

.PHONY: integration
integration: wasm envoy redis ## The plugin in real Envoy, with real Redis and a scripted upstream
	$(call say,integration)
	@$(CARGO) test --quiet --test integration

.PHONY: conformance
conformance: wasm envoy redis cache-tests ## The public test suite for HTTP caches against tests/conformance/expected.tsv (RUNS=3, UPDATE=1, SUITE=folder)
	$(call say,conformance)
	@BREAKWATER_CONFORMANCE_RUNS=$(RUNS) BREAKWATER_CONFORMANCE_UPDATE=$(UPDATE) BREAKWATER_CONFORMANCE_SUITE=$(SUITE) \
	  $(CARGO) test --quiet --test conformance -- --nocapture

.PHONY: differential
differential: wasm envoy redis ## Seeded exchanges against a literal model of RFC 9111 (SEQUENCES=n, SEED=n; SEQUENCE=n replays one)
	$(call say,differential)
	@BREAKWATER_SEQUENCES=$(SEQUENCES) BREAKWATER_SEED=$(SEED) BREAKWATER_SEQUENCE=$(SEQUENCE) \
	  $(CARGO) test --quiet --test differential -- --nocapture

.PHONY: soak-memory
soak-memory: URLS := 500000
soak-memory: wasm envoy redis ## 500,000 unique URLs through one Envoy (or URLS=n): memory stays where it was
	$(call say,soak-memory)
	@BREAKWATER_SOAK_URLS=$(URLS) $(CARGO) test --quiet --test soak_memory -- --nocapture

.PHONY: test-wasm
test-wasm: ## The pure layers inside WebAssembly, under Node.js
	$(call say,test-wasm)
	@.ci/setup/wasm-test-runner.sh
	@runner=$$(echo .tools/wasm-bindgen-*/bin/wasm-bindgen-test-runner); \
	  CARGO_TARGET_WASM32_UNKNOWN_UNKNOWN_RUNNER="$$PWD/$$runner" \
	  .ci/setup/wasm-cargo.sh wasm32-unknown-unknown test --test wasm

.PHONY: fmt
fmt: ## Format the sources
	@$(CARGO) fmt --all

## ---- Setting it up (each of these does nothing when its part is there)

.PHONY: setup
setup: wasm envoy redis ## Fetch and build all that `demo` and `test` need

.PHONY: envoy
envoy: ## Envoy into .tools/ (or use your own: make ENVOY=/path/to/envoy …)
	@[ -x "$(ENVOY)" ] || command -v "$(ENVOY)" >/dev/null || .ci/setup/envoy.sh $(ENVOY_VERSION)

.PHONY: redis
redis: ## Redis, of the system or installed
	@.ci/setup/redis.sh

.PHONY: cache-tests
cache-tests: ## The public test suite for HTTP caches, from npm; for conformance only
	@.ci/setup/cache-tests.sh

.PHONY: wrk
wrk: ## wrk, of the system or installed; for bench only
	@.ci/setup/wrk.sh

.PHONY: peers
peers: ## nginx and Varnish, of the system or unpacked into .tools/; for bench-waves only
	@.ci/setup/peers.sh

.PHONY: clean
clean: ## Remove what was built; .tools/ stays
	@rm -rf target dist
