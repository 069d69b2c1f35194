"""A report.json as `tinytrain export` writes it, for tests of what reads one."""

LIMITS = ["arena_bytes", "ram_bytes", "ram_limit_bytes", "flash_bytes", "flash_limit_bytes"]


def report(**changes):
    """Returns the report of an export in which nothing is wrong, proven on noise without an emulator, with changes."""
    lite = {"images": 1, "largest_steps": 1, "noise": 0.01, "noise_limit": 0.25, "parts": False}
    return {
        "source": "run",
        "task": "classify",
        "board": "stm32f746g_disco",
        "target": "bare-metal",
        "fits": True,
        "model": {
            "bytes": 1,
            "crc32": "",
            "compact_bytes": 1,
            "compact_crc32": "",
            "firmware_bytes": 1,
            "macs": 1,
            "ops": {},
        },
        "engine": {
            "name": "compiled",
            "reason": "",
            "arena_bytes": 64,
            "peak_step": 1,
            "input_rows": 0,
            "added_instructions": 0,
            "added_percent": 0.0,
            "steps": [{"operators": [0], "rows": 0}],
            "buffers": [{"kind": "tensor", "offset": 0, "bytes": 64, "first": 0, "last": 1}],
        },
        "kernels": {"chosen": "tinytrain", "reason": "", "operators": 1, "ours": 1, "others": []},
        "classes": [],
        "input": {
            "shape": [1, 8, 8, 1],
            "pixel_0": -1.0,
            "pixel_255": 127 / 128,
            "channel_order": "rgb",
            "mean": [0.0],
            "std": [1.0],
            "resize": "",
            "notes": [],
        },
        "outputs": [{"name": "logits", "shape": [1, 10], "scale": 0.1, "zero_point": 0}],
        "accuracy": dict.fromkeys(("float", "float_finetuned", "int8", "int8_balanced", "val")) | {"images": 0},
        "parity": {"images": 1, "different": 0, "of": "compiled network"},
        "tensorflow_lite": lite | {"reason": "", "failed": ""},
        "memory": dict.fromkeys(LIMITS, 1),
        "arena_basis": {"how": "upper bound", "unplanned_operators": []},
        "sizes": "",
        "latency_ms": None,
        "latency_range_ms": None,
        "latency_basis": {"core": "cortex-m55", "uncounted_operators": []},
        "proven": True,
        "unproven": [],
    } | changes
