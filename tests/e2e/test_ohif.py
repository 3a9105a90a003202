"""OHIF in a real browser, over a real Orthanc: both readers' turns, without and with a login."""

import http.client
import shutil
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
import requests
import SimpleITK as sitk
from selenium.common.exceptions import NoAlertPresentException, TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import Select, WebDriverWait
from tests.browser import chromium, requested
from tests.e2e.conftest import OUR_ASGI, Server, painted_head, write_registry
from tests.orthanc import PASSWORD as ARCHIVE_PASSWORD
from tests.orthanc import USER, Orthanc, orthanc, orthanc_program

from parotid_brachy.lib.anatomy import STRUCTURES
from parotid_brachy.lib.imaging.files import read_volume
from parotid_brachy.lib.phantom.dicom_series import write_series
from parotid_brachy.lib.review.readers import ReadersFile
from parotid_brachy.lib.review.roles import Role

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (orthanc_program() and shutil.which("chromium") and shutil.which("chromedriver")),
        reason="no Orthanc or no Chromium here: scripts/test installs both",
    ),
]

PASSWORD = "correct horse battery"
WAIT_S = 30
NAMES = sorted(structure.name for structure in STRUCTURES)
BY_NAME = {structure.name: structure.value for structure in STRUCTURES}


@dataclass
class Viewer:
    """OHIF in a browser.

    Attributes:
        browser: that shows it.
        url: of the server.
        folder: for a picture, should something fail.
    """

    browser: WebDriver
    url: str
    folder: Path

    def wait(self, condition, what):
        """Waits for a condition; keeps a picture beside the profile where it does not come true."""
        try:
            WebDriverWait(self.browser, WAIT_S).until(lambda _: condition(), what)
        except TimeoutException:
            self.browser.save_screenshot(str(self.folder / "failed.png"))
            raise

    def one(self, selector):
        """The first element of a selector, once it is there."""
        self.wait(lambda: self.browser.find_elements(By.CSS_SELECTOR, selector), selector)
        return self.browser.find_element(By.CSS_SELECTOR, selector)

    def click(self, selector):
        # Notifications come and go over what is to be clicked.
        self.browser.execute_script("arguments[0].click()", self.one(selector))

    def log_in(self, name, password=PASSWORD):
        self.one("#username").send_keys(name)
        self.one("#password").send_keys(password)
        self.click("button")

    def open_case(self):
        """Opens the first study of the list in the MONAI Label mode, and connects the panel."""
        self.browser.get(f"{self.url}/ohif/")
        self.click("table table tr")
        self.click("button[data-cy^='mode-monai-label']")
        self.wait(self.is_drawn, "the series is drawn")
        self.click(".settingsTable .actionButton")
        self.one(".monaiLabelPanel .tab-content select")
        self.wait(lambda: self.segments() == NAMES, f"{NAMES}, not {self.segments()}")

    def is_drawn(self):
        numbers = self.texts("[data-cy='viewport-overlay-bottom-right']")
        return len(numbers) == 3 and all("/" in number for number in numbers)

    def texts(self, selector):
        found = self.browser.find_elements(By.CSS_SELECTOR, selector)
        return [element.get_attribute("textContent") for element in found]

    def segments(self):
        """The names in the list of segments."""
        return [
            text.lstrip("0123456789").removesuffix("icon-more")
            for text in self.texts("[data-cy='data-row']")
        ]

    def run(self, model):
        """Runs a model, and waits for its contours."""
        before = self.voxels()
        tab = next(
            tab
            for tab in self.browser.find_elements(By.CSS_SELECTOR, ".monaiLabelPanel .tab")
            if "Auto-Segmentation" in tab.text
        )
        Select(tab.find_element(By.TAG_NAME, "select")).select_by_visible_text(model)
        (button,) = [b for b in tab.find_elements(By.TAG_NAME, "button") if b.text == "Run"]
        self.browser.execute_script("arguments[0].click()", button)
        self.wait(lambda: not np.array_equal(self.voxels(), before), f"contours of {model}")

    def voxels(self):
        """The label map in the browser, flat, i fastest, in the project's values."""
        shown = self.browser.execute_script(
            """const root = document.querySelector('#root');
            const rest = [root[Object.keys(root).find(key => key.startsWith('__reactContainer'))]];
            for (let part; (part = rest.pop()); ) {
              const manager = part.memoizedProps && part.memoizedProps.servicesManager;
              if (manager) {
                const volume = manager.services.segmentationService.getLabelmapVolume('1');
                return Array.from(volume.voxelManager.getCompleteScalarDataArray());
              }
              rest.push(...[part.sibling, part.child].filter(one => one));
            }
            return [];"""
        )
        table = np.zeros(256, np.uint8)
        for index, name in enumerate(NAMES, start=1):  # the panel sorts them
            table[index] = BY_NAME[name]
        return table[np.asarray(shown, np.uint8)]

    def paint(self, at):
        """A stroke of the brush, in the first segment, in the first pane."""
        self.click("[data-cy='Brush']")
        before = self.voxels()
        pane = self.one("canvas.cornerstone-canvas")
        stroke = ActionChains(self.browser).move_to_element_with_offset(pane, *at)
        stroke.click_and_hold().move_by_offset(12, 6).release().perform()
        self.wait(lambda: not np.array_equal(self.voxels(), before), "a stroke")

    def submit(self):
        """Submits the contours; returns what the viewer says about it."""
        self.browser.execute_script(
            "setTimeout(() => arguments[0].click())", self.one("#parotid-submit")
        )
        self.wait(self._confirmed, "a question")
        self.wait(lambda: "ubmitted" in self.said(), "an answer")
        return self.said()

    def _confirmed(self):
        try:
            self.browser.switch_to.alert.accept()
        except NoAlertPresentException:
            return False
        return True

    def said(self):
        return self.one("#parotid-said").text

    def call_oneself(self, name):
        """Says a name, where there is no login."""
        self.wait(lambda: "not logged in" in self.one("#parotid-who").text, "who is asked")
        self.browser.execute_script("setTimeout(() => arguments[0].click())", self.button("Name"))
        self.wait(lambda: self._answered(name), "a question")
        self.wait(lambda: name in self.one("#parotid-who").text, "the name")

    def _answered(self, text):
        try:
            self.browser.switch_to.alert.send_keys(text)
        except NoAlertPresentException:
            return False
        self.browser.switch_to.alert.accept()
        return True

    def button(self, text):
        """A button of the bar."""
        found = self.browser.find_elements(By.CSS_SELECTOR, "#parotid-bar button")
        return next(one for one in found if one.get_attribute("textContent") == text)


@dataclass(frozen=True)
class Site:
    """A server over an archive with one series.

    Attributes:
        server: of them.
        series: its case.
        has_login: whether readers log in.
    """

    server: Server
    series: str
    has_login: bool

    def headers(self, name):
        """For the REST API in a reader's name."""
        if not self.has_login:
            return {}
        form = {"username": name, "password": PASSWORD}
        answer = requests.post(f"{self.server.url}/auth/token", data=form, timeout=30)
        return {"Authorization": f"Bearer {answer.json()['access_token']}"}

    def kept(self, tag, folder):
        """The label map under a tag as the store has it, flat, i fastest."""
        answer = requests.get(
            f"{self.server.url}/datastore/label",
            params={"label": self.series, "tag": tag},
            headers=self.headers("sofia"),
            timeout=30,
        )
        answer.raise_for_status()
        path = Path(folder) / "kept.seg.nrrd"
        path.write_bytes(answer.content)
        return sitk.GetArrayFromImage(sitk.ReadImage(str(path))).ravel()


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """An Orthanc that holds a painted head, smaller gland on the left, as a CT series."""
    folder = tmp_path_factory.mktemp("archive")
    sitk.WriteImage(painted_head((14, 17)), str(folder / "head.nii.gz"))
    head = read_volume(folder / "head.nii.gz", case="PHANTOM-1")
    write_series(head, folder / "slices", seed=1)
    (folder / "orthanc").mkdir()
    with orthanc(folder / "orthanc") as running:
        running.upload(folder / "slices")
        yield running


@pytest.fixture(scope="module", params=[False, True], ids=["without-login", "with-login"])
def site(request, start_server, archive: Orthanc, tmp_path_factory):
    """Our server over the archive."""
    folder = tmp_path_factory.mktemp("site")
    write_registry(folder / "models")
    readers = ReadersFile(folder / "readers.json")
    for name, role in (("ana", Role.ANNOTATOR), ("sofia", Role.REVIEWER)):
        readers.add(name, role, PASSWORD)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MONAI_LABEL_DICOMWEB_USERNAME", USER)
        patch.setenv("MONAI_LABEL_DICOMWEB_PASSWORD", ARCHIVE_PASSWORD)
        server = start_server(
            *OUR_ASGI,
            *("--conf", "studies_folder", str(folder / "kept")),
            *("--conf", "readers", str(folder / "readers.json")),
            *(("--conf", "auth", "local") if request.param else ()),
            studies=archive.url,
            model_dir=folder / "models",
        )
    (series,) = archive.series("CT")
    uid = series["MainDicomTags"]["SeriesInstanceUID"]
    return Site(server, uid, has_login=request.param)


@pytest.fixture
def viewer(site, tmp_path):
    """A browser of one's own."""
    with chromium(tmp_path / "profile") as browser:
        yield Viewer(browser, site.server.url, tmp_path)


def begin(viewer, site, name):
    """Opens the case in a reader's name."""
    viewer.browser.get(f"{viewer.url}/ohif/")
    if site.has_login:
        assert "/auth/login?next=" in viewer.browser.current_url
        viewer.log_in(name)
    else:
        viewer.call_oneself(name)
    viewer.open_case()
    assert name in viewer.one("#parotid-who").text


def end(viewer, site):
    if site.has_login:
        viewer.browser.execute_script("arguments[0].click()", viewer.button("Log out"))
        viewer.wait(lambda: "/auth/login" in viewer.browser.current_url, "the login page")


def test_both_readers_take_their_turns_in_ohif(viewer, site, tmp_path):
    begin(viewer, site, "ana")
    viewer.run("two_step")
    drafted = viewer.voxels()
    assert set(drafted) == {0, *BY_NAME.values()}
    assert np.array_equal(drafted, site.kept("original", tmp_path))
    viewer.paint((-60, 60))
    submitted = viewer.voxels()
    assert viewer.submit() == "Submitted as final (version 2)."
    assert np.array_equal(site.kept("final", tmp_path), submitted)
    end(viewer, site)

    begin(viewer, site, "sofia")
    viewer.run("contours")
    assert np.array_equal(viewer.voxels(), submitted)
    viewer.paint((50, -70))
    corrected = viewer.voxels()
    assert viewer.submit() == "Submitted as version_1 (version 3)."
    assert np.array_equal(site.kept("version_1", tmp_path), corrected)
    assert np.array_equal(site.kept("final", tmp_path), submitted)
    assert [url for url in requested(viewer.browser) if not url.startswith(viewer.url)] == []

    answer = requests.get(
        f"{viewer.url}/review/cases/{site.series}", headers=site.headers("sofia"), timeout=30
    ).json()
    assert (answer["state"], answer["initial_author"]) == ("in_review", "ana")


def test_a_session_that_has_ended_leads_to_the_login_page(viewer, site):
    if not site.has_login:
        pytest.skip("there is no login")
    viewer.browser.get(f"{viewer.url}/ohif/")
    viewer.log_in("ana", "not the password")
    assert "wrong" in viewer.one("[role=alert]").text
    viewer.log_in("ana")
    row = viewer.one("table table tr")
    assert "SameSite" not in viewer.browser.execute_script("return document.cookie")
    assert "parotid_session" not in viewer.browser.execute_script("return document.cookie")
    viewer.browser.delete_all_cookies()
    row.click()
    viewer.wait(lambda: "/auth/login" in viewer.browser.current_url, "the login page")
    viewer.log_in("ana")
    viewer.one("table table tr")


ELSEWHERE = [
    "..%2finstances", "..%2fsystem", "%2e%2e/system", "%2e%2e%2fsystem", "..%252fsystem",
    "%252e%252e%252fsystem", "wado/..%2f..%2fsystem", "wado/../../system", "qido/../system",
    "studies/..%2f..%2fsystem", "studies/1/../../../system", "studies/..;/..;/system",
    "studies%2f..%2f..%2fsystem", "/system", "//system", "system", "instances", "patients",
    "tools/execute-script", "tools/find", "modalities", "jobs", "changes", "statistics",
    "studies/%00/../../system", "studies\\..\\..\\system", "studies?x=/../system/../../instances",
    "..%c0%afsystem", "http://127.0.0.1/system", "wado/http:%2f%2f127.0.0.1%2fsystem", "@system",
    "studies/1/archive", "wado?requestType=WADO", "servers", "info", "app/explorer.html",
]  # fmt: skip


@pytest.mark.parametrize("path", ELSEWHERE)
def test_nothing_of_orthanc_but_dicomweb_is_reachable(site, archive, path):
    known = archive.rest("system")["DicomAet"]
    bodies = []
    for method in ("GET", "HEAD", "POST", "PUT", "DELETE"):
        connection = http.client.HTTPConnection(urlsplit(site.server.url).netloc, timeout=30)
        headers = site.headers("sofia") if method == "GET" else {}
        connection.putrequest(method, f"/proxy/dicom/{path}", skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        answer = connection.getresponse()
        body = answer.read()
        bodies.append(body)
        is_search = path.startswith("studies?") and method == "GET"
        assert answer.status == 200 if is_search else answer.status >= 400, (method, answer.status)
        assert answer.status < 500
        connection.close()
    for body in bodies:
        assert known.encode() not in body
        assert b"DatabaseVersion" not in body
