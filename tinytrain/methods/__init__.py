"""The training methods, one file or package each, named as the words of `method` in a config. Each has `build`."""
