"""One training on the workers of a Ray cluster: pip install "ray[train]" and python ray_train.py.

Ray starts the workers, sets TF_CONFIG and starts all again after a failure; tinytrain does the rest.
"""

from pathlib import Path

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.tensorflow import TensorflowTrainer

WORKERS = 2
KEYS = ["model.name=mobilenet_v2", "model.width=0.35", "optim.batch=128"]  # data.spec=folder:/data/flowers for your own
RUN = Path("runs/ray").resolve()  # in a folder that all machines see


def train() -> None:
    """Runs on every worker."""
    from tinytrain.commands.fit import fit
    from tinytrain.config import load as configs

    fit(configs.load(None, KEYS), RUN, resume=(RUN / "config.toml").is_file())


if __name__ == "__main__":
    ray.init()
    trainer = TensorflowTrainer(
        train,
        scaling_config=ScalingConfig(num_workers=WORKERS, resources_per_worker={"CPU": 1}),
        run_config=RunConfig(failure_config=FailureConfig(max_failures=3)),
    )
    trainer.fit()
