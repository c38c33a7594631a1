"""Images in, probabilities and gradients out: the one way to use a trained network.

Holds the predictor, masked inference, receptive fields and gradients.
May import models, data.preprocessing, runtime and errors; never training or evaluation.
"""
