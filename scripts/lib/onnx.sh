# shellcheck shell=bash
# ONNX Runtime and the model magika, out of hash-pinned Python wheels. What the worker loads is copied out of the venv and
# its hash is checked again, so that every host runs the same bytes.

ONNXRUNTIME_LIBRARY=libonnxruntime.so.1.31.1
# The same in the wheels for CPython 3.11 to 3.14.
# shellcheck disable=SC2034 # chosen by the name of the architecture
ONNXRUNTIME_SHA256_x86_64=fc44112fbe06d7d689c57e11d3862031f64711007e4ee020f8eed5185fd2c1d3
# shellcheck disable=SC2034
ONNXRUNTIME_SHA256_aarch64=8aa3b76b28c778a2b1dd660d34161adb1d508c9ccd04ff9dc80e26eca5df8467
MAGIKA_MODEL_SHA256=fe2d2eb49c5f88a9e0a6c048e15d6ffdf86235519c2afc535044de433169ec8c
MAGIKA_CONFIG_SHA256=ae24c742205358f6ff6dfd5facb6743fb69743dbba8373e73da58ff0cbd695db

# take FILE SHA256 FOLDER: check a file and put it, whole or not at all, into a folder.
take() {
	local to="$3/${1##*/}" sum
	sum=$(sha256 "$1")
	[[ $sum == "$2" ]] || die "${1##*/} has the SHA-256 $sum, not $2" \
		"do not use it: remove $LLMESH_CACHE/venv* and run this again; if it stays so, the package was changed"
	mkdir -p "$3"
	cp "$1" "$to.new"
	chmod 644 "$to.new"
	mv -f "$to.new" "$to"
}

has_sha256() {
	[[ -r $1 && $(sha256 "$1") == "$2" ]]
}

step_onnx() {
	local arch expected requirements key venv site
	local library="$LLMESH_CACHE/onnxruntime/$ONNXRUNTIME_LIBRARY" magika="$LLMESH_CACHE/models/magika"
	arch=$(uname -m)
	expected=ONNXRUNTIME_SHA256_$arch
	expected=${!expected:-}
	[[ $(uname -s) == Linux && -n $expected ]] ||
		die "no pinned ONNX Runtime for $(uname -s) on $arch" "use Linux on x86_64 or aarch64"
	requirements="$LLMESH_ROOT/tests/python/requirements.txt"
	key="$(sha256 "$requirements") $(python3 -c 'import sys; print(sys.base_prefix, sys.version.split()[0])') $LLMESH_CACHE"

	if ! stamped onnx "$key" || [[ ! -x $LLMESH_CACHE/venv/bin/python ]]; then
		say "installing ONNX Runtime 1.31.1, numpy and magika into a Python venv"
		mkdir -p "$LLMESH_CACHE/venvs"
		# A venv can not be moved: each try has its own, and the link to it is switched when it is complete.
		venv=$(mktemp -d "$LLMESH_CACHE/venvs/venv.XXXXXX")
		logged "cannot make a Python venv" "Debian: apt-get install python3-venv" python3 -m venv "$venv"
		logged "pip could not install the pinned packages" "check the network and run this again" \
			"$venv/bin/python" -m pip install --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
			--require-hashes -r "$requirements"
		logged "ONNX Runtime does not load in Python" "see the log" \
			"$venv/bin/python" -c 'import numpy, magika, onnxruntime as o; assert o.__version__ == "1.31.1", o.__version__'
		ln -s "venvs/${venv##*/}" "$LLMESH_CACHE/venv.new.$$"
		mv -fT "$LLMESH_CACHE/venv.new.$$" "$LLMESH_CACHE/venv"
		stamp onnx "$key"
		find "$LLMESH_CACHE/venvs" -mindepth 1 -maxdepth 1 ! -name "${venv##*/}" -exec rm -rf {} +
	fi

	if ! has_sha256 "$library" "$expected" || ! has_sha256 "$magika/model.onnx" "$MAGIKA_MODEL_SHA256" ||
		! has_sha256 "$magika/config.min.json" "$MAGIKA_CONFIG_SHA256"; then
		site=$("$LLMESH_CACHE/venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
		take "$site/onnxruntime/capi/$ONNXRUNTIME_LIBRARY" "$expected" "$LLMESH_CACHE/onnxruntime"
		take "$site/magika/models/standard_v3_3/model.onnx" "$MAGIKA_MODEL_SHA256" "$magika"
		take "$site/magika/models/standard_v3_3/config.min.json" "$MAGIKA_CONFIG_SHA256" "$magika"
	fi
	say "ok (ONNX Runtime 1.31.1 and the model magika, hashes checked)"
}
