"""Progressive learning as one command: runs the stages of sections 3.2 and 4.1 in turn, each from a flagfile.

    pretrain_coarse                        Places2, small masks
    pretrain_refinement                    the same, on the results of the coarse network
    pretrain_sr                            DIV2K patches
    joint_small                            DIV2K, small masks, from the three networks above
    joint_large                            DIV2K, large masks, from joint_small

Each stage is a separate train.py run with its own run folder below the output folder. Its command line holds the
stage's flagfile, then the given flags, then the weights of earlier stages. Each stage starts with new optimizers;
joint_large continues the discriminator of joint_small. Finished stages are skipped, so the same command continues an
interrupted one. SIGTERM is passed on to the running stage; no other stage starts.
"""

from __future__ import annotations

import pathlib
import signal
from collections.abc import Callable, Sequence

from common import command_line
from common.errors import UsageError, UserError
from common.models import weights_source as sources
from common.training import signals

# Stage -> {flag: the stage whose weights it names}.
STAGES = {
    "pretrain_coarse": {},
    "pretrain_refinement": {"coarse_weights": "pretrain_coarse"},
    "pretrain_sr": {},
    "joint_small": {
        "coarse_weights": "pretrain_coarse",
        "sr_weights": "pretrain_sr",
        "refinement_weights": "pretrain_refinement",
    },
    "joint_large": {"weights": "joint_small", "discriminator_weights": "joint_small"},
}
ALL = "all"
FLAGFILES = "configs/zoom_to_inpaint"
MODEL = "zoom_to_inpaint"
# Flags of the chain; they are not passed on to the stages.
_CHAIN = ("stages", "flagfiles", "output", "model")
_WEIGHTS = {flag for needed in STAGES.values() for flag in needed}


def run(
    wanted: Sequence[str],
    folder: str | None,
    output: str | None,
    arguments: list[str],
    stop: signals.StopRequest,
    dry_run: bool = False,
    check: Callable[[dict[str, list[str]]], None] | None = None,
) -> None:
    """Runs the stages `wanted` in the order of `STAGES`.

    Args:
      wanted: names, or "all". A stage starts from the weights of earlier wanted stages; flags and flagfile name the
        weights of other stages.
      folder: folder of the flagfiles; None: the paper's.
      output: folder for one run folder per stage.
      arguments: the command line. Every stage gets all flags but the chain's; a flag that names weights goes only to
        stages that start from these weights.
      stop: set by SIGTERM and Ctrl-C.
      dry_run: the stages only plan; random weights replace the missing weights of earlier stages.
      check: called before the first stage with {stage: its command line}, missing weights replaced likewise; raises
        a UserError for anything that a stage or, without `output`, the chain lacks.

    Raises:
      KeyboardInterrupt: Ctrl-C was pressed; the stage that ran has saved.
      UsageError: an unknown stage, no output, or a flag that no stage uses.
      UserError: a stage failed; its own message was printed before.
    """
    names = _names(wanted)
    given = _flags(command_line.expand(arguments))
    _check(given, names)

    def command(name, stand_in):
        """The command line of a stage, and the missing weights files that random weights replace."""
        return _command(name, names, given, folder or FLAGFILES, output or "runs", stand_in)

    if check:
        check({name: command(name, True)[0] for name in names})
    if not output:
        raise UsageError("--output is missing: name a folder for the stages' run folders")
    for number, name in enumerate(names, start=1):
        print(f"stage {number} of {len(names)}: {name}", flush=True)
        words, absent = command(name, dry_run)
        for path in absent:
            print(f"{path} does not exist yet; random weights are used", flush=True)
        code = signals.run([*command_line.program("train"), *words], stop)
        if stop.signal == signal.SIGINT:
            raise KeyboardInterrupt
        if code:
            raise UserError(f"stage {name} ended with exit code {code}; its message is above")
        if stop:
            print(f"terminated in stage {name}; the same command continues from there", flush=True)
            return


def _command(name, names, given, folder, output, stand_in):
    """(command line, missing files) of a stage, as in `run`."""
    words, absent = [f"--flagfile={folder}/{name}.cfg"], []
    for flag, of_flag in given:
        if flag not in _CHAIN and (flag not in _WEIGHTS or flag in _asked(name, names)):
            words += of_flag
    for flag, earlier in STAGES[name].items():
        file = "discriminator.npz" if flag == "discriminator_weights" else "weights.npz"
        path = pathlib.Path(output, earlier, file)
        if earlier in names and stand_in and not path.exists():
            absent.append(path)
            path = sources.UNTRAINED
        words += [f"--{flag}={path}"] * (earlier in names)
    return [*words, f"--output={pathlib.Path(output, name)}"], absent


def _names(wanted):
    unknown = [name for name in wanted if name not in (*STAGES, ALL)]
    if unknown:
        raise UsageError(f"--stages={unknown[0]} is not known; choose of all, {', '.join(STAGES)}")
    return [name for name in STAGES if ALL in wanted or name in wanted]


def _flags(arguments):
    """[(flag, its words)] of a command line: --flag=value or --flag value."""
    found = []
    for word in arguments:
        if word.startswith("-") or not found:
            found.append((word.lstrip("-").partition("=")[0], [word]))
        else:
            found[-1][1].append(word)
    return found


def _asked(name, names):
    """Weight flags that a stage takes from the command line, because the stage that writes them does not run."""
    return [flag for flag, earlier in STAGES[name].items() if earlier not in names]


def _check(given, names):
    """UsageError for a flag that contradicts the chain, or that none of its stages uses."""
    last = {flag: "=".join(words).partition("=")[2] for flag, words in given}
    if last.get("model", MODEL) != MODEL:
        raise UsageError(f"--stages needs --model={MODEL}, not {last['model']}")
    if "stage" in last:
        raise UsageError("--stage and --stages exclude each other; give one of the two")
    heeded = {flag for name in names for flag in _asked(name, names)}
    for flag in sorted(_WEIGHTS - heeded):
        if last.get(flag):
            raise UsageError(
                f"--{flag}={last[flag]} would be ignored: no stage of {','.join(names)} starts from it"
            )
