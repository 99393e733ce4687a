"""`python -m inpainting.serve`: see `inpainting.serve.command`."""

from common import command_line
from inpainting.serve import command

if __name__ == "__main__":
    command_line.run(command)
