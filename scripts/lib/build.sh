# shellcheck shell=bash
# How the programs are built: with the same packages and features by every script, so that none of them makes another
# one's work void.

# built PROGRAM...: fail when one is missing.
built() {
	local program
	for program in "$@"; do
		[[ -x $CARGO_TARGET_DIR/${LLMESH_PROFILE:-debug}/$program ]] ||
			die "$program is not built" "run this again without --no-build"
	done
}

# build_programs: compile the node and the worker; cargo's own progress goes through.
build_programs() {
	local free
	say "compiling llmesh-node and llmesh-worker (quick when nothing has changed)"
	mkdir -p "$CARGO_TARGET_DIR"
	free=$(df -Pk "$CARGO_TARGET_DIR" | awk 'NR == 2 { print int($4 / 1048576) }')
	if ((free < 15)) && [[ ! -x $CARGO_TARGET_DIR/debug/llmesh-node ]]; then
		say "only $free GB are free in $CARGO_TARGET_DIR; a first build takes up to 15 GB"
	fi
	(cd "$LLMESH_ROOT" && cargo build --locked --workspace --bins) || die "the build failed" \
		"cargo says why above; if a tool or the Wasm target is missing, run scripts/setup; logs are in $LLMESH_CACHE/logs"
}
