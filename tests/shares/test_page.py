"""The page of a share shows what was said, and nothing that was said does anything there."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import Any

import pytest
from django.test import Client

from apps.shares import pages
from apps.shares.markdown import MAX_LENGTH, to_html
from tests.api_keys.conftest import Caller, ada
from tests.shares.test_shares import said, shared, talk

__all__ = ["ada"]

# Ways to get something to run out of Markdown, HTML and links, as collected by OWASP, Markdown-XSS and others.
CORPUS = [
    "<script>alert(1)</script>",
    "<ScRiPt src=//evil.example/x.js></sCrIpT>",
    "<img src=x onerror=alert(1)>",
    "<svg/onload=alert(1)>",
    "<svg><script>alert&#40;1)</script>",
    "<iframe src=javascript:alert(1)></iframe>",
    "<iframe srcdoc='<script>alert(1)</script>'>",
    "<body onload=alert(1)>",
    "<a href=\"javascript:alert(1)\">x</a>",
    "<base href=//evil.example/>",
    "<meta http-equiv=refresh content='0;url=//evil.example'>",
    "<link rel=stylesheet href=//evil.example/x.css>",
    "<style>@import '//evil.example/x.css';</style>",
    "<form action=//evil.example><button>x</button></form>",
    "<object data=javascript:alert(1)>",
    "<math><mi//xlink:href='data:x,<script>alert(1)</script>'>",
    "<details open ontoggle=alert(1)>",
    "<!--<img src='--><img src=x onerror=alert(1)//'>",
    "</div></article></main><script>alert(1)</script>",
    "</title><script>alert(1)</script>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x]( javascript:alert(1) )",
    "[x](java\tscript:alert(1))",
    "[x](java&#10;script:alert(1))",
    "[x](&#x6A;avascript:alert(1))",
    "[x](&#106;&#97;vascript&colon;alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](\\javascript:alert(1))",
    "[x](%6Aavascript:alert(1))",
    "[x](vbscript:msgbox(1))",
    "[x](data:text/html;base64,PHNjcmlwdD5hbGVydCgxKTwvc2NyaXB0Pg==)",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](file:///etc/passwd)",
    "[x](//evil.example)",
    "[x](/admin/)",
    "[x](?next=/admin/)",
    "[x](#x)",
    "[x][1]\n\n[1]: javascript:alert(1)",
    "[x][1]\n\n[1]: <java\nscript:alert(1)>",
    "<javascript:alert(1)>",
    "<data:text/html,x>",
    "![x](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "![\"onerror=alert(1) x=\"](x)",
    "![x](x \"onerror=alert(1)\")",
    "[x](https://a.example \"onmouseover=alert(1) x=\")",
    "[x](https://a.example/\"onmouseover=\"alert(1))",
    "[x](https://a.example/'><script>alert(1)</script>)",
    "[<img src=x onerror=alert(1)>](https://a.example)",
    "[a](javascript://x%0aalert(1))",
    "`<script>alert(1)</script>`",
    "```\"><script>alert(1)</script>\nx\n```",
    "```js onload=alert(1)\n</code></pre><script>alert(1)</script>\n```",
    "~~~<img src=x onerror=alert(1)>\nx\n~~~",
    "| a |\n|---|\n| <script>alert(1)</script> |",
    "| a |\n|:--\" onclick=alert(1)|\n| b |",
    "# <script>alert(1)</script>",
    "- <img src=x onerror=alert(1)>",
    "> <script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "<<script>alert(1)//<</script>",
    "<scr\x00ipt>alert(1)</scr\x00ipt>".replace("\x00", ""),
    "{{ settings.SECRET_KEY }}{% load static %}",
    "\u202e<script>alert(1)</script>",
    "<a href='https://a.example' target=_blank>x</a>",
    "<https://a.example/?<script>>",
    "<mailto:a@b.example?subject=<script>>",
    "*" * 5000,
    "[" * 3000 + "x" + "](" * 3000,
    ">" * 3000 + "x",
]  # fmt: skip
TAGS = {
    "a", "blockquote", "br", "code", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "li", "ol", "p", "pre", "s",
    "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
ATTRIBUTES = {
    "a": {"href", "rel", "title"}, "code": {"class"}, "span": {"class"}, "ol": {"start"}, "td": {"style"}, "th": {"style"},
}  # fmt: skip


class Reader(HTMLParser):
    """What a browser would find in a piece of HTML."""

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


@pytest.mark.parametrize("text", CORPUS, ids=lambda text: text[:30])
def test_markdown_gives_text_and_links_to_the_web_alone(text: str):
    for tag, attributes in Reader(to_html(text)).tags:
        assert tag in TAGS
        assert set(attributes) <= ATTRIBUTES.get(tag, set())
        if tag == "a":
            assert (attributes["href"] or "").startswith(("https://", "http://", "mailto:"))
            assert attributes["rel"] == "noopener nofollow"
        assert set((attributes.get("style") or "").split(";")) <= {"", "text-align:left"}


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("**bold** and _soft_", "<p><strong>bold</strong> and <em>soft</em></p>\n"),
        ("a\nb", "<p>a<br />\nb</p>\n"),
        ("[x](https://a.example/?b=1&c=2)", '<p><a href="https://a.example/?b=1&amp;c=2" rel="noopener nofollow">x</a></p>\n'),
        ("<mail@a.example>", '<p><a href="mailto:mail@a.example" rel="noopener nofollow">mail@a.example</a></p>\n'),
        ("[x](javascript:alert(1))", "<p>[x](javascript:alert(1))</p>\n"),
        ("![a <cat>](https://a.example/c.png)", '<p><span class="image">Image: a &lt;cat&gt;</span></p>\n'),
        ("<b>", "<p>&lt;b&gt;</p>\n"),
        ("~~gone~~", "<p><s>gone</s></p>\n"),
        ("```py\n1 < 2\n```", '<pre><code class="language-py">1 &lt; 2\n</code></pre>\n'),
    ],
)  # fmt: skip
def test_markdown_is_shown_as_it_was_meant(text: str, html: str):
    assert to_html(text) == html


@pytest.mark.parametrize("text", ["<b>**x**</b>\n" * (MAX_LENGTH // 10), "<b>![" * 2001, "<b>|a" * 5001])
def test_what_would_take_long_is_shown_as_it_was_written(text: str):
    html = to_html(text)
    assert html.startswith("<pre>&lt;b&gt;")
    assert [tag for tag, _ in Reader(html).tags] == ["pre"]


def test_a_page_shows_so_much_as_markdown(ada: Caller, client: Client, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(pages, "MAX_RENDERED", 12)
    share = shared(ada, talk(ada, said("**bold**"), said("**late** <b>", "assistant"), said("*x*")))
    html = client.get(f"/share/{share['slug']}").content.decode()
    assert "<strong>bold</strong>" in html
    assert "<pre>**late** &lt;b&gt;</pre>" in html
    assert "<pre>*x*</pre>" in html


def test_the_page_shows_the_conversation_and_lets_nothing_run(ada: Caller, client: Client):
    words = [text for text in CORPUS if len(text) < 200]
    items = [said(text, "assistant" if number % 2 else "user") for number, text in enumerate(words)]
    title = "</title><script>alert(1)</script>"
    conversation = talk(ada, *items[:20], title=title)
    for start in range(20, len(items), 20):
        path = f"/v1/conversations/{conversation}/items"
        assert ada.call("POST", path, {"items": items[start : start + 20]}).status_code == 200
    share = shared(ada, conversation)
    page = client.get(f"/share/{share['slug']}")
    assert page.status_code == 200
    assert page["Content-Type"] == "text/html; charset=utf-8"
    policy = dict(part.split(" ", 1) for part in page["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'", "script-src": "'none'", "style-src": "'self'", "img-src": "'self'",
        "font-src": "'none'", "connect-src": "'none'", "form-action": "'none'", "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }  # fmt: skip
    assert (page["X-Robots-Tag"], page["Referrer-Policy"], page["Cache-Control"], page["X-Frame-Options"]) == (
        "noindex, nofollow", "no-referrer", "no-store", "DENY",
    )  # fmt: skip
    assert not page.cookies
    html = page.content.decode()
    assert '<meta name="robots" content="noindex, nofollow">' in html
    found = Reader(html).tags
    body = found[next(at for at, (tag, _) in enumerate(found) if tag == "main") :]
    assert {tag for tag, _ in body} <= TAGS | {"main", "article", "section", "div", "time"}
    assert not {tag for tag, _ in found} & {"script", "style", "form", "iframe", "svg", "object", "base"}
    assert not [name for _, attributes in found for name in attributes if name.startswith("on")]
    assert len([tag for tag, _ in body if tag == "section"]) == len(items)
    assert len([tag for tag, _ in found if tag == "title"]) == 1


def test_who_is_signed_in_is_told_nothing_more(ada: Caller, client: Client):
    share = shared(ada, talk(ada))
    strangers = Client().get(f"/share/{share['slug']}").content
    client.force_login(ada.user, backend="django.contrib.auth.backends.ModelBackend")
    assert client.get(f"/share/{share['slug']}").content == strangers


def test_a_page_without_a_share_is_not_kept_or_indexed(db: None, client: Client):
    page = client.get("/share/" + "0" * 32)
    assert (page.status_code, page["X-Robots-Tag"], page["Cache-Control"]) == (404, "noindex, nofollow", "no-store")
    assert "Nothing is shared here" in page.content.decode()
