"""The one Jinja2 environment of reports: everything autoescaped, unknown names are errors."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from mangaops.datasets.personal import mask
from mangaops.release.escape import escape_markdown, visible
from mangaops.release.figures import count, figure, moment, span

if TYPE_CHECKING:
    from jinja2 import Environment


@cache
def environment() -> Environment:
    """The environment with the filters of this room; texts pass `text` (HTML) or `md` (Markdown)."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    made = Environment(
        loader=PackageLoader("mangaops.release", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.globals["span"] = span
    made.filters |= {
        "text": lambda value: visible(mask(str(value))),
        "name": lambda value: visible(str(value)),
        "percent": lambda value: figure(value, "share"),
        "points": lambda value: figure(value, "share", difference=True),
        "ms": lambda value: figure(value, "ms"),
        "moment": moment,
        "count": count,
        "short": lambda value: str(value)[:19],
    }
    return made


def render(template: str, **context: Any) -> str:
    """The template with the context, as one text."""
    return environment().get_template(template).render(**context)


def md(value: object, limit: int = 300) -> str:
    """User text for Markdown: masked, one line of `limit`, nothing in it is read as Markdown or HTML."""
    return escape_markdown(mask(str(value)), limit)
