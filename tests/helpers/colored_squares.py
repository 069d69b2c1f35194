"""Small pictures with colored squares, as a VOC tree that a detector learns in seconds."""

import numpy as np
from box_trees import voc_xml
from PIL import Image

COLORS = {"blue": (40, 40, 230), "green": (30, 210, 40), "red": (220, 30, 40)}


def squares(root, counts, classes=tuple(COLORS), size=64, seed=0, most=3):
    """Writes a VOC tree of pictures with squares in the colors of their classes; counts: {split: pictures}."""
    random, lists = np.random.default_rng(seed), root / "ImageSets" / "Main"
    for folder in (root / "JPEGImages", root / "Annotations", lists):
        folder.mkdir(parents=True)
    for split, count in counts.items():
        names = [f"{split}_{number:02d}" for number in range(count)]
        (lists / f"{split}.txt").write_text("".join(f"{name}\n" for name in names))
        for number, name in enumerate(names):
            pixels, rows = random.integers(100, 130, (size, size, 3)).astype(np.uint8), []
            quarters = random.permutation(4)[: 1 + number % most]
            for place, quarter in enumerate(quarters):
                side = int(random.integers(14, 28))
                x, y = (int(32 * at + random.integers(0, 33 - side)) for at in (quarter % 2, quarter // 2))
                label = classes[(number + place) % len(classes)]
                pixels[y : y + side, x : x + side] = COLORS[label]
                rows.append((label, x + 1, y + 1, x + side, y + side))
            Image.fromarray(pixels).save(root / "JPEGImages" / f"{name}.png")
            (root / "Annotations" / f"{name}.xml").write_text(voc_xml(rows, (size, size), f"{name}.png"))
    return root
