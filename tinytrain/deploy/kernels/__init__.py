"""Prepares operators for the kernels in firmware/kernels: constants of flash, and the proof that they are exact."""
