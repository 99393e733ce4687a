"""The studies, in the papers' order. Importing this imports no TensorFlow."""

from __future__ import annotations

import importlib

from common.errors import UsageError
from studies.kit.study import Study

ALL = "all"
NAMES = (
    "zoom_table_1",
    "zoom_table_2",
    "zoom_table_3",
    "zoom_table_4",
    "zoom_table_5",
    "zoom_table_8_user_study",
    "zoom_table_9",
    "zoom_table_10",
    "zoom_figure_4",
    "zoom_figure_5",
    "hifill_figure_1",
    "hifill_table_1",
    "hifill_table_2",
    "hifill_figure_3",
    "hifill_figure_4",
    "hifill_figure_5",
    "hifill_figure_6",
    "hifill_figure_7",
    "evidence",
)
_MODULES = {"zoom_table_8_user_study": "zoom.table_8", "evidence": "evidence.study"}


def module(name: str) -> str:
    """The module of a study: studies.PAPER.ITEM unless `_MODULES` names another."""
    return f"studies.{_MODULES.get(name, name.replace('_', '.', 1))}"


def study(name: str) -> Study:
    """The study of a name in `NAMES`."""
    return importlib.import_module(module(name)).STUDY


def chosen(names: list[str]) -> list[Study]:
    """The studies of `names`, each once, in the order of `NAMES`; "all" is all of them.

    Raises:
      UsageError: a name that no study has.
    """
    for name in names:
        if name not in (*NAMES, ALL):
            raise UsageError(f"--study={name} is not known; choose of all, {', '.join(NAMES)}")
    return [study(name) for name in NAMES if ALL in names or name in names]
