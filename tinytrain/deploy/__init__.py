"""From an int8 .tflite to a board: its C source, the firmware, memory and latency, the folder of an export."""
