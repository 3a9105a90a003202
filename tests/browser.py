"""A headless Chromium on this machine (Debian's ``chromium`` and ``chromium-driver``)."""

import contextlib
import json
import shutil

from selenium import webdriver
from selenium.webdriver.chrome.service import Service

_SIZE = (1500, 900)


@contextlib.contextmanager
def chromium(folder):
    """Starts one with a profile of its own in a folder, and stops it at the end."""
    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium")
    for argument in (
        "--headless=new",
        "--no-sandbox",  # the tests may run as root
        "--disable-dev-shm-usage",
        "--use-gl=angle",
        "--use-angle=swiftshader",
        "--enable-unsafe-swiftshader",
        "--disable-background-networking",
        "--no-first-run",
        f"--user-data-dir={folder}",
        "--window-size={},{}".format(*_SIZE),
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"performance": "ALL", "browser": "ALL"})
    browser = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield browser
    finally:
        browser.quit()


def requested(browser):
    """The http addresses that pages have asked for since the last call, in order."""
    messages = (json.loads(entry["message"])["message"] for entry in browser.get_log("performance"))
    urls = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    return [url for url in urls if url.startswith("http")]
