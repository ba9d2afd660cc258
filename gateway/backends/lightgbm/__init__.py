"""The score of a LightGBM model, by its C library alone."""
