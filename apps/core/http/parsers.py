from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

from rest_framework.parsers import BaseParser

from apps.core.strict_json import parse_json


class StrictJSONParser(BaseParser):
    """DRF's only body parser; reads with `parse_json`. An empty body is an empty object."""

    media_type = "application/json"

    def parse(
        self, stream: IO[Any], media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> Any:
        body = stream.read()
        return parse_json(body) if body else {}
