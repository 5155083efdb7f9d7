"""Markdown of models and people as HTML that holds nothing but text, its marks, and links to the web."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from django.utils.safestring import SafeString, mark_safe
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

_SCHEMES = ("http://", "https://", "mailto:")
# What is longer is shown as it was written: nobody's page is worth a second of the server's.
MAX_LENGTH = 100_000


def _is_of_the_web(url: str) -> bool:
    return url.strip().lower().startswith(_SCHEMES)


class _Renderer(RendererHTML):
    def link_open(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        tokens[index].attrSet("rel", "noopener nofollow")
        return self.renderToken(tokens, index, options, env)

    def image(self, tokens: Sequence[Token], index: int, options: OptionsDict, env: EnvType) -> str:
        """Only what the image is said to be: to load it would tell its server who reads."""
        words = self.renderInlineAsText(tokens[index].children or [], options, env)
        return f'<span class="image">Image{": " if words else ""}{_escaped(words)}</span>'


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace('"', "&quot;")


def _parser() -> MarkdownIt:
    # HTML is text here. Links that are refused stay text too.
    options: dict[str, Any] = {"html": False, "linkify": False, "typographer": False, "breaks": True}
    parser = MarkdownIt("commonmark", options, renderer_cls=_Renderer).enable(["table", "strikethrough"])
    parser.validateLink = _is_of_the_web  # type: ignore[method-assign]  # how the library says to do it
    return parser


_markdown = _parser()


def to_html(text: str) -> SafeString:
    """Return Markdown as HTML that is safe to show on a page of ours."""
    if len(text) > MAX_LENGTH:
        return mark_safe(f"<pre>{_escaped(text)}</pre>")  # noqa: S308  escaped
    safe: SafeString = mark_safe(_markdown.render(text))  # noqa: S308  no HTML passes, and no link but to the web
    return safe
