"""The kinds of data sources, one file each; its name is the word before the colon of a data.spec.

Each has `load(argument, config)`, which returns the `data.source.Dataset` of what stands after the colon, or raises
UserError in one sentence. Datasets by name are rows of tinytrain/config/dataset_catalog.py, which `named.py` reads.
"""
