"""What the paper searches by default: the "auto" of [search], apart from the search, which imports Optuna."""

RANGES = {"efficientnet_b0": (0.001, 0.01)}  # as published, by architecture; the others have that of MobileNetV3
RANGE = (0.005, 0.029)
EPOCHS = {"tpe": 6, "grid": 9}


def learning_rates(model: str) -> tuple[float, float]:
    """Returns the lowest and the highest learning rate that the paper searches for an architecture."""
    return RANGES.get(model, RANGE)


def epochs(algorithm: str) -> int:
    """Returns how many epochs a trial of this search.algorithm has; 1 where there are no trials."""
    return EPOCHS.get(algorithm, 1)
