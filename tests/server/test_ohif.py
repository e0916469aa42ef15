"""The OHIF viewer that MONAI Label serves, in a real browser, against Orthanc."""

from __future__ import annotations

import io
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from autoweak.phantoms.volume import make_volume_phantom
from tests.server.clients import Server, Slicer
from tests.server.conftest import Start, short_task, upload
from tests.server.dicom import segmentation_of, write_series

pytestmark = [pytest.mark.e2e, pytest.mark.slow]
SHAPE = (64, 56, 24)


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
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
    for word in ("--headless=new", "--no-sandbox", *software, "--window-size=1400,900", f"--user-data-dir={tmp_path}"):
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

    def drawn(self, name: str) -> int:
        """Keep a screenshot, and count the coloured pixels of the first viewport: images are grey, segments are not."""
        content = self.browser.get_screenshot_as_png()
        (self.pictures / f"{name}.png").write_bytes(content)
        with Image.open(io.BytesIO(content)) as picture:
            pixels = np.asarray(picture.convert("RGB")).astype(int)[200:700, 295:550]
        return int(((pixels.max(axis=2) - pixels.min(axis=2)) > 20).sum())


def test_study_is_opened_segmented_and_clicked(
    start: Start, orthanc: str, browser: Any, tmp_path_factory: pytest.TempPathFactory
) -> None:
    from selenium.webdriver.common.action_chains import ActionChains

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
    sent = segmentation_of(orthanc, shown).SegmentSequence[0]
    assert (sent.SegmentAlgorithmType, sent.SegmentLabel) == ("AUTOMATIC", "spleen")
    assert sent.SegmentAlgorithmName == "autoweak medsam_from_coarse (small)"
    study = server.get("/datastore/image/info", image=shown).json()["StudyInstanceUID"]

    pictures = Path(os.environ.get("AUTOWEAK_SCREENSHOTS", folder))
    pictures.mkdir(parents=True, exist_ok=True)
    panel = Panel(browser, pictures)
    browser.get(f"{server.url}/info/")
    # The panel's default is port 8000.
    browser.execute_script(f"document.cookie = 'MONAILABEL_SERVER_URL={server.url}/; path=/'")
    browser.get(f"{server.url}/ohif/monai-label?StudyInstanceUIDs={study}")
    panel.find("//body[contains(., '/24')]")  # a slice is shown
    panel.click("//button[contains(.,'Confirm and Hide')]")
    panel.click("//table[contains(@class,'settingsTable')]//button")
    panel.click("//label[contains(.,'Auto-Segmentation')]")
    time.sleep(2)
    before = panel.drawn("opened")
    panel.click("//button[normalize-space()='Run']")
    after = _settled(panel, "segmented", above=before + 500)

    # The very mask that the server has for it, as large on the screen as the truth.
    volume, _ = Slicer(server).infer("medsam_from_coarse", shown)
    assert np.logical_and(volume, truth[shown]).sum() > 0.6 * truth[shown].sum()

    panel.click("//label[contains(.,'Point Prompts')]")
    panel.click("//*[normalize-space(text())='spleen']")
    panel.find("//canvas", lambda canvas: ActionChains(browser).move_to_element(canvas).click().perform())
    time.sleep(2)
    requests_before = server.log.read_text().count("Infer Request")
    panel.click("//button[normalize-space()='Run']")
    deadline = time.monotonic() + 30
    while server.log.read_text().count("Infer Request") == requests_before and time.monotonic() < deadline:
        time.sleep(0.2)
    line = [line for line in server.log.read_text().splitlines() if "Infer Request" in line][-1]
    assert "'model': 'medsam'" in line
    assert "'foreground': [[" in line
    assert _settled(panel, "clicked", above=before + 500) > after / 3


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
        f"{count} coloured pixels, and more than {above} were expected: see {panel.pictures}/{name}.png"
    )
