"""Facial-emotion classifiers: training on FER2013 and FER+, evaluation, and inference."""

import os

# OpenMP's threads wait by spinning. On a machine that does anything else beside, they then mostly wait for each other:
# with two busy cores a training step took 4 to 6 times as long. Must be set before torch is imported; yours wins.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__version__ = "0.1.0"
