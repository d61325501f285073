"""Who may do what: people, projects, roles, API tokens, and the audit log."""

from __future__ import annotations

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models


class User(AbstractUser):
    """A person; what they may do is said by their memberships, project by project."""


class Role(models.TextChoices):
    """Roles add up; a member holds one or more."""

    REVIEWER = "reviewer", "Reviewer: works queues"
    CURATOR = "curator", "Curator: imports, queues, pairs, datasets"
    ENGINEER = "engineer", "Engineer: launches runs and evaluations"
    OWNER = "owner", "Owner: members and settings"


class Project(models.Model):
    """The workspace that everything belongs to."""

    name = models.CharField(max_length=120)
    slug = models.SlugField(unique=True, max_length=60)
    guidelines = models.TextField(blank=True, help_text="What reviewers should look for; shown beside every review.")
    success_threshold = models.FloatField(
        default=1.0,
        validators=[MinValueValidator(0.0), MaxValueValidator(1.0)],
        help_text="An attempt whose reward reaches this counts as a success, unless its file says otherwise.",
    )
    target = models.JSONField(
        default=dict, blank=True, help_text="The difficulty that selections are measured against: curation.bias.Target."
    )
    created_at = models.DateTimeField(auto_now_add=True)
    members = models.ManyToManyField(User, through="Membership", related_name="projects")

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    project = models.ForeignKey(Project, models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, models.CASCADE, related_name="memberships")
    roles = ArrayField(models.CharField(max_length=10, choices=Role.choices))

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["project", "user"], name="one_membership_per_member"),
            models.CheckConstraint(
                condition=models.Q(roles__contained_by=list(Role.values)) & models.Q(roles__len__gt=0),
                name="membership_roles_are_known",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.user} in {self.project}: {', '.join(self.roles)}"


class ApiToken(models.Model):
    """A bearer token for one project. Only its digest is stored; the token itself is shown once."""

    project = models.ForeignKey(Project, models.CASCADE, related_name="tokens")
    user = models.ForeignKey(User, models.CASCADE, related_name="tokens")
    name = models.CharField(max_length=80)
    digest = models.CharField(max_length=64, unique=True)
    scopes = ArrayField(models.CharField(max_length=10, choices=Role.choices))
    created_at = models.DateTimeField(auto_now_add=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    expires_at = models.DateTimeField(null=True, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    def __str__(self) -> str:
        return self.name


class AuditEntry(models.Model):
    """Who did what, when, from where. The database refuses to change or delete a row of it."""

    at = models.DateTimeField(auto_now_add=True)
    project_id = models.BigIntegerField(null=True, db_index=True)
    actor_id = models.BigIntegerField(null=True)
    actor_name = models.CharField(max_length=150)
    action = models.CharField(max_length=60)
    target = models.CharField(max_length=200, blank=True)
    details = models.JSONField(default=dict)
    address = models.GenericIPAddressField(null=True)

    def __str__(self) -> str:
        return f"{self.actor_name} {self.action} {self.target}"
