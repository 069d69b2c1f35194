"""Arms of a paper's table that are trained at several resolutions: curves of its figure. Imports no TensorFlow."""

from typing import Any

Arms = dict[str, dict[str, Any]]  # of a table's file, by their labels


def expanded(arms: Arms) -> Arms:
    """Returns the arms with one for each of the `resolutions` of those that have some, labelled "LABEL at RESOLUTION".

    Each of these has the key `curve`, the label they share. What another arm is compared to, `against`, is its arm at
    the same resolution.
    """
    return {name: values for label, arm in arms.items() for name, values in _at_resolutions(label, arm, arms).items()}


def at(label: str, resolution: int) -> str:
    """Returns the label of an arm at a resolution."""
    return f"{label} at {resolution}"


def _at_resolutions(label: str, arm: dict[str, Any], arms: Arms) -> Arms:
    if "resolutions" not in arm:
        return {label: arm}
    rest, settings = {key: value for key, value in arm.items() if key != "resolutions"}, arm.get("set", {})
    expanded_arms = {}
    for resolution in arm["resolutions"]:
        values = rest | {"curve": label}
        values["set"] = settings | {"model": settings.get("model", {}) | {"resolution": resolution}}
        if "resolutions" in arms.get(arm.get("against", ""), {}):
            values["against"] = at(arm["against"], resolution)
        expanded_arms[at(label, resolution)] = values
    return expanded_arms
