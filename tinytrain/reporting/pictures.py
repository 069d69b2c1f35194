"""Small images inside the page."""

import base64
import io

import numpy as np
from PIL import Image

MOST_PIXELS = 96  # of a side


def data_uri(image: np.ndarray) -> str:
    """Returns an image (R, R, 1 or 3) uint8 as the data URI of a PNG, at most MOST_PIXELS wide."""
    picture = Image.fromarray(np.squeeze(image, axis=-1) if image.shape[-1] == 1 else image)
    if picture.width > MOST_PIXELS:
        picture = picture.resize((MOST_PIXELS, MOST_PIXELS), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
