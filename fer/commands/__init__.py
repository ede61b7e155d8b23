"""The commands train.py and infer.py, installed as fer-train and fer-infer: what each needs of `fer.command`."""

import fer.alone  # noqa: F401 (in case another package has put its own fer/__init__.py in the place of ours)
