"""Fills holes in photographs: `python inpaint.py --help`. The command is `inpainting/run.py`."""

from common import command_line
from inpainting import run

if __name__ == "__main__":
    command_line.run(run)
