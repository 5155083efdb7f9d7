"""
Rows of a list from a file: each goes through the list's own form and is saved as the form saves it.

So nobody imports what they could not type in, and the services behind the forms decide, refuse and write the
audit log. First everything is done in a transaction that is rolled back, and shown; once that is confirmed it is
done for good, if it comes out the same. Either all rows are imported or none.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from enum import StrEnum
from typing import Any, NamedTuple

from django import forms
from django.contrib import messages
from django.core import signing
from django.core.cache import cache
from django.core.exceptions import ValidationError
from django.db import DataError, IntegrityError, OperationalError, transaction
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from unfold.widgets import UnfoldAdminFileFieldWidget

from apps.core.admin import OperatorAdmin
from apps.core.errors import AppError
from apps.core.tables import MAX_BYTES, MAX_ROWS, Column, Kind, Row, read_table, shortened

# How long a preview can be confirmed.
PREVIEW_SECONDS = 3600
_CONFIRMED = "confirmed"
_LONGEST = 300
# What is done once all rows are good, because it reaches outside of the database.
Later = Callable[[], object]


class What(StrEnum):
    """What becomes of a row."""

    CREATE = "create"
    UPDATE = "update"
    UNCHANGED = "unchanged"
    REFUSED = "error"


class Outcome(NamedTuple):
    """What becomes of one row of a file: `lines` say which changes, or why not."""

    number: int
    what: What
    name: str
    lines: list[str]


class Refused(Exception):
    """A row that cannot be imported, with the reasons."""

    def __init__(self, *problems: str) -> None:
        super().__init__(*problems)
        self.problems = list(problems)


class UploadForm(forms.Form):
    """A file; `rows` are what is in it."""

    file = forms.FileField(label="CSV or JSON file", widget=UnfoldAdminFileFieldWidget)

    def __init__(self, *args: Any, columns: tuple[Column, ...]) -> None:
        super().__init__(*args)
        self._columns = columns
        self.content = b""
        self.rows: list[Row] = []

    def clean_file(self) -> Any:
        file = self.cleaned_data["file"]
        self.content = file.read(MAX_BYTES + 1)
        try:
            self.rows = read_table(self.content, self._columns)
        except AppError as problem:
            raise ValidationError(problem.message) from None
        return file


class Run:
    """One pass over a file's rows, in a transaction that its maker commits or rolls back."""

    def __init__(self, model_admin: ImportMixin, request: HttpRequest, rows: list[Row]) -> None:
        self._admin, self._request = model_admin, request
        self._columns = model_admin.get_columns(request)
        self._kinds = {column.name: column.kind for column in self._columns}
        self._forms: dict[bool, Any] = {}
        self._later: list[tuple[int, Later]] = []
        self._numbers: dict[Any, int] = {}
        ids = {row.cells.get("id") for row in rows} - {None, ""}
        found = model_admin.get_queryset(request).select_related(*model_admin.list_select_related)
        self._known = {row.public_id: row for row in found.filter(public_id__in=ids)}
        self.outcomes: list[Outcome] = []
        for row in rows:
            self.outcomes.append(self._outcome(row))

    @property
    def is_refused(self) -> bool:
        return any(outcome.what is What.REFUSED for outcome in self.outcomes)

    @property
    def fingerprint(self) -> str:
        """The same for a pass that does the same."""
        return hashlib.sha256(json.dumps(self.outcomes).encode()).hexdigest()

    def finish(self) -> None:
        """Do what waited for all rows to be good. What is refused then refuses all."""
        for index, later in self._later:
            try:
                later()
            except AppError as refusal:
                self.outcomes[index] = self.outcomes[index]._replace(what=What.REFUSED, lines=[refusal.message])
                return

    def _outcome(self, row: Row) -> Outcome:
        name = next((str(cell) for cell in row.cells.values() if cell), "")
        try:
            with transaction.atomic():
                return self._taken(row)
        except Refused as refusal:
            problems = refusal.problems
        except AppError as refusal:
            problems = [f"{refusal.param}: {refusal.message}" if refusal.param in self._kinds else refusal.message]
        except (IntegrityError, DataError, OperationalError):  # somebody else was faster, a value too large, a deadlock
            problems = ["Something else is in its way. Look at the list for a row like this one, or try again."]
        return Outcome(row.number, What.REFUSED, shortened(name), [shortened(each, _LONGEST) for each in problems])

    def _taken(self, row: Row) -> Outcome:
        if row.problems:
            raise Refused(*row.problems)
        target = self._target(row)
        name, what, lines = self._created(row) if target is None else self._updated(row, target)
        return Outcome(row.number, what, shortened(name), [shortened(line, _LONGEST) for line in lines])

    def _target(self, row: Row) -> Any:
        """Return the row that is there already and that this one of the file is about, if there is one."""
        public_id = row.cells.get("id")
        target = self._known.get(public_id) if public_id else self._admin.same_row(self._request, row.cells)
        if public_id and target is None:
            raise Refused("id: There is no such row. Leave it empty for a new one.")
        if target is not None:
            self._note_once(target, row)
        return target

    def _note_once(self, target: Any, row: Row) -> None:
        if (number := self._numbers.setdefault(target.pk, row.number)) != row.number:
            raise Refused(f"Row {number} is about the same one.")

    def _created(self, row: Row) -> tuple[str, What, list[str]]:
        if not self._admin.has_add_permission(self._request):
            raise Refused("You may not add any.")
        form_class = self._form_class(None)
        names = form_class.base_fields
        if fixed := [name for name, cell in row.cells.items() if cell and name not in names]:
            raise Refused(*(f"{name}: It cannot be set. Leave it empty for a new row." for name in fixed))
        blank = form_class(initial=self._admin.get_changeform_initial_data(self._request))
        data = {name: blank.get_initial_for_field(field, name) for name, field in blank.fields.items()}
        cells = {name: cell for name, cell in row.cells.items() if name in names}
        saved = self._saved(form_class(self._posted({**data, **cells})), cells, change=False)
        self._note_once(saved, row)
        return str(saved), What.CREATE, [f"{name}: {_shown(cell)}" for name, cell in cells.items() if cell]

    def _updated(self, row: Row, target: Any) -> tuple[str, What, list[str]]:
        name, before = str(target), self._cells(target)
        given = {name: cell for name, cell in row.cells.items() if cell != before[name]}
        if not given:
            return name, What.UNCHANGED, []
        if not self._admin.has_change_permission(self._request, target):
            raise Refused(f"It cannot be changed, or not by you ({', '.join(given)}).")
        form_class = self._form_class(target)
        names = form_class.base_fields
        if fixed := [name for name in given if name not in names]:
            why = "and cannot be changed. Leave it so, or leave the column out."
            raise Refused(*(f"{name}: It is {_shown(before[name])} {why}" for name in fixed))
        cells = {name: cell for name, cell in {**before, **given}.items() if name in names}
        after = self._cells(self._saved(form_class(self._posted(cells), instance=target), cells, change=True))
        changes = [(name, was, after[name]) for name, was in before.items() if was != after[name]]
        what = What.UPDATE if changes else What.UNCHANGED
        return name, what, [f"{name}: {_shown(was)} → {_shown(now)}" for name, was, now in changes]

    def _saved(self, form: Any, cells: dict[str, Any], *, change: bool) -> Any:
        for name in cells:
            if isinstance(form.fields[name], forms.ModelChoiceField):
                form.fields[name].to_field_name = "public_id"
        if not form.is_valid():
            problems = [(name, text) for name, texts in form.errors.items() for text in texts]
            raise Refused(*(text if name == "__all__" else f"{name}: {text}" for name, text in problems))
        row = self._admin.save_form(self._request, form, change)
        if later := self._admin.save_imported(self._request, row, form, change):
            self._later.append((len(self.outcomes), later))
        return row

    def _form_class(self, target: Any) -> Any:
        is_there = target is not None
        if is_there not in self._forms:
            self._forms[is_there] = self._admin.get_form(self._request, target, change=is_there)
        return self._forms[is_there]

    def _cells(self, row: Any) -> dict[str, Any]:
        return {column.name: column.of(row) for column in self._columns}

    def _posted(self, data: dict[str, Any]) -> dict[str, Any]:
        """Return values as a form's widgets would find them."""
        is_object = {name for name in data if self._kinds.get(name) is Kind.OBJECT}
        return {name: json.dumps(value) if name in is_object else value for name, value in data.items()}


class ImportMixin(OperatorAdmin):
    """A list into which rows of a file can be imported: those that the list exports, see `columns`."""

    def same_row(self, request: HttpRequest, cells: dict[str, Any]) -> Any:
        """Return the row that a row of a file without an id is about, or None for a new one."""
        return None

    def save_imported(self, request: HttpRequest, obj: Any, form: Any, change: bool) -> Later | None:
        """
        Save one row of a file as its page would. It may be rolled back, so whatever does more than write to the
        database is returned instead, and called when all rows are good.
        """
        self.save_model(request, obj, form, change)
        self.save_related(request, form, [], change)
        return None

    def import_scope(self, request: HttpRequest) -> str:
        """Return what a preview is about beside the list and the user: it cannot be confirmed elsewhere."""
        return ""

    def may_import(self, request: HttpRequest) -> bool:
        return self.has_add_permission(request) or self.has_change_permission(request)

    def get_urls(self) -> list[URLPattern]:
        name = f"{self.opts.app_label}_{self.opts.model_name}_import"
        return [path("import/", self.admin_site.admin_view(self.import_view), name=name), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: Any = None) -> Any:
        return super().changelist_view(request, {**(extra_context or {}), "may_import": self.may_import(request)})

    def import_view(self, request: HttpRequest) -> HttpResponse:
        """Ask for a file, show what would become of its rows, and do it when that is confirmed."""
        self.require(self.may_import(request))
        if _CONFIRMED in request.POST:
            return self._import(request, request.POST[_CONFIRMED])
        columns = self.get_columns(request)
        form = UploadForm(request.POST or None, request.FILES or None, columns=columns)
        if form.is_valid():
            with transaction.atomic():
                run = Run(self, request, form.rows)
                transaction.set_rollback(True)
            return self._preview(request, run, form.content.decode())
        question = (
            f"At most {MAX_ROWS} rows and 1 MB, in UTF-8. Columns: {', '.join(column.name for column in columns)}. "
            "A row with an id changes that one, one without makes a new one; a column that is left out stays as it is. "
            "Export the list for an example. What would happen is shown before anything does."
        )
        title = f"Import {self.opts.verbose_name_plural}"
        return self.form_page(request, form, title=title, button="Preview", question=question)

    def _import(self, request: HttpRequest, token: str) -> HttpResponse:
        try:
            previewed = signing.loads(token, salt=self._salt(request), max_age=PREVIEW_SECONDS)
        except signing.BadSignature:
            self.message_user(request, "This preview is over. Upload the file again.", messages.ERROR)
            return redirect(request.path)
        if not cache.add(f"import:{hashlib.sha256(token.encode()).hexdigest()}", 1, PREVIEW_SECONDS):
            self.message_user(request, "This was confirmed already.", messages.WARNING)
            return redirect(self._list_url())
        rows = read_table(previewed["file"].encode(), self.get_columns(request))
        with transaction.atomic():
            run = Run(self, request, rows)
            is_as_shown = run.fingerprint == previewed["fingerprint"]
            if is_as_shown:
                run.finish()
            if not is_as_shown or run.is_refused:
                transaction.set_rollback(True)
        if not is_as_shown or run.is_refused:
            self.message_user(request, "This is not what was shown before. Nothing was imported.", messages.ERROR)
            return self._preview(request, run, previewed["file"])
        self.message_user(request, f"Imported: {_counted(run.outcomes)}.", messages.SUCCESS)
        return redirect(self._list_url())

    def _preview(self, request: HttpRequest, run: Run, text: str) -> HttpResponse:
        given = {"file": text, "fingerprint": run.fingerprint}
        is_pointless = all(outcome.what is What.UNCHANGED for outcome in run.outcomes)
        can_go_on = not (run.is_refused or is_pointless)
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"Import {self.opts.verbose_name_plural}",
            "outcomes": run.outcomes,
            "counted": _counted(run.outcomes),
            "is_refused": run.is_refused,
            "token": signing.dumps(given, salt=self._salt(request), compress=True) if can_go_on else "",
            "list_url": self._list_url(),
        }
        request.current_app = self.admin_site.name
        return TemplateResponse(request, "admin/import_preview.html", context)

    def _salt(self, request: HttpRequest) -> str:
        parts = (self.admin_site.name, self.opts.label, str(request.user.pk), self.import_scope(request))
        return f"import:{':'.join(parts)}"

    def _list_url(self) -> str:
        return reverse(f"{self.admin_site.name}:{self.opts.app_label}_{self.opts.model_name}_changelist")


def _counted(outcomes: list[Outcome]) -> str:
    """Return how many rows of each kind there are, in words."""
    words = {What.CREATE: "new", What.UPDATE: "changed", What.UNCHANGED: "unchanged", What.REFUSED: "with errors"}
    counts = {what: sum(outcome.what is what for outcome in outcomes) for what in words}
    return ", ".join(f"{count} {words[what]}" for what, count in counts.items() if count)


def _shown(value: Any) -> str:
    if value in (None, "", [], {}):
        return "nothing"
    if isinstance(value, bool | list | dict):
        return json.dumps(value, ensure_ascii=False)
    return str(value)
