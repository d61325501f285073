"""What became of a pool on its way into training: each stage's amounts by band, and what it lost. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from curation.bias import TaskMass, retention_ratios
from curation.difficulty import BANDS

Band = int | None
"""None stands for unknown; "unknown" in JSON."""


@dataclass(frozen=True)
class Stage:
    """A stage by its name and in words: `bands` holds what there is after it, `lost` what it took of the stage before,
    and `tasks` how many tasks still have something."""

    stage: str
    label: str
    bands: dict[Band, float]
    lost: dict[Band, float]
    tasks: dict[Band, int]

    @property
    def total(self) -> float:
        return sum(self.bands.values())


def follow_stages(stages: Iterable[tuple[str, str, Iterable[TaskMass]]]) -> list[Stage]:
    """The stages in their order, from the name, the label and what each task has left.

    A stage that adds to a band (a failed attempt that was corrected) lost nothing of it.
    """
    found: list[Stage] = []
    for name, label, masses in stages:
        bands: dict[Band, float] = dict.fromkeys((*BANDS, None), 0.0)
        present: dict[Band, set[int]] = {band: set() for band in bands}
        for mass in masses:
            if mass.mass > 0:
                bands[mass.band] += mass.mass
                present[mass.band].add(mass.task_id)
        tasks = {band: len(ids) for band, ids in present.items()}
        found.append(make_stage(name, label, bands, tasks, before=found[-1] if found else None))
    return found


def make_stage(
    name: str, label: str, bands: Mapping[Band, float], tasks: Mapping[Band, int], *, before: Stage | None
) -> Stage:
    """A stage from its sums by band, after the one before."""
    had = before.bands if before else bands
    lost = {band: max(0.0, had.get(band, 0.0) - bands.get(band, 0.0)) for band in (*BANDS, None)}
    whole = {band: float(bands.get(band, 0)) for band in (*BANDS, None)}
    return Stage(name, label, whole, lost, {band: int(tasks.get(band, 0)) for band in (*BANDS, None)})


def keep_ratios(before: Stage, after: Stage) -> dict[int, float | None]:
    """Retention of each band from one stage to another."""
    kept, had = ({band: stage.bands[band] for band in BANDS} for stage in (after, before))
    return retention_ratios(kept, had)


def dump_stages(stages: Iterable[Stage]) -> list[dict[str, Any]]:
    """The plain form that is stored with a dataset version."""
    return [
        {
            "stage": stage.stage,
            "label": stage.label,
            "bands": dump_bands(stage.bands),
            "lost": dump_bands(stage.lost),
            "tasks": dump_bands(stage.tasks),
        }
        for stage in stages
    ]


def read_stages(value: Iterable[Mapping[str, Any]]) -> list[Stage]:
    """Stages as they were stored."""
    return [
        Stage(
            stage=stage["stage"],
            label=stage["label"],
            bands=_read_bands(stage["bands"]),
            lost=_read_bands(stage["lost"]),
            tasks={band: int(number) for band, number in _read_bands(stage.get("tasks", {})).items()},
        )
        for stage in value
    ]


def dump_bands(amounts: Mapping[Band, float]) -> dict[str, float]:
    """Amounts by band with the names that JSON has for them."""
    return {"unknown" if band is None else str(band): amount for band, amount in amounts.items()}


def _read_bands(amounts: Mapping[str, float]) -> dict[Band, float]:
    known: dict[Band, float] = {band: amounts.get(str(band), 0.0) for band in BANDS}
    return {**known, None: amounts.get("unknown", 0.0)}
