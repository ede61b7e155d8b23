"""What `mode=` means, a file each: photos, crops, clips, cameras.

To add one: NAME.py with `run(config, pipeline, style)`, and NAME in `fer.inference.schema.InferConfig.mode`.
"""
