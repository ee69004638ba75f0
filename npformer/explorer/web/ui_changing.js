// What views may ask about interventions, and do with them: the part of the page that holds these.

import { formatInterventions, parseInterventions } from "./interventions.js";

/** A page has a state, whose `changes` are interventions as words, and `go` to replace them. */
export class Changing {
  #ranked = { key: null, list: null };

  /** The interventions that are wanted; none if their words say nothing. */
  changes() {
    try {
      return parseInterventions(this.state.changes);
    } catch {
      return [];
    }
  }

  /** The intervention that acts on the same thing as another, whatever their size. */
  changeLike(wanted) {
    return this.changes().find((change) => alike(change, wanted));
  }

  wordsOf(change) {
    return formatInterventions([change]);
  }

  change(wanted) {
    return this.#replace([...this.changes().filter((change) => !alike(change, wanted)), wanted]);
  }

  unchange(wanted) {
    return this.#replace(this.changes().filter((change) => !alike(change, wanted)));
  }

  toggle(wanted) {
    return this.changeLike(wanted) ? this.unchange(wanted) : this.change(wanted);
  }

  reset() {
    return this.go({ changes: "", paint: [] });
  }

  #replace(list) {
    return this.go({ changes: formatInterventions(list) }, { replace: true });
  }

  /** What matters for the photograph that is on, if it was found out; each change is tried alone. */
  ranked() {
    return this.#ranked.key === this.#key() ? this.#ranked.list : null;
  }

  keepRanked(list) {
    this.#ranked = { key: this.#key(), list };
  }

  #key() {
    return JSON.stringify([this.state.photo, this.state.paint]);
  }
}

function alike(a, b) {
  return (
    ["kind", "path", "head", "channel"].every((key) => a[key] === b[key]) &&
    String(a.index) === String(b.index)
  );
}
