"""A local web page and a JSON interface for a trained network.

Opens files, asks the network and its explainers, and answers; stores nothing.
May import everything but training, experiment, evaluation and the commands.
"""
