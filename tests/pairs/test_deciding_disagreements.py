"""A curator decides the pairs of a queue that its reviewers see differently, one after the other."""

from __future__ import annotations

import pytest
from django.test import Client
from django.urls import reverse

from curation.models import Judgement, PreferencePair
from curation.services.pair_queue import submit_judgement
from tests.factories import make_member, make_project
from tests.pairs.cast import answer_for, make_pairs, make_queue, take

pytestmark = pytest.mark.django_db


def test_a_curator_who_is_no_reviewer_decides_one_after_the_other(client: Client) -> None:
    project = make_project()
    make_pairs(project, 2)
    queue = make_queue(project, reviews_wanted=2)
    people = [make_member(project), make_member(project)]
    for _ in range(2):
        for person, chosen in zip(people, (True, False), strict=True):
            held = take(person, queue)
            pair = PreferencePair.objects.get(queue_items=held.item_id)
            low, high = sorted([pair.chosen_id, pair.rejected_id])
            submit_judgement(person, held, answer_for(person, pair, winner=low if chosen else high))
    curator = make_member(project, "curator")
    client.force_login(curator.user)
    first, second = queue.items.order_by("pk")
    place = reverse("curation:queue-adjudicate", args=[project.slug, queue.pk, first.pk])
    opened = client.get(place, follow=True)
    page = opened.content.decode()
    assert "Decide and next" in page
    assert people[0].user.username in page
    address, _ = opened.redirect_chain[-1]
    pair = PreferencePair.objects.get(queue_items=first)
    fields = {"left": pair.chosen_id, "right": pair.rejected_id, "answer": "left-better", "decide": "1"}
    answer = client.post(address, fields | {"deciding": queue.pk})
    assert answer["Location"] == reverse("curation:queue-adjudicate", args=[project.slug, queue.pk, second.pk])
    assert Judgement.objects.filter(decides=True, pair=pair, reviewer=curator.user).exists()
    other = PreferencePair.objects.get(queue_items=second)
    fields |= {"left": other.chosen_id, "right": other.rejected_id, "deciding": queue.pk}
    last = client.post(reverse("curation:pair-judge", args=[project.slug, other.pk]), fields)
    assert last["Location"] == reverse("curation:queue-disagreements", args=[project.slug, queue.pk])


def test_whoever_neither_reviews_nor_curates_is_refused(client: Client) -> None:
    project = make_project()
    pair = make_pairs(project)[0]
    client.force_login(make_member(project, "engineer").user)
    answer = client.get(reverse("curation:pair-judge", args=[project.slug, pair.pk]))
    assert answer.status_code == 403
    assert "This needs the role reviewer" in answer.content.decode()
