"""From files to pictures: decoding, and grey levels of more than 8 bits brought to 8.

What any file holds becomes RGB of 8 bits per channel. `frames` is the interface; `raster` reads
what Pillow reads, `dicom` and `nifti` what their extras read, and `window` has the rule by which
deeper grey levels become 8 bits. NumPy alone: no JAX.
"""
