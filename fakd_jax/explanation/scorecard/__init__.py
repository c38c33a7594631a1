"""Many methods on many images: their figures of merit, compared, tabulated and drawn."""
