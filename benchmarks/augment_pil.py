"""The augmentation regimes of tinytrain, image by image in PIL and NumPy, for processes without TensorFlow."""

import numpy as np
from PIL import Image, ImageEnhance, ImageOps

FILL = (124, 116, 103)
RAND_AUGMENT = (
    *("AutoContrast", "Equalize", "Invert", "Rotate", "Posterize", "Solarize", "SolarizeAdd", "Color", "Contrast"),
    *("Brightness", "Sharpness", "ShearX", "ShearY", "TranslateX", "TranslateY"),
)
AUG_MIX = (
    *("AutoContrast", "Color", "Contrast", "Brightness", "Sharpness", "Equalize", "Posterize", "Solarize"),
    *("ShearX", "ShearY", "TranslateX", "TranslateY"),
)
images = np.empty(0)
random = np.random.default_rng()


def begin(seed, side, count):
    """Creates the images and the random generator of a worker process."""
    global images, random
    random = np.random.default_rng(seed)
    images = np.random.default_rng(0).integers(0, 256, (count, side, side, 3), dtype=np.uint8)


def batch(regime):
    """Returns a batch (B, H, W, 3) of augmented images, with labels if the regime mixes them."""
    return REGIMES[regime]()


def rand_augment():
    return np.stack([np.asarray(_rand_augment(Image.fromarray(image))) for image in images])


def aug_mix():
    return np.stack([np.asarray(_aug_mix(Image.fromarray(image))) for image in images])


def mix_up():
    share = np.float32(random.beta(0.2, 0.2))
    labels = np.eye(100, dtype=np.float32)[random.integers(0, 100, len(images))]
    return _blend(images.astype(np.float32), share), _blend(labels, share)


def cut_mix():
    share, (height, width) = random.beta(1, 1), images.shape[1:3]
    half = [int(side * np.sqrt(1 - share)) // 2 for side in (height, width)]
    row, column = random.integers(0, height), random.integers(0, width)
    rows = slice(max(row - half[0], 0), min(row + half[0], height))
    columns = slice(max(column - half[1], 0), min(column + half[1], width))
    mixed = images.copy()
    mixed[:, rows, columns] = images[::-1, rows, columns]
    labels = np.eye(100, dtype=np.float32)[random.integers(0, 100, len(images))]
    share = 1 - (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
    return mixed, _blend(labels, np.float32(share))


REGIMES = {"RandAugment(2, 9)": rand_augment, "AugMix m5-w3": aug_mix, "MixUp": mix_up, "CutMix": cut_mix}


def _blend(values, share):
    return values * share + values[::-1] * (1 - share)


def _rand_augment(image):
    for name in random.choice(RAND_AUGMENT, 2):
        if random.random() < 0.5:
            image = _apply(image, name, _rand_augment_arguments(9.0))
    return image


def _aug_mix(image):
    mixed = np.zeros((image.height, image.width, 3), np.float32)
    for weight in random.dirichlet((1, 1, 1)).astype(np.float32):
        chain = image
        for name in random.choice(AUG_MIX, random.integers(1, 4)):
            chain = _apply(chain, name, _aug_mix_arguments(random.uniform(0, 5)))
        mixed += weight * np.asarray(chain, np.float32)
    return Image.blend(image, Image.fromarray(np.clip(mixed, 0, 255).astype(np.uint8)), random.beta(1, 1))


def _rand_augment_arguments(level):
    """Returns the arguments of RandAugment's operations at a level."""
    return {"Posterize": int(level * 0.4), "Solarize": int(level * 25.6), "blend": 0.1 + level * 0.18, "level": level}


def _aug_mix_arguments(level):
    """Returns the arguments of AugMix's operations at a level."""
    blend = 1 + (level if random.random() < 0.5 else -level) * 0.09
    return {"Posterize": 4 - int(level * 0.4), "Solarize": 256 - int(level * 25.6), "blend": blend, "level": level}


def _apply(image, name, arguments):
    if name in OPERATIONS:
        return OPERATIONS[name](image, arguments)
    if name in ENHANCE:
        return ENHANCE[name](image).enhance(arguments["blend"])
    return _move(image, name, arguments["level"] * (1 if random.random() < 0.5 else -1))


def _solarize_add(image, arguments):
    added = int(arguments["level"] * 11)
    return image.point([min(255, level + added) if level < 128 else level for level in range(256)] * 3)


OPERATIONS = {
    "AutoContrast": lambda image, _: ImageOps.autocontrast(image),
    "Equalize": lambda image, _: ImageOps.equalize(image),
    "Invert": lambda image, _: ImageOps.invert(image),
    "Posterize": lambda image, arguments: ImageOps.posterize(image, arguments["Posterize"]),
    "Solarize": lambda image, arguments: ImageOps.solarize(image, arguments["Solarize"]),
    "SolarizeAdd": _solarize_add,
}
ENHANCE = {
    "Color": ImageEnhance.Color,
    "Contrast": ImageEnhance.Contrast,
    "Brightness": ImageEnhance.Brightness,
    "Sharpness": ImageEnhance.Sharpness,
}


def _move(image, name, level):
    if name == "Rotate":
        return image.rotate(level * 3, Image.Resampling.BILINEAR, fillcolor=FILL)
    matrix = {
        "ShearX": (1, level * 0.03, 0, 0, 1, 0),
        "ShearY": (1, 0, 0, level * 0.03, 1, 0),
        "TranslateX": (1, 0, level * 0.045 * image.width, 0, 1, 0),
        "TranslateY": (1, 0, 0, 0, 1, level * 0.045 * image.height),
    }[name]
    return image.transform(image.size, Image.Transform.AFFINE, matrix, Image.Resampling.BILINEAR, fillcolor=FILL)
