#!/usr/bin/env bash
# Trains recipes one after the other on one GPU, from a packed bank, with JAX alone: no TensorFlow, no records.
#
#     python3 -m pip install 'jax[cuda12]' keras numpy scipy soundfile soxr click pandas h5py tqdm
#     BANK=packed OUT=runs MINUTES=60 examples/train_on_gpu.sh RECIPE RECIPE ...
#
# Killed, preempted? The same command goes on from the last checkpoints; finished runs are left as they are.
# What it calls was run on an H200 (see docs/tpu.md); the script itself was rehearsed on a CPU only, in some minutes (tiny
# networks, a bank of tones):
#
#     REHEARSE=1 OUT=/tmp/rehearsal examples/train_on_gpu.sh
# The exit status is 1 where a recipe failed; the others were trained all the same.
#
# BANK      folder from benchmarks/pack_bank.py, at the recipes' sample rate
# OUT       gets <recipe>/{best,last}.keras, history.csv, config.json, and logs
# MINUTES   for each recipe: a short run measures the speed, then as many steps are planned as fit, so that the learning
#           rate falls to its end within the time
# STEPS     instead of MINUTES: about so many steps for each recipe, a whole number of epochs
# SETTINGS  further settings for all recipes, e.g. "batch_size=32 precision=bfloat16"
# GROUP     steps per call of the device (10)
# CHECKPOINT_MINUTES  between checkpoints (3)
# PYTHON    which python3
set -euo pipefail

PYTHON=${PYTHON:-python3} OUT=${OUT:?the folder of the runs} GROUP=${GROUP:-10} SETTINGS=${SETTINGS:-}
MINUTES=${MINUTES:-60} STEPS=${STEPS:-} CHECKPOINT_MINUTES=${CHECKPOINT_MINUTES:-3} ACCELERATOR=gpu MEASURED_STEPS=100
RECIPES=("$@")
HERE=$(cd "$(dirname "$0")/.." && pwd)
export PYTHONPATH=$HERE${PYTHONPATH:+:$PYTHONPATH} KERAS_BACKEND=jax
mkdir -p "$OUT"
# What was compiled once is not compiled again when a run goes on.
export JAX_COMPILATION_CACHE_DIR=${JAX_COMPILATION_CACHE_DIR:-$(cd "$OUT" && pwd)/.compiled}

if [ -n "${REHEARSE:-}" ]; then
    [ ${#RECIPES[@]} -gt 0 ] || RECIPES=(conditioned log_frequency)
    # Compilation is most of a rehearsal; and with few cores XLA's thread pool can wait for itself for ever.
    export JAX_DISABLE_MOST_OPTIMIZATIONS=1 XLA_FLAGS="--xla_cpu_multi_thread_eigen=false ${XLA_FLAGS:-}"
    ACCELERATOR=cpu MINUTES=0.03 CHECKPOINT_MINUTES=0.01 GROUP=2 MEASURED_STEPS=4
    BANK=$OUT/packed
    if [ ! -d "$BANK" ]; then
        "$PYTHON" - "$OUT/bank" <<'PYTHON'
import json, pathlib, sys
import numpy as np

bank = pathlib.Path(sys.argv[1])
seconds = np.arange(40_000) / 8000
for number, split, name in ((n, s, i) for s in ("train", "heldout") for n, i in enumerate(("violin", "horn", "tuba"))):
    (bank / split / name).mkdir(parents=True)
    tone = 8000 * np.sin(2 * np.pi * 900 / 3**number * seconds) * (0.6 + 0.4 * np.sin(seconds))
    np.save(bank / split / name / "tones.npy", tone.astype(np.int16))
(bank / "bank.json").write_text(json.dumps({"sample_rate_hz": 8000}))
PYTHON
        "$PYTHON" "$HERE/benchmarks/pack_bank.py" "$OUT/bank" "$BANK"
    fi
fi
[ ${#RECIPES[@]} -gt 0 ] || { echo "Expected recipes; see av-sep recipes" >&2; exit 2; }
: "${BANK:?the folder of a packed bank}"

# tiny RECIPE: settings of a rehearsal.
tiny() {
    [ -n "${REHEARSE:-}" ] || return 0
    # Weights of networks that are not tiny do not fit.
    echo "model.sample_rate_hz=8000 model.num_filters=4 batch_size=2 validation_steps=2 start_from=null"
    case $1 in
        log_frequency*) echo "model.num_blocks=1 model.memory_units=0 model.num_bands=192 model.frame_length=256
            model.hop_length=64 segment_samples=4096" ;;
        *) echo "model.num_levels=3 segment_samples=1024" ;;
    esac
}

# train RECIPE FOLDER SETTING...: one run, or the rest of it.
train() {
    local recipe=$1 folder=$2 assignments=() setting
    shift 2
    for setting in mix_on_device=true steps_per_execution="$GROUP" $(tiny "$recipe") $SETTINGS "$@"; do
        assignments+=(--set "$setting")
    done
    ${EXEC:-} "$PYTHON" -m pipelines train "$recipe" --data "$BANK" -o "$folder" --backend jax --accelerator "$ACCELERATOR" \
        "${assignments[@]}"
}

# plan RECIPE: the settings that decide how long a run is; kept, because a run goes on only with the same.
plan() {
    local recipe=$1 measured=$OUT/measured/$1 kept=$OUT/$1.plan
    if [ ! -s "$kept" ]; then
        if [ -z "$STEPS" ]; then
            train "$recipe" "$measured" steps_per_epoch=$MEASURED_STEPS num_epochs=2 patience=null >&2 || return 1
        fi
        "$PYTHON" - "$measured" "$MINUTES" "$CHECKPOINT_MINUTES" "$GROUP" "${STEPS:-0}" > "$kept.part" <<'PYTHON' || return 1
import csv, json, pathlib, sys

measured, group, wanted = pathlib.Path(sys.argv[1]), int(sys.argv[4]), int(sys.argv[5])
minutes, checkpoint_minutes = map(float, sys.argv[2:4])
if wanted:
    per_epoch, total = max(1, wanted // 20 // group) * group, wanted
else:
    # The second epoch: the first one compiled.
    examples_per_second = float(list(csv.DictReader((measured / "history.csv").open()))[-1]["examples_per_second"])
    per_minute = 60 * examples_per_second / json.loads((measured / "config.json").read_text())["batch_size"]
    per_epoch = max(1, round(per_minute * checkpoint_minutes / group)) * group
    # The rest is compilation, validation and checkpoints.
    total = 0.92 * minutes * per_minute
epochs = max(2, round(total / per_epoch))
print(f"steps_per_epoch={per_epoch} num_epochs={epochs} warmup_steps={max(1, per_epoch * epochs // 25)} patience=null")
PYTHON
        mv "$kept.part" "$kept"
    fi
    cat "$kept"
}

# In a rehearsal, the first run is killed at its first checkpoint, to see it go on.
kill_at_checkpoint() {
    local recipe=$1
    shift
    EXEC=exec train "$recipe" "$OUT/$recipe" "$@" &
    local job=$!
    until [ -e "$OUT/$recipe/last.keras" ] || ! kill -0 $job 2> /dev/null; do sleep 0.1; done
    kill -KILL $job 2> /dev/null || true
    wait $job 2> /dev/null || true
}

num_failed=0
failed() {
    echo "$1: failed" >&2
    num_failed=$((num_failed + 1))
}

for recipe in "${RECIPES[@]}"; do
    # One recipe's failure must not leave the GPU idle for the others.
    settings=$(plan "$recipe") || { failed "$recipe"; continue; }
    echo "$recipe: $settings"
    if [ -n "${REHEARSE:-}" ] && [ "$recipe" = "${RECIPES[0]}" ] && [ ! -e "$OUT/$recipe/last.keras" ]; then
        kill_at_checkpoint "$recipe" $settings
        echo "$recipe: killed after $(($(wc -l < "$OUT/$recipe/history.csv") - 1)) epoch(s), now going on"
    fi
    train "$recipe" "$OUT/$recipe" $settings 2>&1 | tee -a "$OUT/$recipe.log" || failed "$recipe"
    [ ! -e "$OUT/$recipe/history.csv" ] || tail -n 1 "$OUT/$recipe/history.csv"
done
[ "$num_failed" -eq 0 ] || { echo "$num_failed of ${#RECIPES[@]} recipes failed" >&2; exit 1; }
