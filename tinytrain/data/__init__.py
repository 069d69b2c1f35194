"""From the files of a data source to batches of images: read, checked, split, decoded, augmented."""
