"""Model judges and their runs."""

from __future__ import annotations

from django.urls import URLPattern, path

from curation.views import judge_agreement, judge_runs, judges

inside: list[URLPattern] = [
    path("judges/", judges.judge_list, name="judge-list"),
    path("judges/new/", judges.judge_create, name="judge-create"),
    path("judges/try/", judges.judge_try_draft, name="judge-try-draft"),
    path("judges/<int:pk>/", judges.judge_detail, name="judge-detail"),
    path("judges/<int:pk>/try/", judges.judge_try, name="judge-try"),
    path("judges/<int:pk>/archive/", judges.judge_archive, name="judge-archive"),
    path("judges/<int:pk>/agreement/", judge_agreement.judge_agreement, name="judge-agreement"),
    path(
        "judges/<int:pk>/agreement/trajectories/",
        judge_agreement.judge_agreement_trajectories,
        name="judge-agreement-trajectories",
    ),
    path("judges/<int:pk>/runs/new/", judge_runs.judge_run_create, name="judge-run-create"),
    path("judge-runs/<int:pk>/", judge_runs.judge_run_detail, name="judge-run-detail"),
    path("judge-runs/<int:pk>/stop/", judge_runs.judge_run_stop, name="judge-run-stop"),
    path("judge-runs/<int:pk>/resume/", judge_runs.judge_run_resume, name="judge-run-resume"),
]
