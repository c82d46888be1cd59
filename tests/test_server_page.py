"""The page in a real browser: Debian's Chromium, by Playwright."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("starlette", reason="needs the extra serve")

from dexa import Dexa
from serving import TOKEN, process

BROWSER = shutil.which("chromium") or shutil.which("chromium-browser")
WIDTHS = {"wide": (1280, 900), "phone": (390, 844)}
NEW = "amber valley station"

if os.environ.get("DEXA_BROWSER") == "required":
    assert BROWSER, "chromium is to be there: apt-get install chromium"
    import playwright  # noqa: F401
else:
    pytest.importorskip("playwright", reason="needs the Python package playwright")
    pytest.importorskip("axe_playwright_python", reason="needs axe-playwright-python")
    if BROWSER is None:
        pytest.skip("no browser: apt-get install chromium", allow_module_level=True)

from axe_playwright_python.sync_playwright import Axe  # noqa: E402
from playwright.sync_api import Page, expect, sync_playwright  # noqa: E402


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=BROWSER, args=["--no-sandbox"])
        yield running
        running.close()


@pytest.fixture(scope="module")
def address(fitted: Dexa, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("page")
    fitted.save(folder / "model")
    (folder / "token").write_text(TOKEN)
    with process(folder / "model", "--token-file", str(folder / "token")) as server:
        yield server.address


@pytest.fixture
def page(browser: Any, address: str) -> Iterator[Page]:
    """The page, on which nothing may go wrong and nothing may be asked of other hosts."""
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    opened, faults = context.new_page(), []
    # Chromium says so of every answer that is no 200; some tests want one
    opened.on("console", lambda m: m.text.startswith("Failed to load") or faults.append(m.text))
    opened.on("pageerror", lambda error: faults.append(str(error)))
    opened.on("request", lambda r: r.url.startswith(address) or faults.append(r.url))
    opened.goto(address)
    expect(opened.locator(".chip").first).to_be_visible()
    yield opened
    context.close()
    assert faults == []


def ask(page: Page, text: str) -> None:
    page.fill("#text", text)
    expect(page.locator("#timing")).to_contain_text("labels in")
    expect(page.locator(".answer").first).to_be_visible()


def test_it_answers_as_one_types(page: Page) -> None:
    page.locator("#text").press_sequentially("green engine", delay=20)
    first = page.locator(".answer").first
    expect(first.locator(".name")).to_have_text("green engine")
    expect(first.locator(".bits")).to_contain_text(re.compile(r"(head|tail), \d+ document"))
    expect(first.locator(".bits")).to_contain_text(re.compile(r"label search -?\d\.\d\d"))
    expect(page.locator("#timing")).to_have_text(re.compile(r"10 labels in \d+ ms \([\d.]+ in"))
    expect(page.locator("#map circle")).to_have_count(25)  # all labels of the model, and the text
    expect(page.locator("#map circle.answered")).to_have_count(10)
    page.select_option("#k", "5")
    expect(page.locator(".answer")).to_have_count(5)
    page.fill("#text", "")
    expect(page.locator(".answer")).to_have_count(0)


def test_examples_answer(page: Page) -> None:
    chip = page.locator(".chip").first
    chip.click()
    expect(page.locator("#text")).to_have_value(chip.inner_text())
    expect(page.locator(".answer .name").first).to_be_visible()


def test_it_tells_why(page: Page) -> None:
    ask(page, "green engine at the market")
    first = page.locator(".answer").first
    first.click()
    expect(first).to_have_attribute("aria-expanded", "true")
    why = page.locator(".why")
    expect(why).to_contain_text("label search")
    expect(why.locator(".words")).to_have_text("green engine at the market")
    expect(why.locator(".words .for", has_text="green")).to_be_visible()
    first.click()
    expect(why).to_have_count(0)


def test_it_is_used_by_keys_alone(page: Page) -> None:
    page.locator(".chip").first.focus()
    page.keyboard.press("/")
    expect(page.locator("#text")).to_be_focused()
    ask(page, "violet flower")
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".answer").nth(0)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(page.locator(".answer").nth(1)).to_be_focused()
    expect(page.locator("#map .chosen")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator(".why")).to_have_count(1)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("ArrowUp")
    expect(page.locator("#text")).to_be_focused()


def test_an_answer_reached_before_the_map_is_drawn_is_shown_on_it(page: Page) -> None:
    waiting: list[Any] = []
    page.route("**/v1/map", lambda route: waiting.append(route))
    ask(page, "violet flower")
    page.keyboard.press("End")
    page.keyboard.press("ArrowDown")
    expect(page.locator(".answer").nth(0)).to_be_focused()
    assert page.locator("#map .chosen").count() == 0
    waiting.pop().continue_()
    expect(page.locator("#map .chosen")).to_have_count(1)


def test_labels_are_found(page: Page) -> None:
    page.fill("#query", "castle")
    expect(page.locator("#found button")).to_have_count(6)
    page.locator("#found button").first.click()
    expect(page.locator("#text")).to_have_value(re.compile("castle"))
    page.fill("#query", "nothing like it")
    expect(page.locator("#found")).to_have_text("None has it.")


def test_a_label_is_added_answers_and_is_removed(page: Page) -> None:
    ask(page, NEW)
    expect(page.locator(".name", has_text=NEW)).to_have_count(0)
    page.fill("#new-label", NEW)
    page.fill("#token", "not the right token")
    page.click("#add button")
    expect(page.locator("#add-said")).to_have_text(re.compile("token"))
    page.fill("#token", TOKEN)
    page.click("#add button")
    expect(page.locator("#add-said")).to_have_text(re.compile(f"Added “{NEW}”"))
    expect(page.locator(".answer .name").first).to_have_text(NEW)
    expect(page.locator("#facts")).to_contain_text("25 labels")
    page.get_by_role("button", name=f"Remove {NEW}").click()
    expect(page.locator("#facts")).to_contain_text("24 labels")
    expect(page.locator(".answer .name", has_text=NEW)).to_have_count(0)


def test_a_text_is_never_markup(page: Page) -> None:
    page.fill("#new-label", "<img src=x onerror=alert(1)> amber")
    page.fill("#token", TOKEN)
    page.click("#add button")
    ask(page, "amber")
    expect(page.locator(".name", has_text="<img").first).to_be_visible()
    assert page.locator("main img").count() == 0
    page.get_by_role("button", name=re.compile("^Remove <img")).click()
    expect(page.locator("#facts")).to_contain_text("24 labels")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_it_is_accessible_and_fits(
    browser: Any, address: str, width: str, scheme: str, tmp_path: Path
) -> None:
    size = dict(zip(("width", "height"), WIDTHS[width], strict=True))
    context = browser.new_context(viewport=size, color_scheme=scheme)
    page = context.new_page()
    for path in ("/", "/docs"):
        page.goto(address + path)
        if path == "/":
            ask(page, "green engine at the market")
            expect(page.locator("#map text").first).to_be_visible()
            page.locator(".answer").first.click()
            expect(page.locator(".why h3").first).to_be_visible()
        else:
            expect(page.locator("h2").first).to_be_visible()
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        wide = page.evaluate("document.documentElement.scrollWidth")
        assert wide <= size["width"], "it scrolls sideways"
        kept = Path(os.environ.get("DEXA_SCREENSHOTS", tmp_path))
        shot = kept / f"{width}-{scheme}{path.replace('/', '-').rstrip('-')}.png"
        page.screenshot(path=shot, full_page=path == "/")
        assert shot.stat().st_size > 10_000
    context.close()
