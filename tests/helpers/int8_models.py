"""Small .tflite files and operators for tests, built by hand or by TensorFlow's converter, and noise to feed them."""

from typing import Any

import flatbuffers
import numpy as np
from tensorflow.lite.python import schema_py_generated as schema

from tinytrain.config.schema import Config
from tinytrain.deploy.decode.anchors import AnchorDecoder, Output
from tinytrain.deploy.decode.boxes import Grid, in_units
from tinytrain.deploy.decode.cells import CellDecoder
from tinytrain.tflite.model import Model, Operator, Tensor

INPUT_SHAPE = (1, 4, 4, 3)
FILTERS = 5


def conv_model(
    dtype: str = "int8",
    custom: str = "",
    outputs: int = 1,
    padding_bytes: int = 0,
    scale: float = 1 / 128,
    zero: int = 0,
) -> bytes:
    """Returns a model of one 1x1 CONV_2D (or of one custom operator called `custom`) from INPUT_SHAPE to 5 channels.

    scale, zero: of the input.
    """
    kind = getattr(schema.TensorType, dtype.upper())
    weights = np.random.default_rng(0).integers(-127, 128, (FILTERS, 1, 1, 3)).astype(dtype)
    bias = np.arange(FILTERS, dtype="int32" if dtype == "int8" else dtype)
    model, graph = schema.ModelT(), schema.SubGraphT()
    model.version, model.subgraphs = 3, [graph]
    model.buffers = [_buffer(None), _buffer(weights), _buffer(bias), _buffer(np.zeros(padding_bytes, np.uint8))]
    bias_kind = schema.TensorType.INT32 if dtype == "int8" else kind
    graph.tensors = [
        _tensor("input", INPUT_SHAPE, kind, 0, scale, zero),
        _tensor("weights", weights.shape, kind, 1, 1 / 127),
        _tensor("bias", (FILTERS,), bias_kind, 2, scale / 127),
        _tensor("output", (*INPUT_SHAPE[:3], FILTERS), kind, 0, 1 / 32),
    ]
    graph.inputs, graph.outputs = [0], [3] * outputs
    graph.operators = [_conv(schema.OperatorT())]
    model.operatorCodes = [_code(custom)]
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def broadcast_model(name: str, first: tuple[int, ...], second: tuple[int, ...]) -> bytes:
    """Returns a model of one ADD or MUL of `first`, its input, and `second`, a constant with values from -60 on."""
    model, graph = schema.ModelT(), schema.SubGraphT()
    values = (np.arange(np.prod(second, dtype=int)) % 120 - 60).astype(np.int8)
    model.version, model.subgraphs, model.buffers = 3, [graph], [_buffer(None), _buffer(values)]
    kind = schema.TensorType.INT8
    graph.tensors = [
        _tensor("input", first, kind, 0, 1 / 64, 3),
        _tensor("second", second, kind, 1, 1 / 50, -2),
        _tensor("output", np.broadcast_shapes(first, second), kind, 0, 1 / 30, 1),
    ]
    graph.inputs, graph.outputs = [0], [2]
    operator = schema.OperatorT()
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1], [2]
    operator.builtinOptionsType = getattr(schema.BuiltinOptions, f"{name.capitalize()}Options")
    operator.builtinOptions = getattr(schema, f"{name.capitalize()}OptionsT")()
    graph.operators, model.operatorCodes = [operator], [_code("")]
    number = getattr(schema.BuiltinOperator, name)
    model.operatorCodes[0].builtinCode = model.operatorCodes[0].deprecatedBuiltinCode = number
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def converted_model(io_type: str = "int8") -> bytes:
    """Returns a converted int8 model of the operators tinytrain emits: convolutions, ADD, MEAN, FULLY_CONNECTED …

    io_type: of its input and output, "int8", "uint8" or "float32", the converter's default.
    """
    import tensorflow as tf

    random = np.random.default_rng(0)

    def weights(*shape: int) -> np.ndarray:
        return (random.normal(size=shape) / np.sqrt(np.prod(shape[:-1]))).astype(np.float32)

    first, depth, point, dense = weights(3, 3, 3, 8), weights(3, 3, 8, 1) * 3, weights(1, 1, 8, 8), weights(8, 10) * 4
    biases = [weights(8) for _ in range(3)]

    @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32)])
    def network(image):
        stem = tf.nn.relu6(tf.nn.conv2d(image, first, 2, "SAME") + biases[0])
        middle = tf.nn.relu6(tf.nn.depthwise_conv2d(stem, depth, [1, 1, 1, 1], "SAME") + biases[1])
        block = stem + tf.nn.conv2d(middle, point, 1, "SAME") + biases[2]
        return tf.nn.softmax(tf.matmul(tf.reduce_mean(block, axis=[1, 2]), dense))

    return _converted(network, random, io_type)


def two_output_model() -> bytes:
    """Returns a converted int8 model from (1, 16, 16, 3) to a map (1, 8, 8, 8) and to probabilities (1, 10)."""
    import tensorflow as tf

    random = np.random.default_rng(4)
    stem, point = random.normal(size=(3, 3, 3, 8)).astype("f") / 3, random.normal(size=(1, 1, 8, 8)).astype("f")
    dense = random.normal(size=(8, 10)).astype("f") * 4

    @tf.function(input_signature=[tf.TensorSpec((1, 16, 16, 3), tf.float32)])
    def network(image):
        features = tf.nn.relu6(tf.nn.conv2d(image, stem, 2, "SAME"))
        scores = tf.nn.softmax(tf.matmul(tf.reduce_mean(features, axis=[1, 2]), dense))
        return tf.nn.conv2d(features, point, 1, "SAME") * 2 + 1, scores

    return _converted(network, random)


DETECTOR_SIDE, DETECTOR_CLASSES = 32, 2
DETECTOR_ANCHORS = {16: ((14.0, 16.5), (28.0, 20.0)), 8: ((8.0, 10.0), (12.0, 9.0))}  # in pixels, for each stride


def detector_model() -> bytes:
    """Returns a converted int8 model from (1, 32, 32, 3) to two maps of cells, of stride 16 and 8.

    Both have 2 anchors of 5 + 2 values; biases make objects rare.
    """
    import tensorflow as tf

    random, channels = np.random.default_rng(7), 2 * (5 + DETECTOR_CLASSES)
    stem, down = (random.normal(size=(3, 3, width, 8)).astype("f") / 4 for width in (3, 8))
    heads = [random.normal(size=(1, 1, 8, channels)).astype("f") / 2 for _ in range(2)]
    bias = np.tile(np.array([0, 0, 0, 0, -0.7, 0.2, 0.2], "f"), 2)

    @tf.function(input_signature=[tf.TensorSpec((1, DETECTOR_SIDE, DETECTOR_SIDE, 3), tf.float32)])
    def network(image):
        stride_8 = tf.nn.relu6(tf.nn.conv2d(tf.nn.relu6(tf.nn.conv2d(image, stem, 4, "SAME")), down, 2, "SAME"))
        stride_16 = tf.nn.relu6(tf.nn.conv2d(stride_8, down, 2, "SAME"))
        maps = [tf.nn.conv2d(each, head, 1, "SAME") for each, head in zip((stride_16, stride_8), heads, strict=True)]
        return [each + bias for each in maps]

    return _converted(network, random)


def cells_model() -> bytes:
    """Returns a converted int8 model from (1, 32, 32, 3) to one map of cells of stride 8, 1 + 2 values each."""
    import tensorflow as tf

    random = np.random.default_rng(8)
    stem, head = (random.normal(size=(3, 3, *widths)).astype("f") / 2 for widths in ((3, 8), (8, 1 + DETECTOR_CLASSES)))

    @tf.function(input_signature=[tf.TensorSpec((1, DETECTOR_SIDE, DETECTOR_SIDE, 3), tf.float32)])
    def network(image):
        return tf.nn.conv2d(tf.nn.relu6(tf.nn.conv2d(image, stem, 4, "SAME")), head, 2, "SAME")

    return _converted(network, random)


def detector_decoder(model: bytes, **changes: Any) -> AnchorDecoder:
    """Returns the decoder of `detector_model`."""
    grids = [_grid(tensor) for tensor in Model.parse(model).outputs]
    anchors = [[tuple(map(in_units, anchor)) for anchor in DETECTOR_ANCHORS[grid["stride"]]] for grid in grids]
    outputs = tuple(Output(**grid, anchors=tuple(each)) for grid, each in zip(grids, anchors, strict=True))
    settings = {"classes": DETECTOR_CLASSES, "score": 0.4, "gain": 4.0, "nms": 0.45} | changes
    return AnchorDecoder(side=DETECTOR_SIDE, outputs=outputs, **settings)


def detector_config(score: float = 0.4, head: str = "yolo3_lite") -> Config:
    """Returns the config of a run that `detector_model` would be of, or with the head "centroid" `cells_model`."""
    config = Config(task="centroids" if head == "centroid" else "detect")
    config.model.resolution = DETECTOR_SIDE
    config.detect.head, config.detect.score, config.detect.anchors_per_scale = head, score, 2
    config.detect.strides = [8] if head == "centroid" else [16, 8]
    config.detect.anchors = [side for stride in (8, 16) for anchor in DETECTOR_ANCHORS[stride] for side in anchor]
    return config


def cells_decoder(model: bytes) -> CellDecoder:
    """Returns the decoder of `cells_model`."""
    (tensor,) = Model.parse(model).outputs
    return CellDecoder(side=DETECTOR_SIDE, classes=DETECTOR_CLASSES, score=0.4, output=Grid(**_grid(tensor)))


def _grid(tensor: Tensor) -> dict[str, Any]:
    _, rows, columns, _ = tensor.shape
    quantization = {"scale": tensor.scale[0], "zero_point": tensor.zero_point[0]}
    return {"stride": DETECTOR_SIDE // rows, "rows": rows, "columns": columns, **quantization}


def _converted(network, random, io_type: str = "int8") -> bytes:
    """Returns the int8 .tflite of a tf.function of an image."""
    import tensorflow as tf

    shape = network.input_signature[0].shape
    converter = tf.lite.TFLiteConverter.from_concrete_functions([network.get_concrete_function()], network)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: ([image] for image in random.uniform(-1, 1, (20, *shape)).astype("f"))
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = getattr(tf, io_type)
    return converter.convert()


def noise_images(count, shape, seed=0):
    """Returns int8 noise and the float32 images that it stands for, q = pixel - 128, x = q/128."""
    int8 = np.random.default_rng(seed).integers(-128, 128, (count, *shape), np.int8)
    return int8, int8.astype("float32") / 128


def shaped(name, *shapes, **options):
    """An int8 operator; the last shape is that of its output."""
    *inputs, output = (Tensor("", shape, "int8", (1.0,), (0,), False) for shape in shapes)
    return Operator(name, tuple(inputs), (output,), options)


def changed(content, change):
    """Returns the .tflite `content` after `change(model, graph)` of the schema's objects."""
    model = schema.ModelT.InitFromObj(schema.Model.GetRootAsModel(content, 0))
    change(model, model.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def of_eight_pixels(_, graph):
    """The network sees the first pixel of an 8x8 image."""
    graph.tensors[0].shape, graph.tensors[3].shape = [1, 8, 8, 3], [1, 1, 1, 5]
    options = graph.operators[0].builtinOptions
    options.strideW = options.strideH = 8


def _buffer(values):
    buffer = schema.BufferT()
    buffer.data = None if values is None else np.frombuffer(values.tobytes(), np.uint8)
    return buffer


def _tensor(name, shape, kind, buffer, scale, zero=0):
    tensor = schema.TensorT()
    tensor.name, tensor.shape, tensor.type, tensor.buffer = name.encode(), list(shape), kind, buffer
    if kind in (schema.TensorType.INT8, schema.TensorType.INT32):
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale, tensor.quantization.zeroPoint = [scale], [zero]
    return tensor


def _conv(operator):
    operator.opcodeIndex, operator.inputs, operator.outputs = 0, [0, 1, 2], [3]
    operator.builtinOptionsType = schema.BuiltinOptions.Conv2DOptions
    operator.builtinOptions = schema.Conv2DOptionsT()
    operator.builtinOptions.strideW = operator.builtinOptions.strideH = 1
    return operator


def _code(custom):
    code = schema.OperatorCodeT()
    code.version = 3
    number = schema.BuiltinOperator.CUSTOM if custom else schema.BuiltinOperator.CONV_2D
    code.builtinCode = code.deprecatedBuiltinCode = number
    code.customCode = custom.encode() if custom else None
    return code
