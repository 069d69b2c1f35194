"""What a head of tinytrain/heads is, by its name."""

from tinytrain.config import plugins


def has_anchors(head: str) -> bool:
    """True unless `head` finds centres without sizes."""
    return not getattr(plugins.load("heads", head), "CENTROIDS", False)
