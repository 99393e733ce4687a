"""Trains a model: `python train.py --help`. The command is `inpainting/train.py`."""

from common import command_line
from inpainting import train

if __name__ == "__main__":
    command_line.run(train)
