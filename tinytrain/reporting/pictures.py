"""Small pictures inside the page."""

import base64
import io

import numpy as np
from PIL import Image

SIDE = 96  # pixels at most


def data_uri(image: np.ndarray) -> str:
    """Returns an image (R, R, 1 or 3) uint8 as a PNG data URI, at most SIDE pixels wide."""
    picture = Image.fromarray(np.squeeze(image, axis=-1) if image.shape[-1] == 1 else image)
    if picture.width > SIDE:
        picture = picture.resize((SIDE, SIDE), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    picture.save(file, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()
