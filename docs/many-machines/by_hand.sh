#!/usr/bin/env bash
# One training on two machines: copy this file to both and run it on each with its own number.
#     on node0: bash by_hand.sh 0        on node1: bash by_hand.sh 1
set -euo pipefail
WORKERS='"node0:12345", "node1:12345"' # the first is the chief; the ports must be open between the machines
export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $1}}"
exec tinytrain fit --data folder:/data/flowers --model mobilenet_v2 --out runs/flowers model.width=0.35 optim.batch=128
