"""Texts and numbers as C and C++ have them."""

import numpy as np

NOTE = "// Written by `tinytrain export`. Do not edit: export again.\n"
_NUMBERS_PER_LINE = 24


def c_string(text: str) -> str:
    """Returns `text` as a C string literal of ASCII only, its UTF-8 bytes escaped in octal."""
    return '"' + "".join(_escape(byte) for byte in text.encode("utf-8")) + '"'


def c_float(value: float) -> str:
    """Returns a number as a literal of the nearest float32."""
    return f"{float(np.float32(value))!r}f"


def numbers(values: np.ndarray) -> str:
    """Returns integers as what stands between the braces of an array."""
    texts = [str(value) for value in values.reshape(-1).tolist()]
    return ",\n".join(",".join(texts[i : i + _NUMBERS_PER_LINE]) for i in range(0, len(texts), _NUMBERS_PER_LINE))


def _escape(byte: int) -> str:
    # Three octal digits end by themselves, unlike \x; ? is escaped since ??/ and its like are trigraphs.
    plain = 32 <= byte < 127 and chr(byte) not in '"\\?'
    return chr(byte) if plain else f"\\{byte:03o}"
