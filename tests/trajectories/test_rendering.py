"""A trajectory's text as HTML: what is drawn, and that nothing hostile survives, hides, or takes long."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from curation.rendering import (
    CODE_LIMIT,
    LANGUAGES,
    LIMIT,
    PAGE_LIMIT,
    Budget,
    plain_text,
    render_arguments,
    render_message,
    render_output,
    show_as_written,
)

RENDERERS = [render_message, render_output, show_as_written, lambda text: render_arguments({"arguments": {"a": text}})]
HARMLESS_TAGS = {
    *("p", "br", "hr", "em", "strong", "s", "code", "pre", "blockquote", "ul", "ol", "li", "a", "span", "div"),
    *("table", "thead", "tbody", "tr", "th", "td"),
}


class Reader(HTMLParser):
    """Keeps what a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data


HOSTILE = [
    "<script>alert(1)</script>",
    "</div></script><script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "<svg onload=alert(1)><script>alert(1)</script></svg>",
    '<a href="/p/x" hx-get="/p/x/settings/" hx-trigger="load">x</a>',
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1) 'title')",
    "[x](data:text/html,<script>alert(1)</script>)",
    "[x](vbscript:x) [y](file:///etc/passwd) [z](//evil.example/) [w](/p/x/settings/) [v](#answer)",
    '<javascript:alert(1)> <https://example.org/" onclick=alert(1)>',
    "[x]: javascript:alert(1)\n\n[x]",
    "![x](https://evil.example/pixel.png) ![](data:image/svg+xml,<svg/onload=alert(1)>)",
    '[x](https://example.org/"onmouseover="alert(1))',
    "```<img/src=x/onerror=alert(1)>\n</code></pre><script>alert(1)</script>\n```",
    "```python\n'''</span><img src=x onerror=alert(1)>'''\n```",
    "    </code></pre><script>alert(1)</script>",
    "<style>*{display:none}</style><form action=/><input name=q></form><iframe src=/>",
    '{"a": "</span><script>alert(1)</script>"}',
    "\x1b[31m<script>alert(1)</script>\x1b[0m",
    "\x1b]8;;javascript:alert(1)\x07click\x1b]8;;\x07 \x1b[31mred",
    "\x1b]0;<script>alert(1)</script>\x07 \x1b[1mbold",
    '\x1b[31"onclick=alert(1)m x \x1b[0m',
    "|<script>|b|\n|-|-|\n|<img src=x onerror=1>|`</td>`|",
    "# <script>alert(1)</script>\n<!-- x --> &lt;script&gt; &#x3c;script&#x3e;",
    "\u202etxt.exe <b>",
    "<p style='position:fixed' id=answer class=wrong>x</p>",
]


@pytest.mark.parametrize("render", RENDERERS)
@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_survives(render: Callable[[str], str], text: str) -> None:
    for tag, attributes in Reader(render(text)).tags:
        assert tag in HARMLESS_TAGS
        assert attributes.keys() <= {"class", "href", "rel", "target", "start"}
        assert re.match(r"https?:|mailto:", attributes.get("href") or "https:")
        for name in (attributes.get("class") or "").split():
            assert re.fullmatch(r"markdown|prose|written|sign|heading|address|t-\w+|ansi[\d-]+|inv[\w-]+", name)


@pytest.mark.parametrize("text", ["<script>alert(1)</script>", "</textarea><img src=x onerror=alert(1)>"])
@pytest.mark.parametrize("render", [render_message, render_output, show_as_written])
def test_hostile_text_is_still_there_to_be_read(render: Callable[[str], str], text: str) -> None:
    assert Reader(render(text)).words.strip() == text


def test_messages_are_markdown_without_headings_of_the_page_and_without_images() -> None:
    html = render_message(
        "# Plan\nI **look**\nand `take`\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n![map](http://x.example/m.png)"
    )
    assert '<div class="heading">Plan</div>' in html
    assert "I <strong>look</strong><br>" in html
    assert "<td>1</td>" in html
    assert 'map <span class="address">[image: http://x.example/m.png]</span>' in html
    assert "<h1" not in html
    assert "<img" not in html


def test_links_lead_outside_and_tell_nobody() -> None:
    html = render_message("[docs](https://example.org/a?b=1&c=2) <mailto:a@example.org>")
    links = [attributes for tag, attributes in Reader(html).tags if tag == "a"]
    assert [link["href"] for link in links] == ["https://example.org/a?b=1&c=2", "mailto:a@example.org"]
    assert all(link["rel"] == "noopener nofollow" and link["target"] == "_blank" for link in links)


def test_code_is_highlighted_where_its_language_is_known() -> None:
    assert '<span class="t-word">for </span>x' in render_message("```py\nfor x in y: pass\n```")
    assert "<pre><code>for x" in render_message("```klingon\nfor x in y: pass\n```")
    assert "<pre><code>for x" in render_message("```python\nfor x" + " " * CODE_LIMIT + "\n```")


def test_all_blocks_of_a_message_share_what_is_highlighted() -> None:
    block = "```python\n" + "for x in y: pass\n" * (CODE_LIMIT // 50) + "```\n\n"
    html = render_message(block * 10)
    assert html.count('<span class="t-word">in </span>y') == 2 * (CODE_LIMIT // 50)
    assert Reader(html).words.count("for x in y: pass") == 10 * (CODE_LIMIT // 50)


def test_texts_are_plain_once_what_is_drawn_together_has_spent_its_budget() -> None:
    budget, text = Budget(), "**bold** " * 2000
    drawn = [render_message(text, budget) for _ in range(5)]
    rendered = PAGE_LIMIT // len(text)
    assert ["<strong>" in html for html in drawn] == [True] * rendered + [False] * (5 - rendered)
    assert Reader(drawn[-1]).words == text
    budget.left = 10
    assert render_output('{"key":"a longer text"}', budget) == (
        '<div class="prose">{\n  &quot;key&quot;: &quot;a longer text&quot;\n}</div>'
    )
    assert render_output("\x1b[31ma longer red text\x1b[0m", budget) == '<div class="prose">a longer red text</div>'
    assert "<span" not in render_arguments({"arguments": {"key": "a longer text"}}, budget)
    assert "<strong>" in render_message("**b**", budget)


def test_json_is_indented_but_never_rewritten() -> None:
    words = Reader(render_output('{"a":[1,null],"b":"\\u00e9"}')).words
    assert words == '{\n  "a": [\n    1,\n    null\n  ],\n  "b": "é"\n}'
    for text in (
        '{"price": 38.50}',
        '{"a": 1, "a": 2}',
        "[1e400]",
        f"[{'9' * 5000}]",
        "{'a': 1}",
        "[1, NaN]",
        "[",
        "{}x",
    ):
        assert Reader(render_output(text)).words == text


def test_a_terminals_colours_are_classes_and_its_other_sequences_are_gone() -> None:
    html = render_output("\x1b[2J\x1b[1;31mFAILED\x1b[0m \x1b[10;5Hhere\x07\x00")
    assert html == '<div class="prose"><span class="ansi1 ansi31">FAILED</span> here</div>'


@pytest.mark.parametrize("opening", ["\x1b]", "\x1b]8;;", "\x1bP", "\x1b_", "\x1b[", "\x1b[8m", "\x1b[30;40m", "\x1b"])
def test_no_sequence_hides_what_follows_it(opening: str) -> None:
    text = f"{opening}\nrm -rf / is what I did"
    assert "rm -rf / is what I did" in plain_text(text)
    for render in (render_message, render_output, show_as_written):
        assert "rm -rf / is what I did" in Reader(render(text)).words


def test_text_is_shown_as_it_was_written_with_what_cannot_be_seen() -> None:
    text = "**bold** <b>\x1b[31m\x00\u202e\r\nend\r"
    assert Reader(show_as_written(text)).words == "**bold** <b>ESC[31mNULU+202E\r\nendCR"


def test_arguments_that_are_no_object_are_shown_as_recorded() -> None:
    assert Reader(render_arguments({"arguments": None, "arguments_raw": "{torn <b>"})).words == "{torn <b>"
    assert render_arguments({"arguments": {}, "arguments_raw": "{}"}) == ""


SLOW = {
    "brackets": "[" * 1_000_000,
    "as many brackets as are rendered": "[" * LIMIT,
    "images": "![" * (LIMIT // 2),
    "links": "[a](" * (LIMIT // 4),
    "nested objects": '{"a":' * (LIMIT // 5),
    "deep but whole": "[" * 900 + "]" * 900,
    "quotes": "> " * (LIMIT // 2),
    "lists": "".join("  " * n + "* a\n" for n in range(130)),
    "emphasis": "*a **a " * (LIMIT // 7),
    "columns": ("|a" * 100 + "\n" + "|-" * 100 + "\n" + "|\n" * 9000)[:LIMIT],
    "entities": "&" * LIMIT,
    "colours": "\x1b[31m" * (LIMIT // 5),
    "torn sequences": "\x1b]" * (LIMIT // 2),
    "python": "```python\n" + "f'{" * 1500 + "\n```",
    "bash": "```bash\n" + "$((" * 1500 + "\n```",
    "numbers": json.dumps(list(range(4000))),
}


@pytest.mark.parametrize("text", SLOW.values(), ids=SLOW.keys())
def test_nothing_takes_long_or_grows_without_bounds(text: str) -> None:
    begun = time.process_time()
    for render in (render_message, render_output, show_as_written):
        assert len(render(text)) < 5 * len(text) + 500_000
    assert time.process_time() - begun < 2


ADVERSE = [
    "a ",
    "a?",
    "\n",
    "a\n",
    "\t",
    ".",
    "(",
    "{",
    "<",
    "a b(",
    '"',
    "\\",
    '\\"',
    "/*",
    "_",
    "&",
    "$((",
    "@ ",
    "> ",
]


@pytest.mark.parametrize("language", sorted(set(LANGUAGES.values())))
def test_no_language_is_highlighted_whose_lexer_takes_long(language: str) -> None:
    for unit in ADVERSE:
        for opening in ("", "{ "):
            code = (opening + unit * CODE_LIMIT)[: CODE_LIMIT - 2]
            begun = time.process_time()
            render_message(f"~~~{language}\n{code}\n~~~")
            assert time.process_time() - begun < 0.35, (opening, unit)


def test_arguments_keep_the_order_in_which_they_were_recorded() -> None:
    call = {"arguments": {"a": 1, "b": 2}, "arguments_raw": '{"b": 2, "a": 1}'}
    drawn = render_arguments(call)
    assert drawn.index("&quot;b&quot;") < drawn.index("&quot;a&quot;")
