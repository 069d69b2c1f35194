"""AM-Softmax (Wang et al., 2018; arXiv 1801.05599): a margin between the angles of features and classes."""

import math


def usual_scale(classes: int) -> float:
    """Returns max(√2·ln(classes − 1), 3), the released code's scale of the cosines (methods.md C.6)."""
    return max(math.sqrt(2) * math.log(classes - 1), 3.0) if classes > 1 else 3.0
