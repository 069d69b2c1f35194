"""The same pictures with boxes, written in every format that is read. Names have blanks and umlauts."""

import csv
import json

import numpy as np
from PIL import Image

CLASSES = ("apple", "pear")
# {name of a picture: (width, height), [(class, x0, y0, x1, y1)]}: half-open pixels, as numbers that all formats keep
PICTURES = {
    "first": ((40, 32), [("pear", 4, 8, 20, 24), ("apple", 10, 0, 40, 16)]),
    "über 2": ((32, 40), [("apple", 2, 10, 30, 40), ("apple", 0, 0, 8, 5), ("pear", 16, 20, 24, 30)]),
    "third": ((40, 32), []),
}


def write_pictures(folder, pictures=PICTURES, suffix=".png"):
    """Writes images of the sizes in `pictures` into a folder, of noise that depends on their names."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, (size, _) in pictures.items():
        pixels = np.random.default_rng([*name.encode()]).integers(0, 256, (size[1], size[0], 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{name}{suffix}")


def voc_xml(boxes, size=(40, 32), filename="", extra=""):
    """Returns the text of an XML file; each box is (class, xmin, ymin, xmax, ymax[, difficult]) as VOC has them.

    The line of the first <bndbox> is 6; further ones follow every 4 lines.
    """
    lines = [
        '<annotation verified="yes">',
        f"<filename>{filename}</filename>",
        "<source><database>Unknown</database></source>",
        f"<size><width>{size[0]}</width><height>{size[1]}</height><depth>3</depth></size>{extra}",
    ]
    for name, x0, y0, x1, y1, *difficult in boxes:
        lines += [
            f"<object><name>{name}</name><difficult>{difficult[0] if difficult else 0}</difficult>",
            f"<bndbox><xmin>{x0}</xmin><ymin>{y0}</ymin><xmax>{x1}</xmax><ymax>{y1}</ymax></bndbox>",
            "<part><name>hand</name><bndbox><xmin>1</xmin><ymin>1</ymin><xmax>2</xmax><ymax>2</ymax></bndbox></part>",
            "</object>",
        ]
    return "\n".join([*lines, "</annotation>"])


def write_voc(root, pictures=PICTURES, xmls="Annotations", images="JPEGImages"):
    """Writes 1-based boxes; a picture without boxes has no XML file."""
    write_pictures(root / images, pictures)
    (root / xmls).mkdir(exist_ok=True, parents=True)
    for name, (size, boxes) in pictures.items():
        if boxes:
            rows = [(label, x0 + 1, y0 + 1, x1, y1) for label, x0, y0, x1, y1 in boxes]
            (root / xmls / f"{name}.xml").write_text(voc_xml(rows, size, f"{name}.png"), encoding="utf-8")
    return root


def coco(pictures=PICTURES, classes=CLASSES):
    """Returns what an instances file holds; ids of categories are not contiguous."""
    file = {"images": [], "annotations": [], "categories": []}
    file["categories"] = [{"id": 7 + 10 * number, "name": name} for number, name in enumerate(classes)]
    for number, (name, ((width, height), boxes)) in enumerate(pictures.items()):
        image = {"id": 900 - number, "file_name": f"{name}.png", "width": width, "height": height}
        file["images"].append(image)
        for label, x0, y0, x1, y1 in boxes:
            box = {
                "id": len(file["annotations"]),
                "image_id": 900 - number,
                "category_id": 7 + 10 * classes.index(label),
            }
            file["annotations"].append(box | {"bbox": [x0, y0, x1 - x0, y1 - y0], "iscrowd": 0})
    return file


def write_coco(root, file=None, name="annotations/instances_default.json", pictures=PICTURES):
    write_pictures(root / "images", pictures)
    (root / name).parent.mkdir(exist_ok=True, parents=True)
    (root / name).write_text(json.dumps(coco(pictures) if file is None else file))
    return root


def yolo_lines(name, pictures=PICTURES):
    (width, height), boxes = pictures[name]
    rows = [
        (CLASSES.index(label), (x0 + x1) / 2 / width, (y0 + y1) / 2 / height, (x1 - x0) / width, (y1 - y0) / height)
        for label, x0, y0, x1, y1 in boxes
    ]
    return "".join("{} {:.8f} {:.8f} {:.8f} {:.8f}\n".format(*row) for row in rows)


def write_yolo(root, yaml="names: [apple, pear]\nnc: 2\n", pictures=PICTURES):
    write_pictures(root / "images", pictures)
    (root / "labels").mkdir(parents=True)
    for name in pictures:
        (root / "labels" / f"{name}.txt").write_text(yolo_lines(name, pictures))
    if yaml:
        (root / "data.yaml").write_text(yaml)
    return root


def write_csv(root):
    write_pictures(root / "images")
    rows = [("path", "label", "xmin", "ymin", "xmax", "ymax")]
    for name, (_, boxes) in PICTURES.items():
        rows += [(f"images/{name}.png", *box) for box in boxes or [("", "", "", "", "")]]
    with open(root / "table.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return root / "table.csv"


def write_open_images(root):
    """Writes the header and shares of OpenImages with the decimal commas of a spreadsheet, ImageIDs without suffix."""
    write_pictures(root / "images")
    rows = [("ImageID", "Source", "LabelName", "Confidence", "XMin", "XMax", "YMin", "YMax", "IsGroupOf")]
    for name, ((width, height), boxes) in PICTURES.items():
        for label, x0, y0, x1, y1 in boxes:
            shares = [f"{value:.9f}".replace(".", ",") for value in (x0 / width, x1 / width, y0 / height, y1 / height)]
            rows.append((name, "", label, "", *shares, "0"))
        if not boxes:
            rows.append((name, *[""] * 8))
    with open(root / "boxes.csv", "w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows(rows)
    return root / "boxes.csv"


def write_labelme(root, pictures=PICTURES):
    """Writes the JSON files beside the pictures; corners in any order."""
    write_pictures(root, pictures)
    for name, ((width, height), boxes) in pictures.items():
        shapes = [
            {"label": label, "points": [[x1, y0], [x0, y1]], "shape_type": "rectangle"}
            for label, x0, y0, x1, y1 in boxes
        ]
        file = {"imagePath": f"..\\elsewhere\\{name}.png", "imageWidth": width, "imageHeight": height, "shapes": shapes}
        (root / f"{name}.json").write_text(json.dumps(file))
    return root


def write_records(root, encoded=True, name="data.record", pictures=PICTURES):
    import tensorflow as tf

    write_pictures(root / "images", pictures)
    with tf.io.TFRecordWriter(str(root / name)) as writer:
        for picture, ((width, height), boxes) in pictures.items():
            path = root / "images" / f"{picture}.png"
            features = {
                "image/filename": [path.name.encode()],
                "image/width": [width],
                "image/height": [height],
                "image/object/class/text": [label.encode() for label, *_ in boxes],
                **{
                    f"image/object/bbox/{side}": [box[1 + number] / (height if number % 2 else width) for box in boxes]
                    for number, side in enumerate(("xmin", "ymin", "xmax", "ymax"))
                },
            }
            if encoded:
                features["image/encoded"] = [path.read_bytes()]
                path.unlink()
            writer.write(example(features))
    return root


def example(features):
    """Returns a serialized tf.train.Example of {name: list of bytes, whole numbers or numbers}."""
    import tensorflow as tf

    kinds = {bytes: ("bytes_list", tf.train.BytesList), int: ("int64_list", tf.train.Int64List)}
    message = tf.train.Example()
    for name, values in features.items():
        kind, make = kinds.get(type(values[0]) if values else bytes, ("float_list", tf.train.FloatList))
        message.features.feature[name].CopyFrom(tf.train.Feature(**{kind: make(value=values)}))
    return message.SerializeToString()


def found(dataset):
    """Returns {stem of a picture: its boxes (class, x0, y0, x1, y1), sorted} of a dataset, as PICTURES has them."""
    result = {}
    for image_set in dataset.image_sets.values():
        for name, rows in zip(image_set.names, image_set.annotations, strict=True):
            own = [row for row in rows.tolist() if row[0] >= 0]
            stem = name.rpartition("/")[2].rpartition(".")[0]
            result[stem] = sorted(
                (dataset.classes[int(row[0])], *(round(value, 4) for value in row[1:5])) for row in own
            )
    return result


EXPECTED = {name: sorted((label, *map(float, box)) for label, *box in boxes) for name, (_, boxes) in PICTURES.items()}


def kinds(dataset):
    """Returns {kind of finding: its lines}, checked to be told apart."""
    assert len({finding.kind for finding in dataset.findings}) == len(dataset.findings)
    return {finding.kind: list(finding.files) for finding in dataset.findings}


def severe(dataset):
    return {finding.kind for finding in dataset.findings if finding.severe}
