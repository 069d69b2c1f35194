"""The search for the best network of a board: Optuna's sampler and pruner over architectures, sizes and few keys."""
