"""The page of an evaluation: its numbers are the tables', its file stands alone, a real browser shows and plays it."""

import io
import math
import re
import shutil
import subprocess
from html.parser import HTMLParser

import numpy as np
import pandas as pd
import pytest
import soundfile as sf

from pipelines.evaluate.figures import evaluation_figures
from pipelines.evaluate.page import AudioExample, PageContent, PageTable, VisionSection, write_page
from pipelines.evaluate.tables import METRICS, SystemInfo, label_cost, summarize

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Waits for every player and picture, then writes what they know into the page, and whatever came from elsewhere.
PROBE = """<script>
window.addEventListener("load", () => setTimeout(() => {
  const players = [...document.querySelectorAll("audio")].map(a => a.duration.toFixed(2));
  const pictures = [...document.images].map(i => i.naturalWidth);
  const foreign = performance.getEntriesByType("resource").filter(r => !r.name.startsWith("data:")).length;
  const room = document.documentElement.clientWidth - document.documentElement.scrollWidth;
  const probe = document.createElement("p");
  probe.id = "probe";
  probe.textContent = [players, pictures, foreign, room].join("|");
  document.body.append(probe);
}, 1500));
</script></body>"""
NASTY = "<b>bold</b> & \"quoted\" 'name'"
SYSTEMS = (
    SystemInfo("mixture", "floor", "Mixture", "Nothing separated."),
    SystemInfo("wiener", "floor", "Static Wiener"),
    SystemInfo("nmf", "classic", "NMF"),
    SystemInfo("net", "model", NASTY, NASTY),
    SystemInfo("mask", "oracle", "Ideal mask"),
)


def scores():
    generator = np.random.default_rng(0)
    rows = []
    for t in range(4):
        for rank, system in enumerate(SYSTEMS):
            for labels in ("true", "detected") if system.name == "net" else ("true",):
                for instrument in ("violin", "double_bass", "flute")[: 2 + t % 2]:
                    missed = labels == "detected" and t == 1 and instrument == "flute"
                    row = {"track": f"t{t}", "system": system.name, "labels": labels, "instrument": instrument}
                    row |= {"num_sources": 2 + t % 2, "status": "missed" if missed else "present"}
                    row |= {name: generator.normal(2 * rank) for name in METRICS if name.startswith(("s", "i"))}
                    row |= {"sdr_v4": math.nan, "si_sdr": -math.inf} if missed else {}
                    rows.append(row)
    rows.append({**rows[-1], "system": "net", "labels": "detected", "instrument": "tuba", "status": "leak"})
    tracks = pd.DataFrame(rows).drop(columns=["sdr_v4_gain", "sdr_v3_segment_gain"])
    scored = tracks.columns.difference(["track", "system", "labels", "instrument", "num_sources", "status"])
    is_leak = tracks["status"] == "leak"
    tracks.loc[is_leak, scored] = math.nan
    return tracks.assign(leakage_db=np.where(is_leak, 30.0, math.nan))


def sound(seconds):
    file = io.BytesIO()
    sf.write(file, 0.1 * np.sin(np.arange(round(8000 * seconds))), 8000, format="WAV")
    return file.getvalue()


def full_content():
    tracks = scores()
    summary = summarize(tracks, num_bootstrap=100)
    figures = evaluation_figures(summary, systems=SYSTEMS)
    seen = pd.DataFrame({"instrument": ["violin", NASTY], "support": [3, 1], "f1": [0.5, math.nan]})
    sounds = [("mixture", "audio/wav", sound(0.5)), (NASTY, "audio/wav", sound(1.25))]
    return PageContent(
        title=NASTY,
        tracks=tracks,
        summary=summary,
        label_cost=label_cost(tracks),
        systems=SYSTEMS,
        facts={"dataset": NASTY, "tracks": 4},
        figures=figures,
        vision=VisionSection(NASTY, [PageTable(NASTY, NASTY, seen)], figures[:1]),
        examples=[AudioExample(f"best: {NASTY}", NASTY, sounds)],
        remarks=[f"t9 left out: {NASTY}"],
        settings={"models": [NASTY, "</pre><script>alert(1)</script>"], "seed": 7},
    )


@pytest.fixture(scope="module")
def content():
    return full_content()


@pytest.fixture(scope="module")
def page(content, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    write_page(path, content)
    return path


class Tables(HTMLParser):
    """Tables as lists of rows of texts, by the heading above them; bold cells apart."""

    def __init__(self, html):
        super().__init__()
        self.tables, self.bold, self.heading, self.inside, self.tags = {}, [], "", False, []
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append(tag)
        self.best = "best" in (dict(attributes).get("class") or "")
        self.inside = self.inside or tag in ("h3", "td", "th")
        if tag == "h3":
            self.heading = ""
        elif tag == "table":
            self.tables[self.heading] = []
        elif tag == "tr":
            self.tables[self.heading].append([])
        elif tag in ("td", "th"):
            self.tables[self.heading][-1].append("")
            self.bold += [(self.heading, *self._place())] if self.best else []

    def _place(self):
        rows = self.tables[self.heading]
        return len(rows) - 1, len(rows[-1]) - 1

    def handle_endtag(self, tag):
        self.inside = self.inside and tag not in ("h3", "td", "th")

    def handle_data(self, data):
        if self.inside and self.tags[-1] == "h3":
            self.heading += data
        elif self.inside:
            self.tables[self.heading][-1][-1] += data


def expected_cell(rows):
    if not len(rows):
        return ""
    median, low, high = (f"{rows.iloc[0][name]:.2f}" for name in ("median", "low", "high"))
    return f"{median} [{low}, {high}]" if "nan" not in (low, high) else median


def test_every_number_over_all_stems_is_the_summarys(page, content):
    tables = Tables(page.read_text()).tables
    summary = content.summary[content.summary["group"] == "all"]
    metrics = {f"{metric.title}, {metric.unit}": name for name, metric in METRICS.items()}
    rows = [(name, "true") for name in ("mixture", "wiener", "nmf", "net")] + [("net", "detected"), ("mask", "true")]
    titles = {system.name: f"{system.title} {system.kind}" for system in SYSTEMS}
    shown = []
    for heading in ("Main metrics", "Further metrics"):
        head, *body = tables[heading]
        assert [row[:2] for row in body] == [[titles[name], labels] for name, labels in rows]
        columns = {metrics[title]: place for place, title in enumerate(head) if title in metrics}
        for (name, labels), row in zip(rows, body):
            own = summary[(summary["system"] == name) & (summary["labels"] == labels)]
            for metric, place in columns.items():
                assert row[place] == expected_cell(own[own["metric"] == metric])
        shown += columns
    # One metric a column, and none left out.
    assert sorted(shown) == sorted(METRICS)


def test_counts_stand_beside_the_scores(page):
    head, *body = Tables(page.read_text()).tables["Main metrics"]
    assert head[-4:] == ["Tracks", "Stems", "Missed", "Leaks"]
    assert [row[-4:] for row in body] == [["4", "10", "0", "0"]] * 4 + [["4", "10", "1", "1"]] + [["4", "10", "0", "0"]]


@pytest.mark.parametrize(
    "heading, group, values",
    [
        ("SI-SDR improvement by instrument", "instrument", ["violin", "double_bass", "flute"]),
        ("SDR (v4) by number of sources", "num_sources", ["2", "3"]),
    ],
)
def test_numbers_by_group_are_the_summarys(page, content, heading, group, values):
    head, *body = Tables(page.read_text()).tables[heading]
    assert [re.sub(r" sources?$", "", title).replace(" ", "_") for title in head[2:]] == values
    metric = next(name for name, metric in METRICS.items() if heading.startswith(f"{metric.title} by"))
    for system, row in zip(SYSTEMS, body, strict=True):
        own = content.summary[(content.summary["system"] == system.name) & (content.summary["labels"] == "true")]
        own = own[(own["group"] == group) & (own["metric"] == metric)]
        assert row[2:] == [expected_cell(own[own["value"] == value]) for value in values]


def test_what_labels_cost_is_the_tables(page, content):
    tables = Tables(page.read_text()).tables
    ((name, stems, true, detected, lost, mean, missed, leaks),) = tables["What detected labels cost"][1:]
    cost = content.label_cost.iloc[0]
    assert name.startswith(NASTY) and (int(stems), int(missed), int(leaks)) == (10, 1, 1)
    assert (true, detected, mean) == tuple(f"{cost[c]:.2f}" for c in ("median_true", "median_detected", "mean"))
    assert lost == f"{cost['median']:.2f} [{cost['low']:.2f}, {cost['high']:.2f}]"
    assert tables["SI-SDR improvement by source of labels"][0] == ["System", "true labels", "detected labels"]
    assert tables[NASTY][1:] == [["violin", "3", "0.500"], [NASTY, "1", "–"]]


def test_the_best_that_is_no_floor_or_oracle_is_bold(page, content):
    parsed = Tables(page.read_text())
    column = parsed.tables["Main metrics"][0].index("SI-SDR improvement, dB")
    (row,) = [row for heading, row, place in parsed.bold if (heading, place) == ("Main metrics", column)]
    summary = content.summary[(content.summary["group"] == "all") & (content.summary["labels"] == "true")]
    medians = summary[summary["metric"] == "si_sdr_improvement"].set_index("system")["median"]
    assert row == 1 + ["mixture", "wiener", "nmf", "net"].index(medians[["nmf", "net"]].idxmax())
    assert medians["mask"] > medians["net"]


def test_page_stands_alone_and_shows_markup_as_text(page):
    html = page.read_text()
    assert "<b>bold" not in html and "<script" not in html and "&lt;/pre&gt;&lt;script&gt;" in html
    targets = re.findall(r'\b(?:src|href|action|srcset|data)="([^"]*)"', html)
    assert len(targets) > 10
    assert all(target.startswith(("#", "data:image/png;", "data:audio/wav;")) for target in targets)
    assert not re.search(r"url\(|@import", html)
    anchors = {target[1:] for target in targets if target.startswith("#")}
    assert anchors <= set(re.findall(r'id="([^"]+)"', html))


def test_equal_content_gives_equal_bytes(page, content, tmp_path):
    write_page(tmp_path / "again.html", content)
    assert (tmp_path / "again.html").read_bytes() == page.read_bytes()


def test_page_of_almost_nothing(tmp_path):
    tracks = scores()
    alone = tracks[(tracks["system"] == "net") & (tracks["track"] == "t0")].head(1)
    undefined = alone.assign(**{name: math.nan for name in METRICS if name in alone})
    for name, given in {"one": alone, "undefined": undefined, "empty": alone[:0]}.items():
        write_page(tmp_path / f"{name}.html", PageContent(title="stems", tracks=given, summary=summarize(given)))
    (row,) = Tables((tmp_path / "one.html").read_text()).tables["Main metrics"][1:]
    # One track: a median, and no interval that would pretend to know more.
    assert row[:2] == ["net model", "true"] and row[2] == f"{alone['si_sdr_improvement'].iloc[0]:.2f}"
    (row,) = Tables((tmp_path / "undefined.html").read_text()).tables["Main metrics"][1:]
    assert row[2:-4] == ["–"] * 6 and row[-4:] == ["1", "1", "0", "0"]
    html = (tmp_path / "empty.html").read_text()
    assert "No stem was scored" in html
    assert "Not scored here: the mixture, static Wiener filters, oracles" in html
    for heading in ("Figures", "Sounds", "Vision", "Remarks", "How it was made", "Who says what plays"):
        assert f">{heading}</h2>" not in html


def test_nothing_is_missed_where_floors_and_oracles_are(page):
    assert "Not scored here" not in page.read_text()


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: apt install chromium)")
def test_players_and_pictures_load_in_a_browser_as_narrow_as_a_phone(page, tmp_path):
    html = page.read_text()
    # The page forbids scripts; the probe may run, all the rest of its policy stays in force.
    policy = "default-src 'none';"
    assert html.count(policy) == 1
    probed = page.with_name("probed.html")
    probed.write_text(html.replace(policy, policy + " script-src 'unsafe-inline';").replace("</body>", PROBE))
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={tmp_path}",
        "--window-size=390,800", "--virtual-time-budget=8000", "--dump-dom", probed.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    players, pictures, foreign, room = re.search(r'<p id="probe">(.*?)</p>', dom).group(1).split("|")
    assert players == "0.50,1.25"
    assert len(pictures.split(",")) == 4 and all(int(width) > 300 for width in pictures.split(","))
    assert foreign == "0"
    # Tables and pictures scroll in boxes of their own; the page itself never sideways.
    assert int(room) >= 0
