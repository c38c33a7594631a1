"""The ablation study: which part of the loss does what, over seeds and splits, with intervals."""
