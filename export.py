"""Writes a model as a SavedModel: `python export.py --help`. The command is `inpainting/export.py`."""

from common import command_line
from inpainting import export

if __name__ == "__main__":
    command_line.run(export)
