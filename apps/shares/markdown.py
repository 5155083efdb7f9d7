"""Markdown of models and people as HTML that holds nothing but text, its marks, and links to the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.html import escape, format_html
from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

_SCHEMES = ("http://", "https://", "mailto:")
# What is longer, or has more of what takes long to tell apart, is shown as it was written: a page is read by
# whoever has its link, and must not cost the server seconds.
MAX_LENGTH = 100_000
_MOST = {"[": 2000, "|": 5000}


def _is_of_the_web(url: str) -> bool:
    return url.strip().lower().startswith(_SCHEMES)


class _Renderer(RendererHTML):
    def link_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        tokens[index].attrSet("rel", "noopener nofollow")
        return self.renderToken(tokens, index, options, env)

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """Only what the image is said to be: to load it would tell its server who reads."""
        words = self.renderInlineAsText(tokens[index].children or [], options, env)
        return f'<span class="image">Image{": " if words else ""}{escape(words)}</span>'


def _parser() -> MarkdownIt:
    # HTML is text here. Links that are refused stay text too.
    options: dict[str, Any] = {"html": False, "linkify": False, "typographer": False, "breaks": True}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Renderer).enable(["table", "strikethrough"])
    parser.validateLink = _is_of_the_web  # type: ignore[method-assign]  # how the library says to do it
    return parser


_markdown = _parser()


def to_html(text: str) -> SafeString:
    """Return Markdown as HTML that is safe to show on a page of ours."""
    if len(text) > MAX_LENGTH or any(text.count(mark) > most for mark, most in _MOST.items()):
        return as_written(text)
    safe: SafeString = mark_safe(_markdown.render(text))  # noqa: S308  no HTML passes, and no link but to the web
    return safe


def as_written(text: str) -> SafeString:
    """Return text as HTML, with its marks."""
    return format_html("<pre>{}</pre>", text)
