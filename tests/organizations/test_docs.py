"""docs/organizations.md says what the code does. `python -m tests.organizations.test_docs` writes its tables anew."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from apps.organizations.roles import DEFAULT_PROJECT_ROLES, GUEST_SCOPES, PROJECT_ROLE_SCOPES, ROLE_SCOPES, Scope

DOCS = Path(__file__).resolve().parents[2] / "docs" / "organizations.md"
_BLOCK = "<!-- {0}: printed from the code -->\n{1}<!-- /{0} -->"


def matrix(roles: Mapping[str, frozenset[Scope]]) -> str:
    """A table of who has which right."""
    lines = [f"| right | {' | '.join(roles)} |", f"|---|{'---|' * len(roles)}"]
    lines += [
        f"| `{scope}` | {' | '.join('yes' if scope in held else '' for held in roles.values())} |" for scope in Scope
    ]
    return "".join(f"{line.replace('|  |', '| |').replace('|  |', '| |')}\n" for line in lines)


def blocks() -> dict[str, str]:
    places = [f"| {role} | {place} |" for role, place in DEFAULT_PROJECT_ROLES.items()]
    return {
        "rights at the organization": matrix({**ROLE_SCOPES, "guest": GUEST_SCOPES}),
        "rights in a project": matrix(dict(PROJECT_ROLE_SCOPES)),
        "roles in the default project": "\n".join(["| member's role | in the default project |", "|---|---|", *places])
        + "\n",
    }


def written(text: str) -> str:
    """The text, with its tables as the code has them."""
    for name, table in blocks().items():
        pattern = _BLOCK.format(re.escape(name), ".*?")
        assert re.search(pattern, text, re.DOTALL), f"the docs have no place for the {name}"
        block = _BLOCK.format(name, table)
        text = re.sub(pattern, lambda _, block=block: block, text, flags=re.DOTALL)
    return text


def test_the_tables_are_the_codes():
    text = DOCS.read_text()
    assert written(text) == text


def test_every_right_is_in_the_tables():
    table = blocks()["rights at the organization"]
    assert [f"`{scope}`" in table for scope in Scope] == [True] * len(Scope)


if __name__ == "__main__":
    DOCS.write_text(written(DOCS.read_text()))
