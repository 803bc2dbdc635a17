"""The review page as a person uses it: real clicks in a real browser, and what then lies among the downloads."""

import json
import re
import shutil
import subprocess
import time
from pathlib import Path

import jsonschema
import numpy as np
import pytest
from websocket import create_connection

import av_sep
from av_sep.instruments import URMP_13
from pipelines.annotation.formats import SCHEMA_PATH
from pipelines.annotation.review import VIDEOS_PER_PAGE, page_names, write_pages
from pipelines.annotate_many import annotate_many, annotation_tasks, write_review
from pipelines.config import AnnotateConfig
from pipelines.workers import Workers

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no chromium here (Debian: apt install chromium)")
LEFT, MIDDLE, RIGHT = [10, 20, 90, 170], [120, 20, 200, 170], [230, 30, 310, 170]


class Browser:
    """A headless Chromium, driven over its DevTools protocol."""

    def __init__(self, folder, width=1200, height=900):
        self.downloads = folder / "downloads"
        self.downloads.mkdir()
        command = [
            CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
            "--no-first-run", "--disable-component-update", "--disable-sync", "--remote-debugging-port=0",
            f"--user-data-dir={folder / 'profile'}", f"--window-size={width},{height}", "about:blank",
        ]  # fmt: skip
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port, path = wait_for(lambda: (folder / "profile" / "DevToolsActivePort").read_text().split())
        self.socket = create_connection(f"ws://127.0.0.1:{port}{path}", suppress_origin=True, timeout=60)
        self.session, self.number, self.events = None, 0, []
        self.call("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(self.downloads))

    def close(self):
        self.socket.close()
        self.process.kill()
        self.process.wait()

    def call(self, method, **parameters):
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        self.socket.send(json.dumps(message if self.session is None else {**message, "sessionId": self.session}))
        while (answer := json.loads(self.socket.recv())).get("id") != self.number:
            self.events.append(answer)
        assert "error" not in answer, answer
        return answer["result"]

    def open(self, path):
        """Shows a page in a new tab, watched from before its first line."""
        self.session = None
        self.events.clear()
        tab = self.call("Target.createTarget", url="about:blank")["targetId"]
        self.session = self.call("Target.attachToTarget", targetId=tab, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Network", "Log"):
            self.call(f"{domain}.enable")
        self.call("Page.navigate", url=path.as_uri())
        wait_for(lambda: self.value("document.readyState") == "complete" and self.value("!!document.title"))

    def value(self, expression):
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        assert "exceptionDetails" not in answer, answer
        return answer["result"].get("value")

    def click(self, expression):
        """Moves the mouse to the middle of an element, which must lie on top there, and clicks."""
        place = (
            f"(() => {{ const e = {expression}; e.scrollIntoView({{block: 'center'}});"
            " const r = e.getBoundingClientRect(), x = r.x + r.width / 2, y = r.y + r.height / 2;"
            " return [x, y, e.contains(document.elementFromPoint(x, y))]; })()"
        )
        # Pictures that are still being decoded move what stands below them.
        wait_for(lambda: self.value(place)[2])
        x, y, _ = self.value(place)
        for kind in ("mousePressed", "mouseReleased"):
            self.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)

    def choose(self, expression, value):
        """Takes an option of a list, as the keyboard does: headless browsers draw no list to click into."""
        told = f"e.value = {value!r}; e.dispatchEvent(new Event('change'));"
        self.value(f"(() => {{ const e = {expression}; {told} }})()")

    def downloaded(self, name):
        wait_for((self.downloads / name).exists)
        return json.loads((self.downloads / name).read_text(encoding="utf-8"))


def wait_for(attempt, seconds=60.0):
    """What `attempt` gives, once it is true and raises nothing."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            if value := attempt():
                return value
        except (OSError, StopIteration, ValueError) as error:
            assert time.monotonic() < deadline, error
        assert time.monotonic() < deadline, attempt
        time.sleep(0.05)


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    started = Browser(tmp_path_factory.mktemp("browser"))
    yield started
    started.close()


def label_file(folder, *names_and_boxes):
    """Three seconds of players who stand still, as a person writes them down."""
    boxes = [
        {"time_seconds": t, "box_xyxy": box, "instrument": name, "confidence": 0.7}
        for t in range(3)
        for name, box in names_and_boxes
    ]
    path = folder / "known.json"
    path.write_text(json.dumps({"detections": boxes, "picture_size": {"width": 322, "height": 180}}))
    return path


@pytest.fixture(scope="module")
def labels(film, tmp_path_factory):
    """Folder with the labels and the page of two films with a violin, a flute and a horn."""
    folder = tmp_path_factory.mktemp("review")
    (folder / "videos").mkdir()
    for name in ("one", "two </script><b>&"):
        shutil.copy(film, folder / "videos" / f"{name.replace('/', '_')}.mp4")
    known = label_file(folder, ("violin", LEFT), ("flute", MIDDLE), ("horn", RIGHT))
    config = AnnotateConfig(detector=f"labels:{known}", formats=("json",), review=True)
    tasks = annotation_tasks([str(folder / "videos")], str(folder / "out"), config)
    outcomes = annotate_many(tasks, Workers(), lambda done, total: None)
    assert [outcome.error for outcome in outcomes] == [None, None]
    assert write_review(tasks, outcomes) == [str(folder / "out" / "review.html")]
    return folder / "out"


def read(path):
    return json.loads(path.read_text(encoding="utf-8"))


def check(content):
    """Against the schema, and against what a schema cannot say."""
    jsonschema.Draft202012Validator(read(SCHEMA_PATH)).validate(content)
    assert [player["number"] for player in content["players"]] == list(range(1, len(content["players"]) + 1))
    playing = [player["instrument"] for player in content["players"] if player["instrument"] != "other"]
    assert content["num_players"] == {name: playing.count(name) for name in content["instruments"]}
    assert set(content["instruments"]) == set(playing)
    assert {d["player"] for d in content["detections"]} <= {None, *range(1, len(content["players"]) + 1)}
    assert list(content["label_vector"]) == list(URMP_13.names)


@pytest.fixture
def page(browser, labels):
    for left in browser.downloads.iterdir():
        left.unlink()
    browser.open(labels / "review.html")
    return browser


@pytest.fixture
def heard_page(page, labels, tmp_path):
    """The page of the first film, in which a trumpet was heard besides."""
    content = read(labels / "one.json")
    content["instruments"] = ["violin", "flute", "trumpet", "horn"]
    content["label_vector"]["trumpet"] = 0.6
    texts = {"one.json": json.dumps(content), "one.review.json": (labels / "one.review.json").read_text()}
    write_pages(tmp_path, ["one"], texts.__getitem__)
    page.open(tmp_path / "review.html")
    return page


def box_of(number, picture=0):
    start = f"[...document.querySelectorAll('.picture')][{picture}]"
    return f"[...{start}.querySelectorAll('.box')].find(box => box.textContent.startsWith({number!r}))"


def choice(instrument):
    return f"document.querySelector('#choices [data-instrument={instrument}]')"


def by_id(name):
    return f"document.getElementById({name!r})"


def test_the_page_stands_alone(labels):
    html = (labels / "review.html").read_text()
    assert not re.search(r'(src|href)="(?!data:)', html) and "http" not in re.sub(r'"[A-Za-z0-9+/=]{1000,}"', "", html)
    assert "<b>&" not in html.split("<main>")[1]


@needs_browser
class TestClicks:
    def test_pictures_and_boxes_are_where_they_were_found(self, page):
        wait_for(lambda: page.value("[...document.images].every(i => i.complete)"))
        assert page.value("[...document.images].map(i => i.naturalWidth)") == [322] * 3
        places = page.value(
            "[...document.querySelectorAll('.picture')].map(p => [...p.querySelectorAll('.box')].map(b => {"
            " const r = b.getBoundingClientRect(), q = p.getBoundingClientRect(), k = 322 / q.width;"
            " return [(r.x - q.x) * k, (r.y - q.y) * k, (r.right - q.x) * k, (r.bottom - q.y) * k]; }))"
        )
        assert len(places) == 3
        for boxes in places:
            np.testing.assert_allclose(sorted(boxes), [LEFT, MIDDLE, RIGHT], atol=0.5)
        assert page.value("document.querySelectorAll('.player').length") == 3

    def test_nothing_is_fetched_and_nothing_complains(self, page):
        urls = [e["params"]["request"]["url"] for e in page.events if e["method"] == "Network.requestWillBeSent"]
        assert urls and all(url.startswith(("file:", "data:")) for url in urls)
        bad = ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled")
        assert not [event for event in page.events if event["method"] in bad]

    def test_untouched_labels_are_downloaded_as_they_were(self, page, labels):
        page.click(by_id("download"))
        assert page.downloaded("one.json") == read(labels / "one.json")
        check(read(labels / "one.json"))

    def test_a_player_gets_another_instrument(self, page, labels, film, tmp_path):
        page.click(box_of("1"))
        assert page.value(f"{by_id('chooser')}.open")
        page.click(choice("viola"))
        assert not page.value(f"{by_id('chooser')}.open")
        page.click(by_id("checked"))
        page.click(by_id("download"))
        content = page.downloaded("one.json")
        check(content)
        assert content["instruments"] == ["viola", "flute", "horn"] and content["checked"]
        assert content["origin"] == "corrected" and read(labels / "one.json")["origin"] == "detected"
        assert content["label_vector"]["viola"] == 1 and content["label_vector"]["violin"] == 0
        assert [d["instrument"] for d in content["detections"]] == ["viola", "flute", "horn"] * 3
        again = av_sep.annotate(film, tmp_path, detector=f"labels:{page.downloads / 'one.json'}", formats=("json",))
        assert again.labels.instruments == ("viola", "flute", "horn")
        assert [player.instrument for player in again.players] == ["viola", "flute", "horn"]
        np.testing.assert_allclose(again.players[0].box_xyxy, LEFT)

    def test_one_box_alone(self, page):
        page.click(box_of("3", picture=1))
        page.click(by_id("only-this"))
        page.click(choice("tuba"))
        page.click(by_id("download"))
        content = page.downloaded("one.json")
        check(content)
        changed = [d for d in content["detections"] if d["instrument"] == "tuba"]
        assert [(d["time_seconds"], d["player"]) for d in changed] == [(1, None)]
        assert content["instruments"] == ["violin", "flute", "horn"]

    def test_instruments_are_added_and_removed(self, page):
        page.choose(by_id("new-instrument"), "cello")
        page.click(by_id("add"))
        page.click("document.querySelectorAll('.player button')[1]")
        page.click(by_id("download"))
        content = page.downloaded("one.json")
        check(content)
        assert content["instruments"] == ["violin", "cello", "horn"]
        assert [(p["instrument"], p["whole_frame"]) for p in content["players"]] == [
            ("violin", False), ("horn", False), ("cello", True),
        ]  # fmt: skip
        assert [(d["instrument"], d["player"]) for d in content["detections"]] == [("violin", 1), ("horn", 2)] * 3
        assert content["label_vector"]["flute"] == 0 and content["label_vector"]["cello"] == 1

    def test_two_of_one_instrument_and_one_of_none(self, page):
        page.choose("document.querySelectorAll('.player select')[1]", "violin")
        page.choose("document.querySelectorAll('.player select')[2]", "other")
        assert "2 × violin" in page.value(f"{by_id('summary')}.textContent")
        page.click(by_id("download"))
        content = page.downloaded("one.json")
        check(content)
        assert content["instruments"] == ["violin"] and content["num_players"] == {"violin": 2}

    def test_a_box_with_nobody_in_it_and_starting_over(self, page, labels):
        page.click(box_of("2"))
        page.click(by_id("only-this"))
        page.click(by_id("delete"))
        page.click(by_id("download"))
        content = page.downloaded("one.json")
        check(content)
        assert len(content["detections"]) == 8
        page.click(by_id("restart"))
        (page.downloads / "one.json").unlink()
        page.click(by_id("download"))
        assert page.downloaded("one.json") == read(labels / "one.json")

    def test_every_video_keeps_its_corrections(self, page):
        page.choose("document.querySelectorAll('.player select')[0]", "tuba")
        page.click(by_id("checked"))
        page.click(by_id("next"))
        assert page.value("document.querySelectorAll('.player select')[0].value") == "violin"
        assert page.value(f"{by_id('count')}.textContent") == "1 of 2 checked"
        page.click(by_id("previous"))
        assert page.value("document.querySelectorAll('.player select')[0].value") == "tuba"

    def test_instruments_that_were_heard_alone_stay_until_they_are_unticked(self, heard_page):
        page = heard_page
        heard = "document.querySelector('#unseen [data-instrument=trumpet]')"
        assert page.value("document.querySelectorAll('#unseen input').length") == 1 and page.value(f"{heard}.checked")
        page.choose("document.querySelectorAll('.player select')[0]", "viola")
        page.click(by_id("download"))
        content = page.downloaded("one.json")
        jsonschema.Draft202012Validator(read(SCHEMA_PATH)).validate(content)
        assert content["instruments"] == ["viola", "flute", "trumpet", "horn"]
        assert content["num_players"] == {"viola": 1, "flute": 1, "horn": 1}
        # Nobody said anything of it, so it is no surer than it was.
        assert content["label_vector"]["trumpet"] == 0.6
        (page.downloads / "one.json").unlink()
        page.click(heard)
        page.click(by_id("download"))
        content = page.downloaded("one.json")
        assert content["instruments"] == ["viola", "flute", "horn"] and content["label_vector"]["trumpet"] == 0
        page.click(heard)
        assert "trumpet" in page.value(f"{by_id('summary')}.textContent")

    def test_an_instrument_that_was_heard_may_get_a_player(self, heard_page):
        page = heard_page
        page.choose("document.querySelectorAll('.player select')[2]", "trumpet")
        assert page.value(f"{by_id('unseen-part')}.hidden")
        page.click(by_id("download"))
        content = page.downloaded("one.json")
        check(content)
        assert content["instruments"] == ["violin", "flute", "trumpet"] and content["label_vector"]["trumpet"] == 0.6

    def test_a_phone_shows_it_without_scrolling_sideways(self, page):
        page.call("Emulation.setDeviceMetricsOverride", width=390, height=844, deviceScaleFactor=1, mobile=True)
        wait_for(lambda: page.value("innerWidth") == 390)
        assert page.value("document.documentElement.scrollWidth") <= 390
        sizes = page.value(
            "[...document.querySelectorAll('button:not(.box), select')].filter(e => e.offsetParent)"
            ".map(e => e.getBoundingClientRect().height)"
        )
        assert min(sizes) >= 40
        page.click(box_of("1"))
        page.click(choice("bassoon"))
        assert page.value("document.querySelectorAll('.player select')[0].value") == "bassoon"


def test_a_checked_file_put_back_is_kept_and_shown(labels, tmp_path, film):
    out = tmp_path / "out"
    known = label_file(tmp_path, ("violin", LEFT))
    settings = {"detector": f"labels:{known}", "formats": ("json",)}
    av_sep.annotate(film, out, review=True, **settings)
    corrected = {**read(out / "film.json"), "checked": True, "origin": "corrected", "instruments": ["tuba"]}
    corrected["num_players"] = {"tuba": 1}
    (out / "film.json").write_text(json.dumps(corrected))
    again = av_sep.annotate(film, out, review=True, **settings)
    assert again.is_kept and again.labels.instruments == ("tuba",)
    assert 'data-checked="True"' in (out / "review.html").read_text()
    with pytest.raises(av_sep.ParameterError, match="holds a person's corrections.*film.json"):
        av_sep.annotate(film, out, overlay=True, **settings)
    assert read(out / "film.json") == corrected


def test_many_videos_are_shared_out_over_pages(labels, tmp_path):
    assert page_names(1) == ["review.html"] and page_names(VIDEOS_PER_PAGE) == ["review.html"]
    stems = [f"v{i}" for i in range(VIDEOS_PER_PAGE + 1)]
    pages = write_pages(tmp_path, stems, lambda name: (labels / name.replace(name.split(".")[0], "one")).read_text())
    assert [page.name for page in pages] == ["review.html", "review-2.html"]
    numbers = [page.read_text().count('class="video"') for page in pages]
    assert numbers == [VIDEOS_PER_PAGE, 1] and 'href="review-2.html"' in pages[0].read_text()


def test_pages_of_an_earlier_larger_run_go(labels, tmp_path):
    def read(name):
        return (labels / name.replace(name.split(".")[0], "one")).read_text()

    write_pages(tmp_path, [f"v{i}" for i in range(2 * VIDEOS_PER_PAGE + 1)], read)
    for name in ("review-7.html", "review-3.htm", "thereview-2.html"):
        (tmp_path / name).write_text("mine")
    write_pages(tmp_path, ["v0"], read)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {"review.html", "review-7.html", "review-3.htm", "thereview-2.html"}
    assert 'class="video"' in (tmp_path / "review.html").read_text()


def test_the_page_needs_the_json_file(tmp_path):
    with pytest.raises(av_sep.ParameterError, match="expected json among the formats. Received: csv"):
        av_sep.annotate(Path("any.mp4"), tmp_path, review=True, formats=("csv",))
