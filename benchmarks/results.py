"""Results of a benchmark: printed line by line, and written to --output as JSON at the end."""

from __future__ import annotations

from absl import app, flags

from common import environment, json_files

FLAGS = flags.FLAGS
flags.DEFINE_string("output", None, "JSON file for the results")


class Results:
    """{name: {quantity: number}} beside the versions and the commit."""

    def __init__(self):
        self.content = {"versions": environment.versions(), "git_commit": environment.git_commit()}

    def add(self, name: str, values: dict, group: str | None = None) -> None:
        """Prints and keeps measured values; `group`: name above them in the JSON file."""
        print(f"{name:24}", ", ".join(f"{k} {v:.3g}" for k, v in values.items()), flush=True)
        place = self.content.setdefault(group, {}) if group else self.content
        place[name] = values

    def write(self) -> None:
        """Writes --output, if given."""
        if FLAGS.output:
            json_files.write(FLAGS.output, self.content)


def run(measure) -> None:
    """Runs a benchmark as a command: `measure(results)` fills the results."""

    def main(_):
        results = Results()
        measure(results)
        results.write()

    environment.check()
    app.run(main)
