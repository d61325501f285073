from __future__ import annotations

import json

from curation.bias import TaskMass
from curation.waterfall import dump_stages, follow_stages, keep_ratios, read_stages

COLLECTED = [TaskMass(1, 1, 0.9, 10), TaskMass(2, 5, 0.1, 10), TaskMass(3, 5, 0.1, 10), TaskMass(4, None, None, 4)]
STAGES = follow_stages(
    [
        ("collected", "Collected", COLLECTED),
        ("success", "Successes", [*COLLECTED[:1], COLLECTED[1]._replace(mass=4), COLLECTED[2]._replace(mass=0)]),
        ("reviewed", "Corrected", [COLLECTED[0], COLLECTED[1]._replace(mass=6), COLLECTED[2]]),
    ]
)


def test_each_stage_says_what_it_left_and_what_it_lost_of_each_band() -> None:
    success = STAGES[1]
    assert success.bands == {1: 10, 2: 0, 3: 0, 4: 0, 5: 4, None: 0}
    assert success.lost == {1: 0, 2: 0, 3: 0, 4: 0, 5: 16, None: 4}
    assert success.tasks == {1: 1, 2: 0, 3: 0, 4: 0, 5: 1, None: 0}
    assert keep_ratios(STAGES[0], success)[5] == 4 / 20 / (14 / 30)


def test_the_first_stage_lost_nothing_and_neither_does_one_that_rescues() -> None:
    assert set(STAGES[0].lost.values()) == {0}
    assert STAGES[2].bands[5] == 16
    assert set(STAGES[2].lost.values()) == {0}


def test_stages_are_stored_as_json_and_read_back() -> None:
    assert read_stages(json.loads(json.dumps(dump_stages(STAGES)))) == STAGES
