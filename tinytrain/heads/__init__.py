"""The heads of detectors, one file each, named as detect.head in a config. Each has `build` and DEFAULTS."""
