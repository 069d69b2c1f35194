"""The network architectures, one file each, named as model.name in a config. Each has `build`, DEFAULTS and SIZES."""
