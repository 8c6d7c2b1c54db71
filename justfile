# What an engineer does ten times a day. `just` lists it; each line also works by hand after `. scripts/env.sh`.

set shell := ["bash", "-euo", "pipefail", "-c"]

env := ". scripts/env.sh &&"

_default:
    @just --list --unsorted

# Install what building, testing and running need
setup *args:
    scripts/setup {{ args }}

# Compile the node and the worker
build:
    {{ env }} cargo build --workspace --bins

# Type-check everything, tests included; the Wasm runtime is not built
check *args:
    {{ env }} SKIP_WASM_BUILD=1 cargo clippy --workspace --all-targets {{ args }}

# Test one crate: `just test pallet-jobs`, `just test pallet-jobs draw`
test crate *filter:
    {{ env }} cargo nextest run -p {{ crate }} {{ filter }}

# All Rust tests
test-rust *args:
    {{ env }} cargo nextest run --workspace {{ args }}

# Everything that is tested, as CI does it
test-all *args:
    scripts/test {{ args }}

# End-to-end suites on what is built: `just e2e`, `just e2e market,worker`
e2e suites="":
    scripts/test --only e2e {{ if suites == "" { "" } else { "--suite " + suites } }}

# A network with two validators and two workers; jobs for the files that are named
devnet *args:
    scripts/devnet {{ args }}

# Block interval and finality lag
finality *args:
    scripts/measure-finality {{ args }}

# Format Rust and TOML
fmt:
    {{ env }} cargo fmt --all && taplo format

# All lints, as CI runs them
lint:
    scripts/test --only format,toml,shell,licences,clippy

# Measure the weights of the pallets: `just bench`, `just bench pallet_jobs`
bench *args:
    scripts/benchmark {{ args }}

# Write the committed chain specifications anew after a wanted change of a preset
chain-specs:
    {{ env }} LLMESH_WRITE_CHAIN_SPECS=1 cargo nextest run -p llmesh-chain-spec committed_files
