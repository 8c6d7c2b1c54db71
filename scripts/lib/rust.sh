# shellcheck shell=bash
# Rust and the cargo tools. Tools that are missing are compiled once into the cache.

NEXTEST_VERSION=0.9.151
DENY_VERSION=0.20.2

# cargo_tool CRATE VERSION: compile a cargo tool into the cache.
cargo_tool() {
	local crate=$1 version=$2 tmp
	say "compiling $crate $version (once; several minutes)"
	tmp=$(scratch)
	logged "cannot install $crate $version" "by hand: cargo install $crate --version $version --locked" \
		env -u RUSTFLAGS -u CARGO_BUILD_TARGET -u CARGO_ENCODED_RUSTFLAGS CARGO_TARGET_DIR="$tmp" \
		cargo install "$crate" --version "$version" --locked --force --root "$LLMESH_CACHE/tools"
	rm -rf "$tmp"
}

step_rust() {
	local next='install Rust with rustup, open a new shell, and run this again'
	command -v rustup >/dev/null || die "rustup is missing" "$next"
	command -v cargo >/dev/null || die "cargo is missing" "$next"
	local cargo_version
	cargo_version=$(cd "$LLMESH_ROOT" && cargo --version 2>/dev/null) ||
		die "cargo does not run" "see what \`cargo --version\` says; \`rustup toolchain install stable\` may be what is missing"
	if ! command -v cargo-nextest >/dev/null; then
		cargo_tool cargo-nextest "$NEXTEST_VERSION"
	fi
	say "ok (${cargo_version% (*}, cargo-nextest)"
}

# Needed by the test command only: cargo-deny, ip, nft. (taplo comes with the node packages.)
step_dev_tools() {
	if ! command -v cargo-deny >/dev/null; then
		cargo_tool cargo-deny "$DENY_VERSION"
	fi
	network_packages
	say "ok (cargo-deny)"
}
