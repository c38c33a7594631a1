"""Images in, probabilities and gradients out: the one way to use a trained network.

Holds the predictor, masked inference, gradients, and the interface that explainers query. May
import models, data.preprocessing, runtime and errors; never training or evaluation.
"""
