"""Frames -> faces -> crops -> probabilities -> tracks -> explanation -> drawing -> files or a window; no training."""
