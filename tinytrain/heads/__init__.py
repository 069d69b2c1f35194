"""The heads of detectors, one file each, named as detect.head in a config. Each has `build` and DEFAULTS.

It may have ONE_STRIDE = True, if it reads one scale only, FUSE, the only way in which it joins scales, and
CENTROIDS = True, if its output is a class for each cell, no boxes.
"""
