"""Settings of the tests: a home of their own, their own PostgreSQL in it (see conftest.py), and nothing slow."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile

# The first to import this is pytest's main process; its xdist workers inherit the choice. What the developer has set
# must not count: no test may ever touch their database or their files.
if "WHETSTONE_TEST_HOME" not in os.environ:
    os.environ["WHETSTONE_TEST_HOME"] = tempfile.mkdtemp(prefix="whetstone-tests-")
    atexit.register(shutil.rmtree, os.environ["WHETSTONE_TEST_HOME"], ignore_errors=True)
os.environ["WHETSTONE_HOME"] = os.environ["WHETSTONE_TEST_HOME"]
for name in ("DATABASE_URL", "CELERY_BROKER_URL", "SECRET_KEY", "WHETSTONE_DEBUG", "WHETSTONE_HTTPS"):
    os.environ.pop(name, None)
# pytest's workers share the cores already; an engine with a thread for each core would mostly wait for the others.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# Playwright's loop runs in the test's thread, where Django would refuse the database.
os.environ["DJANGO_ALLOW_ASYNC_UNSAFE"] = "true"

from webapp.settings import *  # noqa: E402, F403 the environment comes first

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
