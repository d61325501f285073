"""Every page in a real browser: accessible, nothing on the console, and no scrolling sideways, wide and narrow."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest
from axe_playwright_python.sync_playwright import Axe
from django.urls import reverse
from playwright.sync_api import Browser, Page
from pytest_django.live_server_helper import LiveServer

from curation.models import DatasetVersion, Project, Trajectory
from curation.services.queues import create_queue, take_next
from curation.services.remarks import add_remark
from curation.services.reviews import Answer, submit_review
from curation.services.uploads import begin_upload, receive_piece
from tests.browser.visiting import listen, sign_in
from tests.bulk.cast import do
from tests.datasets.cast import freeze
from tests.factories import keep_filter, make_member, make_project, make_task, make_trajectory, make_user, owner_access
from tests.formats.reading_aids import as_lines, make_zip
from tests.formats.samples import SAMPLES, TURNS
from tests.imports.files import import_content, make_lines
from tests.judges.cast import make_judge, say, start

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.xdist_group("browser")]
SAMPLES_OF_ONE = {name: records[0] for name, records in SAMPLES.items() if len(records) == 1}
LOOKS = [(1280, "light"), (1280, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(params=LOOKS, ids=[f"{width}-{scheme}" for width, scheme in LOOKS])
def page(request: pytest.FixtureRequest, browser: Browser) -> Iterator[Page]:
    width, scheme = request.param
    context = browser.new_context(viewport={"width": width, "height": 900}, color_scheme=scheme)
    yield context.new_page()
    context.close()


def fill_project() -> Project:
    """A project with something on each page."""
    project = make_project(make_user("owner"))
    access = owner_access(project)
    for band in range(1, 6):
        task = make_task(project, f"task-{band}", band=band)
        make_trajectory(project, "look", "take", task=task, success=True, status="accepted")
        make_trajectory(project, "look", "drop", "drop", task=task, success=False)
    queue = create_queue(access, name="Hard ones", trajectories=Trajectory.objects.all())
    person = make_member(project)
    first = take_next(person, queue)
    assert first is not None
    submit_review(person, first, Answer(verdict="accept", grade=3, comment="Good.", first_error=4))
    take_next(access, queue)
    add_remark(person, project.trajectories.filter(success=False).earliest("pk"), "It gives up. @owner")
    import_content(access, make_lines(3) + b'{"torn": \n')
    do(access, "tag", {"outcome": "failure"}, tag="a_tag_without_a_place_to_break_it")
    keep_filter(access, "Failures", {"outcome": "failure"})
    judge = make_judge(access, unit="step")
    labels = [{"step": 3, "label": "correct", "reason": "Looks."}, {"step": 4, "label": "wrong", "reason": "Drops."}]
    for trajectory in project.trajectories.all():
        say(judge, trajectory, "reject", 0.25, steps=labels, reason="a_reason_without_a_place_to_break_it" * 3)
    run = start(access, judge, {"outcome": "failure"})
    run.failures.create(trajectory=first.item.get_trajectory(), reason="The model refused.")
    for _ in range(2):
        freeze(project, "a_dataset_without_a_place_to_break_it", held_out=0.3, most_per_task=1)
        Trajectory.objects.filter(pk=project.trajectories.latest("pk").pk).update(status="accepted")
    long = "a_long_name_without_a_place_to_break_it_" * 3
    members = {f"{long}/{name}.json": as_lines(record) for name, record in SAMPLES_OF_ONE.items()}
    for content in (as_lines({"messages": TURNS}), b'{"in": "no format"}\n', make_zip(members)):
        upload = begin_upload(access, file_name=f"{long}.jsonl", file_size=len(content), file_key="")
        receive_piece(upload, offset=0, piece=content)
    return project


def addresses(project: Project) -> list[str]:
    queue, judge = project.queues.get(), project.judges.get()
    trajectory = project.trajectories.filter(success=False).earliest("pk")
    held = queue.items.get(reservations__state="held").reservations.get(state="held")
    version, older = DatasetVersion.objects.order_by("-number")
    inside = {
        "queue-list": (),
        "queue-create": (),
        "queue-detail": (queue.pk,),
        "queue-rubric": (queue.pk,),
        "queue-change": (queue.pk,),
        "queue-progress": (queue.pk,),
        "queue-agreement": (queue.pk,),
        "queue-disagreements": (queue.pk,),
        "queue-gold": (queue.pk,),
        "queue-adjudicate": (queue.pk, queue.items.filter(reviews__isnull=False).earliest("pk").pk),
        "queue-review": (held.pk,),
        "trajectory-list": (),
        "trajectory-detail": (trajectory.pk,),
        "step-edit": (trajectory.pk, 3),
        "remark-list": (trajectory.pk,),
        "mention-list": (),
        "bulk-list": (),
        "bulk-detail": (project.bulk_actions.get().pk,),
        "filter-list": (),
        "pair-list": (),
        "import-list": (),
        "import-detail": (project.imports.get().pk,),
        "difficulty-report": (),
        "difficulty-target": (),
        "task-list": (),
        "judge-list": (),
        "judge-create": (),
        "judge-detail": (judge.pk,),
        "judge-agreement": (judge.pk,),
        "judge-run-create": (judge.pk,),
        "judge-run-detail": (judge.runs.get().pk,),
        "dataset-list": (),
        "dataset-create": (),
        "dataset-detail": (version.dataset_id,),
        "version-detail": (version.pk,),
        "version-row": (version.pk, "train", 0),
        "version-left-out": (version.pk,),
        "project-settings": (),
    }
    pages = [reverse(f"curation:{name}", args=[project.slug, *args]) for name, args in inside.items()]
    comparison = reverse("curation:version-compare", args=[project.slug, version.pk])
    pages.append(f"{comparison}?with={older.pk}&kind=added")
    pages.append(reverse("curation:bulk-create", args=[project.slug]) + "?action=accept&outcome=failure")
    pages.append(reverse("curation:trajectory-list", args=[project.slug]) + '?where={"rule": "steps"}')
    cell = "?scale=verdict&row=accept&column=reject"
    pages.append(reverse("curation:judge-agreement-trajectories", args=[project.slug, judge.pk]) + cell)
    pages.append(reverse("curation:judge-run-detail", args=[project.slug, judge.runs.get().pk]) + "?failures=1")
    pages += [reverse("curation:upload-preview", args=[project.slug, upload.pk]) for upload in project.uploads.all()]
    pages += [reverse(f"training:{name}", args=[project.slug]) for name in ("run-list", "run-create", "compare")]
    return [reverse("curation:project-list"), reverse("curation:project-create"), *pages]


def test_every_page_is_accessible_quiet_and_fits(page: Page, live_server: LiveServer) -> None:
    project = fill_project()
    noise = listen(page)
    page.goto(live_server.url + reverse("curation:login"))
    problems = look_at(page, "sign-in")
    sign_in(page, root=live_server.url)
    for address in addresses(project):
        answer = page.goto(live_server.url + address)
        assert answer is not None
        assert answer.status == 200, address
        if address.endswith("datasets/new/"):
            page.get_by_text(re.compile("In a random sample of|No action was found")).wait_for()
        problems += look_at(page, address)
    assert not problems, "\n".join(problems)
    assert not noise


def look_at(page: Page, name: str) -> list[str]:
    """What is wrong with the page that is open."""
    found = Axe().run(page).response["violations"]
    problems = [
        f"{name}: {rule['id']}: {node['html'][:160]} {node['failureSummary'][:200]}"
        for rule in found
        for node in rule["nodes"][:3]
    ]
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    return problems + ([f"{name}: scrolls sideways by {wide} px"] if wide > 0 else [])
