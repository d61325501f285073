"""The description of the REST interface: complete, without a warning, and served to whoever is signed in."""

from __future__ import annotations

from io import StringIO

import pytest
from django.core.management import call_command
from django.test import Client
from django.urls import reverse

from tests.factories import make_user


def test_the_schema_is_valid_and_nothing_in_it_is_guessed() -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=StringIO())


@pytest.mark.django_db
def test_the_schema_is_served_to_members_only() -> None:
    client = Client()
    assert client.get(reverse("api-schema")).status_code == 401
    client.force_login(make_user())
    answer = client.get(reverse("api-schema"))
    assert answer.status_code == 200
    assert b"/api/v1/projects/{project}/runs/" in answer.content
