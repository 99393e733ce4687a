"""`python -m studies.evidence`: see `studies.evidence.study`."""

from common import command_line
from studies.evidence import study

if __name__ == "__main__":
    command_line.run(study)
