"""The commands train.py and infer.py, installed as fer-train and fer-infer: what each needs of `fer.command`."""
