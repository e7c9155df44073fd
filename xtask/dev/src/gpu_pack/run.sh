#!/usr/bin/env bash
# Checks and measures flow matching on this machine's GPU. Needs bash, a GPU, and Python with PyTorch 2.11; no cargo, no network.
#
#   ./run.sh                    all parts, under 9 minutes; results in $OUT (./results)
#   FM_GPU_CHECK_SMALL=1        tiny sizes, to try the script
#   FM_DEVICE=cuda:1            another device
#   PYTHON=/path/to/python3     another Python
#   FM_TORCH_LIB=DIR[:DIR]      libtorch from here instead of from Python's PyTorch
#   FM_LIMIT_SCALE=4            that many times the time limits, for slow machines
#   CIFAR10=DIR                 train on these binary batches instead of random images
#
# Exit code 0: every part that must hold did. Each check is a line of $OUT/results.jsonl; $OUT/table.txt and table.md sum them up.
set -u
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
export OUT=${OUT:-$PWD/results}
export FM_DEVICE=${FM_DEVICE:-cuda}
export PYTHON=${PYTHON:-python3}
small=${FM_GPU_CHECK_SMALL:-0}
results=$OUT/results.jsonl

# emit PART CHECK true|false [, more JSON members]
emit() { printf '{"part":"%s","check":"%s","ok":%s%s}\n' "$1" "$2" "$3" "${4:+,$4}" >> "$results"; }
# A text as a JSON string.
quoted() { printf '"%s"' "$(printf '%s' "$1" | tr '\n\t' '  ' | tr -d '\000-\037' | sed 's/\\/\\\\/g; s/"/\\"/g' | cut -c1-300)"; }
# One of two values: for tiny sizes, and for real ones.
pick() { if [ "$small" = 1 ]; then echo "$1"; else echo "$2"; fi; }
now() { date +%s.%N; }
since() { awk -v a="$1" -v b="$(now)" 'BEGIN { printf "%.1f", b - a }'; }
train() { "$here/cifar-train" train "$@"; }
# The member NAME of the last line of a log.
last() { tail -n 1 "$1" | sed -n "s/.*\"$2\":\([-0-9.eE+]*\).*/\1/p"; }
weights_hash() { sha256sum "$1/model.safetensors" 2>/dev/null | cut -c1-16; }

part_load() {
  local driver
  driver=$(nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader 2>&1 | head -n 1)
  emit load driver true "\"nvidia-smi\":$(quoted "${driver:-none}"),\"machine\":$(quoted "$(uname -srm), $(nproc) cores")"
  "$here/gpu-check" load --device "$FM_DEVICE" >> "$results"
}

part_parity() { "$here/gpu-check" parity --device "$FM_DEVICE" >> "$results"; }

part_speed() { "$here/gpu-check" speed --device "$FM_DEVICE" >> "$results"; }

part_profile() { "$here/gpu-check" profile --device "$FM_DEVICE" --out "$OUT" >> "$results"; }

part_peers() {
  if ! "$PYTHON" -c 'import torch' > /dev/null 2>&1; then
    emit peers PyTorch true '"skipped":"this Python has no PyTorch"'
    return 0
  fi
  "$here/gpu-check" peers --device "$FM_DEVICE" --out "$OUT/peers" >> "$results" || return 1
  "$PYTHON" "$here/gpu_peers.py" "$OUT/peers" "$FM_DEVICE" $(pick --small '') >> "$results"
}

# One process of a group. $1 is its rank, $2 the number of processes, $3 the port; the rest goes to `train`.
rank() {
  local rank=$1 world=$2 port=$3
  shift 3
  RANK=$rank LOCAL_RANK=$rank WORLD_SIZE=$world MASTER_ADDR=127.0.0.1 MASTER_PORT=$port GLOO_SOCKET_IFNAME=lo train "$@"
}

part_collectives() {
  local steps device=$FM_DEVICE failed=0 port=$((20000 + $$ % 20000)) common alone pair
  steps=$(pick 2 40)
  common="--preset quickstart --steps $steps --batch-size $(pick 8 64) --log-every $steps --save-every $steps --sample-every 0 --seed 3"
  if [ -e "$here/libfm_nccl.so" ]; then
    if rank 0 1 $port $common --device "$FM_DEVICE" --out "$OUT/nccl" > "$OUT/nccl.log" 2>&1; then
      emit collectives "NCCL, a world of one" true "\"loss\":$(last "$OUT/nccl/metrics.jsonl" loss)"
    else
      emit collectives "NCCL, a world of one" false "\"error\":$(quoted "$(tail -n 1 "$OUT/nccl.log")")"
      failed=1
    fi
    # Two ranks of one NCCL group cannot share a GPU.
    device=cpu
  else
    emit collectives "NCCL, a world of one" true '"skipped":"this pack has no NCCL half"'
  fi
  train $common --device "$device" --out "$OUT/gloo-1" > "$OUT/gloo-1.log" 2>&1 || failed=1
  rank 1 2 $((port + 1)) $common --device "$device" --out "$OUT/gloo-2" --dist-timeout 60 > "$OUT/gloo-2b.log" 2>&1 &
  rank 0 2 $((port + 1)) $common --device "$device" --out "$OUT/gloo-2" --dist-timeout 60 > "$OUT/gloo-2a.log" 2>&1 || failed=1
  wait $! || failed=1
  alone=$(last "$OUT/gloo-1/metrics.jsonl" loss)
  pair=$(last "$OUT/gloo-2/metrics.jsonl" loss)
  if awk -v a="$alone" -v b="$pair" 'BEGIN { d = a - b; exit !(a > 0 && b > 0 && d * d < 1e-6 * a * a) }'; then
    emit collectives "Gloo, two processes: the loss of one" true "\"device\":\"$device\",\"one\":$alone,\"two\":$pair"
  else
    emit collectives "Gloo, two processes: the loss of one" false \
      "\"one\":$(quoted "$alone"),\"two\":$(quoted "$pair"),\"error\":$(quoted "$(tail -n 1 "$OUT/gloo-2a.log")")"
    failed=1
  fi
  return $failed
}

# Random images of ten classes, as cifar-train reads them.
random_images() {
  "$PYTHON" - "$1" <<'PYTHON'
import os, sys
def npy(path, kind, shape, data):
    head = f"{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}"
    head += " " * (63 - (10 + len(head)) % 64) + "\n"
    with open(path, "wb") as file:
        file.write(b"\x93NUMPY\x01\x00" + len(head).to_bytes(2, "little") + head.encode() + data)
n = 2048
npy(sys.argv[1] + "/images.npy", "|u1", (n, 32, 32, 3), os.urandom(n * 3072))
npy(sys.argv[1] + "/labels.npy", "<i8", (n,), b"".join((i % 10).to_bytes(8, "little") for i in range(n)))
PYTHON
}

train_quickstart() {
  local run=$OUT/quickstart start seconds
  start=$(now)
  train --preset quickstart --steps "$(pick 4 1000)" --batch-size "$(pick 8 64)" --log-every "$(pick 2 100)" --sample-every 0 \
    --device "$FM_DEVICE" --out "$run" > "$run.log" 2>&1 || { emit training quickstart false "\"error\":$(quoted "$(tail -n 1 "$run.log")")"; return 1; }
  seconds=$(since "$start")
  "$here/cifar-train" evaluate --checkpoint "$run" --device "$FM_DEVICE" --num-samples "$(pick 20 1000)" --num-steps "$(pick 2 50)" \
    --metrics "$(pick kid fd,kid)" --json "$OUT/quickstart.json" --cache "$OUT/cache" >> "$run.log" 2>&1 \
    || { emit training "quickstart: evaluate" false "\"error\":$(quoted "$(tail -n 1 "$run.log")")"; return 1; }
  emit training "quickstart and evaluate" true \
    "\"seconds of training\":$seconds,\"loss\":$(last "$run/metrics.jsonl" loss),\"evaluation\":$(tr -d '\n' < "$OUT/quickstart.json")"
}

# train_unet PRECISION: the CIFAR-10 U-Net for 300 steps.
train_unet() {
  local run=$OUT/unet-$1 steps start loss
  steps=$(pick 2 300)
  start=$(now)
  train --preset "$(pick cifar10-tiny cifar10-unet)" --data "$data" --precision "$1" --steps "$steps" --batch-size "$(pick 4 128)" \
    --warmup-steps "$(pick 1 100)" --log-every "$(pick 1 100)" --save-every "$steps" --sample-every 0 --coupling independent \
    --num-workers "$(pick 1 4)" --device "$FM_DEVICE" --out "$run" > "$run.log" 2>&1 \
    || { emit training "U-Net, $1" false "\"error\":$(quoted "$(tail -n 1 "$run.log")")"; return 1; }
  loss=$(last "$run/metrics.jsonl" loss)
  if awk -v l="$loss" 'BEGIN { exit !(l > 0 && l < 10) }'; then
    emit training "U-Net, $1, $steps steps" true "\"seconds\":$(since "$start"),\"loss\":$loss"
  else
    emit training "U-Net, $1, $steps steps" false "\"loss\":$(quoted "$loss")"
    return 1
  fi
}

# A run that is killed and resumed ends with the weights of one that is not.
train_resume() {
  local every steps common whole=$OUT/whole killed=$OUT/killed pid tries=0 a b exact=false
  every=$(pick 2 20)
  steps=$((3 * every))
  common="--preset quickstart --batch-size $(pick 8 64) --steps $steps --log-every $every --save-every $every --sample-every 0 --device $FM_DEVICE"
  # Without deterministic kernels the last bits of a GPU's sums vary.
  if "$here/cifar-train" train --help | grep -q -- '--deterministic'; then
    common="$common --deterministic"
    exact=true
    export CUBLAS_WORKSPACE_CONFIG=:4096:8
  fi
  train $common --out "$whole" > "$whole.log" 2>&1 || { emit training "kill and resume" false '"error":"the whole run failed"'; return 1; }
  "$here/cifar-train" train $common --out "$killed" > "$killed.log" 2>&1 &
  pid=$!
  while [ ! -e "$killed/checkpoints/step-$every/meta.json" ] && kill -0 $pid 2> /dev/null && [ $tries -lt 3000 ]; do
    sleep 0.02
    tries=$((tries + 1))
  done
  kill -9 $pid 2> /dev/null
  wait $pid 2> /dev/null
  # Killed in time, or the comparison shows nothing.
  if [ -e "$killed/checkpoints/step-$steps/meta.json" ]; then
    rm -rf "$killed/checkpoints/step-$steps" "$killed/checkpoints/step-$((2 * every))"
  fi
  train --out "$killed" --resume --device "$FM_DEVICE" >> "$killed.log" 2>&1 \
    || { emit training "kill and resume" false "\"error\":$(quoted "$(tail -n 1 "$killed.log")")"; return 1; }
  a=$(weights_hash "$whole/checkpoints/step-$steps")
  b=$(weights_hash "$killed/checkpoints/step-$steps")
  if [ -n "$a" ] && [ "$a" = "$b" ]; then
    emit training "kill -9 and resume: same weights" true "\"sha256\":\"$a\""
  elif [ -n "$b" ] && [ $exact = false ] && [ "$FM_DEVICE" != cpu ]; then
    emit training "kill -9 and resume: same weights" true "\"note\":\"other last bits, without deterministic kernels\",\"whole\":\"$a\",\"resumed\":\"$b\""
  else
    emit training "kill -9 and resume: same weights" false "\"whole\":\"$a\",\"resumed\":\"$b\""
    return 1
  fi
}

part_training() {
  local failed=0
  if [ -n "${CIFAR10:-}" ]; then
    data=cifar10:$CIFAR10
  else
    random_images "$OUT" || return 1
    data=$OUT/images.npy,$OUT/labels.npy
  fi
  train_resume || failed=1
  train_unet bf16 || failed=1
  train_quickstart || failed=1
  train_unet f32 || failed=1
  return $failed
}

# part NAME SECONDS must|may: runs part_NAME, and adds the line that says how it went.
part() {
  local start code ok=true error='' limit=$(($2 * ${FM_LIMIT_SCALE:-1}))
  echo "== $1 (at most $limit s)" >&2
  start=$(now)
  timeout -k 5 "$limit" bash "${BASH_SOURCE[0]}" --part "$1" > "$OUT/$1.out" 2> "$OUT/$1.err"
  code=$?
  if [ $code -ne 0 ]; then
    ok=false
    error=$(grep -v '^\[' "$OUT/$1.err" | tail -n 1)
    [ $code -eq 124 ] || [ $code -eq 137 ] && error="stopped after $limit s"
  fi
  # A line that was cut off by the end of its process.
  [ ! -s "$results" ] || [ -z "$(tail -c 1 "$results")" ] || echo >> "$results"
  emit "$1" "(part)" $ok "\"must\":$([ "$3" = must ] && echo true || echo false),\"seconds\":$(since "$start"),\"exit\":$code${error:+,\"error\":$(quoted "$error")}"
}

if [ "${1:-}" = --part ]; then
  "part_$2"
  exit
fi

mkdir -p "$OUT" && : > "$results" || exit 2
lib=${FM_TORCH_LIB:-$("$PYTHON" -c 'import os, torch; print(os.path.join(os.path.dirname(torch.__file__), "lib"))' 2> /dev/null)}
if [ -z "$lib" ]; then
  echo "error: $PYTHON has no PyTorch; set PYTHON to one that has PyTorch 2.11, or FM_TORCH_LIB to a directory of libtorch" >&2
  exit 2
fi
export LD_LIBRARY_PATH=$lib${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}
part load 40 must
part parity 60 must
part collectives 45 must
part speed 130 must
part peers 110 may
part profile 45 must
part training 100 must
"$PYTHON" "$here/table.py" "$OUT"
