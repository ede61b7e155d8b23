"""Training faces whose label the nets that never saw them contradict: a list to look at, and no verdict."""
