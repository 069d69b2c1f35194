"""Published latencies of int8 networks on Cortex-M, and the networks' operators as far as they are known.

Sources (more in docs/latency.md):
- tinyengine: README of mit-han-lab/tinyengine (47bb283), "Measured Results", on an STM32H743 with -Ofast.
- tiny: `performance/results.txt` of mlcommons/tiny_results_v0.5 to v1.2, median of five; clocks from `systems/`.
- Blocks of MCUNet: its published configurations. Their multiply-accumulates equal the published ones.
"""

from dataclasses import dataclass

from tinytrain.tflite.model import Operator, Tensor

MHZ = 1e6
# The README names no clock: these are the usual one of the board and the highest of the chip.
H743_CLOCKS_HZ = (400 * MHZ, 480 * MHZ)

Block = tuple[int, int, int, int]  # expansion, filters, stride, kernel
MCUNETS: dict[str, tuple[int, int, int, list[Block]]] = {  # filters of the stem, resolution, classes, blocks
    "in0": (24, 48, 1000, [(1, 16, 1, 3), (4, 16, 2, 5), (3, 16, 1, 3), (4, 16, 1, 3), (5, 24, 2, 7), (4, 24, 1, 5),
                           (5, 24, 1, 5), (5, 48, 2, 7), (4, 48, 1, 5), (5, 56, 1, 3), (4, 56, 1, 5), (5, 56, 1, 3),
                           (6, 112, 2, 3), (4, 112, 1, 5), (6, 192, 1, 3)]),
    "in1": (16, 96, 1000, [(1, 8, 1, 3), (4, 16, 2, 3), (3, 16, 1, 3), (3, 24, 2, 7), (5, 24, 1, 3), (5, 40, 2, 3),
                           (4, 40, 1, 7), (4, 48, 1, 5), (3, 48, 1, 3), (4, 48, 1, 3), (5, 96, 2, 7), (4, 96, 1, 5),
                           (4, 96, 1, 5), (6, 160, 1, 3)]),
    "in2": (16, 160, 1000, [(1, 8, 1, 3), (3, 16, 2, 5), (6, 16, 1, 7), (5, 16, 1, 3), (5, 16, 1, 5), (5, 24, 2, 3),
                            (6, 24, 1, 7), (6, 24, 1, 5), (4, 40, 2, 7), (5, 40, 1, 5), (5, 48, 1, 3), (5, 48, 1, 5),
                            (4, 48, 1, 3), (6, 96, 2, 5), (4, 96, 1, 5), (3, 96, 1, 5), (4, 96, 1, 3), (5, 160, 1, 5)]),
    "in3": (16, 176, 1000, [(1, 8, 1, 3), (3, 16, 2, 7), (5, 16, 1, 3), (5, 16, 1, 7), (4, 16, 1, 5), (5, 24, 2, 5),
                            (5, 24, 1, 5), (5, 24, 1, 5), (5, 40, 2, 3), (6, 40, 1, 7), (4, 40, 1, 5), (5, 48, 1, 5),
                            (5, 48, 1, 7), (5, 48, 1, 3), (6, 96, 2, 3), (5, 96, 1, 7), (4, 96, 1, 3), (5, 160, 1, 7)]),
    "vww1": (16, 80, 2, [(1, 8, 1, 3), (6, 16, 2, 3), (3, 16, 1, 3), (3, 16, 1, 3), (3, 24, 2, 7), (6, 24, 1, 3),
                         (5, 24, 1, 5), (6, 40, 2, 7), (6, 40, 1, 7), (6, 48, 1, 3), (4, 48, 1, 3), (5, 96, 2, 5),
                         (5, 96, 1, 3), (4, 96, 1, 3), (3, 160, 1, 7)]),
}  # fmt: skip


@dataclass(frozen=True)
class Row:
    """One published latency; `macs` is set if no more than the MACs of the network is known."""

    source: str
    board: str
    core: str
    engine: str
    network: str
    ms: float
    clock_hz: float
    macs: int = 0


def _tinyengine(network: str, ms: float, macs: int = 0, engine: str = "CMSIS-NN") -> Row:
    return Row("tinyengine", "STM32H743", "cortex-m7", engine, network, ms, H743_CLOCKS_HZ[1], macs)


def _tiny(
    version: str, board: str, core: str, mhz: float, engine: str, ic: float, vww: float, kws: float = 0, ad: float = 0
) -> list[Row]:
    latencies = zip(("ic01", "vww01", "kws01", "ad01"), (ic, vww, kws, ad), strict=True)
    source = f"tiny v{version}"
    return [Row(source, board, core, engine, network, ms, mhz * MHZ) for network, ms in latencies if ms]


# CMSIS-NN's int8 kernels, as TFLM calls them. The latency model is fitted to these rows.
FITTED = [
    _tinyengine("in0", 51),
    _tinyengine("in1", 103),
    _tinyengine("in2", 642),
    _tinyengine("in3", 770),
    _tinyengine("vww1", 97),
    *_tiny("1.0", "NUCLEO-L4R5ZI", "cortex-m4", 120, "OctoML microTVM + CMSIS-NN", 389.56, 301.2, 99.81, 8.605),
    *_tiny("1.0", "NRF5340-DK", "cortex-m33", 128, "OctoML microTVM + CMSIS-NN", 316.16, 232.02, 76.09, 6.266),
]
# The same kernels, but only the multiply-accumulates of the networks are known.
BY_MACS = [
    _tinyengine("vww0", 53, 6_000_000),
    _tinyengine("vww2", 478, 55_800_000),
    _tinyengine("proxyless-w0.3-r176", 380, 38_300_000),
]
# Engines with other kernels. Skymizer and Nuvoton call CMSIS-NN's older q7 kernels, which scale by shifts alone; TFLM
# v2.3.1 and its CMSIS-NN are from 2020; TFLM's reference kernels are plain C++.
OTHER_KERNELS = [
    *_tiny("1.1", "DISCO-F746NG", "cortex-m7", 216, "Plumerai", 62.88, 34.08, 17.75, 1.709),
    *_tiny("1.0", "DISCO-F746NG", "cortex-m7", 216, "Plumerai", 64.8, 57.0),
    *_tiny("0.7", "DISCO-F746NG", "cortex-m7", 216, "Plumerai", 65.2, 59.4),
    *_tiny("1.2", "DISCO-F746NG", "cortex-m7", 216, "Bosch HALE", 62.6, 57.2),
    *_tiny("1.1", "DISCO-F746NG", "cortex-m7", 216, "Bosch HALE", 61.57, 57.18, 18.42, 1.703),
    *_tiny("1.1", "NUCLEO-H7A3ZI", "cortex-m7", 280, "Plumerai", 50.93, 26.82, 13.86, 1.348),
    *_tiny("1.2", "NUCLEO-H7A3ZI", "cortex-m7", 280, "Bosch HALE", 45.8, 43.8),
    *_tiny("1.1", "NUCLEO-H7A3ZI", "cortex-m7", 280, "Bosch HALE", 46.83, 43.66, 14.72, 1.356),
    *_tiny("1.2", "NUCLEO-H7A3ZI", "cortex-m7", 280, "X-CUBE-AI", 40.8, 23.8),
    *_tiny("1.1", "NUCLEO-H7A3ZI", "cortex-m7", 280, "X-CUBE-AI", 51.95, 29.63, 15.35, 1.818),
    *_tiny("1.0", "NUCLEO-H7A3ZI", "cortex-m7", 280, "X-CUBE-AI", 54.3, 50.7),
    *_tiny("1.1", "NUCLEO-L4R5ZI", "cortex-m4", 120, "Plumerai", 167.76, 98.76, 47.78, 4.052),
    *_tiny("1.1", "CY8CPROTO-062", "cortex-m4", 150, "Plumerai", 188.96, 108.3, 54.06, 4.455),
    *_tiny("1.2", "NUCLEO-L4R5ZI", "cortex-m4", 120, "X-CUBE-AI", 165.1, 88.9),
    *_tiny("1.1", "NUCLEO-L4R5ZI", "cortex-m4", 120, "Skymizer ONNC (Mbed)", 298.69, 172.18, 82.0, 8.073),
    *_tiny("1.1", "NUCLEO-L4R5ZI", "cortex-m4", 120, "Skymizer ONNC (Zephyr)", 296.56, 197.78, 93.64, 8.006),
    *_tiny("1.1", "NUMAKER-M467HJ", "cortex-m4", 200, "Skymizer ONNC (Zephyr)", 171.44, 98.73, 46.19, 4.887),
    *_tiny("1.1", "NUCLEO-U575ZI", "cortex-m33", 160, "Plumerai", 104.29, 59.49, 30.04, 3.672),
    *_tiny("1.2", "NUCLEO-U575ZI", "cortex-m33", 160, "Bosch HALE", 120.54, 119.83),
    *_tiny("1.1", "NUCLEO-U575ZI", "cortex-m33", 160, "Bosch HALE", 117.74, 114.75, 39.74, 3.802),
    *_tiny("1.2", "NUCLEO-U575ZI", "cortex-m33", 160, "X-CUBE-AI", 111.07, 59.28),
    *_tiny("1.1", "NUCLEO-U575ZI", "cortex-m33", 160, "X-CUBE-AI", 128.21, 71.56, 38.58, 4.85),
    *_tiny("0.5", "NUCLEO-L4R5ZI", "cortex-m4", 120, "TFLM v2.3.1", 704.2, 600.6),
    *[
        _tinyengine(network, ms, engine=engine)
        for engine, times in (
            ("TinyEngine", (25, 56, 280, 336, 51)),
            ("X-CUBE-AI", (35, 63, 351, 414, 57)),
            ("TFLM reference kernels", (586, 1227, 6463, 7821, 1120)),
        )
        for network, ms in zip(("in0", "in1", "in2", "in3", "vww1"), times, strict=True)
    ],
]


def operators(network: str) -> list[Operator]:
    """Returns the operators of a network as its published .tflite has them, without the ends (softmax, quantize)."""
    if network in MCUNETS:
        return _mcunet(*MCUNETS[network])
    return {"ic01": _resnet8, "vww01": _mobilenet, "kws01": _ds_cnn, "ad01": _autoencoder}[network]()


class _Layers:
    """Adds one operator after another; `shape` is that of the last output, (height, width, channels)."""

    def __init__(self, *shape: int) -> None:
        self.shape, self.operators = shape, []

    def convolution(self, filters: int, window: tuple[int, int], stride: int = 1) -> None:
        self._weighted("CONV_2D", (filters, *window, self.shape[2]), filters, stride)

    def depthwise(self, kernel: int, stride: int = 1) -> None:
        channels = self.shape[2]
        self._weighted("DEPTHWISE_CONV_2D", (1, kernel, kernel, channels), channels, stride)

    def add(self) -> None:
        self._operator("ADD", [_tensor(1, *self.shape)] * 2, self.shape)

    def mean(self) -> None:
        self._operator("MEAN", [_tensor(1, *self.shape), _tensor(2)], (self.shape[2],))

    def average(self) -> None:
        options = {"filterHeight": self.shape[0], "filterWidth": self.shape[1]}
        self._operator("AVERAGE_POOL_2D", [_tensor(1, *self.shape)], (1, 1, self.shape[2]), options)

    def dense(self, outputs: int) -> None:
        values = self.shape[-1]
        self._operator("FULLY_CONNECTED", [_tensor(1, values), _tensor(outputs, values)], (outputs,))

    def _weighted(self, name: str, weights: tuple[int, ...], filters: int, stride: int) -> None:
        height, width, _ = self.shape
        shape = (-(-height // stride), -(-width // stride), filters)
        inputs = [_tensor(1, *self.shape), _tensor(*weights)]
        self._operator(name, inputs, shape, {"strideH": stride, "strideW": stride})

    def _operator(self, name: str, inputs: list[Tensor], shape: tuple[int, ...], options: dict | None = None) -> None:
        self.operators.append(Operator(name, tuple(inputs), (_tensor(1, *shape),), options or {}))
        self.shape = shape


def _tensor(*shape: int) -> Tensor:
    return Tensor("", shape, "int8", (1.0,), (0,), False)


def _mcunet(stem: int, resolution: int, classes: int, blocks: list[Block]) -> list[Operator]:
    layers = _Layers(resolution, resolution, 3)
    layers.convolution(stem, (3, 3), 2)
    for expansion, filters, stride, kernel in blocks:
        shortcut = stride == 1 and layers.shape[2] == filters
        if expansion > 1:
            layers.convolution(expansion * layers.shape[2], (1, 1))
        layers.depthwise(kernel, stride)
        layers.convolution(filters, (1, 1))
        if shortcut:
            layers.add()
    layers.mean()
    layers.dense(classes)
    return layers.operators


def _resnet8() -> list[Operator]:
    layers = _Layers(32, 32, 3)
    layers.convolution(16, (3, 3))
    for filters, stride in ((16, 1), (32, 2), (64, 2)):
        block_input = layers.shape
        layers.convolution(filters, (3, 3), stride)
        layers.convolution(filters, (3, 3))
        if stride > 1:
            layers.shape = block_input
            layers.convolution(filters, (1, 1), stride)
        layers.add()
    layers.average()
    layers.dense(10)
    return layers.operators


def _mobilenet() -> list[Operator]:
    layers = _Layers(96, 96, 3)
    layers.convolution(8, (3, 3), 2)
    blocks = [(16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2), *[(128, 1)] * 5, (256, 2), (256, 1)]
    for filters, stride in blocks:
        layers.depthwise(3, stride)
        layers.convolution(filters, (1, 1))
    layers.average()
    layers.dense(2)
    return layers.operators


def _ds_cnn() -> list[Operator]:
    layers = _Layers(49, 10, 1)
    layers.convolution(64, (10, 4), 2)
    for _ in range(4):
        layers.depthwise(3)
        layers.convolution(64, (1, 1))
    layers.average()
    layers.dense(12)
    return layers.operators


def _autoencoder() -> list[Operator]:
    layers = _Layers(640)
    for outputs in (128, 128, 128, 128, 8, 128, 128, 128, 128, 640):
        layers.dense(outputs)
    return layers.operators
