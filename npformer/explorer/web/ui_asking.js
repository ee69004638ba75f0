// What the network has been told, and what it answered: photograph, paint and changes, each told once.

import { parseInterventions } from "./interventions.js";
import { framed, painted } from "./ui_paint.js";
import { blobOf, pixelsOf } from "./ui_photo.js";
import { stateOf } from "./ui_state.js";

export class Asking {
  answer = null; // of the network as it is now
  baseline = null; // of the network without changes, on the photograph without paint
  seen = null; // {width, height, data}: what the network sees, paint included
  own = null; // the reader's photograph, as pixels
  #told = { photo: null, paint: "[]", changes: "" };
  #photograph = null; // the photograph that is on, as pixels
  #untouched = null; // what the network sees of it, without paint
  #early = null; // {name, pixels}: a photograph that is read while the network is unpacked

  constructor(explorer, early) {
    this.explorer = explorer;
    this.size = explorer.network.imageSize;
    this.#early = early;
  }

  /** Tell the network what is new of a state; returns why it refuses the changes, or null. */
  async tell({ photo, paint, changes }) {
    if (photo !== this.#told.photo) await this.#show(photo);
    const strokes = JSON.stringify(paint);
    if (strokes !== this.#told.paint) {
      const shown = paint.length ? this.#repainted(paint) : this.#photograph;
      this.answer = (await this.explorer.show(shown)) ?? this.answer;
      this.#told.paint = strokes;
    }
    this.seen = this.painted(paint);
    if (changes === this.#told.changes) return null;
    try {
      this.answer = (await this.explorer.intervene(parseInterventions(changes))) ?? this.answer;
    } catch (error) {
      return error.message;
    }
    this.#told.changes = changes;
    return null;
  }

  async #show(photo) {
    this.#photograph = photo === "own" ? this.own : await this.#shelved(photo);
    this.answer = await this.explorer.show(this.#photograph);
    this.baseline = this.answer.clean;
    this.#untouched = await this.explorer.pixels();
    this.size = { width: this.#untouched.width, height: this.#untouched.height };
    Object.assign(this.#told, { photo, paint: "[]" });
  }

  async #shelved(name) {
    if (this.#early?.name === name) return this.#early.pixels;
    const { title, url } = this.explorer.photographs.find((photograph) => photograph.name === name);
    return pixelsOf(blobOf(url), title);
  }

  /** Take a photograph of the reader's: it is told anew, though its name stays "own". */
  take(pixels) {
    this.own = pixels;
    if (this.#told.photo === "own") this.#told.photo = null;
  }

  /** Whether this is the photograph that the network sees. */
  knows(photo) {
    return photo === this.#told.photo;
  }

  /** The changes that the network computes with, as words. */
  get changes() {
    return this.#told.changes;
  }

  /** What the network sees with this paint on it. */
  painted(paint) {
    return paint.length ? painted(this.#untouched, paint) : this.#untouched;
  }

  #repainted(paint) {
    const { scaleX, scaleY, left, top } = this.#untouched;
    const { width, height } = this.#photograph;
    const whole = Math.round(Math.min(scaleX * width, scaleY * height));
    return framed(this.painted(paint), whole, Math.min(left, top));
  }
}

/** Begin to read the photograph that will be wanted first. */
export function earlyPhotograph() {
  try {
    const { photographs } = JSON.parse(document.getElementById("explorer-data").textContent);
    const wanted = stateOf(location.hash).state.photo;
    const { name, title, url } =
      photographs.find((photograph) => photograph.name === wanted) ?? photographs[0];
    const pixels = pixelsOf(blobOf(url), title);
    pixels.catch(() => {}); // whoever asks for it is told
    return { name, pixels };
  } catch {
    return null; // what is damaged is said by the network
  }
}
