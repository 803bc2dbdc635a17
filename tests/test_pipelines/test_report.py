"""The report page as a person meets it: in a real browser."""

import re
import shutil
import subprocess

import pytest

import av_sep

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Waits for every player and picture, then writes what they know into the page.
PROBE = """<script>
window.addEventListener("load", () => setTimeout(() => {
  const players = [...document.querySelectorAll("audio")].map(a => a.duration.toFixed(2));
  const pictures = [...document.images].map(i => i.naturalWidth);
  const probe = document.createElement("p");
  probe.id = "probe";
  probe.textContent = players.join(",") + "|" + pictures.join(",");
  document.body.append(probe);
}, 1500));
</script></body>"""


@pytest.fixture(scope="module")
def page(duet, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    return av_sep.separate(duet, folder, model="wiener", instruments=("vn", "tba")).report


def test_page_names_stems_and_stands_alone(page):
    html = page.read_text()
    for name in ("violin", "tuba"):
        assert f'src="{name}.wav"' in html
    assert "Named by the user" in html
    assert not re.search(r'(src|href)="(https?:)?//', html)


@pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine (Debian: apt install chromium)")
def test_players_and_pictures_load_in_a_browser(page, tmp_path):
    probed = page.with_name("probed.html")
    probed.write_text(page.read_text().replace("</body>", PROBE))
    command = [
        CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking",
        "--disable-component-update", "--disable-sync", "--no-first-run", f"--user-data-dir={tmp_path}",
        "--virtual-time-budget=8000", "--dump-dom", probed.as_uri(),
    ]  # fmt: skip
    dom = subprocess.run(command, capture_output=True, text=True, timeout=120, check=True).stdout
    players, pictures = re.search(r'<p id="probe">(.*?)\|(.*?)</p>', dom).groups()
    assert players == "3.00,3.00"
    assert len(pictures.split(",")) == 2 and all(int(width) > 300 for width in pictures.split(","))


def test_names_with_markup_are_shown_as_text(duet, tmp_path):
    path = tmp_path / "<b>loud & clear</b>'\".wav".replace("/", "_")
    shutil.copy(duet, path)
    html = av_sep.separate(path, tmp_path / "out", model="wiener", instruments=("vn",)).report.read_text()
    assert "<b>loud" not in html and "&lt;b&gt;loud &amp; clear" in html
