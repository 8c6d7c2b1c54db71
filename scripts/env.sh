# shellcheck shell=bash
# The environment of every build, test and devnet. Source it from bash: `. scripts/env.sh`.
# It only exports; what it points to is made by `scripts/setup`.

_llmesh_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

export LLMESH_CACHE="${LLMESH_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/llmesh}"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$LLMESH_CACHE/target}"
# The target directory is outside the checkout: without this the Wasm build would ignore Cargo.lock.
export WASM_BUILD_WORKSPACE_HINT="$_llmesh_root"

# Setup writes the name of the toolchain that has the Wasm target, or nothing when the default one has it.
_llmesh_wasm=
if [[ -r $LLMESH_CACHE/wasm/toolchain-name ]]; then
	_llmesh_wasm=$(<"$LLMESH_CACHE/wasm/toolchain-name")
fi
if [[ -n $_llmesh_wasm ]]; then
	export WASM_BUILD_TOOLCHAIN="$_llmesh_wasm"
elif [[ ${WASM_BUILD_TOOLCHAIN:-} == llmesh-wasm ]]; then
	unset WASM_BUILD_TOOLCHAIN
fi

if [[ -r $LLMESH_CACHE/onnxruntime/libonnxruntime.so.1.31.1 ]]; then
	export ORT_DYLIB_PATH="$LLMESH_CACHE/onnxruntime/libonnxruntime.so.1.31.1"
fi
if [[ -r $LLMESH_CACHE/models/magika/model.onnx ]]; then
	export LLMESH_MAGIKA_DIR="$LLMESH_CACHE/models/magika"
fi
if [[ -x $LLMESH_CACHE/venv/bin/python ]]; then
	export LLMESH_PYTHON="$LLMESH_CACHE/venv/bin/python"
fi

# rustup's cargo goes first: a distribution's cargo in /usr/bin must not win over it.
_llmesh_cargo_bin="${CARGO_HOME:-$HOME/.cargo}/bin"
if [[ -x $_llmesh_cargo_bin/rustup && :$PATH: != *:$_llmesh_cargo_bin:* ]]; then
	PATH="$_llmesh_cargo_bin:$PATH"
fi
# Our own tools go last, so that what the user has installed wins.
for _llmesh_dir in "$LLMESH_CACHE/tools/bin" "$_llmesh_root/node_modules/.bin"; do
	if [[ :$PATH: != *:$_llmesh_dir:* ]]; then
		PATH="$PATH:$_llmesh_dir"
	fi
done
export PATH

unset _llmesh_root _llmesh_wasm _llmesh_cargo_bin _llmesh_dir
