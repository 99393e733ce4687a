"""`python -m inpainting`: the command `inpaint`, see `inpainting.command`."""

from inpainting import command

if __name__ == "__main__":
    command.main()
