"""What is drawn on pictures: boxes, labels, bars, heatmaps, the strip beside, the timeline."""
