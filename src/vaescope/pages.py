"""Pages of HTML: one file that needs nothing beside it, in light and dark, on a screen and on A4.

::

    body = section("Scores", table(["score", "runs/a"], [["−ELBO", "100.2 ± 0.3"]], numbers=[1]), paragraph("..."))
    path.write_text(page("A comparison", body, footer="vaescope 0.1.0"), encoding="utf-8")

Whatever is text is escaped, and what is HTML already says so: it is :class:`Html`, as all of these functions return.
So the name of a run may hold any character, and nobody escapes twice or forgets to. A page has the system's fonts, no
scripts and no links to elsewhere, and forbids the browser to load anything.
"""

import base64
import html
from collections.abc import Collection, Iterable, Mapping, Sequence

from vaescope.terminal import legible


class Html(str):
    """Text that is HTML already, so that it is not escaped again."""

    __slots__ = ()


def escape(text: str) -> Html:
    """Text as HTML that shows it, whatever it holds; HTML as it is."""
    return text if isinstance(text, Html) else Html(html.escape(legible(text)))


def page(title: str, body: str, *, note: str = "", footer: str = "") -> Html:
    """A whole page.

    Args:
        title: Its title, which stands at its top, too.
        body: What it shows: HTML, or text.
        note: A line under the title.
        footer: A line at its end, such as the run, the step and the protocol.
    """
    below = f"<p class=note>{escape(note)}</p>\n" if note else ""
    end = f"<footer>{escape(footer)}</footer>\n" if footer else ""
    return Html(
        "<!doctype html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
        '<meta name=viewport content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv=Content-Security-Policy content="{POLICY}">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n<body>\n<main>\n"
        f"<h1>{escape(title)}</h1>\n{below}{escape(body)}\n{end}</main>\n</body>\n</html>\n"
    )


def section(title: str, *parts: str, name: str = "") -> Html:
    """A heading with what stands below it.

    Args:
        title: The heading.
        parts: HTML, or text.
        name: What links of the page call it, a word.
    """
    mark = f' id="{escape(name)}"' if name else ""
    return Html(f"<section{mark}>\n<h2>{escape(title)}</h2>\n" + "\n".join(map(escape, parts)) + "\n</section>")


def joined(parts: Iterable[str]) -> Html:
    """One after the other, HTML or text."""
    return Html("\n".join(map(escape, parts)))


def heading(title: str) -> Html:
    """A heading within a section."""
    return Html(f"<h3>{escape(title)}</h3>")


def link(name: str, text: str) -> Html:
    """A link to a section of the same page."""
    return Html(f'<a href="#{escape(name)}">{escape(text)}</a>')


def listed(items: Iterable[str]) -> Html:
    """A list of HTML or text."""
    return Html("<ul>\n" + "\n".join(f"<li>{escape(item)}</li>" for item in items) + "\n</ul>")


def code(text: str) -> Html:
    """Lines to type or to read as they are."""
    return Html(f"<pre>{escape(text)}</pre>")


def fold(title: str, *parts: str) -> Html:
    """What is shown once its title is clicked, and on paper."""
    inside = "\n".join(map(escape, parts))
    return Html(f"<details>\n<summary>{escape(title)}</summary>\n{inside}\n</details>")


def terms(meanings: Mapping[str, str]) -> Html:
    """Words with what they mean."""
    inside = "\n".join(f"<dt>{escape(term)}</dt>\n<dd>{escape(text)}</dd>" for term, text in meanings.items())
    return Html(f"<dl>\n{inside}\n</dl>")


def warning(text: str) -> Html:
    """A paragraph that warns."""
    return Html(f"<p class=warning>{escape(text)}</p>")


def lead(text: str) -> Html:
    """The first paragraph of a page, which says it all."""
    return Html(f"<p class=lead>{escape(text)}</p>")


def lines(parts: Iterable[str]) -> Html:
    """HTML or text, each on a line of its own."""
    return Html("<br>\n".join(map(escape, parts)))


def paragraph(text: str) -> Html:
    """A paragraph of text, at most 70 characters wide."""
    return Html(f"<p>{escape(text)}</p>")


def table(head: Sequence[str], rows: Sequence[Sequence[str]], *, numbers: Collection[int] = (), note: str = "") -> Html:
    """A table. On a narrow screen it can be moved to the side.

    Args:
        head: The names of its columns.
        rows: The cells of each row, HTML or text. A row of one cell in a table of several columns is a heading of its
            own, across all of them.
        numbers: The columns that hold numbers, counted from 0: they are aligned to the right.
        note: What stands below it.
    """
    columns = range(len(head))
    kinds = {column: " class=number" if column in numbers else "" for column in columns}
    top = "".join(f"<th scope=col{kinds[column]}>{escape(head[column])}</th>" for column in columns)
    lines = [_row(row, kinds) for row in rows]
    below = f"\n<p class=note>{escape(note)}</p>" if note else ""
    inside = "\n".join(lines)
    return Html(
        f"<div class=wide><table>\n<thead><tr>{top}</tr></thead>\n<tbody>\n{inside}\n</tbody>\n</table></div>{below}"
    )


def _row(cells: Sequence[str], kinds: dict[int, str]) -> str:
    if len(cells) == 1 < len(kinds):
        return f"<tr class=group><th colspan={len(kinds)} scope=colgroup>{escape(cells[0])}</th></tr>"
    return "<tr>" + "".join(f"<td{kinds[k]}>{escape(cell)}</td>" for k, cell in enumerate(cells)) + "</tr>"


def figure(content: bytes, caption: str, alt: str) -> Html:
    """A picture that the page itself holds.

    Args:
        content: That of its PNG or GIF file.
        caption: What it shows, in words that a student understands.
        alt: What stands for it where it cannot be seen.
    """
    kind = "gif" if content.startswith(b"GIF8") else "png"
    data = base64.b64encode(content).decode()
    return Html(
        f'<figure>\n<img src="data:image/{kind};base64,{data}" alt="{escape(alt)}">\n'
        f"<figcaption>{escape(caption)}</figcaption>\n</figure>"
    )


def strong(text: str) -> Html:
    """Text that stands out."""
    return Html(f"<strong>{escape(text)}</strong>")


def muted(text: str) -> Html:
    """Text that stands back."""
    return Html(f"<span class=muted>{escape(text)}</span>")


POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"

STYLE = """
:root { color-scheme: light dark; --ink: #222222; --soft: #5f6368; --line: #dddddd; --paper: #ffffff; --band: #f5f6f8;
  --accent: #1f6fb8; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e8e8e8; --soft: #a2a8b0; --line: #3a3f46; --paper: #16181c; --band: #202328; --accent: #7ab8f5; }
}
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main { max-width: 64rem; margin: 0 auto; padding: 3rem 1.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.25rem; margin: 3rem 0 .75rem; color: var(--accent); }
h3 { font-size: 1rem; margin: 1.75rem 0 .5rem; }
a { color: var(--accent); }
p, figcaption, li { max-width: 70ch; }
.note, figcaption, footer { color: var(--soft); font-size: .9rem; }
.muted { color: var(--soft); }
.wide { overflow-x: auto; margin: 1rem 0; }
table { border-collapse: collapse; font-size: .93rem; font-variant-numeric: tabular-nums; }
th, td { padding: .35rem .9rem .35rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid var(--line);
  overflow-wrap: break-word; }
thead th { border-bottom: 2px solid var(--ink); vertical-align: bottom; }
.group th { padding-top: 1.3rem; color: var(--accent); }
.number { text-align: right; padding-right: 0; padding-left: 1.2rem; }
td.number { white-space: nowrap; }
.number + * { padding-left: .9rem; }
.lead { font-size: 1.1rem; }
nav { margin: 1.5rem 0; }
strong { font-weight: 650; }
code, pre { font: .9em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; background: var(--band);
  border-radius: 3px; }
code { padding: .1em .3em; }
pre { padding: 1rem; overflow-x: auto; }
dt { font-weight: 650; margin-top: .8rem; }
dd { margin: .1rem 0 0; max-width: 70ch; }
details { margin: 1rem 0; }
summary { cursor: pointer; color: var(--accent); }
.warning { border-left: 4px solid var(--accent); background: var(--band); padding: .6rem 1rem; }
figure { margin: 1.5rem 0; break-inside: avoid; }
figure img { max-height: 46rem; }
img { max-width: 100%; height: auto; background: #ffffff; border-radius: 4px; image-rendering: auto; }
footer { margin-top: 3.5rem; border-top: 1px solid var(--line); padding-top: .75rem; }
@media print {
  @page { size: A4; margin: 16mm; }
  :root { color-scheme: light; --ink: #000000; --soft: #444444; --line: #bbbbbb; --paper: #ffffff; --band: #f2f2f2;
    --accent: #1f4f80; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  .wide { overflow: visible; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
  figure img { max-height: 120mm; }
  nav { display: none; }
  details::details-content { content-visibility: visible; block-size: auto; }
  tr { break-inside: avoid; }
  h2, h3, .group { break-after: avoid; }
}
"""
"""The look of every page: one accent colour, and wide margins."""
