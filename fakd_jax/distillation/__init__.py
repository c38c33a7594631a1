"""What the paper adds: losses and the alignment of features. Pure functions of arrays."""
