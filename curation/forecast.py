"""When a queue may be done, told from how much was answered on the last days."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from math import ceil

DAYS_OF_RATE = 5
FEWEST_ANSWERS = 10
"""With fewer answers nothing is foretold."""

LONG_AGO = 14
FARTHEST = 3650


@dataclass(frozen=True)
class Forecast:
    """In words, with what it is based on; `day` where a day can be named."""

    words: str
    basis: str
    day: date | None = None


def forecast_end(left: int, days: Sequence[tuple[date, int]], *, today: date, per_hour: float | None) -> Forecast:
    """When `left` answers may be given. `days` are those with work and the answers of each, newest first.

    Today is not over and does not count. Days without work in between are taken to go on coming.
    """
    if left == 0:
        return Forecast("Done", "Nothing is left.", today)
    given = sum(answers for _, answers in days)
    if given < FEWEST_ANSWERS:
        return Forecast("No estimate yet", f"It takes {FEWEST_ANSWERS} answers to tell; there are {given}.")
    hours = f"about {_say(left / per_hour, 'hour')} of work at {per_hour:,.0f} an hour" if per_hour else ""
    past = [(day, answers) for day, answers in days if day < today][:DAYS_OF_RATE]
    if not past:
        basis = f"{left:,} are left. A day can be named once there is a whole day of work."
        return Forecast(hours.capitalize() or "No estimate yet", basis)
    rate = sum(answers for _, answers in past) / len(past)
    working = ceil(left / rate)
    basis = f"{left:,} are left; the last {_say(len(past), 'day')} with work gave {rate:,.0f} a day"
    basis += f", {hours}." if hours else "."
    if (today - past[0][0]).days > LONG_AGO:
        return Forecast(f"{_say(working, 'more day')} of work", f"{basis} Nobody answered since {past[0][0]:%-d %B}.")
    pace = (today - past[-1][0]).days / len(past)
    ahead = ceil(working * max(1.0, pace))
    if ahead > FARTHEST:
        return Forecast("More than ten years at this rate", basis)
    end = today + timedelta(days=ahead)
    return Forecast(f"Around {end:%-d %B %Y}", basis, end)


def _say(number: float, noun: str) -> str:
    rounded = f"{number:,.0f}" if number >= 10 or number == int(number) else f"{number:,.1f}"
    return f"{rounded} {noun}{'' if rounded == '1' else 's'}"
