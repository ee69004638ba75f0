// Guided lessons: a sentence or two, and what to show with them, step by step.
//
// A lesson is a JSON file:
//
//   { "title": "…", "about": "…", "steps": [ { "text": "…", "show": "photo=cat&view=…" }, … ] }
//
// "show" is what stands behind "#" in the address of this page: go where the step shall lead, and copy
// it. So that a lesson serves any network, "show" may say {stem}, {firstPooling}, {lastPooling},
// {firstAttention}, {lastAttention}, {firstDownsample}, {lastDownsample} or {lastHead} for paths, and
// "text" may say {answer}, {score}, {before}, {scoreBefore}, {value}, {classes}, {rows}, {columns},
// {tokens}, {pixels} for what the page shows at that moment.

import { h, figure, percent } from "./ui_dom.js";
import { stateOf } from "./ui_state.js";

/** What a text may say in braces. */
const IN_TEXT = [
  "answer",
  "score",
  "before",
  "scoreBefore",
  "value",
  "classes",
  "pixels",
  "rows",
  "columns",
  "tokens",
];

/** Read a lesson; an Error says in a sentence what is wrong with it. */
export function lessonOf(text, name) {
  let lesson;
  try {
    lesson = JSON.parse(text);
  } catch (error) {
    throw new Error(`“${name}” is no lesson: it is not JSON (${error.message}).`);
  }
  const words = (value) => typeof value === "string" && value.trim() !== "";
  const right =
    lesson &&
    words(lesson.title) &&
    words(lesson.about ?? "none") &&
    Array.isArray(lesson.steps) &&
    lesson.steps.length > 0;
  if (!right)
    throw new Error(
      `“${name}” is no lesson: expected a title, and a list of steps, as in {"title": "…", "about": "…", "steps": [{"text": "…", "show": "view=map"}]}.`,
    );
  lesson.steps.forEach((step, i) => {
    if (!words(step?.text) || typeof (step.show ?? "") !== "string")
      throw new Error(
        `“${name}”: step ${i + 1} needs a text, and in “show” what stands behind # in an address of this page.`,
      );
    const unknown = [...step.text.matchAll(/\{(\w+)\}/g)].find(([, word]) => !IN_TEXT.includes(word));
    if (unknown)
      throw new Error(
        `“${name}”: the text of step ${i + 1} says ${unknown[0]}, which stands for nothing. There are ${IN_TEXT.map((word) => `{${word}}`).join(", ")}.`,
      );
  });
  return lesson;
}

/** Paths that a lesson may name, in this network; null for what it does not have. */
export function namedPaths({ steps }) {
  const of = (kind) => steps.filter((step) => step.kind === kind).map(({ path }) => path);
  const named = { stem: of("stem")[0] };
  for (const [word, kind] of [
    ["Pooling", "pooling_block"],
    ["Attention", "attention_block"],
    ["Downsample", "downsample"],
    ["Head", "head"],
  ]) {
    named[`first${word}`] = of(kind)[0];
    named[`last${word}`] = of(kind).at(-1);
  }
  return named;
}

/** The state that a step of a lesson shows; an Error if this network lacks what it is about. */
export function stateOfStep(app, name, number) {
  const paths = namedPaths(app.explorer.network);
  const show = (app.lessons[name].steps[number].show ?? "").replace(/\{(\w+)\}/g, (all, word) => {
    if (paths[word] === undefined)
      throw new Error(`This network has nothing that is called {${word}} in the lesson.`);
    return paths[word];
  });
  const { state, problems } = stateOf(show);
  if (problems.length) throw new Error(`Step ${number + 1} of the lesson: ${problems[0]}`);
  const held = app.explorer.photographs.some((photograph) => photograph.name === state.photo);
  return { ...state, photo: held ? state.photo : app.state.photo, lesson: name, step: number };
}

/** The text of a step with what the page shows at this moment in it. */
function filledText(app, text) {
  const { answer, baseline, explorer, shown, size } = app;
  const { network } = explorer;
  const values = {
    answer: answer && `“${answer.top[0].label}”`,
    score: answer && percent(answer.top[0].score),
    before: baseline && `“${baseline.top[0].label}”`,
    scoreBefore: baseline && percent(baseline.top[0].score),
    value: shown.value === null ? "" : figure(shown.value, 4),
    classes: network.labels.length,
    pixels: size.width,
    rows: network.grid?.rows,
    columns: network.grid?.columns,
    tokens: network.grid ? network.grid.rows * network.grid.columns : "",
  };
  return text.replace(/\{(\w+)\}/g, (all, word) => values[word] ?? all);
}

/** The lesson that is on, above the level; null if none is. */
export function lessonPanel(app) {
  const { lesson: name, step: number } = app.state;
  const lesson = app.lessons[name];
  if (!lesson) return null;
  const step = lesson.steps[number] ?? lesson.steps[0];
  const last = number >= lesson.steps.length - 1;
  return h(
    "section",
    { class: "lesson", "aria-labelledby": "lesson-title" },
    h(
      "div",
      { class: "where" },
      h("strong", { id: "lesson-title" }, lesson.title),
      ` · step ${number + 1} of ${lesson.steps.length}`,
    ),
    h("p", { id: "lesson-text" }, filledText(app, step.text)),
    h(
      "div",
      { class: "row" },
      h(
        "button",
        {
          type: "button",
          id: "lesson-back",
          disabled: number === 0,
          onclick: () => app.showStep(name, number - 1),
        },
        "← Back",
      ),
      last
        ? h(
            "button",
            {
              type: "button",
              class: "main",
              id: "lesson-next",
              onclick: () => app.go({ ...app.plain(), view: "lessons" }),
            },
            "Finish",
          )
        : h(
            "button",
            {
              type: "button",
              class: "main",
              id: "lesson-next",
              onclick: () => app.showStep(name, number + 1),
            },
            "Next →",
          ),
      h(
        "button",
        { type: "button", id: "lesson-again", onclick: () => app.showStep(name, number) },
        "Show this step again",
      ),
      h(
        "button",
        { type: "button", id: "lesson-leave", onclick: () => app.go({ lesson: "", step: 0 }) },
        "Leave the lesson",
      ),
    ),
  );
}

/** All lessons, to choose from. */
export function lessonsView(app) {
  const file = h("input", {
    type: "file",
    id: "lesson-file",
    accept: ".json,application/json",
    class: "unseen",
    tabindex: "-1",
    "aria-label": "A lesson from this device",
    onchange: () => {
      if (file.files[0]) app.takeLesson(file.files[0]);
      file.value = "";
    },
  });
  return [
    h("h2", { id: "level-title" }, "Lessons"),
    h(
      "p",
      {},
      "Each takes a few minutes and needs nothing but multiplication. The page does the steps; you may touch everything on the way.",
    ),
    h(
      "ul",
      { class: "lessons" },
      Object.entries(app.lessons).map(([name, lesson]) =>
        h(
          "li",
          {},
          h(
            "a",
            {
              class: "card",
              href: `#lesson=${name}`,
              id: `lesson-${name}`,
              style: "text-decoration:none;color:inherit",
              onclick: (event) => {
                event.preventDefault();
                event.stopPropagation();
                app.showStep(name, 0);
              },
            },
            h("span", { class: "title" }, lesson.title),
            h("span", { class: "about" }, lesson.about ?? ""),
            h("span", { class: "about" }, `${lesson.steps.length} steps`),
          ),
        ),
      ),
    ),
    h("h3", {}, "A lesson of your own"),
    h(
      "p",
      {},
      "A lesson is a small JSON file: a text for each step, and what stands behind # in the address of what it shows. Drop it on this page, or choose it.",
    ),
    h(
      "pre",
      { tabindex: "0", "aria-label": "Example of a lesson" },
      '{"title": "My lesson",\n "about": "What it is about",\n "steps": [{"text": "The answer is {answer}.", "show": "view=map"},\n           {"text": "Now without the first block.", "show": "changes=block:stages.0.blocks.0"}]}',
    ),
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", id: "choose-lesson", onclick: () => file.click() }, "Choose a lesson …"),
      file,
    ),
  ];
}
