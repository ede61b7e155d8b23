"""What a trained net is worth: metrics, their intervals, figures and heatmaps. Knows nothing of Lightning or Hydra."""
