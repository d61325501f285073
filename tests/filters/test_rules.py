"""Rules are read with clear refusals, and pass exactly the trajectories that they say."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from django.test import Client
from django.urls import reverse
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from curation.filters import choose_trajectories, join_conditions
from curation.models import FilterVersion, Project, Task, Trajectory
from curation.rules import RuleError, dump_rule, parse_rule, read_rule, write_rule
from curation.selectors.rules import match_rule
from curation.services.indexing import queue_indexing, run_indexing
from curation.services.saved_filters import save_filter
from tests.factories import make_member, make_project, make_task, make_trajectories, make_trajectory, owner_access
from tests.queues.cast import give_review, make_queue

pytestmark = pytest.mark.django_db


def find(project: Project, rule: dict[str, Any]) -> set[int]:
    chosen = Trajectory.objects.filter(match_rule(read_rule(rule)), project=project)
    return set(chosen.values_list("pk", flat=True))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ([], 'The filter has to be an object with "all", "any", "not" or "rule".'),
        ({"all": [{"rule": "stat"}]}, "The filter, in its all, number 1: there is no rule 'stat'."),
        ({"not": {"rule": "steps", "at_least": "x"}}, "The filter, in its not, rule steps: at_least: Input should be"),
        ({"rule": "steps"}, "The filter, rule steps: it needs at_least, at_most, or both"),
        ({"rule": "steps", "at_least": 3, "at_most": 2}, "at_least is above at_most"),
        ({"any": []}, "an empty list passes nothing"),
        ({"all": [], "any": [{"rule": "duplicate"}]}, "only one of them can be there"),
        ({"rule": "duplicate", "owner__password": "x"}, "owner__password: Extra inputs are not permitted"),
        ({"rule": "date"}, "it needs since, until, or both"),
        ({"all": {"rule": "duplicate"}}, "a list of rules is needed"),
    ],
)
def test_a_refusal_names_the_rule_and_what_is_wrong_with_it(wrong: Any, said: str) -> None:
    with pytest.raises(RuleError) as refusal:
        read_rule(wrong)
    assert said in str(refusal.value)


def test_rules_that_are_too_many_or_too_deep_are_refused() -> None:
    deep: dict[str, Any] = {"rule": "duplicate"}
    for _ in range(9):
        deep = {"not": deep}
    for wrong in (deep, {"all": [{"rule": "duplicate"}] * 101}):
        with pytest.raises(RuleError):
            read_rule(wrong)
    for text in ("{", "[" * 9000, '{"a": "' + "x" * 20_000 + '"}'):
        with pytest.raises(RuleError):
            parse_rule(text)


LEAVES: dict[str, tuple[dict[str, Any], Any]] = {
    "good": ({"rule": "reward", "at_least": 0.5}, lambda row: row.reward is not None and row.reward >= 0.5),
    "won": ({"rule": "outcome", "values": ["success", "none"]}, lambda row: row.success is not False),
    "hard": ({"rule": "band", "values": ["5", "unknown"]}, lambda row: row.task.band in (5, None)),
    "easy": ({"rule": "band", "values": ["1"]}, lambda row: row.task.band == 1),
    "graded": (
        {"rule": "grade", "at_most": 3},
        lambda row: row.task.human_grade is not None and row.task.human_grade <= 3,
    ),
    "long": ({"rule": "steps", "at_least": 5}, lambda row: row.step_count >= 5),
    "tagged": ({"rule": "tag", "values": ["a", "b"]}, lambda row: bool({"a", "b"} & set(row.tags))),
    "new": ({"rule": "corrected"}, lambda row: row.head_number > 0),
}
trees = st.recursive(
    st.sampled_from(sorted(LEAVES)).map(lambda name: {"leaf": name}),
    lambda inner: st.one_of(
        st.lists(inner, min_size=0, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=6,
)


def fill(tree: Any) -> Any:
    if "leaf" in tree:
        return LEAVES[tree["leaf"]][0]
    return {
        name: [fill(part) for part in inner] if isinstance(inner, list) else fill(inner) for name, inner in tree.items()
    }


def passes(tree: Any, row: Trajectory) -> bool:
    if "leaf" in tree:
        return bool(LEAVES[tree["leaf"]][1](row))
    if "not" in tree:
        return not passes(tree["not"], row)
    parts = [passes(part, row) for part in tree.get("all", tree.get("any"))]
    return all(parts) if "all" in tree else any(parts)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(tree=trees)
def test_all_any_and_not_are_those_of_logic_and_what_is_unknown_fails_a_rule(mixed: Project, tree: Any) -> None:
    rows = Trajectory.objects.filter(project=mixed).select_related("task")
    rule = fill(tree)
    try:
        read_rule(rule)
    except RuleError:
        return  # too deep
    assert find(mixed, rule) == {row.pk for row in rows if passes(tree, row)}
    read = read_rule(rule)
    assert read_rule(dump_rule(read)) == read == parse_rule(write_rule(read))


@pytest.fixture
def mixed() -> Project:
    project = make_project()
    tasks = [make_task(project, band=band) for band in (1, 5, None, 3, 5)]
    for task, grade in zip(tasks, (None, 2.5, 4.0, None, 1.0), strict=True):
        Task.objects.filter(pk=task.pk).update(human_grade=grade)
    for number in range(16):
        row = make_trajectory(project, task=tasks[number % 5], success=[None, False, True][number % 3])
        Trajectory.objects.filter(pk=row.pk).update(
            reward=[None, 0.0, 0.5, 1.0][number % 4],
            tags=[["a"], ["b", "c"], []][number % 3],
            step_count=number % 8,
            head_number=number % 2,
        )
    return project


def test_what_was_counted_is_a_rule_each() -> None:
    project = make_project()
    first, second = make_trajectories(project, 2)
    names = {
        "steps": "step_count", "tool_calls": "tool_call_count", "characters": "character_count",
        "errors": "error_count", "unknown_tools": "unknown_tool_count", "bad_arguments": "bad_argument_count",
        "unreadable": "unreadable_count", "loop": "loop_length",
    }  # fmt: skip
    for rule, column in names.items():
        Trajectory.objects.filter(pk=first.pk).update(**{column: 70_000})
        assert find(project, {"rule": rule, "at_least": 70_000}) == {first.pk}, rule
        assert find(project, {"rule": rule, "at_most": 69_999}) == {second.pk}, rule
    assert find(project, {"rule": "tokens", "at_least": 17_500}) == {first.pk}
    Trajectory.objects.filter(pk=second.pk).update(duplicate_of=first, similarity=0.9, context_overflow=True)
    assert find(project, {"rule": "duplicate"}) == {second.pk}
    assert find(project, {"rule": "similarity", "at_least": 0.95}) == set()
    assert find(project, {"rule": "context_overflow"}) == {second.pk}
    assert find(project, {"not": {"rule": "duplicate"}}) == {first.pk}


def test_days_include_their_first_and_last_moment() -> None:
    project = make_project()
    rows = list(make_trajectories(project, 3))
    for row, day in zip(rows, (1, 2, 3), strict=True):
        Trajectory.objects.filter(pk=row.pk).update(created_at=datetime(2026, 3, day, 23, 59, 59, tzinfo=UTC))
    assert find(project, {"rule": "date", "since": "2026-03-02", "until": "2026-03-02"}) == {rows[1].pk}
    assert find(project, {"rule": "date", "until": "2026-03-01"}) == {rows[0].pk}
    assert find(project, {"rule": "date", "since": timezone.now().date().isoformat()}) == set()


def test_full_text_search_is_a_rule() -> None:
    project = make_project()
    lamp, chair = make_trajectory(project, "lamp"), make_trajectory(project, "chair")
    job = queue_indexing(project.pk)
    assert job is not None
    run_indexing(job.pk)
    assert find(project, {"rule": "text", "words": "lamps"}) == {lamp.pk}
    assert find(project, {"rule": "text", "words": "-lamp"}) == {chair.pk}
    assert find(project, {"rule": "text", "words": "'); DROP TABLE x; -- \"lamp"}) == set()


def test_what_reviewers_said_is_a_rule_and_gold_items_say_nothing() -> None:
    queue = make_queue(3)
    items = list(queue.items.order_by("pk"))
    people = [make_member(queue.project) for _ in range(2)]
    for item, verdicts in zip(items, (("accept", "accept"), ("accept", "reject")), strict=False):
        for person, verdict in zip(people, verdicts, strict=True):
            give_review(item, person, verdict, first_error=3 if verdict == "reject" else None)
    agreed, apart, other = (item.get_trajectory().pk for item in items)
    assert find(queue.project, {"rule": "verdict", "values": ["accept"], "at_least": 2}) == {agreed}
    assert find(queue.project, {"rule": "verdict", "values": ["reject"]}) == {apart}
    assert find(queue.project, {"rule": "agreement", "values": "agree"}) == {agreed}
    assert find(queue.project, {"rule": "agreement", "values": "disagree"}) == {apart}
    assert find(queue.project, {"rule": "label"}) == {apart}
    assert find(queue.project, {"rule": "label", "failure_modes": ["loop"]}) == set()
    assert find(queue.project, {"rule": "hacked"}) == {apart}
    Trajectory.objects.filter(pk=apart).update(success=False)
    assert find(queue.project, {"rule": "hacked"}) == set()
    assert find(queue.project, {"rule": "queue", "queue": queue.pk}) == {agreed, apart, other}
    queue.items.filter(pk=items[1].pk).update(gold=True)
    assert find(queue.project, {"rule": "agreement", "values": "disagree"}) == set()
    assert find(queue.project, {"rule": "label"}) == set()


def test_the_list_takes_rules_in_its_address_and_says_what_is_wrong_with_them(client: Client) -> None:
    project = make_project()
    first, second = make_trajectories(project, 2)
    Trajectory.objects.filter(pk=first.pk).update(error_count=3)
    access = owner_access(project)
    client.force_login(access.user)
    address = reverse("curation:trajectory-list", args=[project.slug])
    rule = {"rule": "errors", "at_most": 0}
    page = client.get(address, {"where": write_rule(read_rule(rule)), "outcome": "success"})
    assert [row.pk for row in page.context["page"].rows] == [second.pk]
    page = client.get(address, {"where": '{"rule": "errors"}'})
    told = "The filter, rule errors: it needs at_least, at_most, or both. Showing everything."
    assert page.context["problem"] == f"More rules: {told}"
    page = client.get(address, {"where": '{"rule": "<script>alert(1)</script>"}'})
    assert b"<script>alert(1)" not in page.content
    answer = client.get(reverse("api-trajectory-list", args=[project.slug]), {"where": write_rule(read_rule(rule))})
    assert [row["id"] for row in answer.json()["results"]] == [second.pk]


def test_conditions_of_the_list_choose_the_same_as_the_rules_that_they_are_saved_as(mixed: Project) -> None:
    access = owner_access(mixed)
    for conditions in (
        {"band": "5", "outcome": "success"},
        {"band": "unknown", "corrected": "no"},
        {"corrected": "yes", "tag": "b", "where": '{"rule": "steps", "at_least": 3}'},
        {"task": "TASK", "model": "test", "source": "strong-model", "status": "unreviewed"},
    ):
        rules = join_conditions(conditions)
        chosen = choose_trajectories(mixed, conditions)
        assert set(chosen.values_list("pk", flat=True)) == find(mixed, dump_rule(rules)), conditions
        save_filter(access, name="Mine", conditions=conditions, rules=rules, replace=True)
    save_filter(access, name="Mine", conditions=conditions, rules=rules, replace=True)
    versions = FilterVersion.objects.filter(filter__name="Mine").order_by("number")
    assert [version.number for version in versions] == [1, 2, 3, 4]
    assert versions[0].rules == dump_rule(join_conditions({"band": "5", "outcome": "success"}))
