"""Model calls that were kept because their caller asked for it (`store: true`)."""

from __future__ import annotations

from typing import Any, ClassVar, Self

from django.db import models
from django.db.models import F, Func, Value
from django.db.models.lookups import Exact

from apps.conversations.models import OwnedModel, OwnedQuerySet
from apps.core.ids import ID_LENGTH, random_base62

# OpenAI's, with a hyphen.
_PREFIX = "chatcmpl-"


def new_completion_id() -> str:
    """Return a fresh id for a completion."""
    return _PREFIX + random_base62(ID_LENGTH)


class TextUnder(Func):
    """The text under a name in a JSON object of texts. The name is no path: it may be any text."""

    function = "jsonb_extract_path_text"
    output_field = models.TextField()

    def as_sqlite(self, compiler: Any, connection: Any, **_: Any) -> Any:
        template = "(SELECT value FROM json_each(%(expressions)s)"
        return self.as_sql(compiler, connection, template=template, arg_joiner=") WHERE key = ")


class StoredCompletionQuerySet(OwnedQuerySet):
    def of_model(self, name: str) -> Self:
        return self.filter(model=name)

    def labelled(self, name: str, text: str) -> Self:
        """Those with this pair among their metadata."""
        return self.filter(Exact(TextUnder(F("metadata"), Value(name)), text))


class StoredCompletion(OwnedModel):
    """
    What was asked and answered in one call.

    `messages` and `parameters` are the request's, `answer` a `chat.completion` as its caller got it but
    for the id, which is ours. `metadata` are pairs of texts. Where only metadata may be kept nothing in
    it says what was said.
    """

    public_id = models.CharField(
        max_length=len(_PREFIX) + ID_LENGTH, unique=True, editable=False, default=new_completion_id
    )
    model = models.CharField(max_length=255)
    request_id = models.CharField(max_length=64, blank=True)
    messages: models.JSONField[list[Any], list[Any]] = models.JSONField(default=list)
    parameters: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    answer: models.JSONField[dict[str, Any], dict[str, Any]] = models.JSONField(default=dict)
    metadata: models.JSONField[dict[str, str], dict[str, str]] = models.JSONField(default=dict)

    objects: ClassVar[StoredCompletionQuerySet] = StoredCompletionQuerySet.as_manager()  # type: ignore[assignment]

    class Meta:
        ordering = ["-created_at", "-id"]
        indexes = [
            models.Index(fields=["project", "user", "created_at", "id"], name="completion_owner_idx"),
            models.Index(fields=["organization", "-created_at"], name="completion_org_idx"),
            models.Index(fields=["-created_at", "-id"], name="completion_created_idx"),
            # What a retention time is up for.
            models.Index(fields=["project", "created_at"], name="completion_project_idx"),
        ]

    def __str__(self) -> str:
        return self.public_id
