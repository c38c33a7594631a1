"""What a data set hides: copies across its splits, conflicting labels, shortcuts to its classes."""
