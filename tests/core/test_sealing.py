import pytest

from apps.catalog.models import Provider, ProviderKind
from apps.core.models import DataKey
from apps.core.sealing import SealBroken, key_id_of, rotate_data_keys, seal, unseal

pytestmark = pytest.mark.django_db
OLD, NEW = "old-ring-key-0123456789abcdefghijkl", "new-ring-key-0123456789abcdefghijkl"


def test_a_value_opens_only_where_it_was_sealed():
    sealed = seal("secret", owner="org_a", context="provider:1:credential")
    assert unseal(sealed, owner="org_a", context="provider:1:credential") == "secret"
    assert "secret" not in sealed
    for owner, context in (("org_a", "provider:2:credential"), ("org_b", "provider:1:credential")):
        with pytest.raises(SealBroken):
            unseal(sealed, owner=owner, context=context)


def test_the_ring_turns_without_losing_a_value(settings):
    settings.ENCRYPTION_KEYS = [OLD]
    sealed = seal("secret", owner="org_a", context="x")
    settings.ENCRYPTION_KEYS = [NEW, OLD]
    assert unseal(sealed, owner="org_a", context="x") == "secret"
    assert rotate_data_keys() == 1
    settings.ENCRYPTION_KEYS = [NEW]
    assert unseal(sealed, owner="org_a", context="x") == "secret"
    assert DataKey.objects.get().key_id == key_id_of(NEW)
    assert rotate_data_keys() == 0


def test_without_its_ring_key_nothing_opens(settings):
    settings.ENCRYPTION_KEYS = [OLD]
    sealed = seal("secret", owner="org_a", context="x")
    settings.ENCRYPTION_KEYS = [NEW]
    with pytest.raises(SealBroken):
        unseal(sealed, owner="org_a", context="x")


def test_a_credential_moved_to_another_row_does_not_open():
    first = Provider(name="a", kind=ProviderKind.CUSTOM, base_url="http://a/v1")
    first.credential = "sk-first-credential"
    first.save()
    second = Provider.objects.create(name="b", kind=ProviderKind.CUSTOM, base_url="http://b/v1")
    Provider.objects.filter(pk=second.pk).update(sealed_credential=first.sealed_credential)
    assert Provider.objects.get(pk=first.pk).credential == "sk-first-credential"
    with pytest.raises(SealBroken):
        _ = Provider.objects.get(pk=second.pk).credential
