"""`python -m studies.user_study`: see `studies.user_study.command`."""

from common import command_line
from studies.user_study import command

if __name__ == "__main__":
    command_line.run(command)
