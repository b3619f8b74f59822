"""The page: what stands in it, that it loads nothing, and what a browser makes of it."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from bundled import MODEL, ROOT
from campaign import campaign
from nasty import nasty

from certify.batch.record import Record
from certify.report import entry, html
from certify.report.finding import Finding, findings
from certify.report.policy import Policy

POLICY = Policy(frozenset())
MOST_BYTES = 3_000_000
MOST_MILLISECONDS = 2000.0


class Page(HTMLParser):
    """The elements of a page, and the text between them."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        """The attributes of the elements with this tag."""
        return [attributes for name, attributes in self.elements if name == tag]


def written(found: list[Finding]) -> str:
    return html.text(found, POLICY).encode("utf-8", "replace").decode()


def test_hostile_names_stay_text() -> None:
    text = written([*findings(nasty(), POLICY, "<b>$x_1$"), *findings(nasty(), POLICY, "_other{{ 7*7 }}")])
    page = Page(text)
    assert len(page.all("script")) == 1
    assert "{{ 49" not in text
    assert "alert(1)" in "".join(page.texts)
    for _, attributes in page.elements:
        for name in ("href", "xlink:href", "src"):
            value = attributes.get(name)
            assert value is None or value.startswith(("#", "data:image/webp;base64,")), value
        assert not any(name.startswith("on") for name in attributes)


def test_nothing_is_loaded() -> None:
    text = written(findings(nasty(), POLICY))
    addresses = set(re.findall(r"https?://[^\s\"'<>]+", text))
    assert {a for a in addresses if "w3.org" not in a} == set()  # w3.org: names of XML vocabularies
    assert "@import" not in text
    assert "url(" not in text.replace("url(#", "")


def test_details_of_an_instance() -> None:
    witness = [float(x) for x in range(64)]
    spec = str(ROOT / "specs" / "digits_mlp_1_eps0.08.vnnlib")
    record = Record(
        "k", "digits", {"": MODEL}, spec, 60.0, "sat", "an input breaks it", bound=-1.5,
        witness={"X": witness, "Y": [1.0] * 10}, trace=[[0.0, -4.0, 1], [1.0, -2.0, 10], [2.0, -1.5, 30]],
        notes=["a note"], advice="what to do", statistics={"subproblems": 30},
    )  # fmt: skip
    page = Page(written(findings([record], POLICY)))
    assert len(page.all("img")) == 3
    assert page.all("polyline")[0]["points"] == "0,70 160,35 320,26.25"
    text = " ".join("".join(page.texts).split())
    for part in ("64 of 64 values are moved", "the middle of the region", "proven margin -4 after 0.00 s", "a note"):
        assert part in text
    gone = Record("k", "digits", {"": MODEL}, spec + ".gone", 60.0, "sat", witness={"X": witness})
    assert "is not here any more" in written(findings([gone], POLICY))
    changed = Record("k", "", {"": MODEL}, spec, 60.0, "sat", witness={"X": witness}, sha256={spec: "0", MODEL: "1"})
    assert "has changed" in written(findings([changed], POLICY))


def test_pictures_find_room_or_are_said_to_be_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = findings(campaign(tmp_path, 20), POLICY)  # five of them violated
    assert len(Page(written(found)).all("img")) == 15
    size = len(written(found)) - len(written([f for f in found if f.outcome != "violated"]))
    monkeypatch.setattr(entry, "PICTURE_BYTES", size // 2)
    text = written(found)
    assert 0 < len(Page(text).all("img")) < 15
    assert len(Page(text).all("img")) + 3 * text.count("Its pictures are left out") == 15


def test_runs_that_contradict_each_other_are_named() -> None:
    def run(status: str, name: str) -> list[Finding]:
        return findings([Record("k", "c", {"": "m.onnx"}, "s.vnnlib", 1.0, status)], POLICY, name)

    assert "contradict each other" in written([*run("sat", "a"), *run("unsat", "b")])
    assert "contradict each other" not in written([*run("sat", "a"), *run("timeout", "b")])
    assert "contradict each other" not in written([*run("sat", "a"), *run("sat", "b")])


def test_no_instances_make_a_page_too() -> None:
    assert "0 instances" in written([])


def test_six_hundred_rows_open_at_once(tmp_path: Path, browser) -> None:
    text = written(findings(campaign(tmp_path), POLICY))
    assert len(text.encode()) < MOST_BYTES
    assert text.count("<img") > 100
    page = tmp_path / "report.html"
    # The page's own policy admits inline scripts only, so this one may stand in it.
    clock = "<script>onload = () => requestAnimationFrame(() => document.title = `ms ${performance.now()}`)</script>"
    page.write_text(text.replace("</body>", f"{clock}</body>"))
    times = [float(re.search(r"<title>ms ([\d.]+)", browser(page))[1]) for _ in range(3)]  # type: ignore[index]
    assert min(times) < MOST_MILLISECONDS, times


@pytest.mark.parametrize(
    ("address", "shown", "first"),
    [
        ("", 40, "1"),
        ("?sort=-number", 40, "40"),
        ("?sort=subproblems", 40, "1"),
        ("?sort=-subproblems", 40, "40"),
        ("?q=idx_7_", 1, "8"),
        ("?q=IDX_1+timeout&sort=-number", 3, "20"),
        ("?outcome=error", 1, "1"),
        ("?outcome=violated&outcome=undecided&sort=verdict", 20, "4"),
    ],
)
def test_sorting_and_filtering(tmp_path: Path, browser, address: str, shown: int, first: str) -> None:
    page = tmp_path / "report.html"
    page.write_text(written(findings(campaign(tmp_path, 40), POLICY)))
    text = browser(page, address)
    rows = re.findall(r'<tr data-outcome="[^"]*" data-why="[^"]*"(| hidden="")><td><a href="#i\d+">(\d+)</a>', text)
    assert len(rows) == 40
    visible = [number for hidden, number in rows if not hidden]
    assert (len(visible), visible[0]) == (shown, first)
    assert f"{shown} shown" in text
    assert len(re.findall(r'<details id="i\d+">', text)) == shown  # hidden ones say so


def test_a_link_opens_its_details(tmp_path: Path, browser) -> None:
    page = tmp_path / "report.html"
    page.write_text(written(findings(campaign(tmp_path, 8), POLICY)))
    assert re.findall(r'<details id="(i\d+)" open="">', browser(page, "#i3")) == ["i3"]
