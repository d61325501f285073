"""Who gets in, and how far: projects, roles, tokens, and the frame's own defences."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, IntegrityError, transaction
from django.test import Client
from django.urls import reverse
from django.utils import timezone

from curation.models import ApiToken, AuditEntry, Membership, Role
from curation.services.projects import create_project, remove_member, save_member
from curation.services.tokens import create_token, find_token, revoke_token
from tests.factories import make_member, make_project, make_trajectory, make_user, owner_access

pytestmark = pytest.mark.django_db


def sign_in(user: object) -> Client:
    client = Client()
    client.force_login(user)  # type: ignore[arg-type]  # any user
    return client


def test_whoever_is_not_signed_in_is_sent_to_the_sign_in_page() -> None:
    project = make_project()
    answer = Client().get(reverse("curation:trajectory-list", args=[project.slug]))
    assert answer.status_code == 302
    assert answer["Location"].startswith(reverse("curation:login"))


def test_a_project_is_not_found_by_whoever_is_no_member() -> None:
    project = make_project()
    stranger = sign_in(make_user())
    for name in ("trajectory-list", "queue-list", "pair-list", "dataset-list", "import-list", "project-settings"):
        assert stranger.get(reverse(f"curation:{name}", args=[project.slug])).status_code == 404


def test_an_id_of_another_project_is_not_found() -> None:
    mine, theirs = make_project(), make_project()
    trajectory = make_trajectory(theirs)
    client = sign_in(owner_access(mine).user)
    for name in ("trajectory-detail", "trajectory-steps", "trajectory-raw"):
        assert client.get(reverse(f"curation:{name}", args=[mine.slug, trajectory.pk])).status_code == 404
    assert client.get(f"/api/v1/projects/{mine.slug}/trajectories/{trajectory.pk}/").status_code == 404
    assert client.get(f"/api/v1/projects/{mine.slug}/trajectories/{trajectory.pk}/revisions/0/").status_code == 404


def test_a_reviewer_cannot_do_what_curators_and_owners_do() -> None:
    project = make_project()
    make_trajectory(project)
    reviewer = sign_in(make_member(project, Role.REVIEWER).user)
    assert reviewer.post(reverse("curation:queue-create", args=[project.slug]), {"name": "x"}).status_code == 403
    sent = {"username": "friend", "roles": ["owner"]}
    assert reviewer.post(reverse("curation:member-save", args=[project.slug]), sent).status_code == 403
    assert reviewer.post(f"/api/v1/projects/{project.slug}/queues/", {"name": "x"}).status_code == 403
    assert not Membership.objects.filter(user__username="friend").exists()


def test_a_new_member_gets_a_password_once_and_can_sign_in_with_it() -> None:
    project = make_project()
    _, password = save_member(owner_access(project), username="new-person", roles=["reviewer"])
    assert password
    client = Client()
    answer = client.post(reverse("curation:login"), {"username": "new-person", "password": password})
    assert answer.status_code == 302
    _, again = save_member(owner_access(project), username="new-person", roles=["reviewer", "curator"])
    assert again is None


def test_the_last_owner_stays() -> None:
    project = make_project()
    access = owner_access(project)
    with pytest.raises(ValueError, match="owner"):
        save_member(access, username=access.user.username, roles=["reviewer"])
    with pytest.raises(ValueError, match="owner"):
        remove_member(access, Membership.objects.get(project=project))
    assert Membership.objects.get(project=project).roles == list(Role.values)


def test_two_projects_of_one_name_get_two_addresses() -> None:
    user = make_user()
    slugs = [create_project(user, name="Ärger & Söhne").slug for _ in range(2)]
    assert slugs == ["arger-sohne", "arger-sohne-2"]


def test_a_membership_without_a_known_role_is_refused_by_the_database() -> None:
    project = make_project()
    for roles in ([], ["king"]):
        with pytest.raises(IntegrityError), transaction.atomic():
            Membership.objects.create(project=project, user=make_user(), roles=roles)


def test_a_token_is_stored_as_a_digest_and_works_until_it_is_revoked_or_expires() -> None:
    project = make_project()
    access = owner_access(project)
    token, secret = create_token(access, name="ci", scopes=["curator"])
    assert secret not in str(ApiToken.objects.values())
    assert find_token(secret) == token
    assert find_token(secret + "x") is None
    revoke_token(access, token)
    assert find_token(secret) is None
    _, old = create_token(access, name="old", scopes=["curator"], expires_at=timezone.now() - timedelta(seconds=1))
    assert find_token(old) is None


def test_a_token_acts_in_its_own_project_with_its_own_scopes_only() -> None:
    mine, other = make_project(), make_project()
    user = owner_access(mine).user
    save_member(owner_access(other), username=user.username, roles=list(Role.values))
    _, secret = create_token(owner_access(mine), name="reader", scopes=["reviewer"])
    client = Client(headers={"authorization": f"Bearer {secret}"})
    assert client.get(f"/api/v1/projects/{mine.slug}/trajectories/").status_code == 200
    assert client.get(f"/api/v1/projects/{other.slug}/trajectories/").status_code == 404
    assert client.post(f"/api/v1/projects/{mine.slug}/queues/", {"name": "x"}).status_code == 403
    assert [row["slug"] for row in client.get("/api/v1/projects/").json()] == [mine.slug]
    assert Client(headers={"authorization": "Bearer nonsense"}).get("/api/v1/projects/").status_code == 401


def test_a_token_cannot_be_given_scopes_that_its_owner_lacks() -> None:
    project = make_project()
    with pytest.raises(ValueError, match="engineer"):
        create_token(make_member(project, Role.REVIEWER), name="x", scopes=["engineer"])


def test_the_audit_log_refuses_to_be_changed() -> None:
    make_project()
    assert AuditEntry.objects.get().action == "project.create"
    for change in (AuditEntry.objects.all().delete, lambda: AuditEntry.objects.update(action="nothing")):
        with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
            change()


def test_every_page_forbids_inline_script_and_framing() -> None:
    answer = Client().get(reverse("curation:login"))
    policy = answer["Content-Security-Policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy
    assert answer["X-Content-Type-Options"] == "nosniff"


def test_signing_in_does_not_lead_to_another_site() -> None:
    user = make_user("traveller")
    sent = {"username": user.username, "password": "a long enough password", "next": "https://evil.example/"}
    assert Client().post(reverse("curation:login"), sent)["Location"] == reverse("curation:project-list")


def test_guessing_passwords_is_slowed_down() -> None:
    user = make_user("target")
    client = Client()
    for _ in range(10):
        client.post(reverse("curation:login"), {"username": user.username, "password": "wrong"})
    sent = {"username": user.username, "password": "a long enough password"}
    assert client.post(reverse("curation:login"), sent).status_code == 429


def test_a_state_change_without_a_csrf_token_is_refused() -> None:
    project = make_project()
    client = Client(enforce_csrf_checks=True)
    client.force_login(owner_access(project).user)
    assert client.post(reverse("curation:member-save", args=[project.slug]), {"username": "x"}).status_code == 403
    assert client.post(f"/api/v1/projects/{project.slug}/queues/", {"name": "x"}).status_code == 403


def test_access_is_refused_in_words() -> None:
    project = make_project()
    with pytest.raises(PermissionDenied, match="engineer"):
        make_member(project).require(Role.ENGINEER)
