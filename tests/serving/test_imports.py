"""What the web process loads."""

from __future__ import annotations

import subprocess
import sys

from webapp.paths import BASE_DIR

HEAVY = ["torch", "transformers", "trl", "peft", "datasets", "tokenizers", "training.engine"]
PROGRAM = f"""
import sys
from webapp.wsgi import application
from django.core.management import get_commands
from django.urls import get_resolver
import webapp.celery

webapp.celery.app.loader.import_default_modules()
assert get_resolver().url_patterns and get_resolver().reverse_dict and application
print(*sorted(set({HEAVY}) & set(sys.modules)))
"""


def test_web_and_workers_never_load_the_machine_learning_stack() -> None:
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=BASE_DIR, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == []
