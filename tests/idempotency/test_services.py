"""Claims of a key, what ends them, and what is kept."""

from __future__ import annotations

import datetime
import json

import pytest
from django.core.management import call_command
from django.db import IntegrityError, transaction
from django.test import override_settings
from django.utils import timezone

from apps.core.errors import AppError, BadRequest
from apps.core.http.errors import headers_of, status_of
from apps.idempotency.models import IdempotencyRecord, State
from apps.idempotency.secrets import without_secrets
from apps.idempotency.services import Asked, check_key, claim, finish, give_up, purge, release, renew
from apps.idempotency.tasks import purge_records
from apps.organizations.models import Organization
from apps.usage.integrity import inspect

pytestmark = pytest.mark.django_db


@pytest.fixture
def asked() -> Asked:
    organization = Organization.objects.create(name="Acme")
    return Asked(
        organization_id=organization.pk,
        organization_public_id=organization.public_id,
        project_id=1,
        credential="key_1",
        route="POST /v1/things",
        key="again",
        query=b"",
        body=b'{"name": "x"}',
    )


def refusal(asked: Asked) -> tuple[int, str, str | None]:
    before = list(IdempotencyRecord.objects.order_by("pk").values())
    with pytest.raises(AppError) as raised:
        claim(asked)
    assert list(IdempotencyRecord.objects.order_by("pk").values()) == before
    return status_of(raised.value), raised.value.code, headers_of(raised.value).get("x-should-retry")


def age(asked: Asked, **columns: datetime.timedelta) -> None:
    """Move moments of the only record into the past."""
    IdempotencyRecord.objects.update(**{name: timezone.now() - ago for name, ago in columns.items()})


def test_the_first_claim_is_to_be_ended_and_its_answer_given_again(asked: Asked):
    record = claim(asked)
    assert (record.state, record.answer()) == (State.RUNNING, None)
    finish(record.public_id, status=201, headers={"content-type": "application/json"}, body=b"{}")
    again = claim(asked)
    assert again.public_id == record.public_id
    assert again.answer() == (201, {"content-type": "application/json"}, b"{}")


def test_an_empty_answer_is_an_answer(asked: Asked):
    finish(claim(asked).public_id, status=204, headers={}, body=b"")
    assert claim(asked).answer() == (204, {}, b"")


def test_the_first_end_stays(asked: Asked):
    record = claim(asked)
    finish(record.public_id, status=200, headers={}, body=b"first")
    finish(record.public_id, status=500, headers={}, body=b"second")
    release(record.public_id)
    give_up(record.public_id)
    renew([record.public_id])
    assert claim(asked).answer() == (200, {}, b"first")


def test_a_twin_waits_while_the_first_runs(asked: Asked):
    claim(asked)
    assert refusal(asked) == (409, "idempotency_in_progress", "true")


@pytest.mark.parametrize(("seconds", "wait"), [(0, "1"), (5, "5"), (55, "30")])
def test_it_waits_as_long_as_the_first_has_run_within_bounds(asked: Asked, seconds: int, wait: str):
    claim(asked)
    age(asked, created_at=datetime.timedelta(seconds=seconds))
    with pytest.raises(AppError) as raised:
        claim(asked)
    assert headers_of(raised.value)["retry-after"] == wait


def test_a_lease_that_ran_out_is_an_unknown_outcome_until_it_is_renewed(asked: Asked):
    record = claim(asked)
    age(asked, lease_until=datetime.timedelta(seconds=1))
    assert refusal(asked) == (409, "idempotency_outcome_unknown", "false")
    assert inspect_keys() == 1
    renew([record.public_id])
    assert refusal(asked) == (409, "idempotency_in_progress", "true")
    assert inspect_keys() == 0


def inspect_keys() -> int:
    assert set(IdempotencyRecord.objects.interrupted()) <= set(IdempotencyRecord.objects.running())
    return IdempotencyRecord.objects.interrupted().count()


def test_one_that_was_given_up_is_unknown_at_once(asked: Asked):
    give_up(claim(asked).public_id)
    assert refusal(asked) == (409, "idempotency_outcome_unknown", "false")


def test_an_answer_that_comes_after_its_lease_is_kept_all_the_same(asked: Asked):
    record = claim(asked)
    age(asked, lease_until=datetime.timedelta(seconds=1))
    finish(record.public_id, status=200, headers={}, body=b"late")
    assert claim(asked).answer() == (200, {}, b"late")


def test_a_released_key_is_new(asked: Asked):
    first = claim(asked)
    release(first.public_id)
    assert not IdempotencyRecord.objects.exists()
    assert claim(asked).public_id != first.public_id


def test_what_was_not_kept_is_not_given_again(asked: Asked):
    finish(claim(asked).public_id, status=200, headers={}, body=None)
    assert refusal(asked) == (409, "idempotency_not_replayable", "false")


@pytest.mark.parametrize(
    "other",
    [{"body": b'{"name": "y"}'}, {"query": b"x=1"}, {"project_id": 2}, {"body": b"", "query": b'{"name": "x"}'}],
)
@pytest.mark.parametrize("is_finished", [True, False])
def test_another_request_under_a_key_is_refused(asked: Asked, other: dict, is_finished: bool):
    record = claim(asked)
    if is_finished:
        finish(record.public_id, status=200, headers={}, body=b"x")
    assert refusal(asked._replace(**other)) == (422, "idempotency_key_reused", "false")


@pytest.mark.parametrize("other", [{"credential": "key_2"}, {"route": "POST /v1/others"}, {"key": "other"}])
def test_each_credential_and_route_has_keys_of_its_own(asked: Asked, other: dict):
    claim(asked)
    assert claim(asked._replace(**other)).state == State.RUNNING
    assert IdempotencyRecord.objects.count() == 2


def test_the_same_words_of_another_tenant_are_another_key(asked: Asked):
    other = Organization.objects.create(name="Other")
    mine = claim(asked)
    theirs = claim(asked._replace(organization_id=other.pk, organization_public_id=other.public_id))
    finish(mine.public_id, status=200, headers={}, body=b"mine")
    assert (theirs.state, theirs.organization_id) == (State.RUNNING, other.pk)
    assert list(IdempotencyRecord.objects.in_organization(other.pk)) == [theirs]


def test_routes_longer_than_the_column_are_told_apart(asked: Asked):
    long = asked._replace(route="POST /v1/" + "x" * 600)
    assert len(claim(long).route) == 512
    assert refusal(long._replace(route=long.route + "y")) == (422, "idempotency_key_reused", "false")


def test_the_digest_tells_nothing_without_the_servers_secret(asked: Asked):
    with override_settings(SECRET_KEY="another-secret-that-is-not-the-one-of-before"):
        elsewhere = asked.digest
    assert elsewhere != asked.digest
    assert len(asked.digest) == 64


@pytest.mark.parametrize("key", ["x", "x" * 255, " ~", "0"])
def test_keys_are_printable(key: str):
    check_key(key)


@pytest.mark.parametrize("key", ["", "x" * 256, "é", "a\n", "\x7f", "a\x00"])
def test_anything_else_is_no_key(key: str):
    with pytest.raises(BadRequest) as raised:
        check_key(key)
    assert (raised.value.code, raised.value.param) == ("invalid_idempotency_key", "Idempotency-Key")


def test_the_database_takes_no_finished_record_without_a_status(asked: Asked):
    record = claim(asked)
    for half in ({"state": State.FINISHED}, {"state": State.FINISHED, "status": 200}, {"body": b"x"}):
        with pytest.raises(IntegrityError), transaction.atomic():
            IdempotencyRecord.objects.filter(pk=record.pk).update(**half)
    with pytest.raises(IntegrityError), transaction.atomic():
        IdempotencyRecord.objects.bulk_create([IdempotencyRecord(**{
            name: getattr(record, name)
            for name in ("organization_id", "credential", "route", "key", "digest", "lease_until")
        })])  # fmt: skip


def test_records_are_forgotten_after_a_day(asked: Asked):
    hours = datetime.timedelta(hours=1)
    for number, state in enumerate(("finished", "running", "running")):
        record = claim(asked._replace(key=str(number)))
        if state == "finished":
            finish(record.public_id, status=200, headers={}, body=b"x")
    for key, old in (("0", 24.1), ("1", 24.1), ("2", 23.9)):
        IdempotencyRecord.objects.filter(key=key).update(created_at=timezone.now() - old * hours)
    assert purge() == 2
    assert [record.key for record in IdempotencyRecord.objects.all()] == ["2"]
    with override_settings(IDEMPOTENCY_HOURS=1.0):
        purge_records()
    assert not IdempotencyRecord.objects.exists()


def test_interrupted_requests_are_counted_and_are_no_violation(asked: Asked, tmp_path):
    claim(asked)
    give_up(claim(asked._replace(key="other")).public_id)
    report = inspect(tmp_path)
    assert (report["ok"], report["interrupted_keys"]) == (True, 1)


def test_fsck_says_how_many_were_interrupted(asked: Asked, capsys):
    give_up(claim(asked).public_id)
    call_command("fsck")
    assert "Requests with an Idempotency-Key that were interrupted: 1." in capsys.readouterr().out


def test_a_tenants_records_go_with_it(asked: Asked):
    claim(asked)
    Organization.objects.filter(pk=asked.organization_id).delete()
    assert not IdempotencyRecord.objects.exists()


SECRET = "jan_pk_" + "a" * 40


@pytest.mark.parametrize(
    ("answer", "kept"),
    [
        ({"id": "key_1", "key": SECRET}, {"id": "key_1", "key": None}),
        ({"api_key": {"value": "sk_" + "a" * 40, "name": "x"}}, {"api_key": {"value": None, "name": "x"}}),
        ({"data": [{"value": SECRET}]}, {"data": [{"value": None}]}),
        ({"access_token": "opaque", "refresh_token": "x"}, {"access_token": None, "refresh_token": None}),
        ({"token": "eyJhbGciOiJSUzI1NiJ9.e30.x"}, {"token": None}),
    ],
)
def test_secrets_are_taken_out(answer: dict, kept: dict):
    assert json.loads(without_secrets(json.dumps(answer).encode())) == kept


@pytest.mark.parametrize(
    "answer",
    [
        b'{"key": "colour", "value":"red"}',
        b'{"logprobs": [{"token": "Hello"}]}',
        b'{"redacted_value": "jan_pk_...abcd"}',
        b'{"text": "sk_' + b"a" * 40 + b'"}',
        b'{"key": "my key is sk_' + b"a" * 40 + b'"}',
        b"not json", b"", b"[" * 5000, b"1",
    ],
)  # fmt: skip
def test_what_is_no_secret_stays_byte_for_byte(answer: bytes):
    assert without_secrets(answer) == answer
