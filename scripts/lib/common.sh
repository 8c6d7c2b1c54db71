# shellcheck shell=bash
# What the steps of scripts/setup share: progress, failures, logs, stamps, hashes.

LLMESH_STEP=setup
LLMESH_STARTED=${EPOCHREALTIME/[.,]/}
# The user's stderr, also where a command's own output goes to a log.
exec 7>&2

# say TEXT: one progress line on stderr, with the time since the start.
say() {
	local ms=$(((${EPOCHREALTIME/[.,]/} - LLMESH_STARTED) / 1000))
	printf '[%4d.%ds] %-9s %s\n' $((ms / 1000)) $((ms % 1000 / 100)) "$LLMESH_STEP" "$1" >&7
}

# die WHAT NEXT: say what failed and what to do about it.
die() {
	say "FAILED: $1" || true
	printf '  what to do: %s\n' "$2" >&7
	# shellcheck disable=SC2034 # read by the exit trap of scripts/setup
	LLMESH_DIED=1
	exit 1
}

# logged WHAT NEXT COMMAND...: run a command with its output in the step's log; on failure show the log's end.
logged() {
	local what=$1 next=$2 log="$LLMESH_CACHE/logs/$LLMESH_STEP.log"
	shift 2
	mkdir -p "$LLMESH_CACHE/logs"
	printf '+ %s\n' "$*" >>"$log"
	if ! "$@" >>"$log" 2>&1 </dev/null; then
		printf '  the last lines of %s:\n' "$log" >&2
		tail -n 20 "$log" | sed 's/^/  | /' >&2
		die "$what" "$next"
	fi
}

# A stamp says with which versions a step was done; another text means: do it again.
stamped() {
	[[ -r $LLMESH_CACHE/stamps/$1 && $(<"$LLMESH_CACHE/stamps/$1") == "$2" ]]
}

stamp() {
	mkdir -p "$LLMESH_CACHE/stamps"
	printf '%s\n' "$2" >"$LLMESH_CACHE/stamps/$1.new"
	mv -f "$LLMESH_CACHE/stamps/$1.new" "$LLMESH_CACHE/stamps/$1"
}

sha256() {
	local sum
	sum=$(sha256sum "$1")
	printf '%s' "${sum%% *}"
}

# scratch: print a new folder below the cache (so that mv is atomic); leftovers go when setup ends.
scratch() {
	mkdir -p "$LLMESH_CACHE/tmp"
	mktemp -d "$LLMESH_CACHE/tmp/$LLMESH_STEP.XXXXXX"
}

# version_at_least HAVE WANT
version_at_least() {
	[[ $(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1) == "$2" ]]
}
