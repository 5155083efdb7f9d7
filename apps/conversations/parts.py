"""
The parts of a message, in every spelling that clients write, and in the one that is stored: OpenAI's.

Known are OpenAI's Responses API (`input_text`), its chat completions (`image_url`), the original server
(`{"type": "text", "text": {"text": ...}}`), and what this server itself says to the Jan web client.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from apps.conversations.item_types.shared import Strict, Tagged
from apps.core.errors import BadRequest

Part = dict[str, Any]

MAX_PARTS = 100
MAX_TEXT = 100_000
MAX_ANNOTATIONS = 100
_DETAILS = ("low", "high", "auto", "original")
_ANSWERING = "assistant"
# A hint for a provider's cache, which means nothing to what is kept.
_HINTS = {"prompt_cache_breakpoint"}


class _UrlCitation(Tagged, tag="url_citation"):
    url: str
    title: str
    start_index: int
    end_index: int


class _FileCitation(Tagged, tag="file_citation"):
    file_id: str
    filename: str
    index: int


class _ContainerFileCitation(Tagged, tag="container_file_citation"):
    container_id: str
    file_id: str
    filename: str
    start_index: int
    end_index: int


class _FilePath(Tagged, tag="file_path"):
    file_id: str
    index: int


class _Likely(Strict):
    token: str
    bytes: list[int]
    logprob: float


class _Likelihood(_Likely):
    top_logprobs: list[_Likely]


_Annotation = _UrlCitation | _FileCitation | _ContainerFileCitation | _FilePath
_Annotations = Annotated[list[_Annotation], Meta(max_length=MAX_ANNOTATIONS)]


def citation_of(given: Any) -> dict[str, Any] | None:
    """Return an annotation as a message's part has it, also one of a chat completion; None if it is neither."""
    if not isinstance(given, dict):
        return None
    nested = given.get("url_citation")
    found = {"type": "url_citation", **nested} if isinstance(nested, dict) else given
    try:
        msgspec.convert(found, _Annotation, strict=True)
    except msgspec.ValidationError:
        return None
    return found


def parse_content(content: Any, role: str, where: str) -> list[Part]:
    """Return the parts of a message. Raises BadRequest naming what is wrong."""
    if isinstance(content, (str, dict)):
        content = [content]
    if not isinstance(content, list):
        raise _wrong(where, "must be a string or a list of parts")
    if len(content) > MAX_PARTS:
        raise _wrong(where, f"may have {MAX_PARTS} parts at most")
    return [parse_part(part, role, f"{where}[{at}]") for at, part in enumerate(content)]


def parse_part(part: Any, role: str, where: str) -> Part:
    """Return one part as it is stored. Raises BadRequest naming what is wrong."""
    if isinstance(part, str):
        part = {"type": "text", "text": part}
    if not isinstance(part, dict):
        raise _wrong(where, "must be an object")
    kind = part.get("type")
    read = _READERS.get(kind) if isinstance(kind, str) else None
    if read is None:
        raise _wrong(f"{where}.type", f"must be one of {', '.join(sorted(_READERS))}")
    fields, reader = read
    for name in part:
        if name != "type" and name not in fields and name not in _HINTS:
            unknown = f"{where}.{name}"
            raise BadRequest(f"Unknown parameter: {unknown}.", code="unknown_parameter", param=unknown)
    return reader(part, role, where)


def _text(part: Part, role: str, where: str) -> Part:
    said = _said(part, where)
    if role == _ANSWERING or part["type"] == "output_text":
        return _output_text(part, said, where)
    return {"type": "input_text", "text": _string(said, f"{where}.text")}


def _said(part: Part, where: str) -> Any:
    """Return the text of a part wherever it stands: `text`, `text.text`, `input_text`, `output_text.text`."""
    for name in ("text", "input_text", "output_text"):
        value = part.get(name)
        if isinstance(value, dict):
            value = value.get("text", value.get("value"))
        if value is not None:
            return value
    raise BadRequest(f"'{where}.text' is missing.", code="missing_required_parameter", param=f"{where}.text")


def _output_text(part: Part, said: Any, where: str) -> Part:
    nested: Part = next((part[name] for name in ("output_text", "text") if isinstance(part.get(name), dict)), {})
    annotations = part.get("annotations") or nested.get("annotations") or []
    _convert(annotations, _Annotations, f"{where}.annotations")
    found = {"type": "output_text", "text": _string(said, f"{where}.text"), "annotations": annotations}
    if part.get("logprobs"):
        _convert(part["logprobs"], list[_Likelihood], f"{where}.logprobs")
        found["logprobs"] = part["logprobs"]
    return found


def _plain(name: str) -> Callable[[Part, str, str], Part]:
    """A reader of a part that has its text under this name, or in the web client's spelling."""

    def read(part: Part, role: str, where: str) -> Part:
        kind = "reasoning_text" if part["type"] == "reasoning_content" else part["type"]
        said = part.get(name, part.get("reasoning_content"))
        return {"type": kind, name: _string(said, f"{where}.{name}")}

    return read


def _image(part: Part, role: str, where: str) -> Part:
    source = part.get("image_url", part.get("image"))
    nested = source if isinstance(source, dict) else {}
    url = nested.get("url") if nested else source
    detail = part.get("detail") or nested.get("detail") or "auto"
    if detail not in _DETAILS:
        raise _wrong(f"{where}.detail", f"must be one of {', '.join(_DETAILS)}")
    given = _given({"image_url": url, "file_id": part.get("file_id")}, where)
    if not given:
        raise BadRequest(
            f"'{where}.image_url' is missing.", code="missing_required_parameter", param=f"{where}.image_url"
        )
    kind = "computer_screenshot" if part["type"] == "computer_screenshot" else "input_image"
    # Both are in OpenAI's object, so clients may look for either.
    return {"type": kind, "image_url": None, "file_id": None, **given, "detail": detail}


def _file(part: Part, role: str, where: str) -> Part:
    if "input_audio" in part:
        return _audio(part, role, where)
    nested = part.get("file")
    source = nested if isinstance(nested, dict) else part
    names = ("file_data", "file_id", "file_url", "filename")
    given = _given({name: source.get(name) for name in names}, where)
    if part.get("detail") in ("auto", "low", "high"):
        given["detail"] = part["detail"]
    if not given.keys() - {"filename", "detail"}:
        raise BadRequest(f"'{where}.file_id' is missing.", code="missing_required_parameter", param=f"{where}.file_id")
    return {"type": "input_file", **given}


def _audio(part: Part, role: str, where: str) -> Part:
    sound = part.get("input_audio")
    if not isinstance(sound, dict) or sound.get("format") not in ("wav", "mp3"):
        raise _wrong(f"{where}.input_audio", "must have 'data' and 'format', which is wav or mp3")
    data = _string(sound.get("data"), f"{where}.input_audio.data", most=None)
    try:
        base64.b64decode(data, validate=True)
    except (binascii.Error, ValueError):
        raise _wrong(f"{where}.input_audio.data", "must be base64") from None
    return {"type": "input_audio", "input_audio": {"data": data, "format": sound["format"]}}


_Reader = Callable[[Part, str, str], Part]
_TEXT = {"text", "input_text", "output_text", "annotations", "logprobs"}
_IMAGE = {"image_url", "image", "file_id", "detail"}
# Of each type: what it may have, and who reads it.
_READERS: dict[str, tuple[set[str], _Reader]] = {
    "text": (_TEXT, _text),
    "input_text": (_TEXT, _text),
    "output_text": (_TEXT, _text),
    "summary_text": ({"text"}, _plain("text")),
    "reasoning_text": ({"text", "reasoning_content"}, _plain("text")),
    "reasoning_content": ({"text", "reasoning_content"}, _plain("text")),
    "refusal": ({"refusal", "text"}, _plain("refusal")),
    "input_image": (_IMAGE, _image),
    "image_url": (_IMAGE, _image),
    "image": (_IMAGE, _image),
    "computer_screenshot": (_IMAGE, _image),
    "input_file": ({"file_data", "file_id", "file_url", "filename", "detail", "input_audio"}, _file),
    "file": ({"file"}, _file),
    "input_audio": ({"input_audio"}, _audio),
}


def _given(values: dict[str, Any], where: str) -> dict[str, str]:
    return {name: _string(value, f"{where}.{name}", most=None) for name, value in values.items() if value is not None}


def _string(value: Any, where: str, most: int | None = MAX_TEXT) -> str:
    if not isinstance(value, str):
        raise _wrong(where, "must be a string")
    if most is not None and len(value) > most:
        raise _wrong(where, f"may have {most} characters at most")
    return value


def _convert(value: Any, shape: Any, where: str) -> None:
    try:
        msgspec.convert(value, shape, strict=True)
    except msgspec.ValidationError as problem:
        what, _, path = str(problem).partition(" - at `$")
        raise BadRequest(f"Invalid value for '{where}{path.rstrip('`')}': {what}.", param=where) from None


def _wrong(where: str, what: str) -> BadRequest:
    return BadRequest(f"'{where}' {what}.", param=where)
