"""The typed schema of a run: every key with its type, default, range, unit and meaning.

The value "auto" of a key is replaced, before anything is trained, by what the data, the model or the device asks for.
The sections of the training methods stand in `method_keys`. Nothing here imports TensorFlow.
"""

from dataclasses import dataclass, field
from typing import Literal

from tinytrain.config import method_keys
from tinytrain.config.fields import (
    LEAST_SCORE,
    MOST_BATCH,
    MOST_BOXES,
    MOST_EPOCHS,
    MOST_IMAGES,
    MOST_RATE,
    MOST_SCORE,
    MOST_SEED,
    MOST_TRIALS,
    MOST_WEIGHT,
    Auto,
    key,
)


@dataclass
class Data:
    """Where the images come from and how they are split."""

    spec: str = key(
        "digits",
        "digits, folder:PATH, csv:FILE, tfds:NAME[/CONFIG], for boxes voc:, coco:, yolo:, labelme: or tfrecord:PATH, "
        "or a name from `tinytrain list datasets`",
    )
    split: Literal["auto", "official", "trainval", "random", "shuffled", "paper"] = key(
        "auto",
        "official: as the data comes; trainval: val joins train; random: split again; paper: the test count of a "
        "paper; shuffled: official, what is held out is drawn by a plain shuffle",
    )
    val_fraction: float = key(0.1, "share of the training images held out, if the data has no val split", 0.01, 0.5)
    test_fraction: float = key(0.2, "share of all images held out, if the data has no test split", 0.01, 0.5)
    val_images: int = key(
        0, "images held out for val instead of val_fraction, exactly; 0: the fraction", 0, MOST_IMAGES
    )
    test_images: int = key(
        0, "images held out for test instead of test_fraction, exactly; 0: the fraction", 0, MOST_IMAGES
    )
    seed: int | Auto = key(
        "auto", "draws what is held out: the same number, the same split, whatever seed is; auto: seed", 0, MOST_SEED
    )
    train_images: int = key(
        0, "train on so many images only, drawn evenly from all that are left; 0: on all", 0, MOST_IMAGES
    )
    resize: Literal["auto", "stretch", "crop", "eval_crop", "pad"] = key(
        "auto",
        "how an image is brought to model.resolution; eval_crop: the inner 7/8 of the centre square, as papers "
        "evaluate; auto: that with data.decode_resolution, pad if the images of a folder differ, else stretch",
    )
    decode_resolution: int = key(
        0,
        "shorter side in pixels at which training images are kept for augment.resized_crop to be drawn in; 0: they are "
        "brought to model.resolution first",
        0,
        2048,
    )
    check: bool = key(True, "before training, look for duplicates, tiny classes, mixed sizes and modes, and print them")
    balance: Literal["none", "class_weights", "balanced_sampling"] = key(
        "none", "uneven classes: the loss of rare ones weighs more, or their images are shown more often"
    )
    skip_bad: bool = key(False, "go on without image files that cannot be read")


@dataclass
class Model:
    """The network. It maps (B, resolution, resolution, channels) float32 in [-1, 1) to (B, classes) logits."""

    name: str = key("mobilenet_v1", "a file name in tinytrain/models")
    width: float | Auto = key(
        "auto", "multiplier on every channel count; auto: the architecture's usual tiny one", 0.01, 8
    )
    resolution: int | Auto = key("auto", "side of the input in pixels; auto: the data's, at most 96", 8, 1024)
    channels: Literal[1, 3, "auto"] = key("auto", "1 gray or 3 color; auto: the data's, 3 if some images are color")
    dropout: float = key(0.0, "dropout before the classifier", 0, 0.95)
    stem: Literal["auto", "imagenet", "cifar"] = key(
        "auto", "stride of the first convolution: 2 (imagenet) or 1 (cifar); auto: the architecture's usual one"
    )
    weights: str = key("", "what training begins from: nothing, imagenet, a .keras file or a run folder")
    init: Literal["auto", "torch", "he", "netaug", "netaug_baseline"] = key(
        "auto",
        "random weights: torch: as PyTorch draws them; he: normal, by the fan-out; netaug, netaug_baseline: as the "
        "released code of NetAug does for it and for its baselines; auto: netaug for method=netaug, else torch",
    )
    norm_epsilon: float = key(0.0, "ε of BatchNorm, PyTorch's is 1e-5; 0: the architecture's usual one", 0, 0.1)
    mean: list[float] | Literal["none"] = key(
        "none", "taken from each channel, pixels in 0..1, unless model.weights bring their own; none: [-1, 1)", 0, 1
    )
    std: list[float] | Literal["none"] = key("none", "what each channel is then divided by", 0.01, 100)


@dataclass
class Detect:
    """Object detection: the head, its anchors, its loss and which boxes are kept. Boxes are in pixels of the input."""

    head: str = key("auto", "a file in tinytrain/heads; auto: yolo3_lite")
    strides: list[int] | Auto = key("auto", "pixels a cell of each output, largest first; auto: the head's", 4, 64)
    channels: list[int] | Auto = key(
        "auto", "narrow channels of the head for each stride, or one number for all; auto: the head's", 8, 1024
    )
    tap: Literal["block", "last"] = key(
        "block", "what the largest stride reads: the last block, or the 1x1 convolution that some networks end with"
    )
    depth: int | Auto = key("auto", "convolutions in the body of a scale, an odd number; auto: the head's", 1, 9)
    fuse: Literal["auto", "add", "concat"] = key("auto", "how scales are joined; auto: the head's")
    anchors: list[float] | Literal["auto", "none"] = key(
        "auto",
        "width and height of each anchor in pixels, smallest first; auto: k-means of the boxes; none: for centroid",
        1,
        2048,
    )
    anchors_per_scale: int = key(3, "anchors of an output", 1, 9)
    gain: float = key(
        4.0, "logits of objectness and classes are the outputs times this: int8 keeps more of a box", 1, 16
    )
    ignore_iou: float = key(0.7, "predictions with more overlap than this are not taught to be background", 0.1, 1)
    canvas: int | Auto = key(
        "auto", "side that training images are cropped from; auto: that of the images, at most twice the input", 8, 2048
    )
    score: float | Auto = key(
        "auto", "least score of a box that is shown; auto: largest F1 on val", LEAST_SCORE, MOST_SCORE
    )
    nms: float = key(
        0.45, "of two boxes of a class with more overlap (hundredths) than this the better one is kept", 0.05, 0.95
    )
    boxes: int = key(100, "most boxes of an image", 1, MOST_BOXES)


@dataclass
class Augment:
    """What is done to training images, in this order; validation, calibration and test images are never touched."""

    resized_crop: float = key(
        1.0, "smallest share of the area that a random resized crop keeps; 1: no such crop", 0.01, 1
    )
    small_crop: float = key(1.0, "smallest share of both sides that a random crop keeps; 1: no such crop", 0.1, 1)
    small_crop_probability: float = key(0.3, "small crop: probability", 0, 1)
    crop: float = key(0.125, "zero padding before a random crop, as a share of the resolution", 0, 0.5)
    flip: bool | Auto = key("auto", "mirror every other image left to right; auto: not for digits")
    autoaugment: bool = key(False, "AutoAugment, ImageNet policy")
    randaugment: int = key(0, "RandAugment: operations drawn for an image, N; 0: none", 0, 10)
    randaugment_magnitude: float = key(9.0, "RandAugment: magnitude M", 0, 10)
    randaugment_probability: float = key(0.5, "RandAugment: probability that a drawn operation is applied", 0, 1)
    augmix: bool = key(False, "AugMix, without its consistency loss")
    augmix_severity: float = key(5.0, "AugMix: highest magnitude", 0, 10)
    augmix_width: int = key(3, "AugMix: chains of operations that are mixed", 1, 10)
    augmix_depth: int = key(0, "AugMix: operations in a chain; 0: 1 to 3 at random", 0, 10)
    brightness: float = key(0.0, "color jitter: brightness times 1 - this to 1 + this", 0, 1)
    contrast: float = key(0.0, "color jitter: contrast, likewise", 0, 1)
    saturation: float = key(0.0, "color jitter: saturation, likewise", 0, 1)
    hue: float = key(0.0, "color jitter: hue turned by at most this share of a circle", 0, 0.5)
    jitter_probability: float = key(1.0, "color jitter: probability", 0, 1)
    rotation: float = key(0.0, "rotation by a whole number of degrees, at most this", 0, 180)
    rotation_probability: float = key(0.3, "rotation: probability", 0, 1)
    erasing: float = key(0.0, "random erasing: probability that a box of the image becomes noise", 0, 1)
    distort: bool | Auto = key(
        "auto", "boxes: brightness, contrast, saturation and hue, each of them for half of the images; auto: on"
    )
    expand: float | Auto = key("auto", "boxes: probability that an image is put on a larger canvas; auto: 0.5", 0, 1)
    expand_ratio: float = key(4.0, "boxes: the canvas has at most so many times the side of the image", 1, 10)
    iou_crop: bool | Auto = key("auto", "boxes: random crops that keep objects to at least a drawn share; auto: on")
    mixup: float = key(0.0, "MixUp: alpha of its Beta distribution, for boxes usually 1.5; 0: none", 0, 100)
    mix_off_epochs: int = key(20, "boxes: the last epochs, in which no images are mixed", 0, MOST_EPOCHS)
    cutmix: float = key(0.0, "CutMix: alpha of its Beta distribution; 0: none", 0, 100)
    fmix: float = key(0.0, "FMix: alpha of its Beta distribution; 0: none", 0, 100)
    mix_probability: float = key(1.0, "probability that a batch is mixed, by one of MixUp, CutMix and FMix", 0, 1)


@dataclass
class Optim:
    """The optimizer and its schedule."""

    name: str = key("auto", "sgd with momentum, adam or adamw: a file in tinytrain/train/optimizers; auto: sgd")
    lr: float = key(0.05, "peak learning rate; with search.algorithm, what a range test begins with", 0, MOST_RATE)
    schedule: Literal["cosine", "cosine_epochs", "one_cycle", "steps", "plateau", "constant"] = key(
        "cosine",
        "cosine: falls to 0 by the step, cosine_epochs: by the epoch; one_cycle: rises, then falls, without warm-up, "
        "the momentum against it; steps: falls after optim.drops; plateau: falls where the loss stands still, the "
        "training then ends by itself",
    )
    drops: list[float] | Literal["none"] = key(
        "none", "schedule steps: epochs after which the rate is multiplied by optim.drop_factor", 0, MOST_EPOCHS
    )
    drop_factor: float = key(0.1, "schedule steps: what the rate is multiplied by", 0.001, 0.99)
    cycle_rise: float = key(0.3, "one_cycle: share of the steps in which the rate rises", 0.01, 0.99)
    cycle_start: float = key(25.0, "one_cycle: the peak divided by the first rate", 1, 1e9)
    cycle_end: float = key(1e4, "one_cycle: the first rate divided by the last", 1, 1e9)
    cycle_momentum: list[float] = key(
        (0.85, 0.95), "one_cycle: momentum, β₁ of adam, at the peak of the rate and at both ends", 0, 0.9999
    )
    epochs: int = key(30, "passes over the training images, warm-up included", 1, MOST_EPOCHS)
    batch: int = key(64, "images a step", 1, MOST_BATCH)
    warmup_epochs: float = key(1.0, "epochs of linear warm-up, which the schedule goes on from", 0, MOST_EPOCHS)
    warmup_from: float = key(0.0, "learning rate that the warm-up begins at, as a share of optim.lr", 0, 1)
    momentum: float = key(0.9, "momentum of sgd", 0, 0.9999)
    nesterov: bool = key(True, "Nesterov momentum")
    weight_decay: float = key(
        4e-5, "coupled L2, added to the gradient of what optim.decay says; of adamw decoupled, 0.01 and more", 0, 1
    )
    decay: Literal["kernels", "all"] = key("kernels", "what weight decay acts on: no biases and BatchNorm, or all")
    bias_lr: float = key(
        1.0, "learning rate of biases, those of BatchNorm included, as a multiple of the others'", 0, 1000
    )
    label_smoothing: float = key(
        0.1,
        "share of each label spread evenly over all classes; for boxes any above 0 is min(1/classes, 1/40)",
        0,
        0.99,
    )
    sync_batch_norm: bool = key(
        False, "with several workers, BatchNorm takes the statistics of all of them; else of each worker's own images"
    )
    ema: float | Auto = key(
        "auto",
        "decay of the average of the weights over the steps, which is evaluated and saved in their place, 0: none; "
        "auto: 0",
        0,
        0.99999,
    )
    checkpoint: Literal["auto", "best", "last"] = key(
        "auto",
        "weights of the epoch with the best score on val (the last of equal ones), or of the last epoch; auto: best",
    )


@dataclass
class Plateau:
    """ReduceLROnPlateauV2, what optim.schedule = "plateau" does; optim.epochs is the most that it takes."""

    gamma: float = key(0.1, "the learning rate is multiplied by it", 0.001, 0.99)
    patience: int = key(5, "epochs without a better training loss that are tolerated in a row", 0, MOST_EPOCHS)
    threshold: float = key(2e-4, "share by which a loss must fall below the best one to be better", 0, 0.5)
    floor: float = key(200.0, "the learning rate never falls below the first one divided by this", 1, 1e9)
    forced: float = key(0.75, "share of optim.epochs after which it falls once, if it has not by itself", 0, 1)
    stop_patience: int = key(
        5, "epochs at the lowest rate without a better score on val, then the training ends", 1, MOST_EPOCHS
    )


@dataclass
class Search:
    """The search for the learning rate before the training."""

    algorithm: Literal["none", "range", "grid", "tpe"] = key(
        "none", "range: one epoch of rising rates; grid: evenly spaced ones; tpe: Optuna's, bad ones pruned"
    )
    low: float | Auto = key("auto", "lowest learning rate; auto: as published for the architecture", 1e-7, MOST_RATE)
    high: float | Auto = key("auto", "highest learning rate; auto: likewise", 1e-7, MOST_RATE)
    step: float = key(0.001, "tpe: distance of the candidates", 1e-7, MOST_RATE)
    trials: int = key(15, "tpe: trainings, pruned and repeated ones included", 1, MOST_TRIALS)
    points: int = key(10, "grid: trainings", 2, MOST_TRIALS)
    epochs: int | Auto = key("auto", "epochs of a training; auto: 6 for tpe, 9 for grid", 1, MOST_EPOCHS)
    storage: str = key("", "database of the trials that workers share, such as sqlite:///search.db; empty: in the run")
    study: str = key("", "name of the study in that database; empty: from the config, so that equal configs share one")


@dataclass
class Device:
    """How the step is computed."""

    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = key(
        "auto", "Keras dtype policy; auto: mixed_float16 on a GPU, float32 on the CPU, where mixed is slower"
    )
    jit: bool | Auto = key("auto", "compile the step with XLA; auto: on a GPU only, it is slower on the CPU")


@dataclass
class Log:
    """What `tinytrain fit` writes down beside history.csv."""

    tensorboard: bool = key(False, "loss, score and learning rate of each epoch into RUN/tensorboard, for TensorBoard")


@dataclass
class Qat:
    """The quantization-aware fine-tune of `tinytrain export`."""

    epochs: float = key(2.0, "epochs over the training images; 0: post-training quantization", 0, MOST_EPOCHS)
    lr: float = key(1e-3, "peak learning rate of the fine-tune, cosine to 0", 0, MOST_RATE)
    batch: int = key(64, "images a step", 1, MOST_BATCH)
    distill: float = key(
        0.0, "weight of the float model's answers in the loss: it teaches its int8 self", 0, MOST_WEIGHT
    )
    temperature: float = key(1.0, "of that distillation: both answers are softened by it", 0.01, MOST_WEIGHT)
    calibration_images: int = key(500, "training images that set the activation ranges", 1, MOST_IMAGES)


@dataclass
class Export:
    """The proof and the limits of `tinytrain export`."""

    parity_images: int = key(0, "test images that are proven bit for bit; 0: all", 0, MOST_IMAGES)
    target: str = key(
        "bare-metal", "what is written for the board: firmware, a whole program, or a library for a program of your own"
    )
    kernels: Literal["tinytrain", "tflm"] = key(
        "tinytrain", "whose kernels run the operators: ours wherever they compute the same as TFLM's, or TFLM's alone"
    )
    engine: Literal["auto", "compiled", "tflm"] = key(
        "auto",
        "what runs the network: C compiled from it, without a library, or TensorFlow Lite Micro; auto: compiled, TFLM "
        "where an operator cannot be",
    )
    memory: Literal["auto", "least", "fastest", "plain"] = key(
        "auto",
        "of the compiled engine: least RAM; the fewest instructions that the RAM of the board has room for; plain, no "
        "rows fused; auto: least RAM for at most 3 % more instructions",
    )
    arena_margin_bytes: int = key(0, "of TFLM: added to the arena beyond what is computed", 0, 2**30)
    input_range: str = key("", "of a .tflite: what pixels 0 and 255 are to it, such as 0..1; empty: read off its input")
    channel_order: Literal["rgb", "bgr"] = key("rgb", "of a .tflite: the order of the channels that it takes")
    mean: float | list[float] = key(
        0.0,
        "of a .tflite: then subtracted, one number or one for each channel in its order; input_range is then 0..255",
        -1e6,
        1e6,
    )
    std: float | list[float] = key(1.0, "of a .tflite: then divided by, like mean", 1e-6, 1e6)


@dataclass
class Config:
    """One run, whole. `Config(data=Data(spec="folder:flowers"))` is what a TOML file is read into."""

    seed: int = key(
        0,
        "seeds the initial weights, the order and the augmentation, and the split unless data.seed does",
        0,
        MOST_SEED,
    )
    task: str = key("auto", "what the network learns: a file name in tinytrain/tasks; auto: what the data are for")
    method: str = key("", "how it is trained: names from `tinytrain list methods` joined by +, the innermost first")
    data: Data = field(default_factory=Data)
    model: Model = field(default_factory=Model)
    detect: Detect = field(default_factory=Detect)
    augment: Augment = field(default_factory=Augment)
    optim: Optim = field(default_factory=Optim)
    plateau: Plateau = field(default_factory=Plateau)
    search: Search = field(default_factory=Search)
    netaug: method_keys.Netaug = field(default_factory=method_keys.Netaug)
    dropblock: method_keys.Dropblock = field(default_factory=method_keys.Dropblock)
    confidence_penalty: method_keys.ConfidencePenalty = field(default_factory=method_keys.ConfidencePenalty)
    continuous_dropout: method_keys.ContinuousDropout = field(default_factory=method_keys.ContinuousDropout)
    distill: method_keys.Distill = field(default_factory=method_keys.Distill)
    tinytl: method_keys.Tinytl = field(default_factory=method_keys.Tinytl)
    sam: method_keys.Sam = field(default_factory=method_keys.Sam)
    am_softmax: method_keys.AmSoftmax = field(default_factory=method_keys.AmSoftmax)
    dml: method_keys.Dml = field(default_factory=method_keys.Dml)
    device: Device = field(default_factory=Device)
    log: Log = field(default_factory=Log)
    qat: Qat = field(default_factory=Qat)
    export: Export = field(default_factory=Export)
