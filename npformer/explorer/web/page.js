// The page: holds what is shown and changed, asks the network, and lays out what comes back.

import { counted, darker, element, h, percent, replaceChildren } from "./ui_dom.js";
import { addressOf, firstState, stateOf } from "./ui_state.js";
import { Explorer } from "./explorer.js";
import { altersPictures, photographPanel, photographOf } from "./ui_photo.js";
import { Asking, earlyPhotograph } from "./ui_asking.js";
import { Changing } from "./ui_changing.js";
import { wayView } from "./ui_way.js";
import { arrangeForWidth, briefAnswer } from "./ui_narrow.js";
import { firstPlace, indexFits, isAttention, resolved } from "./ui_places.js";
import { mapView } from "./ui_map.js";
import { blockView } from "./ui_block.js";
import { arrayView } from "./ui_array.js";
import { attentionView } from "./ui_attention.js";
import { answerView, changesView, mattersView } from "./ui_changes.js";
import { lessonOf, lessonPanel, lessonsView, stateOfStep } from "./ui_lessons.js";

/** The page as one object. Views read from it, and call it when the reader does something. */
class Page extends Changing {
  state = firstState();
  explorer = null;
  lessons = {};
  shown = { path: null, index: null, value: null }; // the number that is open
  #turn = 0;
  #work = Promise.resolve();
  #asking = null;
  #leaving = [];
  #panel = null;
  #altered = ""; // said of every photograph in a browser that alters them
  #writing = 0; // the timer after which the address says what was replaced

  async start() {
    const early = earlyPhotograph();
    this.explorer = await Explorer.open();
    this.#asking = new Asking(this.explorer, early);
    const { network, photographs } = this.explorer;
    this.lessons = Object.fromEntries(network.lessons.map((lesson) => [lesson.name, lesson]));
    this.#panel = photographPanel(this);
    if (altersPictures())
      this.#altered =
        " This browser changes a photograph a little before a page may read it, to protect you from being recognized. The numbers are those of the changed photograph.";
    element("photograph").replaceChildren(this.#panel.element);
    element("others").replaceChildren(this.#panel.others);
    element("tools").replaceChildren(
      this.link(
        { view: "lessons", array: "", place: null },
        { class: "button", id: "to-lessons" },
        "Lessons",
      ),
      h("button", { type: "button", id: "copy", onclick: () => this.#copy() }, "Copy the link"),
      h("button", { type: "button", id: "theme", onclick: darker }, "Light or dark"),
    );
    element("footer").replaceChildren(
      h(
        "p",
        {},
        `${network.title}: ${counted(network.parameters, "parameter")}, `,
        `${counted(network.labels.length, "class", "classes")}. Numbers are shown to five digits. `,
        "The network in JavaScript is part of npformer, and does what it does in Python, layer for layer.",
      ),
    );
    arrangeForWidth();
    document.addEventListener("click", (event) => this.#follow(event));
    window.addEventListener("popstate", () => {
      clearTimeout(this.#writing);
      this.#read(location.hash);
    });
    element("skip").addEventListener("click", (event) => {
      event.preventDefault();
      event.stopPropagation();
      element("content").focus();
    });
    this.state.photo = photographs[0]?.name ?? "";
    await this.#read(location.hash, true);
  }

  /** Show what the address says. */
  #read(hash, quiet = false) {
    const { state, problems } = stateOf(hash);
    const { photographs } = this.explorer;
    const known = photographs.find(({ name }) => name === state.photo);
    if (state.photo === "own" && !this.#asking.own)
      problems.push(
        "The link was made with a photograph that was only on another device; here is another one.",
      );
    else if (state.photo && state.photo !== "own" && !known)
      problems.push(`This page holds no photograph “${state.photo}”; here is another one.`);
    if (state.photo !== "own" || !this.#asking.own) state.photo = (known ?? photographs[0])?.name ?? "";
    if (state.lesson && !this.lessons[state.lesson]) {
      problems.push(`This page holds no lesson “${state.lesson}”. If you have its file, drop it here.`);
      state.lesson = "";
    }
    this.complain(...problems);
    if (
      state.lesson &&
      hash
        .replace(/^#/, "")
        .split("&")
        .every((part) => /^(lesson|step)=/.test(part))
    )
      return this.showStep(state.lesson, state.step, { replace: true });
    return this.#apply(state, quiet);
  }

  /** Change the state: a new entry in the browser's history, or, with `replace`, the same one. */
  go(change, { replace = false } = {}) {
    const state = { ...this.state, ...change };
    if (replace) {
      clearTimeout(this.#writing); // browsers refuse an address that changes too often
      this.#writing = setTimeout(() => this.#write("replaceState", this.state), 200);
    } else {
      this.#write("replaceState", this.state);
      this.#write("pushState", state);
      this.complain();
    }
    return this.#apply(state, replace);
  }

  #write(how, state) {
    clearTimeout(this.#writing);
    try {
      history[how](null, "", `#${addressOf(state)}`);
    } catch {
      // inside a notebook there is no address to write to
    }
  }

  /** A link within the page. It is a real address, so that it can be copied. */
  link(change, attributes, ...children) {
    return h("a", { href: `#${addressOf({ ...this.state, ...change })}`, ...attributes }, ...children);
  }

  #follow(event) {
    const anchor = event.target.closest?.("a[href^='#']");
    if (!anchor || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey)
      return;
    event.preventDefault();
    this.go(stateOf(anchor.getAttribute("href")).state);
  }

  async #apply(state, quiet = false) {
    const turn = ++this.#turn;
    const current = () => turn === this.#turn;
    this.state = state;
    this.#leaving.splice(0).forEach((leave) => leave());
    replaceChildren(element("path"), wayView(this));
    element("level").classList.add("busy");
    element("level").setAttribute("aria-busy", "true");
    if (this.#asking.knows(state.photo)) this.#panel.draw(this.#asking.painted(state.paint));
    this.#work = this.#work
      .then(() => current() && this.#compute())
      .catch((error) => this.complain(error.message))
      .then(() => this.#answered());
    await this.#work;
    if (!current()) return;
    try {
      const level = await this.#level();
      if (!current()) return;
      element("level").classList.remove("busy");
      replaceChildren(element("level"), level);
      await this.#around(current);
      if (!quiet) this.#arrive();
    } catch (error) {
      if (!current()) return;
      this.complain(error.message);
      if (state.view !== "map") this.go({ view: "map", array: "", place: null }, { replace: true });
    }
    if (current()) element("level").setAttribute("aria-busy", "false");
  }

  /** Tell the network what is new; changes that it cannot make are left out. */
  async #compute() {
    const refused = await this.#asking.tell(this.state);
    if (refused === null) return;
    this.state.changes = this.#asking.changes;
    this.complain(`A change of the address cannot be made in this network: ${refused}.`);
  }

  get answer() {
    return this.#asking.answer;
  }

  get baseline() {
    return this.#asking.baseline;
  }

  /** {width, height, data}: what the network sees, paint included. */
  get seen() {
    return this.#asking.seen;
  }

  get size() {
    return this.#asking.size;
  }

  /** Elements of the level that the state says. */
  async #level() {
    const { view, array, place } = this.state;
    this.shown = { path: null, index: null, value: null };
    if (view === "lessons") return lessonsView(this);
    if (view === "matters") return mattersView(this);
    if (view === "map") return mapView(this);
    const step = this.explorer.network.steps.find(({ path }) => path === view);
    if (!step) throw new Error(`This network has nothing that is called “${view}”; here is its map.`);
    if (!array) return blockView(this, step);
    if (this.stepOf(array) !== step) throw new Error(`“${array}” is no array of “${view}”; here is the map.`);
    const tensor = await this.explorer.tensor(array);
    const wanted = place && indexFits(place, tensor.shape) ? place : firstPlace(tensor);
    if (place && wanted !== place)
      this.complain(`There is no number ${place.join(", ")} in this array; here is another one.`);
    const index = resolved(wanted, tensor);
    this.shown = {
      path: array,
      index,
      value: tensor.data[index.reduce((at, v, i) => at * tensor.shape[i] + v, 0)],
    };
    return isAttention(array)
      ? attentionView(this, step, tensor, index)
      : arrayView(this, step, tensor, index);
  }

  /** What stands around the level: the lesson, the photograph, the answer, the changes. */
  async #around(current) {
    const { path, index } = this.shown;
    const field =
      path === null || path === "pixel_values" ? null : await this.explorer.receptiveField(path, index);
    if (!current()) return;
    const words =
      field === null
        ? `This is what the network sees: ${this.size.width} × ${this.size.height} pixels.`
        : field.whole
          ? "The number that is open depends on the whole photograph."
          : `The number that is open depends on the framed ${field.right - field.left} × ${field.bottom - field.top} pixels alone.`;
    this.#panel.update(this.seen, field, words + this.#altered);
    replaceChildren(element("lesson"), lessonPanel(this));
    this.#answered();
    const [{ label, score }] = this.answer.top;
    this.#say(`The answer: ${label}, ${percent(score)}. ${element("lesson-text")?.textContent ?? ""}`);
    document.title = `${element("level-title").textContent} · ${this.explorer.network.title}`;
  }

  #answered() {
    if (this.answer && !performance.getEntriesByName("answer").length) performance.mark("answer"); // for measurements
    replaceChildren(element("answer"), answerView(this));
    if (this.answer) replaceChildren(element("brief"), briefAnswer(this));
    replaceChildren(element("changes"), changesView(this));
  }

  #say(words) {
    if (element("said").textContent !== words) element("said").textContent = words;
  }

  /** Bring the reader to a new level: its title has the focus if nothing else has. */
  #arrive() {
    const title = element("level-title");
    if (document.activeElement && document.activeElement !== document.body) return;
    title?.setAttribute("tabindex", "-1");
    title?.focus({ preventScroll: true });
    if (title && title.getBoundingClientRect().top < 0) element("content").scrollIntoView();
  }

  refresh() {
    return this.#apply(this.state, true);
  }

  /** Call this when the level is left. */
  leaving(leave) {
    this.#leaving.push(leave);
  }

  complain(...sentences) {
    element("trouble").replaceChildren(
      ...sentences.map((sentence) => h("p", { class: "trouble" }, sentence)),
    );
  }

  // Where a tensor belongs.

  stepOf(path) {
    const { steps } = this.explorer.network;
    return (
      steps.find((step) => step.tensors.some((tensor) => tensor.path === path)) ??
      steps.find((step) => path === step.path || path?.startsWith(`${step.path}.`))
    );
  }

  viewOf(path) {
    return { view: this.stepOf(path)?.path ?? "map", array: path };
  }

  // Photographs and lessons of the reader.

  async take(file, name) {
    try {
      this.#asking.take(await photographOf(file, name));
    } catch (error) {
      this.complain(error.message);
      return;
    }
    await this.go({ photo: "own", paint: [] });
  }

  async takeLesson(file) {
    try {
      const name = file.name.replace(/\.json$/i, "").replace(/[^\w-]+/g, "-");
      this.lessons[name] = lessonOf(await file.text(), file.name);
      await this.showStep(name, 0);
    } catch (error) {
      this.complain(error.message);
    }
  }

  showStep(name, number, how) {
    try {
      return this.go(stateOfStep(this, name, Math.min(number, this.lessons[name].steps.length - 1)), how);
    } catch (error) {
      this.complain(error.message);
      return this.#apply({ ...this.state, view: "lessons", array: "", place: null, lesson: "", step: 0 });
    }
  }

  /** The state without lesson and changes. */
  plain() {
    return { ...firstState(), photo: this.state.photo };
  }

  async #copy() {
    const own = this.state.photo === "own" ? " Your own photograph is not part of it." : "";
    if (location.protocol === "about:") {
      this.complain(
        `A notebook gives this page no address. Save the page, open the file, and write behind its address: #${addressOf(this.state)}`,
      );
      return;
    }
    try {
      await navigator.clipboard.writeText(location.href);
      this.#say(`The link is copied.${own}`);
      this.complain(`The link is copied: whoever opens it in this page sees the same.${own}`);
    } catch {
      this.complain(`Copy the address of this page: it holds all that you see.${own}`);
    }
  }
}

window.npformerStarted = true;
const page = new Page();
page
  .start()
  .catch((error) =>
    window.npformerTrouble(
      `The network could not be read from this page: ${error.message}. Copy the page again, or make it anew with “npformer explore”.`,
    ),
  );
