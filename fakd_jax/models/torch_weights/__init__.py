"""PyTorch weights in: files, names, conversion, download, pretrained networks.

One table of names per architecture; nothing is loaded that does not fit.
May import models, runtime and errors.
"""
