"""Faces from frame to frame: which one is which, where they are between detections, and steady answers."""
