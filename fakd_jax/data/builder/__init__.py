"""The TFDS builder that writes any folder of images as array_record files."""
