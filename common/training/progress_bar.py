"""The progress bar of a run, in steps, or in seconds for a run with a time limit.

    training:  24%|##4       | 36/150 s [00:36<01:54, step 120, 26.7 images/s]

With a time limit, the remaining time is the rest of the limit, or the time of the remaining steps at the present rate
if that is shorter.
"""

from __future__ import annotations

from tqdm import tqdm

_OF_TIME = (
    "{desc}: {percentage:3.0f}%|{bar}| {n:.0f}/{total:.0f} s [{elapsed}<{remaining}{postfix}]"
)


class ProgressBar:
    """Shows how far a run is.

    Args:
      steps: of the whole run.
      first: steps finished before this start.
      seconds: time limit of this start; 0: none.
    """

    def __init__(self, steps: int, first: int, seconds: float):
        self._steps, self._step, self._seconds = steps, first, seconds
        self._rate = ""
        # (step, seconds) of the first step, which also traced the graph and is not timed.
        self._timed = None
        if seconds:
            self._bar = tqdm(total=seconds, bar_format=_OF_TIME, desc="training")
        else:
            self._bar = tqdm(total=steps, initial=first, unit="step", desc="training")

    def update(self, elapsed: float) -> None:
        """Counts one step, which ended `elapsed` seconds after the start."""
        self._step += 1
        if not self._seconds:
            self._bar.update()
            return
        if self._timed is None:
            self._timed = self._step, elapsed
        self._bar.total = elapsed + self._remaining(elapsed)
        self._bar.set_postfix_str(self._postfix(), refresh=False)
        self._bar.update(elapsed - self._bar.n)

    def _remaining(self, elapsed):
        left = max(0.0, self._seconds - elapsed)
        step, since = self._timed
        if self._step == step:
            return left
        return min(left, (self._steps - self._step) * (elapsed - since) / (self._step - step))

    def _postfix(self):
        return f"step {self._step}" + f", {self._rate}" * bool(self._rate)

    def rate(self, text: str) -> None:
        """Shows "26.7 images/s" from now on."""
        self._rate = text
        self._bar.set_postfix_str(self._postfix() if self._seconds else text)

    def close(self) -> None:
        self._bar.close()
