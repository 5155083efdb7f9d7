"""About how many tokens a text is, without the tokenizer of any model."""

from __future__ import annotations

# Bytes a token has at least, over English, other languages and source code: it errs towards too many.
_BYTES_PER_TOKEN = 3
# What a message costs beside its text: its role and the marks around it.
PER_ITEM = 4
# What a model reads in a picture of common size.
PER_IMAGE = 800


def count_text(text: str) -> int:
    """Return about how many tokens `text` has; rather more than fewer."""
    return -(-len(text.encode("utf-8", "replace")) // _BYTES_PER_TOKEN)
