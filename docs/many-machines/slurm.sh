#!/usr/bin/env bash
# One training on all nodes of a SLURM job, a worker on each: sbatch slurm.sh
#SBATCH --job-name=tinytrain
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --requeue
set -euo pipefail
PORT=12345
export WORKERS=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | sed "s/.*/\"&:$PORT\"/" | paste -sd,)
export RUN=runs/flowers
# Requeued after a node has failed, the job goes on after the last whole epoch.
export MORE=$([[ -f $RUN/config.toml ]] && echo --resume || true)
srun --kill-on-bad-exit=1 bash -c '
  export TF_CONFIG="{\"cluster\": {\"worker\": [$WORKERS]}, \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec tinytrain fit --data folder:/data/flowers --model mobilenet_v2 --out $RUN $MORE model.width=0.35 optim.batch=512'
