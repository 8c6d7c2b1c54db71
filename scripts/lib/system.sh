# shellcheck shell=bash
# System packages: looks for the tools themselves, and asks apt only for what is missing.

apt_install() {
	local as_root=()
	if ((EUID != 0)); then
		if ! command -v sudo >/dev/null; then
			die "missing packages: $*" "as root: apt-get update && apt-get install --no-install-recommends $*"
		fi
		as_root=(sudo)
		# Ask for the password now: output goes to a log later.
		if ! sudo -n true 2>/dev/null && ! sudo -v; then
			die "sudo refused" "as root: apt-get update && apt-get install --no-install-recommends $*"
		fi
	fi
	local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300)
	local next="run by hand: apt-get update && apt-get install --no-install-recommends $*"
	say "apt: installing $*"
	# The lists may be missing or old: refresh them only when the first try does not get through.
	if ! "${apt[@]}" install --no-install-recommends --no-remove "$@" \
		>>"$LLMESH_CACHE/logs/$LLMESH_STEP.log" 2>&1 </dev/null; then
		logged "apt-get update failed" "check the network and the package sources, then run this again" \
			"${apt[@]}" update
		logged "apt-get could not install $*" "$next" "${apt[@]}" install --no-install-recommends --no-remove "$@"
	fi
}

# Prints the Debian packages of the tools that are missing.
missing_packages() {
	command -v protoc >/dev/null || echo protobuf-compiler
	command -v clang >/dev/null || echo clang
	if ! command -v cc >/dev/null || ! command -v make >/dev/null; then echo build-essential; fi
	command -v pkg-config >/dev/null || echo pkg-config
	command -v git >/dev/null || echo git
	if ! command -v python3 >/dev/null; then
		echo python3 python3-venv
	elif ! python3 -c 'import ensurepip, venv' 2>/dev/null; then
		echo python3-venv
	fi
	command -v node >/dev/null || echo nodejs
	command -v npm >/dev/null || echo npm
}

# Prints the Debian packages for tests in network namespaces that are missing. Debian keeps their programs where only root looks.
missing_network_packages() {
	PATH=$PATH:/usr/sbin:/sbin command -v ip >/dev/null || echo iproute2
	PATH=$PATH:/usr/sbin:/sbin command -v nft >/dev/null || echo nftables
}

# Nothing is built with them, and the tests make do without: they are no reason to ask for a password, or to fail.
network_packages() {
	local missing
	missing=$(missing_network_packages)
	if [[ -z $missing ]]; then return; fi
	missing=${missing//$'\n'/ }
	if command -v apt-get >/dev/null && { ((EUID == 0)) || sudo -n true 2>/dev/null; }; then
		# shellcheck disable=SC2086 # several words are meant
		if (apt_install $missing); then return; fi
	fi
	say "not installed: $missing (Debian's names); the e2e suite nat is skipped without ip, and has no NAT without nft"
}

step_system() {
	local missing version
	missing=$(missing_packages)
	if [[ -n $missing ]]; then
		missing=${missing//$'\n'/ }
		command -v apt-get >/dev/null ||
			die "missing: $missing (Debian's names)" "install them with this system's package manager, then run this again"
		# shellcheck disable=SC2086 # several words are meant
		apt_install $missing
		hash -r
		missing=$(missing_packages)
		[[ -z $missing ]] || die "still missing after the installation: ${missing//$'\n'/ }" "install them by hand"
	fi
	version=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
	version_at_least "$version" 3.11 ||
		die "python3 is $version, 3.11 or newer is needed" "put a newer python3 (with venv) first in PATH"
	# Any shell start-up of node costs 50 ms: it is asked once, here.
	version=$(node --version)
	version_at_least "${version#v}" 18 || die "node is $version, 18 or newer is needed" "install Node.js 18 or newer"
	say "ok (protoc, clang, cc, pkg-config, git, python3, node $version)"
}
