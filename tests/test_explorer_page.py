"""The explorer in a real browser, opened from disk: what it shows is what Python computes."""

from __future__ import annotations

import io
import re
from math import sqrt

import numpy as np
import pytest
from browser import chromium
from PIL import Image

pytest.importorskip("selenium")

from explorer_cases import Explored, kinds_of_interventions

import npformer
from npformer.explorer import Exploration

FIRST, LAST, LAST_POOLING = "stages.0.blocks.0", "stages.3.blocks.3", "stages.3.blocks.0"
MIXER = f"{LAST}.token_mixer"
FIVE = 0.6e-4
"""Half a unit of the last of five digits, relative to the smallest such number, and a bit."""


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return Explored(npformer.load(engine="numpy"), tmp_path_factory.mktemp("explored"))


@pytest.fixture(scope="module")
def file(tiny, tmp_path_factory):
    return npformer.explore(model=tiny.classifier).save(
        tmp_path_factory.mktemp("page") / "page.html"
    )


@pytest.fixture(scope="module")
def started(file):
    with chromium() as opened:
        opened.open(file)
        yield opened


@pytest.fixture
def page(started):
    """The page that is open, as it opens, and at the end without a word on the console."""
    started.visit("")
    yield started
    assert started.errors() == []
    assert [url for url in started.requests() if not url.startswith("file://")] == []


def answer(tiny, image, interventions=()):
    """Label and score of the likeliest class, by Python's layers in float64."""
    scores = tiny.trace(image, [{"K": 32, **each} for each in interventions])["scores"][0]
    best = int(scores.argmax())
    return tiny.classifier.labels[best], scores[best]


def same(shown, expected):
    assert shown[0][0] == expected[0]
    assert shown[0][1] == pytest.approx(expected[1], abs=2e-5)


def read(text):
    """Read the numbers of a text as the page writes them."""
    return [
        float(word) for word in re.findall(r"-?\d+(?:\.\d+)?(?:e[+-]?\d+)?", text.replace("−", "-"))
    ]


@pytest.mark.parametrize("name", npformer.data.PHOTOGRAPHS)
def test_the_answer_is_that_of_python(page, tiny, name):
    page.visit(f"photo={name}")
    same(page.answers(), answer(tiny, npformer.data.photograph(name)))
    assert page.trouble() == ""


# A photograph of the reader's.


def test_a_photograph_is_dropped(page, tiny):
    rng = np.random.default_rng(3)
    image = Image.fromarray(rng.integers(0, 256, (90, 150, 3), np.uint8)).resize((300, 180))
    file = io.BytesIO()
    image.save(file, "PNG")
    page.drop("noise.png", file.getvalue(), "image/png")
    page.until("location.hash.includes('photo=own')")
    page.settle()
    same(page.answers(), answer(tiny, image))


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        (
            "letter.txt",
            b"Dear network",
            "“letter.txt” is not a photograph that this browser can read",
        ),
        ("torn.png", b"\x89PNG\r\n\x1a\n torn", "“torn.png” is not a photograph"),
        ("letter.jpg", b"Dear network", "“letter.jpg” is not a photograph"),
        ("nothing.png", b"", "“nothing.png” is empty"),
        ("nothing.json", b"", "“nothing.json” is no lesson: it is not JSON"),
        ("wrong.json", b"{", "“wrong.json” is no lesson: it is not JSON"),
        (
            "empty.json",
            b'{"title": "x"}',
            "“empty.json” is no lesson: expected a title, and a list",
        ),
        ("mute.json", b'{"title": "x", "steps": [{}]}', "“mute.json”: step 1 needs a text"),
        (
            "typo.json",
            b'{"title": "x", "steps": [{"text": "It is {anser}."}]}',
            "“typo.json”: the text of step 1 says {anser}, which stands for nothing",
        ),
        (
            "address.json",
            b'{"title": "x", "steps": [{"text": "x", "show": "vieuw=map"}]}',
            "Step 1 of the lesson: The address says “vieuw=map”",
        ),
        (
            "path.json",
            b'{"title": "x", "steps": [{"text": "x", "show": "view={lastPool}"}]}',
            "This network has nothing that is called {lastPool} in the lesson",
        ),
    ],
)
def test_what_cannot_be_taken_gets_a_sentence(page, name, data, words):
    before = page.answers()
    page.drop(name, data, "")
    page.until("document.getElementById('trouble').innerText.trim()")
    assert words in page.trouble()
    assert page.answers() == before


def test_too_large_a_file_gets_a_sentence(page):
    page.run(
        "const transfer = new DataTransfer();"
        "transfer.items.add(new File([new Uint8Array(61e6)], 'large.png'));"
        "document.body.dispatchEvent(new DragEvent('drop',"
        " { dataTransfer: transfer, bubbles: true, cancelable: true }));"
    )
    page.until("document.getElementById('trouble').innerText.trim()")
    assert "“large.png” is too large: 61 MB" in page.trouble()


def test_too_many_pixels_get_a_sentence(page):
    """Of a small file; its 60 million pixels are not even made."""
    file = io.BytesIO()
    Image.new("1", (12000, 5000)).save(file, "PNG")
    page.drop("vast.png", file.getvalue(), "image/png")
    page.until("document.getElementById('trouble').innerText.trim()")
    assert "“vast.png” is too large: 12000 × 5000 pixels" in page.trouble()


def test_a_browser_that_alters_pictures_is_named(started, file):
    """As some do against being recognized: one byte of what a page reads is another."""
    script = (
        "const read = OffscreenCanvasRenderingContext2D.prototype.getImageData;"
        "OffscreenCanvasRenderingContext2D.prototype.getImageData = function (...box) {"
        " const image = read.apply(this, box); image.data[4] ^= 1; return image; }"
    )
    cdp = started.driver.execute_cdp_cmd
    given = cdp("Page.addScriptToEvaluateOnNewDocument", {"source": script})
    try:
        started.open(file)
        assert "This browser changes a photograph a little" in started.text("#field-words")
    finally:
        cdp("Page.removeScriptToEvaluateOnNewDocument", given)
        started.open(file)
    assert "This browser changes" not in started.text("#field-words")


# One number: the arithmetic that is shown adds up.

NUMBERS = {
    "normalize": ("stem", "pixel_values", [64, 30, 1]),
    "conv2d of three colors": ("stem", "stem.conv1", [0, 20, 3]),
    "batch_norm": ("stem", "stem.norm1", [9, 11, 4]),
    "relu": ("stem", "stem.act1", [9, 11, 5]),
    "pooling in a corner": (FIRST, f"{FIRST}.token_mixer", [0, 0, 2]),
    "pooling": (FIRST, f"{FIRST}.token_mixer", [7, 8, 2]),
    "layer_scale": (FIRST, f"{FIRST}.ls1", [7, 8, 2]),
    "conv2d of one place": (FIRST, f"{FIRST}.mlp.fc1", [7, 8, 2]),
    "gelu": (FIRST, f"{FIRST}.mlp.act", [7, 8, 2]),
    "residual": (FIRST, FIRST, [7, 8, 2]),
    "flat": ("stages.3.blocks.1", "stages.3.blocks.1", [5, 17]),
    "layer_norm": (LAST, f"{LAST}.norm1", [5, 17]),
    "linear": (LAST, f"{LAST}.token_mixer.qkv", [5, 17]),
    "attend": (LAST, f"{MIXER}.attn", [3, 5, 9]),
    "weighted_sum": (LAST, f"{MIXER}.context", [5, 300]),
    "mean": ("norm", "pooled", [100]),
    "average": ("norm", "logits", [7]),
    "softmax": ("norm", "scores", [7]),
}


@pytest.mark.parametrize("kind", NUMBERS)
def test_what_is_shown_of_a_number_adds_up_to_it(page, tiny, kind):
    step, path, index = NUMBERS[kind]
    page.visit(f"photo=cat&view={step}&array={path}&place={','.join(map(str, index))}")
    assert page.trouble() == ""
    for button in page.all("#number .all-terms"):
        page.run("arguments[0].click()", button)
    totals = [check_part(page, part) for part in page.all("#number .part")]
    value = read(page.text("#number-value"))[0]
    assert totals[-1] == pytest.approx(value, rel=FIVE, abs=1e-6)
    computed = tiny.trace(npformer.data.photograph("cat"))
    if path in computed:  # the page records more arrays than the trace
        expected = computed[path][(0, *index)]
        assert value == pytest.approx(expected, rel=2e-4, abs=2e-4)


def check_part(page, part):
    """Do the arithmetic of a part with the numbers that it shows, and return the total it shows."""
    op = part.get_attribute("data-op")
    if part.find_elements("css selector", "table.terms"):
        cells = part.find_elements("css selector", "table.terms tbody td.share")
        shares = [
            read(text)[0] for text in page.run("return arguments[0].map((e) => e.innerText)", cells)
        ]
        (total,) = read(part.find_element("css selector", "table.terms td.total").text)
        made = {"mean": np.mean, "squares": np.mean, "max": np.max}.get(op, np.sum)(shares)
        slack = FIVE * (np.abs(shares).sum() + abs(total))
    else:
        *given, total = read(part.find_element("css selector", ".sumline").text)
        made = SHORT[op](*given)
        slack = FIVE * (abs(total) + sum(map(abs, given))) * SLOPE.get(op, lambda *_: 1)(*given)
    assert made == pytest.approx(total, abs=slack + 1e-9), (op, part.text)
    return total


SHORT = {
    "difference": lambda a, b: a - b,
    "quotient": lambda a, b: a / b,
    "product": lambda *factors: float(np.prod(factors)),
    "deviation": lambda a, b: sqrt(a + b),
    "same": lambda a: a,
    "exp": lambda a: float(np.exp(a)),
    "relu": lambda a: max(a, 0.0),
    "gelu": lambda a: float(npformer.layers.gelu(np.array(a))),
}
SLOPE = {
    "quotient": lambda a, b: (1 + abs(a / b)) / abs(b),
    "product": lambda *factors: max(1.0, *map(abs, factors)),
    "exp": lambda a: max(1.0, float(np.exp(a))),
    "deviation": lambda a, b: 1 / sqrt(a + b),
    "gelu": lambda a: 1.2,
}


def test_a_number_leads_back_to_the_photograph(page):
    page.visit("photo=cat&view=stem&array=stem.conv1&place=20,20,0")
    page.forget()
    page.run("document.querySelector('#number table.terms a').click()")
    page.settle()
    assert "array=pixel_values" in page.address()
    page.run("history.back()")
    page.until("location.hash.includes('stem.conv1')")


def test_levels_lead_down_and_back(page):
    page.press(f"open-{FIRST}")
    assert page.text("#level-title").startswith("Pooling block 0.0")
    page.press(f"array-{FIRST}.token_mixer")
    assert page.text("#number-title").startswith("One number: row 16, column 16")
    assert page.all("pre.code")
    page.press("way-1")
    assert page.text("#level-title").startswith("Pooling block 0.0")
    page.press("way-0")
    assert page.text("#level-title") == "The map"


def test_the_source_is_quoted_from_the_package(page):
    page.visit(f"view={FIRST}&array={FIRST}.token_mixer")
    assert "average of the k×k window" in page.run(
        "return document.querySelector('[aria-label=\"Equation\"]').textContent"
    )
    assert "return average_pool(x, size) - x" in page.run(
        "return document.querySelector('pre.code').textContent"
    )


# Interventions: by hand on the page, and by Python's layers.

BY_HAND = {
    "block": (f"view={FIRST}", "the block", {"kind": "block", "path": FIRST}),
    "block on the map": ("", "Switch off Attention block 3.3", {"kind": "block", "path": LAST}),
    "branch": (
        f"view={FIRST}",
        "its work on each place",
        {"kind": "branch", "path": f"{FIRST}.ls2"},
    ),
    "head": (f"view={LAST}", "Switch off head 2", {"kind": "head", "path": MIXER, "head": 2}),
    "biases": (f"view={LAST}", "the attention biases", {"kind": "biases", "path": MIXER}),
    "subtraction": (
        f"view={FIRST}",
        "the subtraction in the pooling",
        {"kind": "subtraction", "path": f"{FIRST}.token_mixer"},
    ),
    "scale": (f"view={FIRST}", "layer scale 1", {"kind": "scale", "path": f"{FIRST}.ls1"}),
    "activation": (
        f"view={FIRST}",
        "GELU by ReLU",
        {"kind": "activation", "path": f"{FIRST}.mlp.act", "activation": "relu"},
    ),
    "activation everywhere": (
        "",
        "GELU by ReLU in every block",
        {"kind": "activation", "path": "*", "activation": "relu"},
    ),
    "channel": (
        f"view={FIRST}&array={FIRST}&place=3,3,5",
        "Channel 5 to 0",
        {"kind": "channel", "path": FIRST, "channel": 5},
    ),
}
"""What stands in the address, the name of the button there, and what it shall do."""


@pytest.mark.parametrize("kind", BY_HAND)
def test_an_intervention_is_that_of_python_and_is_taken_back(page, tiny, kind):
    address, name, intervention = BY_HAND[kind]
    page.visit("photo=coffee&" + address)
    before = page.answers()
    button = page.named(name)
    page.press(button)
    assert page.trouble() == ""
    same(page.answers(), answer(tiny, npformer.data.photograph("coffee"), [intervention]))
    assert page.answers() != before
    assert "Before the changes" in page.text("#was")
    assert page.one(f"[id='{button}']").get_attribute("aria-pressed") == "true"
    page.press("reset")
    assert page.answers() == before


def test_every_kind_of_intervention_has_a_control_that_is_tried():
    """Besides noise and a number moved by hand, whose controls are fields: below."""
    tried = {intervention["kind"] for _, _, intervention in BY_HAND.values()}
    assert tried | {"noise", "value"} == kinds_of_interventions()


def test_noise_and_a_number_moved_by_hand_are_those_of_python(page, tiny):
    page.visit(f"photo=coffee&view={FIRST}&array={FIRST}&place=3,3,5")
    page.forget()
    page.run(
        "const slider = document.getElementById('noise');"
        "slider.value = 1.5; slider.dispatchEvent(new Event('change'))"
    )
    page.settle()
    noise = {"kind": "noise", "path": FIRST, "strength": 1.5, "seed": 1}
    same(page.answers(), answer(tiny, npformer.data.photograph("coffee"), [noise]))
    page.press("reset")
    page.run("document.getElementById('moved-value').value = 900")
    page.press("move-set")
    moved = {"kind": "value", "path": FIRST, "index": [3, 3, 5], "value": 900.0}
    same(page.answers(), answer(tiny, npformer.data.photograph("coffee"), [moved]))
    assert read(page.text("#number-value")) == [900.0]
    page.press("move-back")
    assert page.all("#reset") == []


# Painting.


def wiped(size, dabs, image):
    """Paint gray dabs on what the network sees of a photograph of its own size."""
    pixels = np.array(image)
    rows, columns = np.mgrid[:size, :size]
    for y, x, radius in dabs:
        pixels[(rows - y) ** 2 + (columns - x) ** 2 <= radius**2] = (124, 116, 104)
    return Image.fromarray(pixels)


def test_painting_by_pointer_and_by_keys_changes_the_answer(page, tiny):
    from selenium.webdriver import ActionChains, Keys

    page.visit("photo=astronaut")
    seen = npformer.data.photograph("astronaut").resize((128, 128), Image.Resampling.BICUBIC)
    easel = page.one("#easel")
    page.forget()
    ActionChains(page.driver, duration=50).drag_and_drop_by_offset(easel, 60, 20).perform()
    page.until("location.hash.includes('paint=')")
    page.settle()
    page.until("!document.getElementById('level').classList.contains('busy')")
    page.forget()
    easel.send_keys(Keys.ARROW_LEFT, Keys.SPACE)
    page.settle()
    dabs = [
        tuple(int(v) for v in dab.split(",")[:3])
        for dab in re.search(r"paint=([^&]*)", page.address())[1].split(";")
    ]
    assert len(dabs) >= 3
    same(page.answers(), answer(tiny, wiped(128, dabs, seen)))
    page.press("unpaint")
    same(page.answers(), answer(tiny, npformer.data.photograph("astronaut")))


# The address.


def test_a_link_restores_what_is_shown_and_changed(page, file):
    page.visit("photo=coffee&paint=64,64,20,gray;30,40,9,d03020")
    page.press(f"open-{LAST}")
    page.press(f"change-head:{MIXER}:3")
    page.press(f"array-{MIXER}.attn")
    page.press("head-6")
    page.press("token-2")
    shown, answers = page.text("#level"), page.answers()
    assert all(word in page.address() for word in ("photo=coffee", "paint=64,64,20,gray", "head:"))
    link = page.address()
    page.open(file, link)
    assert page.address() == link
    assert page.text("#level") == shown
    assert page.answers() == answers


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("photo=zebra", "This page holds no photograph “zebra”"),
        ("photo=own", "a photograph that was only on another device"),
        ("view=stages.9", "nothing that is called “stages.9”"),
        ("view=stem&array=pooled", "“pooled” is no array of “stem”"),
        ("view=stem&array=stem.conv1&place=99,0,0", "There is no number 99, 0, 0"),
        ("changes=block:nowhere", "cannot be made in this network"),
        ("changes=magic", "cannot be made in this network"),
        ("paint=1,2", "The address says “paint=1,2”"),
        ("paint=%E0%A4%A", "which this page does not understand"),
        ("color=blue", "The address says “color=blue”"),
        ("lesson=none", "This page holds no lesson “none”"),
    ],
)
def test_an_address_that_says_nonsense_gets_a_sentence(page, address, words):
    page.visit(address)
    assert words in page.trouble()
    assert page.answers()


def test_a_notebook_shows_it_in_place(started, tiny, file, tmp_path):
    notebook = tmp_path / "notebook.html"
    html = Exploration("the explorer", file.read_text("utf-8"))._repr_html_()
    notebook.write_text(f"<!doctype html><meta charset='utf-8'><title>x</title>{html}", "utf-8")
    started.driver.get(notebook.as_uri())
    started.driver.switch_to.frame(0)
    started.settle()
    same(started.answers(), answer(tiny, npformer.data.photograph(npformer.data.PHOTOGRAPHS[0])))
    started.press(f"open-{FIRST}")
    assert started.text("#level-title").startswith("Pooling block 0.0")
    started.run("document.getElementById('copy').click()")
    assert started.trouble().endswith(f"write behind its address: #photo=coffee&view={FIRST}")
    assert started.errors() == []
    started.driver.switch_to.default_content()
    started.open(file)


# What matters, and a page that is damaged.


def test_what_matters_is_ranked_without_blocking_the_page(page, tiny):
    page.visit("photo=cat&view=matters")
    page.run("document.getElementById('rank').click()")
    page.until("document.querySelectorAll('#ranking tbody tr').length > 2")
    assert page.text("#rank") == "Stop"  # the page answers while the network works
    page.until("document.getElementById('rank').innerText === 'Again'")
    rows = page.texts("#ranking tbody tr td:nth-child(2)")
    shown = [read(text)[0] / 100 for text in rows]
    assert [abs(each) for each in shown] == sorted(map(abs, shown), reverse=True)
    assert len(rows) == 11 + 16  # blocks, and the heads of two
    label, before = answer(tiny, npformer.data.photograph("cat"))
    scores = tiny.trace(npformer.data.photograph("cat"), [{"kind": "block", "path": LAST}])[
        "scores"
    ][0]
    change = scores[list(tiny.classifier.labels).index(label)] - before
    block = page.texts("#ranking tbody tr td:first-child").index("Attention block 3.3 off")
    assert shown[block] == pytest.approx(change, abs=6e-4)  # three digits of a percentage


def middle_of_the_weights(text):
    """The page with one other letter in the middle of its weights."""
    begin = text.index('id="explorer-weights">')
    at = (begin + text.index("</script>", begin)) // 2
    return text[:at] + ("B" if text[at] != "B" else "C") + text[at + 1 :]


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda text: text[: len(text) // 2], "This page is damaged"),
        (lambda text: text[: text.index(":root")], "This page is damaged"),
        (lambda text: text[: text.index('<div id="trouble"')], "This page is damaged"),
        (
            lambda text: text[: text.index('id="explorer-weights">') + 999999],
            "This page is damaged",
        ),
        (lambda text: text[:-200], "This page is damaged"),
        (middle_of_the_weights, "the weights in this page are damaged"),
        (
            lambda text: re.sub(r'(id="explorer-weights">)[^<]*', r"\1", text),
            "could not be read from this page",
        ),
        (
            lambda text: re.sub(r'(id="explorer-weights">)....', r"\1AAAA", text),
            "could not be read from this page",
        ),
        (lambda text: text.replace('"labels":', '"labels"', 1), "could not be read from this page"),
        (
            lambda text: text.replace("class Page extends", "class Page {", 1),
            "Something went wrong in this page",
        ),
    ],
    ids=[
        "cut off",
        "cut in the style",
        "cut in the head",
        "cut in the weights",
        "cut at the end",
        "flipped bits",
        "no weights",
        "other weights",
        "torn data",
        "torn program",
    ],
)
def test_a_damaged_page_says_so(started, file, tmp_path, damage, words):
    torn = tmp_path / "torn.html"
    torn.write_text(damage(file.read_text("utf-8")), "utf-8")
    started.driver.get(torn.as_uri())
    started.until("document.getElementById('trouble')?.innerText.trim()")
    assert words in started.trouble()
    started.errors()
    started.requests()
    started.open(file)
