"""The stages as a chain: their order, what each is started with, and that it stops where a stage fails.

No stage is trained here: what would be started is looked at. `test_zoom_commands` starts some.
"""

from __future__ import annotations

import pathlib
import sys

import pytest

from common import command_line
from common.errors import UsageError, UserError
from common.training import signals
from zoom_to_inpaint import stages

ROOT = pathlib.Path(__file__).resolve().parents[2]
ALL = ["pretrain_coarse", "pretrain_refinement", "pretrain_sr", "joint_small", "joint_large"]


@pytest.fixture
def chain(monkeypatch):
    """chain(wanted, *arguments, ...) -> {stage: its flags in order}; `fails` is the stage that ends with code 3."""

    def run(
        wanted,
        *arguments,
        folder=None,
        output="runs",
        fails=None,
        terminated=None,
        stop=None,
        dry_run=False,
    ):
        started = {}

        def process(command, stop):
            assert stop is not None and command[:2] == [sys.executable, str(ROOT / "train.py")]
            name = pathlib.Path(command[2]).stem
            assert name not in started
            started[name] = command[2:]
            if name == terminated:
                stop.terminate()
            return 3 if name == fails else 0

        monkeypatch.setattr(signals, "run", process)
        try:
            stages.run(
                wanted, folder, output, list(arguments), stop or signals.StopRequest(), dry_run
            )
        finally:
            run.started = started
        return started

    return run


def _refused(chain, *arguments, **options):
    with pytest.raises(UsageError) as error:
        chain(*arguments, **options)
    assert "\n" not in str(error.value) and not getattr(chain, "started", None)
    return str(error.value)


def _last(flags):
    """{flag: value} of a command line, where the last one wins."""
    return dict(flag.lstrip("-").partition("=")[::2] for flag in flags)


def test_all_are_run_in_their_order_with_their_flagfiles(chain):
    started = chain(["all"])
    assert list(started) == ALL
    for name, flags in started.items():
        assert flags[0] == f"--flagfile=configs/zoom_to_inpaint/{name}.cfg"
        assert (ROOT / flags[0].partition("=")[2]).is_file()
        assert flags[-1] == f"--output={pathlib.Path('runs', name)}"


def test_every_stage_takes_the_weights_of_those_before_it(chain):
    started = chain(["all"], output="out")

    def of(stage):
        return str(pathlib.Path("out", stage, "weights.npz"))

    weights = {
        name: {flag: value for flag, value in _last(flags).items() if "weights" in flag}
        for name, flags in started.items()
    }
    assert weights == {
        **{"pretrain_coarse": {}, "pretrain_sr": {}},
        "pretrain_refinement": {"coarse_weights": of("pretrain_coarse")},
        "joint_small": {
            "coarse_weights": of("pretrain_coarse"),
            "sr_weights": of("pretrain_sr"),
            "refinement_weights": of("pretrain_refinement"),
        },
        "joint_large": {
            "weights": of("joint_small"),
            "discriminator_weights": of("joint_small").replace("weights.npz", "discriminator.npz"),
        },
    }


def test_some_are_run_in_the_papers_order_whatever_the_flags(chain):
    assert list(chain(["joint_large", "pretrain_sr"])) == ["pretrain_sr", "joint_large"]
    assert list(chain(["joint_small", "all"])) == ALL
    assert list(chain(["joint_large", "joint_large"])) == ["joint_large"]


def test_weights_of_stages_that_do_not_run_are_left_to_the_flagfile(chain):
    flags = _last(chain(["pretrain_coarse", "joint_small"])["joint_small"])
    assert flags["coarse_weights"] == str(pathlib.Path("runs/pretrain_coarse/weights.npz"))
    assert "sr_weights" not in flags and "refinement_weights" not in flags
    assert "weights" not in _last(chain(["joint_large"])["joint_large"])


def test_flags_go_to_every_stage_behind_its_flagfile_and_the_chains_own_do_not(chain):
    given = ["--steps=3", "--noresize", "--dataset", "sample", "-flip"]
    own = ["--model=zoom_to_inpaint", "-output", "runs", "--flagfiles=f"]
    started = chain(["all"], "--stages", "all", *given[:2], *own, *given[2:])
    for name, flags in started.items():
        rest = [flag for flag in flags[1:-1] if "weights=" not in flag]
        assert rest == given, name


def test_other_flagfiles_may_be_named(chain):
    started = chain(["pretrain_sr"], folder="configs/zoom_to_inpaint/small")
    assert started["pretrain_sr"][0] == "--flagfile=configs/zoom_to_inpaint/small/pretrain_sr.cfg"


def test_a_flagfile_of_the_chain_is_unfolded(chain, tmp_path):
    path = tmp_path / "chain.cfg"
    path.write_text("--stages=all\n--model=zoom_to_inpaint\n--output=elsewhere\n--steps=5\n")
    started = chain(["pretrain_coarse"], f"--flagfile={path}")
    assert started["pretrain_coarse"][1:] == ["--steps=5", "--output=runs/pretrain_coarse"]


def test_weights_that_are_given_go_to_the_stages_that_start_from_them(chain):
    wanted = ["pretrain_coarse", "joint_small", "joint_large"]
    given = ("--sr_weights=sr.npz", "--refinement_weights", "none")
    started = chain(wanted, *given)
    small = started["joint_small"]
    assert small[1:4] == list(given) and _last(small)["coarse_weights"].startswith("runs")
    assert all("sr_weights" not in flag for flag in started["pretrain_coarse"])
    assert all("sr_weights" not in flag for flag in started["joint_large"])
    assert _last(chain(["joint_large"], "--weights=w.npz")["joint_large"])["weights"] == "w.npz"
    # An empty one takes back what the flagfile says, for an ablation without that network.
    small = chain(["pretrain_coarse", "joint_small"], "--sr_weights=")["joint_small"]
    assert "--sr_weights=" in small


@pytest.mark.parametrize(
    ("wanted", "flag"),
    [
        (["all"], "--weights=w.npz"),
        (["all"], "--sr_weights=w.npz"),
        (["pretrain_coarse"], "--coarse_weights=w.npz"),
        (["joint_small"], "--weights=w.npz"),
        (["joint_small", "joint_large"], "--weights=w.npz"),
        (["joint_large"], "--coarse_weights=none"),
    ],
)
def test_weights_that_no_stage_would_start_from_are_refused(chain, wanted, flag):
    message = _refused(chain, wanted, flag)
    assert flag in message and "ignored" in message
    name, _, value = flag.partition("=")
    assert flag in _refused(chain, wanted, name, value)


def test_flags_that_contradict_the_chain_are_refused(chain):
    assert "hifill" in _refused(chain, ["all"], "--model=hifill")
    assert "hifill" in _refused(chain, ["all"], "--model", "hifill")
    assert "--stage " in _refused(chain, ["all"], "--stage=joint")
    assert chain(["pretrain_sr"], "--model=hifill", "--model=zoom_to_inpaint")  # the last wins


def test_an_unknown_stage_is_named_with_those_that_exist(chain):
    message = _refused(chain, ["pretrain_sr", "joint"])
    assert "--stages=joint " in message
    for name in ("all", *ALL):
        assert name in message


def test_no_output_is_said(chain):
    for output in (None, ""):
        assert "--output" in _refused(chain, ["all"], output=output)


@pytest.mark.parametrize("fails", ["pretrain_coarse", "pretrain_sr", "joint_large"])
def test_a_stage_that_fails_ends_the_chain_and_is_named(chain, fails, capfd):
    with pytest.raises(UserError, match=f"stage {fails} ended with exit code 3") as error:
        chain(["all"], fails=fails)
    assert error.value.exit_code == 1 and "\n" not in str(error.value)
    assert list(chain.started) == ALL[: ALL.index(fails) + 1]
    assert f"stage {ALL.index(fails) + 1} of 5: {fails}" in capfd.readouterr().out


def test_a_stage_that_was_terminated_ends_the_chain_without_an_error(chain, capfd):
    assert list(chain(["all"], terminated="pretrain_refinement")) == ALL[:2]
    assert "terminated in stage pretrain_refinement" in capfd.readouterr().out


def test_ctrl_c_in_a_stage_ends_the_chain(chain):
    stop = signals.StopRequest()
    stop.interrupt()
    with pytest.raises(KeyboardInterrupt):
        chain(["all"], stop=stop)
    assert list(chain.started) == ALL[:1]


def test_a_dry_run_takes_random_weights_where_a_stage_has_not_run_yet(chain, tmp_path, capfd):
    there = tmp_path / "pretrain_coarse" / "weights.npz"
    there.parent.mkdir()
    there.write_bytes(b"")
    started = chain(["all"], "--dry_run", output=str(tmp_path), dry_run=True)
    assert list(started) == ALL and all("--dry_run" in flags for flags in started.values())
    small = _last(started["joint_small"])
    assert small["coarse_weights"] == str(there)
    assert small["sr_weights"] == small["refinement_weights"] == "none"
    assert _last(started["joint_large"])["weights"] == "none"
    said = capfd.readouterr().out
    assert f"{tmp_path / 'pretrain_sr' / 'weights.npz'} does not exist yet; random" in said


def test_a_damaged_flagfile_stops_before_any_stage(chain):
    assert "gone.cfg" in _refused(chain, ["all"], "--flagfile=gone.cfg")


@pytest.mark.parametrize("folder", ["configs/zoom_to_inpaint", "configs/zoom_to_inpaint/small"])
def test_single_stages_find_the_weights_of_those_before_them(folder):
    """The flagfiles one by one do what the chain does."""
    flags = {
        name: _last(command_line.expand([f"--flagfile={ROOT / folder / name}.cfg"])) for name in ALL
    }
    assert len({flags[name]["output"] for name in ALL}) == len(ALL)
    for name, needed in stages.STAGES.items():
        for flag, earlier in needed.items():
            file = "discriminator.npz" if flag == "discriminator_weights" else "weights.npz"
            assert flags[name][flag] == f"{flags[earlier]['output']}/{file}"
        given = {flag for flag, value in flags[name].items() if flag.endswith("weights") and value}
        assert given - {"vgg_weights"} == set(needed)
