"""Finds faces and cuts them out as training's images are cut; below evaluation and inference, which both need it."""
