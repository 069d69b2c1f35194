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
        "official: the data's own splits; trainval: val joins train; random: split again; paper: as many test images "
        "as in the paper; shuffled: official, but held-out images are drawn by a plain shuffle",
    )
    val_fraction: float = key(
        0.1, "share of the training images held out for val if the data has no val split", 0.01, 0.5
    )
    test_fraction: float = key(0.2, "share of all images held out for test if the data has no test split", 0.01, 0.5)
    val_images: int = key(
        0, "exact number of images held out for val, instead of val_fraction; 0: use the fraction", 0, MOST_IMAGES
    )
    test_images: int = key(
        0, "exact number of images held out for test, instead of test_fraction; 0: use the fraction", 0, MOST_IMAGES
    )
    seed: int | Auto = key(
        "auto",
        "seed of the split: the same number gives the same split, whatever `seed` is; auto: `seed`",
        0,
        MOST_SEED,
    )
    train_images: int = key(0, "train on only this many images, with classes in proportion; 0: on all", 0, MOST_IMAGES)
    resize: Literal["auto", "stretch", "crop", "eval_crop", "pad"] = key(
        "auto",
        "how an image is resized to model.resolution; eval_crop: the inner 7/8 of the centre square, as in the papers' "
        "evaluations; auto: eval_crop with data.decode_resolution, pad if the images differ in size, else stretch",
    )
    decode_resolution: int = key(
        0,
        "length in pixels of the shorter side of stored training images, from which augment.resized_crop is cut; 0: "
        "they are resized to model.resolution first",
        0,
        2048,
    )
    check: bool = key(
        True, "before training, look for duplicates, tiny classes, mixed sizes and modes, and report them"
    )
    balance: Literal["none", "class_weights", "balanced_sampling"] = key(
        "none", "for uneven classes: give rare ones more weight in the loss, or show their images more often"
    )
    skip_bad: bool = key(False, "leave out image files that cannot be read, instead of stopping")


@dataclass
class Model:
    """The network. It maps (B, resolution, resolution, channels) float32 in [-1, 1) to (B, classes) logits."""

    name: str = key("mobilenet_v1", "a file name in tinytrain/models")
    width: float | Auto = key("auto", "factor on every channel count; auto: the architecture's usual tiny one", 0.01, 8)
    resolution: int | Auto = key("auto", "side of the input in pixels; auto: the data's, at most 96", 8, 1024)
    channels: Literal[1, 3, "auto"] = key("auto", "1 gray or 3 color; auto: the data's, 3 if some images are color")
    dropout: float = key(0.0, "dropout before the classifier", 0, 0.95)
    stem: Literal["auto", "imagenet", "cifar"] = key(
        "auto",
        "stride of the first convolution: 2 (imagenet) or 1 (cifar); auto: 1 for ResNet-8, and for other "
        "classifiers up to 32 pixels, else 2",
    )
    weights: str = key("", "weights that training starts from: empty (random), imagenet, a .keras file or a run folder")
    init: Literal["auto", "torch", "he", "netaug", "netaug_baseline"] = key(
        "auto",
        "how random weights are drawn; torch: as in PyTorch; he: normal, by the fan-out; netaug, netaug_baseline: as "
        "in NetAug's released code, for NetAug and for its baselines; auto: netaug for method=netaug, else torch",
    )
    norm_epsilon: float = key(0.0, "ε of BatchNorm, PyTorch's is 1e-5; 0: the architecture's usual one", 0, 0.1)
    mean: list[float] | Literal["none"] = key(
        "none", "mean subtracted from each channel of pixels in 0..1, unless model.weights set it; none: [-1, 1)", 0, 1
    )
    std: list[float] | Literal["none"] = key(
        "none", "standard deviation that each channel is then divided by", 0.01, 100
    )


@dataclass
class Detect:
    """Object detection: the head, its anchors, its loss and which boxes are kept. Boxes are in pixels of the input."""

    head: str = key("auto", "a file in tinytrain/heads; auto: yolo3_lite")
    strides: list[int] | Auto = key("auto", "pixels per cell of each output, largest first; auto: the head's", 4, 64)
    channels: list[int] | Auto = key(
        "auto", "channels of the head's narrow layers for each stride, or one number for all; auto: the head's", 8, 1024
    )
    tap: Literal["block", "last"] = key(
        "block",
        "layer that the largest stride reads: the last block, or the 1x1 convolution at the end of some networks",
    )
    depth: int | Auto = key("auto", "number of convolutions in the body of each scale, odd; auto: the head's", 1, 9)
    fuse: Literal["auto", "add", "concat"] = key("auto", "how scales are joined; auto: the head's")
    anchors: list[float] | Literal["auto", "none"] = key(
        "auto",
        "width and height of each anchor in pixels, smallest first; auto: k-means of the boxes; none: for centroid",
        1,
        2048,
    )
    anchors_per_scale: int = key(3, "anchors of each output", 1, 9)
    gain: float = key(
        4.0, "logits of objectness and classes are the outputs times this, so that int8 keeps boxes more exact", 1, 16
    )
    ignore_iou: float = key(
        0.7, "predictions that overlap an object by more than this are not trained as background", 0.1, 1
    )
    canvas: int | Auto = key(
        "auto",
        "side of the image that training crops are cut from; auto: the images', at most twice the input",
        8,
        2048,
    )
    score: float | Auto = key(
        "auto", "lowest score at which a box is shown; auto: where F1 on val is largest", LEAST_SCORE, MOST_SCORE
    )
    nms: float = key(
        0.45, "if two boxes of a class overlap by more than this (in hundredths), only the better is kept", 0.05, 0.95
    )
    boxes: int = key(100, "largest number of boxes in an image", 1, MOST_BOXES)


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
    randaugment: int = key(0, "RandAugment: number N of operations drawn for each image; 0: none", 0, 10)
    randaugment_magnitude: float = key(9.0, "RandAugment: magnitude M", 0, 10)
    randaugment_probability: float = key(0.5, "RandAugment: probability that a drawn operation is applied", 0, 1)
    augmix: bool = key(False, "AugMix, without its consistency loss")
    augmix_severity: float = key(5.0, "AugMix: highest magnitude", 0, 10)
    augmix_width: int = key(3, "AugMix: number of chains that are mixed", 1, 10)
    augmix_depth: int = key(0, "AugMix: operations per chain; 0: 1 to 3 at random", 0, 10)
    brightness: float = key(0.0, "color jitter: brightness times 1 - this to 1 + this", 0, 1)
    contrast: float = key(0.0, "color jitter: contrast, likewise", 0, 1)
    saturation: float = key(0.0, "color jitter: saturation, likewise", 0, 1)
    hue: float = key(0.0, "color jitter: largest shift of the hue, as a share of the color circle", 0, 0.5)
    jitter_probability: float = key(1.0, "color jitter: probability", 0, 1)
    rotation: float = key(0.0, "largest rotation in degrees, drawn as a whole number", 0, 180)
    rotation_probability: float = key(0.3, "rotation: probability", 0, 1)
    erasing: float = key(0.0, "random erasing: probability that a box of the image becomes noise", 0, 1)
    distort: bool | Auto = key(
        "auto", "boxes: vary brightness, contrast, saturation and hue, each in half of the images; auto: on"
    )
    expand: float | Auto = key("auto", "boxes: probability that an image is put on a larger canvas; auto: 0.5", 0, 1)
    expand_ratio: float = key(4.0, "boxes: largest side of that canvas, as a multiple of the image's side", 1, 10)
    iou_crop: bool | Auto = key(
        "auto", "boxes: random crops that keep at least a randomly drawn share of objects; auto: on"
    )
    mixup: float = key(0.0, "MixUp: alpha of its Beta distribution, for boxes usually 1.5; 0: none", 0, 100)
    mix_off_epochs: int = key(20, "boxes: number of epochs at the end in which no images are mixed", 0, MOST_EPOCHS)
    cutmix: float = key(0.0, "CutMix: alpha of its Beta distribution; 0: none", 0, 100)
    fmix: float = key(0.0, "FMix: alpha of its Beta distribution; 0: none", 0, 100)
    mix_probability: float = key(1.0, "probability that a batch is mixed, by one of MixUp, CutMix and FMix", 0, 1)


@dataclass
class Optim:
    """The optimizer and its schedule."""

    name: str = key("auto", "sgd with momentum, adam or adamw: a file in tinytrain/train/optimizers; auto: sgd")
    lr: float = key(
        0.05, "peak learning rate; with search.algorithm, the rate that a range test starts at", 0, MOST_RATE
    )
    schedule: Literal["cosine", "cosine_epochs", "one_cycle", "steps", "plateau", "constant"] = key(
        "cosine",
        "cosine: falls to 0 with every step; cosine_epochs: with every epoch; one_cycle: rises, then falls, without "
        "warm-up, while the momentum does the opposite; steps: falls after optim.drops; plateau: falls when the loss "
        "stops falling, and the training ends by itself",
    )
    drops: list[float] | Literal["none"] = key(
        "none", "schedule steps: epochs after which the rate is multiplied by optim.drop_factor", 0, MOST_EPOCHS
    )
    drop_factor: float = key(0.1, "schedule steps: factor on the rate at each drop", 0.001, 0.99)
    cycle_rise: float = key(0.3, "one_cycle: share of the steps in which the rate rises", 0.01, 0.99)
    cycle_start: float = key(25.0, "one_cycle: the peak divided by the first rate", 1, 1e9)
    cycle_end: float = key(1e4, "one_cycle: the first rate divided by the last", 1, 1e9)
    cycle_momentum: list[float] = key(
        (0.85, 0.95), "one_cycle: momentum, β₁ of adam, at the peak of the rate and at both ends", 0, 0.9999
    )
    epochs: int = key(30, "passes over the training images, warm-up included", 1, MOST_EPOCHS)
    batch: int = key(64, "images per step", 1, MOST_BATCH)
    warmup_epochs: float = key(1.0, "epochs of linear warm-up before the schedule continues", 0, MOST_EPOCHS)
    warmup_from: float = key(0.0, "learning rate at the start of the warm-up, as a share of optim.lr", 0, 1)
    momentum: float = key(0.9, "momentum of sgd", 0, 0.9999)
    nesterov: bool = key(True, "Nesterov momentum")
    weight_decay: float = key(
        4e-5, "L2 decay added to the gradient of the weights in optim.decay; for adamw decoupled, 0.01 or more", 0, 1
    )
    decay: Literal["kernels", "all"] = key("kernels", "weights that decay: kernels (no biases, no BatchNorm), or all")
    bias_lr: float = key(
        1.0, "learning rate of biases, including BatchNorm's, as a multiple of that of other weights", 0, 1000
    )
    label_smoothing: float = key(
        0.1,
        "share of each label spread evenly over all classes; for boxes, any value above 0 means min(1/classes, 1/40)",
        0,
        0.99,
    )
    sync_batch_norm: bool = key(
        False, "with several workers, compute BatchNorm statistics over all of them; false: over each worker's images"
    )
    ema: float | Auto = key(
        "auto",
        "decay of a moving average of the weights over the steps, which is evaluated and saved in their place; 0: no "
        "average; auto: 0",
        0,
        0.99999,
    )
    checkpoint: Literal["auto", "best", "last"] = key(
        "auto",
        "which weights are kept: of the epoch with the best val score (the latest, if several tie), or of the last "
        "epoch; auto: best",
    )


@dataclass
class Plateau:
    """ReduceLROnPlateauV2, what optim.schedule = "plateau" does; optim.epochs is the most that it takes."""

    gamma: float = key(0.1, "factor on the learning rate when it falls", 0.001, 0.99)
    patience: int = key(5, "epochs in a row without a better training loss before the rate falls", 0, MOST_EPOCHS)
    threshold: float = key(2e-4, "share by which a loss must fall below the best one to count as better", 0, 0.5)
    floor: float = key(200.0, "the learning rate never falls below the first one divided by this", 1, 1e9)
    forced: float = key(0.75, "share of optim.epochs after which the rate falls once if it has not yet", 0, 1)
    stop_patience: int = key(
        5, "epochs at the lowest rate without a better val score after which the training ends", 1, MOST_EPOCHS
    )


@dataclass
class Search:
    """The search for the learning rate before the training."""

    algorithm: Literal["none", "range", "grid", "tpe"] = key(
        "none", "range: one epoch with a rising rate; grid: evenly spaced rates; tpe: Optuna's, which prunes bad rates"
    )
    low: float | Auto = key("auto", "lowest learning rate; auto: as published for the architecture", 1e-7, MOST_RATE)
    high: float | Auto = key("auto", "highest learning rate; auto: likewise", 1e-7, MOST_RATE)
    step: float = key(0.001, "tpe: distance between candidate rates", 1e-7, MOST_RATE)
    trials: int = key(15, "tpe: number of trainings, including pruned and repeated ones", 1, MOST_TRIALS)
    points: int = key(10, "grid: number of trainings", 2, MOST_TRIALS)
    epochs: int | Auto = key("auto", "epochs of each training; auto: 6 for tpe, 9 for grid", 1, MOST_EPOCHS)
    storage: str = key(
        "", "database of trials that workers share, such as sqlite:///search.db; empty: one in the run folder"
    )
    study: str = key(
        "", "name of the study in that database; empty: made from the config, so that equal configs share one"
    )


@dataclass
class Device:
    """How the step is computed."""

    precision: Literal["auto", "float32", "mixed_float16", "mixed_bfloat16"] = key(
        "auto", "Keras dtype policy; auto: mixed_float16 on a GPU, float32 on the CPU, where mixed is slower"
    )
    jit: bool | Auto = key("auto", "compile the step with XLA; auto: only on a GPU, as it is slower on the CPU")


@dataclass
class Log:
    """What `tinytrain fit` writes down beside history.csv."""

    tensorboard: bool = key(
        False, "write loss, score and learning rate of each epoch into RUN/tensorboard for TensorBoard"
    )


@dataclass
class Qat:
    """The quantization-aware fine-tune of `tinytrain export`."""

    epochs: float = key(2.0, "epochs over the training images; 0: post-training quantization", 0, MOST_EPOCHS)
    lr: float = key(1e-3, "peak learning rate of the fine-tune, cosine to 0", 0, MOST_RATE)
    batch: int = key(64, "images per step", 1, MOST_BATCH)
    distill: float = key(
        0.0, "weight in the loss of the float model's answers, from which the int8 model learns", 0, MOST_WEIGHT
    )
    temperature: float = key(1.0, "temperature of that distillation: softens both answers", 0.01, MOST_WEIGHT)
    calibration_images: int = key(500, "training images used to set the activation ranges", 1, MOST_IMAGES)


@dataclass
class Export:
    """The proof and the limits of `tinytrain export`."""

    parity_images: int = key(0, "test images on which the model is proven bit for bit; 0: all", 0, MOST_IMAGES)
    target: str = key(
        "bare-metal", "what is written for the board: bare-metal, a whole program, or a library for your own program"
    )
    kernels: Literal["tinytrain", "tflm"] = key(
        "tinytrain",
        "whose kernels run the operators: ours wherever they give the same result as TFLM's, or only TFLM's",
    )
    engine: Literal["auto", "compiled", "tflm"] = key(
        "auto",
        "what runs the network: C code written from it, without a library, or TensorFlow Lite Micro; auto: compiled, "
        "or TFLM if an operator cannot be compiled",
    )
    memory: Literal["auto", "least", "fastest", "plain"] = key(
        "auto",
        "compiled engine: least RAM; the fewest instructions that fit into the board's RAM; plain, without fused rows; "
        "auto: the least RAM at a cost of at most 3 % more instructions",
    )
    arena_margin_bytes: int = key(0, "TFLM: bytes added to the computed size of the arena", 0, 2**30)
    input_range: str = key(
        "", "for a .tflite: the values that it takes for pixels 0 and 255, such as 0..1; empty: from its input"
    )
    channel_order: Literal["rgb", "bgr"] = key("rgb", "for a .tflite: the order of the channels that it takes")
    mean: float | list[float] = key(
        0.0,
        "for a .tflite: mean to subtract, one number or one per channel in its order; input_range is then 0..255",
        -1e6,
        1e6,
    )
    std: float | list[float] = key(1.0, "for a .tflite: standard deviation to divide by, given like mean", 1e-6, 1e6)


@dataclass
class Config:
    """One run, whole. `Config(data=Data(spec="folder:flowers"))` is what a TOML file is read into."""

    seed: int = key(
        0,
        "seed of the initial weights, the order and the augmentation, and of the split unless data.seed is set",
        0,
        MOST_SEED,
    )
    task: str = key("auto", "what the network learns: a file name in tinytrain/tasks; auto: what the data is for")
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
