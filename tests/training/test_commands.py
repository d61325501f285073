"""Launching from a shell."""

from __future__ import annotations

import json
from io import StringIO

import pytest
from django.core.management import CommandError, call_command

from curation.models import JobState
from tests.factories import make_project
from tests.training.cast import make_version
from training.models import Run

pytestmark = pytest.mark.django_db


def test_a_launch_from_a_shell_queues_a_run_with_the_values_given() -> None:
    project = make_project()
    out = StringIO()
    version = make_version(project).pk
    call_command(
        "launch_run", project.slug, version, "--set", "max_steps=2", "--set", "adapter=lora", "--json", stdout=out
    )
    run = Run.objects.get(pk=json.loads(out.getvalue())["id"])
    assert (run.state, run.recipe["max_steps"], run.recipe["adapter"]) == (JobState.QUEUED, 2, "lora")


def test_what_a_shell_asks_for_wrongly_is_refused_in_words() -> None:
    project, other = make_project(), make_project()
    version = make_version(project).pk
    with pytest.raises(CommandError, match="no project 'nowhere'"):
        call_command("launch_run", "nowhere", version)
    with pytest.raises(CommandError, match="No dataset version"):
        call_command("launch_run", other.slug, version)
    with pytest.raises(CommandError, match="is not of the form NAME=VALUE"):
        call_command("launch_run", project.slug, version, "--set", "max_steps")
    with pytest.raises(CommandError, match="max_steps: "):
        call_command("launch_run", project.slug, version, "--set", "max_steps=many")
    with pytest.raises(CommandError, match="No checkpoint 99999"):
        call_command("evaluate", project.slug, version, 99999)
    assert not Run.objects.exists()
