"""Text of a trajectory as HTML: Markdown, code, JSON and terminal colours, made safe.

All of it is hostile. Whatever is drawn here went through an allow-list at the end, or was escaped whole. What is longer
than a limit, or odd, is shown as plain text: nothing that a trajectory holds makes a page slow, or raises.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from html import escape
from typing import Any

import nh3
from ansi2html import Ansi2HTMLConverter
from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from pygments.lexer import Lexer
from pygments.lexers import get_lexer_by_name
from pygments.token import _TokenType

LIMIT = 20_000
"""Characters of a text that are rendered; a longer one is shown as it stands."""

CODE_LIMIT = 5_000
"""Characters of code that are highlighted in a message, of all its blocks together."""

PAGE_LIMIT = 60_000
"""Characters that are parsed or highlighted for one page; what comes after them is plain."""

MAX_PIPES = 1_000
"""Column signs in a message that may hold tables: a table's cells grow with their square."""

# Lexers that are worth their time, by the names that agents give them; everything else is plain. Those of Java, C,
# C++, CSS, INI and TypeScript are not: some texts within the limits take them a third of a second, or two.
LANGUAGES = {
    **{name: name for name in ("python", "json", "yaml", "toml", "sql", "html", "xml", "go")},
    **{name: name for name in ("rust", "ruby", "javascript", "diff", "bash")},
    **{"py": "python", "python3": "python", "js": "javascript", "sh": "bash", "shell": "bash"},
    **{"ts": "javascript", "typescript": "javascript", "yml": "yaml", "patch": "diff", "jsonc": "json", "rb": "ruby"},
}
# The beginning of a Pygments token's name, and our class for it (static/reading.css).
COLOURS = (
    ("Token.Comment", "t-note"),
    ("Token.Keyword", "t-word"),
    ("Token.Name.Tag", "t-name"),
    ("Token.Name.Function", "t-name"),
    ("Token.Name.Class", "t-name"),
    ("Token.Name.Attribute", "t-name"),
    ("Token.Name.Builtin", "t-name"),
    ("Token.Name.Decorator", "t-name"),
    ("Token.Literal.String", "t-text"),
    ("Token.Literal.Number", "t-number"),
    ("Token.Generic.Inserted", "t-text"),
    ("Token.Generic.Deleted", "t-gone"),
    ("Token.Operator.Word", "t-word"),
)
_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "span", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}
_CLASSES = {"span": {"address", *(name for _, name in COLOURS)}, "div": {"heading"}}
_SCHEMES = {"http", "https", "mailto"}

_COLOUR = r"\x1b\[[0-9;]*m"
# A sequence that does not end, or holds lines, is cut at its beginning: it must not swallow what follows.
_ESCAPE = r"\x1b(?:\[[0-?]*[ -/]*[@-~]|[\]PX^_][^\x07\x1b\n]{0,300}(?:\x07|\x1b\\)|[ -/]*[0-~])?"
_CONTROL = r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]"
# Marks that turn the order of letters around, so that a text reads otherwise than it is.
_TURNING = "[\u202a-\u202e\u2066-\u2069\u200e\u200f\u061c]"
_NO_TEXT = re.compile(f"{_ESCAPE}|{_CONTROL}")
_NO_COLOUR = re.compile(f"(?!{_COLOUR})(?:{_ESCAPE}|{_CONTROL})|\x1b(?!\\[[0-9;]*m)")
_HAS_COLOUR = re.compile(_COLOUR)
_UNSEEN = re.compile(f"{_CONTROL}|{_TURNING}|\r(?!\n)")


class Budget:
    """What may still be parsed or highlighted of texts that are drawn together. One drawn alone has its own."""

    def __init__(self) -> None:
        self.left = PAGE_LIMIT

    def take(self, characters: int) -> bool:
        """Whether there is enough for all of a text; only then is it spent."""
        if characters > self.left:
            return False
        self.left -= characters
        return True


def plain_text(text: str) -> str:
    """A text without a terminal's sequences and other control characters; still to be escaped."""
    return _NO_TEXT.sub("", text)


def render_message(text: str, budget: Budget | None = None) -> str:
    """A message or a thought: Markdown, of which only what is harmless is left."""
    budget = budget or Budget()
    words = plain_text(text)
    if len(words) > LIMIT or words.count("|") > MAX_PIPES or not budget.take(len(words)):
        return _draw_plain(words)
    try:
        html: str = _markdown.render(words, {"budget": budget, "code": CODE_LIMIT})
    except (RecursionError, ValueError):
        return _draw_plain(words)
    return f'<div class="markdown">{_clean(html)}</div>'


def render_output(text: str, budget: Budget | None = None) -> str:
    """An observation: JSON highlighted, else a terminal's colours, else plain."""
    budget = budget or Budget()
    if len(text) > LIMIT:
        return _draw_plain(plain_text(text))
    if text.lstrip()[:1] in ("{", "["):
        pretty = _indent(text)
        if pretty is not None:
            return _draw_json(pretty, budget)
    if _HAS_COLOUR.search(text) and budget.take(len(text)):
        html = Ansi2HTMLConverter(inline=False, escaped=True).convert(_NO_COLOUR.sub("", text), full=False)
        return f'<div class="prose">{nh3.clean(html, tags={"span"}, attributes={"span": {"class"}})}</div>'
    return _draw_plain(plain_text(text))


def render_arguments(call: Mapping[str, Any], budget: Budget | None = None) -> str:
    """A tool call's arguments as indented JSON; as recorded where they are no JSON object."""
    arguments = call.get("arguments")
    if not isinstance(arguments, dict):
        return _draw_plain(plain_text(str(call.get("arguments_raw", ""))))
    if not arguments:
        return ""
    # From the text as it was recorded: the database keeps no order of keys.
    with suppress(ValueError, RecursionError):
        arguments = json.loads(str(call.get("arguments_raw", "")))
    text = plain_text(json.dumps(arguments, indent=2, ensure_ascii=False))
    return _draw_json(text, budget or Budget()) if len(text) <= LIMIT else _draw_plain(text)


def show_as_written(text: str) -> str:
    """A text with nothing done to it: what a browser would hide, or obey, is written out as a sign."""
    pieces, end = [], 0
    for match in _UNSEEN.finditer(text):
        name = {"\x1b": "ESC", "\r": "CR", "\x00": "NUL"}.get(match[0], f"U+{ord(match[0]):04X}")
        pieces += [escape(text[end : match.start()]), f'<span class="sign">{name}</span>']
        end = match.end()
    return f'<div class="prose written">{"".join(pieces)}{escape(text[end:])}</div>'


def _draw_plain(words: str) -> str:
    return f'<div class="prose">{escape(words)}</div>'


def _draw_json(text: str, budget: Budget) -> str:
    return f'<div class="prose">{_highlight(text, "json")}</div>' if budget.take(len(text)) else _draw_plain(text)


def _indent(text: str) -> str | None:
    """A JSON text with line breaks and indentation, and otherwise exactly as it was; None for every other text.

    One that would read differently (keys that stand twice, 1.10 as 1.1) is given back without indentation.
    """
    try:
        value = json.loads(text, parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    try:
        json.loads(text, object_pairs_hook=_refuse_doubles, parse_float=_refuse_rewritten)
        pretty = json.dumps(value, indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return plain_text(text)
    return plain_text(pretty if len(pretty) <= 3 * LIMIT else text)  # what is nested deeply is mostly indentation


def _refuse(constant: str) -> float:
    raise ValueError(f"{constant} is no JSON")


def _refuse_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    kept = dict(pairs)
    if len(kept) < len(pairs):
        raise ValueError("a key stands twice")
    return kept


def _refuse_rewritten(literal: str) -> float:
    if repr(float(literal)) != literal:
        raise ValueError(f"{literal} would be written in another way")
    return float(literal)


def _highlight(code: str, language: str) -> str:
    """Escaped code with our classes around its tokens; neighbours of one colour share a span."""
    pieces: list[str] = []
    for colour, words in _colour_tokens(code, language):
        pieces.append(f'<span class="{colour}">{escape(words)}</span>' if colour else escape(words))
    return "".join(pieces)


def _colour_tokens(code: str, language: str) -> Iterator[tuple[str, str]]:
    colour, words = "", ""
    for kind, value in _lexer_of(language).get_tokens(code):
        found = _colour_of(kind)
        if found != colour and value.strip():
            if words:
                yield colour, words
            colour, words = found, ""
        words += value
    if words:
        yield colour, words


@cache
def _lexer_of(language: str) -> Lexer:
    return get_lexer_by_name(language, stripnl=False, ensurenl=False)


@cache
def _colour_of(kind: _TokenType) -> str:
    return next((name for start, name in COLOURS if str(kind).startswith(start)), "")


def _clean(html: str) -> str:
    return nh3.clean(
        html,
        tags=_TAGS,
        attributes={"a": {"href"}, "span": set(), "div": set(), "ol": {"start"}},
        attribute_filter=_filter_attribute,
        allowed_classes=_CLASSES,
        url_schemes=_SCHEMES,
        link_rel="noopener nofollow",
        set_tag_attribute_values={"a": {"target": "_blank"}},
    )


def _filter_attribute(tag: str, attribute: str, value: str) -> str | None:
    """Links lead out of the product: one without a scheme would be an address of ours."""
    if (tag, attribute) == ("a", "href") and value.split(":", 1)[0].lower() not in _SCHEMES:
        return None
    return value


class _Renderer(RendererHTML):
    """Markdown's parts that are drawn in our own way."""

    def fence(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        code, language = tokens[idx].content, LANGUAGES.get(tokens[idx].info.strip().split(" ")[0].lower())
        if not language or len(code) > env["code"] or not env["budget"].take(len(code)):
            return f"<pre><code>{escape(code)}</code></pre>\n"
        env["code"] -= len(code)
        return f"<pre><code>{_highlight(code, language)}</code></pre>\n"

    def code_block(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return f"<pre><code>{escape(tokens[idx].content)}</code></pre>\n"

    def image(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """Nothing is fetched: the address is text."""
        address, words = str(tokens[idx].attrGet("src") or ""), tokens[idx].content
        return f'{escape(words)} <span class="address">[image: {escape(address[:300])}]</span>'

    def heading_open(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        """No heading of the page: the page's outline is ours."""
        return '<div class="heading">'

    def heading_close(self, tokens: Sequence[Token], idx: int, options: OptionsDict, env: EnvType) -> str:
        return "</div>\n"


_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True}, renderer_cls=_Renderer).enable(
    ["table", "strikethrough"]
)
