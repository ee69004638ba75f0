// Where the reader is, and the way back: the map, a step, an array, a number.

import { h } from "./ui_dom.js";
import { shortName } from "./ui_block.js";
import { titleOf } from "./ui_map.js";
import { placeWords } from "./ui_places.js";

/** The list of levels above the one that is open, each a link. */
export function wayView(app) {
  const { view, array, place } = app.state;
  const { steps, labels } = app.explorer.network;
  const step = steps.find(({ path }) => path === view);
  const way = [[{ view: "map", array: "", place: null }, "The map"]];
  if (view === "matters") way.push([{}, "What matters"]);
  if (view === "lessons") way.push([{}, "Lessons"]);
  if (step) way.push([{ array: "", place: null }, titleOf(step)]);
  if (step && array) way.push([{ place: null }, shortName(array, step.path)]);
  if (step && array && place && !place.includes("max")) way.push([{}, placeWords(place, array, labels)]);
  const last = way.pop()[1];
  return h(
    "ol",
    {},
    way.map(([change, words], i) => h("li", {}, app.link(change, { id: `way-${i}` }, words))),
    h("li", {}, h("span", { "aria-current": "page" }, last)),
  );
}
