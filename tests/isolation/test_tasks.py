"""What a background task is told to do: nothing that a tenant can choose."""

from __future__ import annotations

import inspect

import celery

# Tasks that take something, and why no tenant can put another's there.
TAKES = {
    "apps.accounts.tasks.deliver_mail": (
        {"sender", "recipients", "content"}, "a whole mail, written by our own code where it was decided who gets it",
    ),
    "apps.personal_data.tasks.write_export": (
        {"pk"}, "a row that its person made, and that says whose data it is of; one that is not queued is left alone",
    ),
    "apps.personal_data.tasks.finish_deletion": (
        {"user_id"}, "does nothing to accounts whose own deletion was not begun by themselves",
    ),
}  # fmt: skip


def test_tasks_take_nothing_that_names_a_tenants_rows():
    celery.current_app.autodiscover_tasks(force=True)
    tasks = {name: task for name, task in celery.current_app.tasks.items() if name.startswith("apps.")}
    assert len(tasks) >= 4
    takes = {name: set(inspect.signature(task.run).parameters) for name, task in tasks.items()}
    assert {name: each for name, each in takes.items() if each} == {name: names for name, (names, _) in TAKES.items()}
