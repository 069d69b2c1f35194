"""The parts of an export: the int8 model with its images, checks before the work, accuracy, proof, the printed text."""
