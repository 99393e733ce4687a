"""Scores inpainting on fixed images and holes: `python evaluate.py --help`. The command is `inpainting/evaluate.py`."""

from common import command_line
from inpainting import evaluate

if __name__ == "__main__":
    command_line.run(evaluate)
