"""What every page of the report must hold, checked on its HTML: sound structure, headings in order, nothing from elsewhere."""

from html.parser import HTMLParser
from itertools import pairwise

VOID = {"meta", "link", "img", "input", "br", "hr", "circle", "line", "polyline", "rect"}
LEVELS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5}


class Page(HTMLParser):
    """Elements of a page as they come; ``problems`` says what is wrong with it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str]]] = []
        self.problems: list[str] = []
        self.words: list[str] = []
        self.feed(html)
        self.close()
        if self.open:
            self.problems.append(f"never closed: {self.open}")
        self._headings()
        self._references()
        self._pictures()

    def handle_starttag(self, tag, attrs):
        self.seen.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.seen.append((tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.problems.append(f"</{tag}> closes nothing at {self.getpos()}")

    def handle_data(self, data):
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.seen if name == tag]

    def _headings(self) -> None:
        levels = [LEVELS[tag] for tag, _ in self.seen if tag in LEVELS]
        if levels[:1] != [1] or levels.count(1) != 1:
            self.problems.append(f"one h1 first, not {levels[:3]}")
        self.problems += [f"h{now} after h{before}" for before, now in pairwise(levels) if now > before + 1]
        for landmark in ("main", "header", "footer"):
            if not self.all(landmark):
                self.problems.append(f"no <{landmark}>")

    def _references(self) -> None:
        ids = [attributes["id"] for _, attributes in self.seen if "id" in attributes]
        self.problems += [f"id {name} twice" for name in sorted({name for name in ids if ids.count(name) > 1})]
        for tag, attributes in self.seen:
            for name in ("href", "src"):
                address = attributes.get(name, "")
                if "://" in address or address.startswith(("//", "/")):
                    self.problems.append(f"<{tag}> asks {address}")
                if address.startswith("#") and address[1:] not in ids:
                    self.problems.append(f"{address} leads nowhere")
            for name in ("aria-labelledby", "aria-describedby"):
                if name in attributes and attributes[name] not in ids:
                    self.problems.append(f"{name} of {attributes[name]}, which is not there")

    def _pictures(self) -> None:
        self.problems += [f"no alternative text: {found}" for found in self.all("img") if not found.get("alt", "").strip()]
        self.problems += [f"no caption: {found}" for found in self.all("table") if not self.all("caption")]
        if len(self.all("caption")) != len(self.all("table")):
            self.problems.append(f"{len(self.all('table'))} tables, {len(self.all('caption'))} captions")
