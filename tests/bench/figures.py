"""A measured figure, beside what the machine could do at best."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Figure:
    """`floor` is the same unit for the least work that has to be done; the ratio tells how near to it we are."""

    figure: str
    value: float
    unit: str
    floor: float

    @property
    def ratio(self) -> float:
        return self.value / self.floor
