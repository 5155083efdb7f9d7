"""Whatever is sent, the answer is one of ours, and what is refused changes nothing."""

from __future__ import annotations

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from apps.user_settings.shape import AdvancedSettings, GivenProfile, GivenSettings, MemoryConfig, Style
from tests.api_keys.conftest import Caller
from tests.user_settings.conftest import SETTINGS

GROUPS = (GivenSettings, MemoryConfig, GivenProfile, AdvancedSettings)
NAMES = sorted({name for group in GROUPS for name in group.__struct_fields__})
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(["x" * 200, "\u202e", *Style])
)
VALUES = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES) | st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=8,
)
PREFERENCES = st.fixed_dictionaries({"preferences": st.dictionaries(st.text(max_size=5), VALUES, max_size=4)})
BODIES = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=4) | PREFERENCES | VALUES


@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(body=BODIES)
def test_no_body_breaks_the_route(ada: Caller, body: Any):
    before = ada.call("GET", SETTINGS).json()
    answer = ada.call("PATCH", SETTINGS, body)
    assert answer.status_code in (200, 400), (body, answer.content)
    after = ada.call("GET", SETTINGS).json()
    assert after == (answer.json() if answer.status_code == 200 else before)
    if answer.status_code == 400:
        assert set(answer.json()["error"]) >= {"message", "type", "code", "param", "request_id"}
