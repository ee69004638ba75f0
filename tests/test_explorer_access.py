"""The explorer for everybody: keys, screen readers, light and dark, any width; its lessons."""

from __future__ import annotations

import json
from importlib import resources

import pytest
from browser import chromium
from readme import ROOT, blocks

import npformer

pytest.importorskip("selenium")
axe = pytest.importorskip("axe_playwright_python")

FIRST, LAST = "stages.0.blocks.0", "stages.3.blocks.3"
LESSONS = sorted((ROOT / "npformer/explorer/web/lessons").glob("*.json"))
LEVELS = {
    "map": "photo=cat&changes=block:stages.1.blocks.0",
    "pooling block": f"photo=cat&view={FIRST}",
    "attention block": f"photo=cat&view={LAST}",
    "array": f"photo=cat&view={FIRST}&array={FIRST}.mlp.act&place=3,4,max",
    "list": "photo=cat&view=norm&array=logits&place=max",
    "attention": f"photo=cat&view={LAST}&array={LAST}.token_mixer.attn&place=1,5,6",
    "matters": "photo=cat&view=matters",
    "lessons": "view=lessons",
    "a step of a lesson": "lesson=token&step=2",
}


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    file = npformer.explore().save(tmp_path_factory.mktemp("page") / "page.html")
    with chromium() as opened:
        opened.open(file)
        yield opened


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("level", LEVELS)
def test_axe_finds_nothing(page, level, scheme):
    page.prefer(prefers_color_scheme=scheme, prefers_reduced_motion="reduce")
    page.visit(LEVELS[level])
    if not page.run("return window.axe !== undefined"):
        page.run(resources.files(axe).joinpath("axe.min.js").read_text("utf-8"))
    found = page.driver.execute_async_script(
        "axe.run().then((found) => arguments[0](found.violations.map((v) => "
        "[v.impact, v.id, v.nodes.map((n) => n.html.slice(0, 200) + ' ' + n.failureSummary)])))"
    )
    assert found == [], json.dumps(found, indent=1)


@pytest.mark.parametrize("width", [360, 820, 1400])
@pytest.mark.parametrize("level", LEVELS)
def test_no_width_makes_the_page_move_sideways(page, level, width):
    page.size(width, 800)
    page.visit(LEVELS[level])
    wide = page.run("return document.scrollingElement.scrollWidth")
    sideways = page.run(
        "return [...document.querySelectorAll('main *, aside *')].filter((e) => "
        "e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, pre, .unseen'))"
        ".map((e) => e.outerHTML.slice(0, 100)).slice(0, 5)"
    )
    page.size(1280, 900)
    assert wide <= width, sideways
    assert sideways == []


def test_on_a_narrow_screen_a_lesson_comes_first_and_the_answer_stays_in_sight(page):
    page.prefer(prefers_reduced_motion="reduce")  # it scrolls at once
    order = (
        "return ['lesson', 'photograph', 'level', 'others']"
        ".map((id) => document.getElementById(id))"
        ".map((e, i, all) => i === 0 || Boolean(all[i - 1].compareDocumentPosition(e) & 4))"
    )
    page.size(390, 844)
    page.visit("lesson=token&step=1")
    assert page.run(order) == [True, True, True, True]
    page.run("scrollTo(0, document.scrollingElement.scrollHeight)")
    page.press(f"off-{FIRST}")
    label, score = page.answers()[0]
    brief = page.one("#brief-answer")
    assert label in brief.text
    assert f"{100 * score:.1f} %" in brief.text
    assert ("▲" in brief.text) or ("▼" in brief.text)
    box = brief.rect
    assert box["y"] - page.run("return scrollY") + box["height"] <= 844
    page.run("document.getElementById('brief-answer').click()")
    assert page.run("return document.activeElement.id") == "easel"
    assert page.run("return document.getElementById('easel').getBoundingClientRect().top") < 400
    page.size(1280, 900)
    page.until("document.getElementById('content').contains(document.getElementById('lesson'))")
    assert not page.one("#brief").is_displayed()
    assert page.run(order) == [True, False, True, False]  # others are beside the photograph
    page.prefer(prefers_reduced_motion="no-preference")


def test_everything_is_reached_and_done_by_keyboard(page):
    from selenium.webdriver import Keys

    def key(*words):
        page.driver.switch_to.active_element.send_keys(*words)

    page.visit(f"photo=cat&view={FIRST}&array={FIRST}&place=3,4,5")
    page.run("document.activeElement.blur(); document.getElementById('skip').focus()")
    key(Keys.ENTER)
    assert page.run("return document.activeElement.id") == "content"
    page.run("document.getElementById('places').focus()")
    for arrow, place in [
        (Keys.ARROW_DOWN, "4,4,5"),
        (Keys.ARROW_RIGHT, "4,5,5"),
        (Keys.ARROW_UP, "3,5,5"),
        (Keys.ARROW_LEFT, "3,4,5"),
    ]:
        page.forget()
        key(arrow)
        page.settle()
        assert f"place={place}" in page.address()
        assert page.run("return document.activeElement.id") == "places"  # the focus stays
    page.forget()
    page.run("document.getElementById('way-0').focus()")
    key(Keys.ENTER)
    page.settle()
    assert page.run("return document.activeElement.id") == "level-title"  # a reader is told
    unreachable = page.run(
        "return [...document.querySelectorAll("
        "'a, button, input, canvas[role=application]')]"
        ".filter((e) => e.tabIndex < 0 && !e.matches('.unseen'))"
        ".map((e) => e.outerHTML.slice(0, 90))"
    )
    assert unreachable == []


def test_the_answer_is_told_to_a_screen_reader(page):
    page.visit("photo=coffee")
    label = page.answers()[0][0]
    assert page.run("return document.getElementById('said').textContent").startswith(
        f"The answer: {label}, "
    )
    assert page.one("#said").get_attribute("role") == "status"


def test_little_motion_is_no_motion(page):
    script = "return getComputedStyle(document.querySelector('.bar > i')).transitionDuration"
    page.prefer(prefers_reduced_motion="reduce")
    page.visit("photo=coffee")
    assert page.run(script) == "0s"
    page.prefer(prefers_reduced_motion="no-preference")
    assert page.run(script) != "0s"


def test_light_and_dark_follow_the_system_and_the_button(page):
    script = "return getComputedStyle(document.documentElement).backgroundColor"
    page.prefer(prefers_color_scheme="light")
    light = page.run(script)
    page.prefer(prefers_color_scheme="dark")
    dark = page.run(script)
    assert light != dark
    page.run("document.getElementById('theme').click()")
    assert page.run(script) == light
    page.run("document.getElementById('theme').click()")
    assert page.run(script) == dark


# Lessons.


@pytest.mark.parametrize("file", LESSONS, ids=lambda file: file.stem)
def test_every_step_of_a_lesson_shows_what_it_speaks_of(page, file):
    lesson = json.loads(file.read_text("utf-8"))
    assert 5 <= len(lesson["steps"]) <= 8
    page.visit("view=lessons")
    page.press(f"lesson-{lesson['name']}")
    for number, step in enumerate(lesson["steps"], 1):
        assert f"step {number} of {len(lesson['steps'])}" in page.text(".lesson .where")
        text = page.text("#lesson-text")
        assert page.trouble() == ""
        assert not set("{}") & set(text)
        assert text.split()[:4] == step["text"].split()[:4] or "{" in " ".join(
            step["text"].split()[:4]
        )
        assert len(text.split(". ")) <= 5
        page.press("lesson-next")
    assert page.text("#level-title") == "Lessons"


def test_the_lesson_of_the_documentation_is_one(page):
    (lesson,) = blocks(ROOT / "docs/howto/explorer_lesson.md", "json")
    page.drop("documented.json", lesson.encode(), "application/json")
    page.until("document.getElementById('lesson-title')?.innerText === 'Without its beginning'")
    page.settle()
    for _ in range(3):
        assert page.trouble() == ""
        assert not set("{}") & set(page.text("#lesson-text"))
        page.press("lesson-next")


def test_a_lesson_of_a_teacher_is_dropped_and_shown(page):
    steps = [
        {"text": "The answer is {answer}.", "show": "photo=cat"},
        {
            "text": "Without a block: {answer}, before {before}.",
            "show": f"photo=cat&changes=block:{FIRST}",
        },
    ]
    page.drop(
        "mine.json", json.dumps({"title": "Mine", "steps": steps}).encode(), "application/json"
    )
    page.until("document.getElementById('lesson-title')?.innerText === 'Mine'")
    page.settle()
    assert page.text("#lesson-text") == f"The answer is “{page.answers()[0][0]}”."
    page.press("lesson-next")
    assert page.text("#lesson-text").startswith(
        f"Without a block: “{page.answers()[0][0]}”, before “"
    )
    assert page.all("#reset")
    page.press("lesson-leave")
    assert page.all(".lesson") == []
