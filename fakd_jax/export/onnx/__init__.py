"""ONNX: the folded network and its preprocessing as one graph, in float32, float16 or int8.

The network is traced by JAX and its operations are translated one by one. jax2onnx would do so
too, but writes three Transposes around each convolution and a broadcast maximum for each ReLU,
which ONNX Runtime does not fuse, and it requires an older Orbax than this package is tested with.
"""
