"""A bundle: a checkpoint with all that its use requires, for people on other machines."""
