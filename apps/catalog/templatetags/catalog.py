from __future__ import annotations

from django import template

from apps.catalog import queries

register = template.Library()


@register.simple_tag
def name_to_try(token: str) -> str:
    """Return the name of a model that a key can call, for an example; empty if there is none."""
    return queries.name_to_try(token)
