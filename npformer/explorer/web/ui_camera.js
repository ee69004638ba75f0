// A photograph by the camera, where there is one and the reader allows it.

import { h } from "./ui_dom.js";

/** Why there is no picture, by the name of the browser's error. */
const REFUSED = {
  NotAllowedError:
    "This page may not use the camera. Allow it in the browser’s settings for this page, or choose a file.",
  NotFoundError: "This device has no camera that the browser could find. Choose a file instead.",
  NotReadableError: "The camera does not answer: another program may be using it. Close that, and try again.",
};

/** The button that opens the camera, and the place where its picture is seen; `take` gets a file and its name. */
export function cameraOf(take) {
  const place = h("div", {});
  const said = h("p", { class: "small", id: "camera-said", role: "status" });
  const button = h("button", { type: "button", id: "camera", onclick: open }, "Camera");
  let stream = null;
  let asking = false;

  function close(words = "") {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    place.replaceChildren();
    said.textContent = words;
    button.hidden = false;
    button.focus();
  }

  async function open() {
    if (asking) return;
    asking = true;
    said.textContent = "The browser asks whether this page may use the camera …";
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
      watch();
    } catch (error) {
      said.textContent = navigator.mediaDevices
        ? (REFUSED[error.name] ?? `The camera could not be opened: ${error.message}. Choose a file instead.`)
        : "The browser gives no camera to a page that was opened in this way. Choose a file instead.";
    }
    asking = false;
  }

  /** Show what the camera sees, until a picture is taken. */
  function watch() {
    const video = h("video", {
      autoplay: true,
      playsinline: true,
      "aria-label": "What the camera sees",
    });
    video.muted = true;
    const shoot = h(
      "button",
      { type: "button", class: "main", id: "camera-take", disabled: true, onclick: () => shot(video) },
      "Take the picture",
    );
    video.addEventListener("loadeddata", () => {
      shoot.disabled = false;
      shoot.focus();
    });
    stream
      .getTracks()
      .forEach((track) => track.addEventListener("ended", () => close("The camera was switched off.")));
    video.srcObject = stream;
    said.textContent = "";
    button.hidden = true;
    place.replaceChildren(
      video,
      h(
        "div",
        { class: "row" },
        shoot,
        h("button", { type: "button", id: "camera-close", onclick: () => close() }, "Close the camera"),
      ),
    );
  }

  async function shot(video) {
    const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
    canvas.getContext("2d").drawImage(video, 0, 0);
    const picture = await canvas.convertToBlob({ type: "image/png" });
    close();
    take(picture, "the camera’s picture");
  }

  return { button, element: h("div", {}, place, said) };
}
