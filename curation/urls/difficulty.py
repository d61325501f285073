"""How hard tasks are, what a selection keeps of the hard ones, and the tasks behind it."""

from __future__ import annotations

from django.urls import path

from curation.views import difficulty, tasks

inside = [
    path("difficulty/", difficulty.difficulty_report, name="difficulty-report"),
    path("difficulty/target/", difficulty.difficulty_target, name="difficulty-target"),
    path("difficulty/rescue/", difficulty.difficulty_rescue, name="difficulty-rescue"),
    path("difficulty/order/", difficulty.difficulty_order, name="difficulty-order"),
    path("difficulty/fit/", difficulty.difficulty_fit, name="difficulty-fit"),
    path("tasks/", tasks.task_list, name="task-list"),
    path("tasks/export/", tasks.task_list_export, name="task-list-export"),
]
