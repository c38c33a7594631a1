"""Training: state, step, loop, optimizer, checkpoints, early stopping and the experiment."""
