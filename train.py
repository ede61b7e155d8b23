"""Train a facial-emotion classifier, or evaluate one: `python train.py --help` tells how. See fer/commands/train.py."""

from fer.commands.train import main

if __name__ == "__main__":
    main()
