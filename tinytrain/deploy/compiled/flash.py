"""Flash of a compiled network beside the rest of the firmware: constants, tables of fused rows, code of the kernels.

Estimates for five networks are 600 to 2,300 bytes above real links of 106,000 to 777,000 bytes.
"""

from tinytrain.deploy.compiled import c_graph
from tinytrain.deploy.compiled.fused import Group
from tinytrain.deploy.compiled.plan import Plan

# Bytes of each kernel (gcc 12.2, -O2). Below, of what convolutions share, depthwise ones of 3x3 and more, fused rows.
KERNEL_BYTES = {
    "add": 732,
    "average_pool": 832,
    "concatenation": 80,
    "conv": 1640,
    "conv_1x1": 716,
    "conv_any": 636,
    "depthwise_3": 2102,
    "depthwise_5": 2136,
    "depthwise_7": 2442,
    "depthwise_small": 852,
    "fully_connected": 320,
    "lookup": 464,
    "max_pool": 380,
    "mean": 268,
    "multiply": 516,
    "pad": 304,
    "resize": 128,
    "softmax": 576,
    "sum": 580,
    "transpose": 100,
}
COLUMNS_BYTES, DEPTHWISE_BYTES, FUSED_BYTES = 2296, 1118, 264
ALL_CODE_BYTES = COLUMNS_BYTES + DEPTHWISE_BYTES + FUSED_BYTES + sum(KERNEL_BYTES.values())  # of any network
LIBC_BYTES = 900
MAP_BYTES, STAGE_BYTES, GROUP_BYTES, ENTRY_BYTES, CALL_BYTES = 16, 12, 16, 2, 40


def model_bytes(plan: Plan) -> int:
    """Returns the bytes of the constants in flash: weights, biases and scaling as the kernels read them."""
    return c_graph.constant_bytes(plan)


def code_bytes(plan: Plan) -> int:
    """Returns the bytes of the kernels, of the calls, and of the tables of fused rows, estimated."""
    names = {c_graph.function(node.kernel) for node in plan.network.nodes}
    columns = COLUMNS_BYTES if names & {"conv", "conv_1x1", "fully_connected"} else 0
    windows = DEPTHWISE_BYTES if names & {"depthwise_3", "depthwise_5", "depthwise_7"} else 0
    groups = [step for step in plan.steps if isinstance(step, Group)]
    tables = sum(
        GROUP_BYTES + ENTRY_BYTES * len(group.schedule) + (MAP_BYTES + STAGE_BYTES) * (len(group.nodes) + 1)
        for group in groups
    )
    kernels = sum(KERNEL_BYTES[name] for name in names)
    return columns + windows + kernels + tables + CALL_BYTES * len(plan.steps) + (FUSED_BYTES if groups else 0)
