"""What `train.py` runs: the Lightning module, its losses and schedules, callbacks, and the run around them."""
