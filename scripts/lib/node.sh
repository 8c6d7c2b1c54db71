# shellcheck shell=bash
# Node packages (polkadot.js and taplo) in the checkout's node_modules, exactly as package-lock.json says.

step_node() {
	local modules="$LLMESH_ROOT/node_modules" key version
	version=$(node --version)
	key="$(sha256 "$LLMESH_ROOT/package-lock.json") $(sha256 "$LLMESH_ROOT/package.json") ${version%%.*}"
	# node_modules belongs to the checkout, the lock of setup to the cache: two caches must not meet here either.
	exec 8<"$LLMESH_ROOT/package-lock.json"
	flock 8
	# The stamp is inside: `npm ci` removes it with the rest.
	if [[ ! -r $modules/.llmesh-stamp || $(<"$modules/.llmesh-stamp") != "$key" ]]; then
		say "npm ci"
		logged "npm could not install the packages" "check the network and run this again" \
			npm ci --prefix "$LLMESH_ROOT" --prefer-offline --fetch-timeout=60000 --fetch-retries=5 --no-audit --no-fund \
			--no-update-notifier --ignore-scripts
		printf '%s\n' "$key" >"$modules/.llmesh-stamp"
	fi
	exec 8<&-
	say "ok (@polkadot/api, taplo)"
}
