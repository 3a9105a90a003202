"""The page for blind grading in a real browser, by keyboard alone, with and without a login."""

import io
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
from matplotlib.image import imsave
from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webdriver import WebDriver
from selenium.webdriver.support.ui import WebDriverWait
from tests.browser import chromium, requested
from tests.evaluation.grading.graded import inputs, plan_of
from tests.server.grading_desk import AHO, BERG, NAME, GradingDesk, grading_desk, listening
from tests.server.guarded import PASSWORD

from parotid_brachy.lib.evaluation.grading.grades import Grade
from parotid_brachy.lib.evaluation.grading.making import Picture, make_study

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(
        not (shutil.which("chromium") and shutil.which("chromedriver")),
        reason="no Chromium here: scripts/test installs it",
    ),
]

WAIT_S = 20


def draw(volume, labels, structures, filled):
    """Small pictures, quickly."""
    planes = ("axial", "axial", "coronal", "sagittal")
    pictures = []
    for number, plane in enumerate(planes):
        file = io.BytesIO()
        imsave(file, np.full((64, 64), number), vmin=0, vmax=len(planes), format="png")
        pictures.append(Picture(plane, file.getvalue()))
    return pictures


@pytest.fixture(scope="module")
def made_study(tmp_path_factory):
    """Two items of one case."""
    folder = tmp_path_factory.mktemp("made")
    inputs(folder, cases=1, methods=("two-step",))
    make_study(plan_of(folder, ("two-step",)), folder / "study", draw, lambda _: None)
    return folder / "study"


@dataclass
class Page:
    """The page in a browser.

    Attributes:
        browser: that shows it.
        url: of the server.
        desk: behind it.
    """

    browser: WebDriver
    url: str
    desk: GradingDesk

    def wait(self, condition, what):
        try:
            WebDriverWait(
                self.browser, WAIT_S, 0.05, ignored_exceptions=[StaleElementReferenceException]
            ).until(lambda _: condition(), what)
        except TimeoutException as error:
            said = self.browser.find_element(By.TAG_NAME, "body").text
            message = f"{what}; the page says: {said}"
            raise AssertionError(message) from error

    def type(self, *keys):
        ActionChains(self.browser).send_keys(*keys).perform()

    def text(self, css):
        found = self.browser.find_elements(By.CSS_SELECTOR, css)
        return found[0].text if found else ""

    def until(self, css, text):
        self.wait(lambda: text in self.text(css), f"{text!r} in {css}")

    def log_in(self, name):
        """On the login page."""
        self.wait(lambda: self.browser.find_elements(By.ID, "password"), "the login page")
        self.browser.find_element(By.ID, "username").send_keys(name)
        self.browser.find_element(By.ID, "password").send_keys(PASSWORD, Keys.ENTER)

    def log_in_elsewhere(self, name):
        """As another tab of the same browser does."""
        status = self.browser.execute_async_script(
            """const [name, password, done] = arguments;
            fetch('/auth/session', {method: 'POST', headers: {Accept: 'application/json'},
              body: new URLSearchParams({username: name, password})}).then(a => done(a.status));""",
            name,
            PASSWORD,
        )
        assert status == 200

    def open_study(self):
        self.until("#studies", NAME)
        self.type(Keys.ENTER)  # the first study has the focus
        self.until("#left", "6 of 6 left")

    def faults(self):
        """The errors in the browser's console, but for answers that are refusals."""
        errors = [e["message"] for e in self.browser.get_log("browser") if e["level"] == "SEVERE"]
        return [one for one in errors if "/review/" not in one and "/favicon.ico" not in one]

    def kept(self):
        return [
            (kept.grader, kept.grade.item, kept.grade.structure, kept.grade.grade)
            for kept in self.desk.ledger.history()
        ]


@pytest.fixture
def page(request, made_study, tmp_path, monkeypatch):
    monkeypatch.setattr("parotid_brachy.lib.review.readers._COST", 4)
    conf = {"auth": "local"} if getattr(request, "param", True) else {}
    with (
        grading_desk(tmp_path, made_study, monkeypatch, **conf) as desk,
        listening(desk.app) as url,
        chromium(tmp_path / "profile") as browser,
    ):
        browser.get(f"{url}/grading/?study=nothing")
        yield Page(browser, url, desk)


def test_an_item_is_graded_by_keyboard_and_changed_later(page):
    names = [structure.name for structure in page.desk.study.structures]
    first, second = page.desk.study.orders[BERG]
    assert "next=%2Fgrading%2F" in page.browser.current_url
    page.log_in(BERG)
    page.until("#said", "none of that name")  # the address named a study that there is not
    page.open_study()
    assert page.text("#who") == f"{BERG} (reviewer)"
    pictures = page.browser.find_elements(By.CSS_SELECTOR, "#pictures img")
    page.wait(
        lambda: all(int(one.get_property("naturalWidth")) == 64 for one in pictures), "pictures"
    )
    shown = page.text("#shown")
    page.type(Keys.PAGE_DOWN)
    assert page.text("#shown") != shown

    page.type("3", "0", "n", "cut off 3", Keys.ENTER, "1")
    page.until("#left", "2 of 6 left")
    page.type(Keys.ARROW_UP, "2", "2")  # the fourth again, and the fifth
    page.until("#left", "1 of 6 left")
    page.type("3", Keys.ENTER)
    page.until("#said", "Item 1 saved.")
    page.until("#where", "item 2 of 2, 1 graded")
    assert page.kept() == [
        (BERG, first, name, grade) for name, grade in zip(names, (3, 0, None, 2, 2, 3), strict=True)
    ]
    assert page.desk.ledger.history()[2].grade.reason == "cut off 3"

    page.browser.find_element(By.ID, "back").send_keys(Keys.ENTER)
    page.until("#where", "item 1 of 2")
    page.until("#structures", "Reason")
    page.type("1")  # the first structure has the focus
    page.browser.find_element(By.ID, "save").send_keys(Keys.ENTER)
    page.until("#where", "item 2 of 2")
    page.type(*"333333", Keys.ENTER)
    page.until("#finished-title", "All items are graded")
    assert page.kept()[6] == (BERG, first, names[0], 1)
    assert page.kept()[7:] == [(BERG, second, name, 3) for name in names]
    assert [url for url in requested(page.browser) if not url.startswith(page.url)] == []
    assert page.faults() == []


def test_grades_are_not_saved_in_the_name_of_who_has_logged_in_meanwhile(page):
    page.log_in(BERG)
    page.open_study()
    page.type(*"333333")
    page.until("#who", BERG)
    page.log_in_elsewhere(AHO)
    page.type(Keys.ENTER)
    page.until("#who", f"{AHO} (annotator)")
    page.until("#left", "6 of 6 left")
    assert page.kept() == []
    assert page.text("#where").startswith(f"{NAME}: item 1 of 2, 0 graded")
    page.log_in_elsewhere(BERG)
    page.browser.execute_script("window.dispatchEvent(new Event('focus'))")
    page.until("#who", BERG)


def test_a_key_that_is_held_down_grades_one_structure_and_saves_nothing(page):
    def hold(key):
        for repeat in (False, True, True):
            page.browser.execute_script(
                "document.activeElement.dispatchEvent(new KeyboardEvent('keydown', "
                "{key: arguments[0], repeat: arguments[1], bubbles: true, cancelable: true}))",
                key,
                repeat,
            )

    page.log_in(BERG)
    page.open_study()
    hold("2")
    page.until("#left", "5 of 6 left")
    prevented = page.browser.execute_script(
        "const event = new KeyboardEvent('keydown', "
        "{key: 'Enter', repeat: true, bubbles: true, cancelable: true});"
        "document.getElementById('save').dispatchEvent(event); return event.defaultPrevented"
    )
    assert prevented, "else it would save, item after item"
    page.type("n", "nnn 222")
    assert page.browser.switch_to.active_element.get_property("value") == "nnn 222"


def test_what_is_left_out_is_told_and_a_closing_ends_it(page):
    page.log_in(BERG)
    page.open_study()
    page.type("3", "n")
    page.browser.find_element(By.ID, "save").send_keys(Keys.ENTER)
    page.until("#said", "Saved. Still without a grade or a reason: Condyle process, Skin")
    assert len(page.kept()) == 1
    page.desk.ledger.close("ada", incomplete=True)
    page.type("too dark", Keys.ENTER, *"3333", Keys.ENTER)
    page.until("#said", "closed by ada")
    assert len(page.kept()) == 1


@pytest.mark.parametrize("page", [False], indirect=True)
def test_without_login_the_page_asks_for_the_name_and_grades_under_it(page):
    item = page.desk.study.orders[AHO][0]
    page.desk.ledger.add(AHO, [Grade(item=item, structure="skin", grade=0, comment="<b>so</b>")])
    page.wait(lambda: page.browser.find_element(By.ID, "name").is_displayed(), "a question")
    page.type(AHO, Keys.ENTER)
    page.until("#studies", "0 of 2 items graded")
    page.type(Keys.ENTER)
    page.until("#who", f"{AHO}, not logged in")
    page.until("#left", "5 of 6 left")
    comments = page.browser.find_elements(By.CSS_SELECTOR, ".comment input")
    assert [one.get_property("value") for one in comments] == ["", "", "<b>so</b>", "", "", ""]
    page.type("2")
    page.until("#left", "4 of 6 left")
    page.browser.find_element(By.ID, "save").send_keys(Keys.ENTER)
    page.until("#said", "Saved.")
    assert page.kept()[1:] == [(AHO, item, "auricula", 2)]
    assert page.faults() == []
