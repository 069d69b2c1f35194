"""Why an operator stays with TFLM's kernel."""


class Refusal(Exception):
    """The operator is none of ours; the message says why in one short sentence."""


def require(condition: bool, reason: str) -> None:
    """Raises Refusal with `reason` unless `condition` holds."""
    if not condition:
        raise Refusal(reason)
