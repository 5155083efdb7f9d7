import re

from apps.api_keys.tokens import KeyKind, is_well_formed, new_token
from apps.core.ids import new_id


def test_ids_have_their_type_and_24_base62_characters():
    made = {new_id("proj") for _ in range(1000)}
    assert len(made) == 1000
    assert all(re.fullmatch(r"proj_[0-9A-Za-z]{24}", each) for each in made)


def test_a_token_carries_a_checksum_that_finds_every_slip_of_one_character():
    for kind, prefix in ((KeyKind.USER, "sk_"), (KeyKind.PROJECT, "jan_pk_")):
        token = new_token(kind)
        assert re.fullmatch(prefix + "[0-9A-Za-z]{38}", token)
        assert is_well_formed(token)
        for at in range(len(token)):
            other = "0" if token[at] != "0" else "1"
            assert not is_well_formed(token[:at] + other + token[at + 1 :])


def test_what_is_no_key_costs_no_query():
    for text in ("", "sk_", "sk_" + "é" * 38, "sk_" + "a" * 10_000, "' OR 1=1 --", "\x00" * 41, "jan_pk_"):
        assert not is_well_formed(text)
