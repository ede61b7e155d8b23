"""Show a classifier at work on images, video and a camera: `python infer.py --help`. See fer/commands/infer.py."""

from fer.commands.infer import main

if __name__ == "__main__":
    main()
