"""Instructions of TinyEngine's int8 kernels on an emulated core, without TFLM: for benchmarks/kernels.py --tinyengine.

They come from a checkout of mit-han-lab/tinyengine with its submodule CMSIS, and are compiled where they lie with
-Ofast, as its README says, for the shapes of the operators in question. Its depthwise kernels are written by the
checkout's own code template. Which function runs an operator follows its code generator (operators/conv2d.py). Values
are arbitrary: the kernels' loops depend on shapes alone. Outputs are not compared, since it pads otherwise.
"""

import importlib.util
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import alone

from tinytrain.deploy import boards
from tinytrain.errors import UserError
from tinytrain.tflite.model import Operator

KERNELS = "TinyEngine/src/kernels/int_forward_op"
CMSIS = "TinyEngine/third_party/CMSIS/CMSIS"
INCLUDES = ("TinyEngine/include", *(f"{CMSIS}/{part}/Include" for part in ("Core", "DSP", "NN")))
FILES = ("add", "avgpooling", "convolve_1x1_s8", "convolve_1x1_s8_ch*", "convolve_1x1_s8_oddch", "mat_mult_kernels")
FILES += ("convolve_s8_kernel3_*", "arm_nn_mat_mult_kernel*")
CMSIS_FILE = f"{CMSIS}/NN/Source/ConvolutionFunctions/arm_nn_mat_mult_kernel_s8_s16_reordered.c"
UNROLLED = (8, 16, 24, 48)  # channels of 1x1 convolutions with a function of their own
MOST_BYTES = 500_000  # of weights or of a tensor

SIGNATURE = """(const q7_t *, const uint16_t, const uint16_t, const uint16_t, const q7_t *, const int32_t *,
    const int32_t *, const int32_t *, const int32_t, const int32_t, const int32_t, const int32_t, q7_t *,
    const uint16_t, const uint16_t, const uint16_t, q15_t *"""
DECLARATIONS = f"""\
#include <stdint.h>
#include "tinyengine_function.h"
tinyengine_status convolve_s8_kernel3_stride1_pad1{SIGNATURE}, q7_t);
tinyengine_status convolve_1x1_s8_oddch{SIGNATURE});"""
VARIABLES = f"""\
static int8_t input[{MOST_BYTES}], second[{MOST_BYTES}], output[{MOST_BYTES}], weights[{MOST_BYTES}];
static int32_t bias[4096], shift[4096], multiplier[4096];
static int16_t columns[200000], spread[100000];
static ADD_params sum = {{.left_shift = 20, .input1_multiplier = 1 << 30, .input2_multiplier = 1 << 30,
                         .input2_shift = -1, .output_multiplier = 1 << 30, .output_shift = -18,
                         .quantized_activation_max = 127, .quantized_activation_min = -128}};"""
PREPARE = """\
for (uint32_t i = 0; i < sizeof weights; ++i) weights[i] = input[i] ^ second[i];
    for (int i = 0; i < 4096; ++i) multiplier[i] = 1 << 30, shift[i] = -8;"""


def counted(checkout: Path, operators: Sequence[Operator], board: boards.Board) -> list[float | None]:
    """Returns the instructions of each operator, None for those that TinyEngine has no int8 kernel for.

    Raises UserError if `checkout` is no checkout of TinyEngine with its submodule.
    """
    missing = [name for name in (KERNELS, *INCLUDES) if not (checkout / name).is_dir()]
    if missing:
        raise UserError(
            f"{checkout} has no {missing[0]}; give a checkout of mit-han-lab/tinyengine with its submodules"
        )
    calls = [call(operator) for operator in operators]
    own = [_depthwise_kernel(checkout, *sizes) for sizes in sorted(_depthwise_sizes(operators))]
    files = {name: text for name, text, _ in own}
    files["genInclude.h"] = "".join(f"{declaration};\n" for *_, declaration in own)
    sources = [*(name for name, *_ in own), str(checkout / CMSIS_FILE)]
    sources += sorted({str(path) for name in FILES for path in (checkout / KERNELS).glob(f"{name}.c")})
    flags = "-Ofast -w " + " ".join(f"-I{checkout / name}" for name in INCLUDES)
    numbers = alone.instructions(
        [each for each in calls if each],
        board,
        sources,
        files,
        {"OPTIMIZE": flags, "STACK_BYTES": "16384"},
        declarations=DECLARATIONS,
        variables=VARIABLES,
        prepare=PREPARE,
    )
    following = iter(numbers)
    return [next(following) if each else None for each in calls]


def call(operator: Operator) -> str:
    """Returns the call of TinyEngine's function for an operator, "" if it has none."""
    source, target = operator.inputs[0].shape, operator.outputs[0].shape
    if max(math.prod(source), math.prod(target)) > MOST_BYTES:
        return ""
    if operator.name == "ADD" and operator.inputs[1].shape == source:
        return f"add({math.prod(target)}, &sum, input, second, output)"
    if operator.name == "AVERAGE_POOL_2D" and target[1:3] == (1, 1):
        height, width, channels = source[1:]
        return f"avg_pooling(input, {height}, {width}, {channels}, {height}, {width}, 1, 1, -128, 127, output)"
    if operator.name == "CONV_2D":
        return _convolution(operator)
    sizes = _depthwise_of(operator)
    if sizes is None:
        return ""
    side, stride = sizes
    return (
        f"depthwise_kernel{side}x{side}_stride{stride}_inplace_CHW({_input(source)}, weights, bias, bias, shift, "
        f"multiplier, 3, 3, -128, 127, input, {_output(target)}, columns, 3)"
    )


def _convolution(operator: Operator) -> str:
    source, target, window = operator.inputs[0].shape, operator.outputs[0].shape, operator.inputs[1].shape[1:3]
    stride, channels = operator.options.get("strideH", 1), source[3]
    common = f"{_input(source)}, weights, bias, shift, multiplier, 3, 3, -128, 127, output, {_output(target)}, columns"
    if window == (1, 1) and stride == 1 and channels % 4 == 0:
        if target[3] % 2:
            return f"convolve_1x1_s8_oddch({common})"
        return f"convolve_1x1_s8{f'_ch{channels}' if channels in UNROLLED else ''}({common})"
    if window == (3, 3) and stride == 2 and channels == 3 and target[3] % 2 == 0:
        return f"convolve_s8_kernel3_inputch3_stride2_pad1({common}, spread, 3)"
    if window == (3, 3) and stride == 1 and channels % 4 == 0 and source[1:3] == target[1:3]:
        return f"convolve_s8_kernel3_stride1_pad1({common}, 3)"
    return ""


def _input(shape: tuple[int, ...]) -> str:
    return f"input, {shape[2]}, {shape[1]}, {shape[3]}"


def _output(shape: tuple[int, ...]) -> str:
    return f"{shape[2]}, {shape[1]}, {shape[3]}"


def _depthwise_of(operator: Operator) -> tuple[int, int] | None:
    """Returns side and stride of a depthwise convolution that the template writes a function for."""
    if operator.name != "DEPTHWISE_CONV_2D":
        return None
    source, target, window = operator.inputs[0].shape, operator.outputs[0].shape, operator.inputs[1].shape[1:3]
    stride = operator.options.get("strideH", 1)
    same = target[1] == -(-source[1] // stride)
    return (window[0], stride) if window[0] == window[1] and window[0] % 2 and source[3] == target[3] and same else None


def _depthwise_sizes(operators: Sequence[Operator]) -> set[tuple[int, int]]:
    return {sizes for operator in operators if (sizes := _depthwise_of(operator))}


def _depthwise_kernel(checkout: Path, side: int, stride: int) -> tuple[str, str, str]:
    """Returns the file of a depthwise function, its text and its declaration."""
    template = _template(checkout).depthwiseInplace(side, side, side // 2, side // 2, stride)
    includes = '#include "arm_math.h"\n#include "arm_nnsupportfunctions.h"\n'
    return f"app/depthwise_{side}_{stride}.c", includes + template._genCode(), template.genFuncDefine()


def _template(checkout: Path) -> Any:
    path = checkout / "code_generator" / "codetemplate" / "depthwiseTemplate.py"
    specification = importlib.util.spec_from_file_location("depthwise_template", path)
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module
