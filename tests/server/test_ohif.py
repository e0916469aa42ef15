"""The OHIF viewer that MONAI Label serves, in a real browser, against Orthanc.

The screenshots go to the folder in AUTOWEAK_SCREENSHOTS, else below pytest's own; those of docs/ohif.md are made by
`AUTOWEAK_SCREENSHOTS=docs/pictures pytest -m slow tests/server/test_ohif.py`.
"""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from autoweak.phantoms.volume import make_volume_phantom
from tests.server.clients import Server, Slicer
from tests.server.conftest import Start, short_task, upload
from tests.server.dicom import segmentation_of, segmentations_of, write_series

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SHAPE = (64, 56, 24)


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """Chromium without a screen."""
    webdriver = pytest.importorskip("selenium.webdriver", reason="selenium is missing")
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if chromium is None or driver is None:
        reason = "Debian's chromium and chromium-driver are missing"
        if os.environ.get("CI") == "true":
            pytest.fail(reason)
        pytest.skip(reason)
    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    software = ("--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader", "--ignore-gpu-blocklist")
    profile = f"--user-data-dir={tmp_path_factory.mktemp('profile')}"
    for word in ("--headless=new", "--no-sandbox", *software, "--window-size=1400,900", profile):
        options.add_argument(word)
    running = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield running
    running.quit()


class Panel:
    """The MONAI Label panel of OHIF."""

    def __init__(self, browser: Any, pictures: Path) -> None:
        self.browser = browser
        self.pictures = pictures

    def find(self, xpath: str, act: Callable[[Any], None] = lambda _: None) -> Any:
        """The first visible element at `xpath`, waited for, and `act` done to it; pages draw things anew."""
        from selenium.common.exceptions import WebDriverException

        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                found = [one for one in self.browser.find_elements("xpath", xpath) if one.is_displayed()]
                if found:
                    act(found[0])
                    return found[0]
            except WebDriverException:
                pass
            time.sleep(0.2)
        raise AssertionError(f"{xpath} did not appear: {self.browser.find_element('tag name', 'body').text}")

    def click(self, xpath: str) -> None:
        """Click the element at `xpath`."""
        self.find(xpath, lambda element: element.click())

    def picture(self, name: str) -> Image.Image:
        """Keep a screenshot, small enough to be shown in the documents."""
        with Image.open(io.BytesIO(self.browser.get_screenshot_as_png())) as shot:
            picture = shot.convert("RGB")
        picture.quantize(96).save(self.pictures / f"ohif_{name}.png", optimize=True)
        return picture

    def drawn(self, name: str) -> int:
        """Keep a screenshot, and count the coloured pixels of the first viewport: images are grey, segments are not."""
        pixels = np.asarray(self.picture(name)).astype(int)[200:700, 295:550]
        return int(((pixels.max(axis=2) - pixels.min(axis=2)) > 20).sum())

    def open_tab(self, name: str) -> None:
        """Open a part of the panel."""
        self.click(f"//label[contains(@class,'tab-label') and contains(.,'{name}')]")

    def choose_option(self, section: str, model: str, key: str) -> None:
        """Tick an option of a model in the dialog, and confirm."""
        from selenium.webdriver.support.ui import Select

        self.click("//*[normalize-space(text())='Options / Configurations']")
        self.find("//select[@name='selectSection']", lambda box: Select(box).select_by_value(section))
        self.find("//select[@name='selectName']", lambda box: Select(box).select_by_value(model))
        self.click(f"//input[@id='{section}{model}{key}']")
        self.picture("options")
        self.click("//button[normalize-space()='Confirm']")


@dataclass
class Desk:
    """A server on a PACS with four labelled studies and one shown in OHIF; the truth of the latter."""

    server: Server
    orthanc: str
    panel: Panel
    shown: str
    truth: np.ndarray


@pytest.fixture(scope="module")
def desk(start: Start, orthanc: str, browser: Any, tmp_path_factory: pytest.TempPathFactory) -> Desk:
    folder = tmp_path_factory.mktemp("ohif")
    truth = {}
    for seed in range(5):
        phantom = make_volume_phantom(seed, shape=SHAPE)
        truth[write_series(folder / str(seed), "MR", phantom.image.transpose(2, 1, 0))] = phantom.mask
        upload(orthanc, folder / str(seed))
    task = short_task("ct_spleen", folder / "task.yaml", intensity={"kind": "percentile"})
    server = start(f"{orthanc}/dicom-web", task=task, modality="MR", send_weak_labels="true")
    *labelled, shown = truth
    for uid in labelled:
        _submit(server, uid, truth[uid], folder)
    server.train()
    pictures = Path(os.environ.get("AUTOWEAK_SCREENSHOTS", folder))
    pictures.mkdir(parents=True, exist_ok=True)
    return Desk(server, orthanc, Panel(browser, pictures), shown, truth[shown])


def test_weak_labels_are_sent_as_automatic(desk: Desk) -> None:
    sent = segmentation_of(desk.orthanc, desk.shown).SegmentSequence[0]
    assert (sent.SegmentAlgorithmType, sent.SegmentLabel) == ("AUTOMATIC", "spleen")
    assert sent.SegmentAlgorithmName == "autoweak medsam_from_coarse (small)"


def test_study_is_opened_segmented_clicked_saved_and_trained(desk: Desk) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

    server, panel, browser = desk.server, desk.panel, desk.panel.browser
    browser.get(f"{server.url}/ohif/")
    panel.click("//button[contains(.,'Confirm and Hide')]")
    panel.click("//*[contains(text(),'PHANTOM')]")
    panel.find("//button[contains(.,'MONAI Label')]")
    panel.picture("studies")

    study = server.get("/datastore/image/info", image=desk.shown).json()["StudyInstanceUID"]
    # The panel's default is port 8000.
    browser.execute_script(f"document.cookie = 'MONAILABEL_SERVER_URL={server.url}/; path=/'")
    browser.get(f"{server.url}/ohif/monai-label?StudyInstanceUIDs={study}")
    panel.find("//body[contains(., '/24')]")  # a slice is shown
    panel.click("//table[contains(@class,'settingsTable')]//button")
    panel.open_tab("Auto-Segmentation")
    time.sleep(2)
    before = panel.drawn("connected")
    panel.click("//button[normalize-space()='Run']")
    automatic = _settled(panel, "automatic", above=before + 500)
    # The very mask that the server has for it, as large on the screen as the truth.
    volume, _ = Slicer(server).infer("medsam_from_coarse", desk.shown)
    assert np.logical_and(volume, desk.truth).sum() > 0.6 * desk.truth.sum()

    panel.open_tab("Point Prompts")
    panel.click("//*[normalize-space(text())='spleen']")
    panel.find("//canvas", lambda canvas: ActionChains(browser).move_to_element(canvas).click().perform())
    time.sleep(2)
    line = _asked(server, panel)
    assert "'model': 'medsam'" in line
    assert "'foreground': [[" in line
    assert _settled(panel, "point", above=before + 500) > automatic / 3

    # OHIF has no button to save: the option does it with the next run.
    done = server.info()["datastore"]["completed"]
    panel.choose_option("infer", "medsam", "save_as_gold")
    assert "'save_as_gold': True" in _asked(server, panel)
    _wait(lambda: server.info()["datastore"]["completed"] == done + 1)
    _wait(lambda: _kinds(desk) == ["AUTOMATIC", "SEMIAUTOMATIC"])

    panel.open_tab("Active Learning")
    panel.click("//button[normalize-space()='Update Model']")
    panel.find("//button[normalize-space()='Stop Training']")
    _wait(lambda: server.get("/train/", check_if_running="true").status_code == 200)
    panel.picture("training")
    panel.click("//button[normalize-space()='Stop Training']")
    _wait(lambda: server.get("/train/", check_if_running="true").status_code == 404)


def _kinds(desk: Desk) -> list[str]:
    """How the segmentations of the study came about, as the PACS has them."""
    found = segmentations_of(desk.orthanc, desk.shown)
    return sorted(one.SegmentSequence[0].SegmentAlgorithmType for one in found)


def _asked(server: Server, panel: Panel) -> str:
    """Press *Run*, and give what the server was asked, as its log has it."""
    before = server.log.read_text().count("Infer Request")
    panel.click("//button[normalize-space()='Run']")
    _wait(lambda: server.log.read_text().count("Infer Request") > before)
    return [line for line in server.log.read_text().splitlines() if "Infer Request" in line][-1]


def _wait(condition: Callable[[], bool], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.3)


def _submit(server: Server, uid: str, mask: np.ndarray, folder: Path) -> None:
    image = folder / "image.nii.gz"
    image.write_bytes(server.get("/datastore/image", image=uid).content)
    assert Slicer(server).submit(uid, mask, ["spleen"], affine=nibabel.load(image).affine).ok


def _settled(panel: Panel, name: str, *, above: int) -> int:
    deadline = time.monotonic() + 30
    count = 0
    while time.monotonic() < deadline:
        count = panel.drawn(name)
        if count > above:
            return count
        time.sleep(0.5)
    raise AssertionError(
        f"{count} coloured pixels, and more than {above} were expected: see {panel.pictures}/ohif_{name}.png"
    )
