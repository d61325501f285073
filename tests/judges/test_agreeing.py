"""How far a judge agrees with the people, and the rule that asks what it said."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from curation.judge_rule import JudgeRule
from curation.models import Decision, Opinion, Queue, Review, StepLabel, Trajectory
from curation.permissions import Access
from curation.rules import RuleError, read_rule
from curation.selectors.judge_agreement import list_cell_opinions, measure_judge
from curation.selectors.rules import match_rule
from tests.factories import make_member, make_project, make_trajectories, make_trajectory, owner_access
from tests.judges.cast import make_judge, say
from tests.judges.test_running import correct

pytestmark = pytest.mark.django_db


@pytest.fixture
def access() -> Access:
    return owner_access(make_project())


def review(access: Access, trajectory: Trajectory, verdict: str, **labels: str) -> Review:
    """A submitted review of the newest revision, with labels of steps such as step_3="wrong"."""
    given = Review.objects.create(
        trajectory=trajectory,
        revision=trajectory.revisions.latest("number"),
        reviewer=make_member(access.project).user,
        verdict=verdict,
        submitted_at="2026-01-01T00:00:00Z",
    )
    for name, label in labels.items():
        StepLabel.objects.create(review=given, step_id=int(name.removeprefix("step_")), label=label)
    return given


def decide(access: Access, trajectory: Trajectory, verdict: str) -> None:
    revision = trajectory.revisions.latest("number")
    Decision.objects.create(trajectory=trajectory, revision=revision, verdict=verdict, decided_by=access.user)


def test_agreement_is_kappa_between_what_people_and_what_the_judge_said(access: Access) -> None:
    judge = make_judge(access)
    said = [("accept", "accept")] * 4 + [("reject", "reject")] * 3 + [("reject", "accept")] * 2 + [("accept", "reject")]
    for (people, value), trajectory in zip(said, make_trajectories(access.project, 10), strict=True):
        review(access, trajectory, people)
        say(judge, trajectory, value)
    make_trajectories(access.project, 2)
    (verdict,) = measure_judge(judge)
    assert verdict.table == [[4, 1, 0], [2, 3, 0], [0, 0, 0]]
    measured = verdict.measured
    assert measured.value is not None
    assert (measured.method, round(measured.value, 3), measured.same, measured.items) == ("kappa", 0.4, 0.7, 10)
    assert measured.low is not None
    assert measured.high is not None
    assert measured.low < 0.4 < measured.high


def test_a_decision_counts_before_reviews_and_a_tie_says_nothing(access: Access) -> None:
    judge = make_judge(access)
    decided, tied, most, draft, gold = make_trajectories(access.project, 5)
    for trajectory in (decided, tied, most, draft, gold):
        say(judge, trajectory)
    review(access, decided, "accept")
    decide(access, decided, "reject")
    for verdict in ("accept", "reject"):
        review(access, tied, verdict)
    for verdict in ("accept", "reject", "accept"):
        review(access, most, verdict)
    review(access, draft, "accept")
    Review.objects.filter(trajectory=draft).update(submitted_at=None)
    queue = Queue.objects.create(project=access.project, name="Q")
    item = queue.items.create(trajectory=gold, gold=True, gold_verdict="accept")
    Review.objects.filter(pk=review(access, gold, "reject").pk).update(item=item)
    (found,) = measure_judge(judge)
    assert found.table == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]
    assert (found.split, found.measured.items) == (1, 2)


def test_both_have_to_speak_of_the_same_revision(access: Access) -> None:
    judge = make_judge(access)
    trajectory = make_trajectory(access.project)
    review(access, trajectory, "accept")
    correct(trajectory, "better")
    say(judge, trajectory, "reject")
    (verdict,) = measure_judge(judge)
    assert verdict.measured.items == 0


def test_labels_of_steps_are_compared_step_by_step(access: Access) -> None:
    judge = make_judge(access, unit="step")
    first, second = make_trajectories(access.project, 2)
    steps = [{"step": 3, "label": "correct", "reason": ""}, {"step": 4, "label": "wrong", "reason": ""}]
    say(judge, first, steps=steps)
    say(judge, second, steps=steps)
    review(access, first, "accept", step_3="correct", step_4="neutral")
    review(access, second, "reject", step_4="wrong")
    _, labels = measure_judge(judge)
    assert labels.table == [[1, 0, 0], [0, 0, 1], [0, 0, 1]]
    behind = list_cell_opinions(judge, labels, (1, 2))
    assert [opinion.trajectory_id for opinion in behind] == [first.pk]


def test_each_cell_leads_to_its_trajectories(access: Access) -> None:
    judge = make_judge(access)
    wrong, right = make_trajectories(access.project, 2)
    review(access, wrong, "reject")
    review(access, right, "accept")
    say(judge, wrong, reason="It looks good to me.")
    say(judge, right)
    client = Client()
    client.force_login(access.user)
    page = client.get(reverse("curation:judge-agreement", args=[access.project.slug, judge.pk])).content.decode()
    cell = "?scale=verdict&amp;row=reject&amp;column=accept"
    assert cell in page
    address = reverse("curation:judge-agreement-trajectories", args=[access.project.slug, judge.pk])
    behind = client.get(address + cell.replace("&amp;", "&")).content.decode()
    assert "It looks good to me." in behind
    assert reverse("curation:trajectory-detail", args=[access.project.slug, wrong.pk]) in behind
    assert reverse("curation:trajectory-detail", args=[access.project.slug, right.pk]) not in behind
    assert client.get(address + "?scale=verdict&row=x&column=accept").status_code == 404
    assert client.get(address + "?scale=step&row=reject&column=accept").status_code == 404
    rest = client.get(reverse("api-judge-agreement", args=[access.project.slug, judge.pk])).json()
    assert rest["scales"][0]["table"] == [[1, 0, 0], [1, 0, 0], [0, 0, 0]]


def fitting(access: Access, **rule: object) -> list[int]:
    found = Trajectory.objects.filter(match_rule(read_rule({"rule": "judge", **rule})), project=access.project)
    return list(found.order_by("pk").values_list("pk", flat=True))


def test_the_rule_passes_what_a_judge_said_so_of(access: Access) -> None:
    judge, other = make_judge(access), make_judge(access, name="Other")
    good, bad, unsure, _ = make_trajectories(access.project, 4)
    say(judge, good, "accept", 0.9)
    say(judge, bad, "reject", 0.1)
    say(judge, unsure, "unsure", 0.5)
    say(other, bad, "accept", 1.0)
    assert fitting(access, judge=judge.pk) == [good.pk, bad.pk, unsure.pk]
    assert fitting(access, judge=judge.pk, values=["accept", "unsure"]) == [good.pk, unsure.pk]
    assert fitting(access, judge=judge.pk, at_least=0.5) == [good.pk, unsure.pk]
    assert fitting(access, judge=judge.pk, at_least=0.3, at_most=0.7) == [unsure.pk]
    assert fitting(access, judge=other.pk) == [bad.pk]


def test_an_opinion_on_an_older_revision_does_not_count(access: Access) -> None:
    judge = make_judge(access)
    trajectory = make_trajectory(access.project)
    say(judge, trajectory)
    assert fitting(access, judge=judge.pk) == [trajectory.pk]
    correct(trajectory, "better")
    assert fitting(access, judge=judge.pk) == []
    say(judge, trajectory)
    assert fitting(access, judge=judge.pk) == [trajectory.pk]
    assert Opinion.objects.count() == 2


@pytest.mark.parametrize(
    "rule",
    [{"judge": 0}, {"judge": 1, "values": []}, {"judge": 1, "at_least": 2}, {"judge": 1, "values": ["maybe"]}, {}],
)
def test_a_rule_that_holds_no_judge_or_bound_is_refused(rule: dict[str, object]) -> None:
    with pytest.raises(RuleError):
        read_rule({"rule": "judge", **rule})


def test_a_rule_whose_bounds_let_nothing_through_is_refused() -> None:
    with pytest.raises(ValueError, match="nothing would pass"):
        JudgeRule(judge=1, at_least=0.8, at_most=0.2)
