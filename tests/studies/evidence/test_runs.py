"""train.py accepts every run of the evidence, in a process of its own; and, slowly, trains a chain of them."""

from __future__ import annotations

import json
import pathlib

import pytest

from common.errors import UserError
from studies.evidence import training
from studies.evidence.arms import RUNS
from studies.evidence.training import Plan
from studies.kit import networks

ROOT = pathlib.Path(__file__).resolve().parents[3]
# Parses each command line as train.py does and stops where networks would be built or weights read.
ACCEPT = """
import json, sys
from inpainting import train
from absl import flags
from common import command_line
from common.models import weights
from tensorflow import distribute
import hifill.recipe, zoom_to_inpaint.recipe, zoom_to_inpaint.weights_source

class Accepted(Exception):
    pass

def accepted(*_, **__):
    raise Accepted

train.prepare()
hifill.recipe.HiFill = zoom_to_inpaint.recipe.ZoomToInpaint = accepted
zoom_to_inpaint.weights_source.load = accepted
found = []
for line in json.loads(sys.argv[1]):
    flags.FLAGS.unparse_flags()
    command_line.parse(["train.py", *line])
    job = train.Job.of_flags()
    job.check_flags()
    try:
        job.recipe.make(distribute.get_strategy(), job.values)
    except Accepted:
        names = ("stage", "masks", "steps", "learning_rate", "seed", "refinement_gate")
        config = job.recipe.config(job.values)
        values = {name: job.values[name] for name in names}
        found.append({**values, "gradient_weight": getattr(config, "gradient_weight", None)})
print(json.dumps(found))
"""


def test_train_accepts_every_run(forked, tmp_path):
    plan = Plan(tmp_path, ("--dataset=sample",), 7, (1,))
    lines = []
    for name in plan.all_runs():
        steps = [f"--steps={plan.steps}", "--seed=1", f"--output={tmp_path}"]
        small = networks.ARMS[RUNS[name].network].small
        lines.append([*small, *plan.data, *plan.flags_of(1, name), *steps])
    process = forked("-c", ACCEPT, json.dumps(lines), cwd=ROOT)
    assert process.returncode == 0, process.stderr
    found = dict(zip(plan.all_runs(), json.loads(process.stdout.splitlines()[-1])))
    assert found.keys() == RUNS.keys()
    assert all(values["seed"] == 1 and values["steps"] == 7 for values in found.values())
    for name, values in found.items():
        if values["refinement_gate"] is None:
            stage = name.rpartition("/")[2].removesuffix("_large") if "/" not in name else "joint"
            assert values["stage"] == stage, name
            large = name.endswith("large") or name.startswith("large")
            assert values["masks"] == ("large" if large else "small"), name
            assert values["learning_rate"] == (1e-4 if name.endswith("/joint_large") else 1e-3)
    weighted = {name for name, v in found.items() if v["gradient_weight"] and "/" in name}
    assert {name.split("/")[0] for name in weighted} == {"sr_zoom_gradient", "large_from_start"}


@pytest.mark.full
def test_a_chain_is_trained_and_goes_on(tmp_path):
    """Every kind of run once, tiny; the second start trains nothing, and other flags are refused."""
    tiny = ("--zoom_channels=4", "--zoom_size=16", "--validation_images=1")
    data = ("--dataset=sample", *tiny)
    plan = Plan(tmp_path, data, 1, (0,), ("sr_zoom_gradient/joint_large",))
    training.train(plan)
    assert not plan.missing()
    weights = plan.weights(0, "sr_zoom_gradient/joint_large")
    written, seconds = weights.stat().st_mtime_ns, plan.seconds()
    assert seconds > 5
    training.train(plan)
    assert weights.stat().st_mtime_ns == written and plan.seconds() == seconds
    other = Plan(tmp_path, data, 2, (0,), plan.runs)
    with pytest.raises(UserError, match="other flags"):
        training.train(other)
