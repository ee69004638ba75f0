// The photograph: chosen from the shelf or a file, dropped, or taken by the camera; and the brush.

import { h, svg, replaceChildren } from "./ui_dom.js";
import { PAINTS, drawPixels, easel, paintOf } from "./ui_paint.js";
import { frame } from "./ui_chart.js";

const MOST_BYTES = 60e6;
const MOST_PIXELS = 50e6;

/** A file as pixels, {width, height, data: RGBA}; an Error says in a sentence why it is none. */
export async function pixelsOf(file, name = file.name ?? "This") {
  if (file.size > MOST_BYTES)
    throw new Error(
      `“${name}” is too large: ${Math.round(file.size / 1e6)} MB. This page takes photographs of up to ${MOST_BYTES / 1e6} MB.`,
    );
  let bitmap;
  try {
    bitmap = await createImageBitmap(file, {
      imageOrientation: "from-image",
      colorSpaceConversion: "none",
      premultiplyAlpha: "none",
    });
  } catch {
    throw new Error(
      `“${name}” is not a photograph that this browser can read. Choose a JPEG, PNG or WebP file.`,
    );
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) {
    bitmap.close();
    throw new Error(
      `“${name}” is too large: ${width} × ${height} pixels. This page takes photographs of up to ${MOST_PIXELS / 1e6} million pixels.`,
    );
  }
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

/** The bytes of a data URL, without asking any network for them. */
export function blobOf(url) {
  const [head, data] = url.split(",");
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  return new Blob([bytes], { type: head.match(/^data:([^;]+)/)?.[1] ?? "" });
}

/** The panel of the photograph. It is made once; `update` brings it up to date. */
export function photographPanel(app) {
  const brush = { radius: 12, color: "gray" };
  const ring = svg("svg", { "aria-hidden": "true" });
  let cursor = null;
  let field = null;
  const drawMarks = () =>
    ring.replaceChildren(
      ...(field ? frame(field.left, field.top, field.right - field.left, field.bottom - field.top) : []),
      ...(cursor
        ? ["field outer", "field"].map((name) =>
            svg("circle", { class: name, cx: cursor.x + 0.5, cy: cursor.y + 0.5, r: brush.radius }),
          )
        : []),
    );
  const canvas = easel({
    size: () => app.size,
    brush: () => brush,
    paint: (dabs) => app.go({ paint: [...app.state.paint, ...dabs] }, { replace: true }),
    moved: (place) => {
      cursor = place;
      drawMarks();
    },
  });
  const photo = h("div", { class: "photo", id: "photo" }, canvas, ring);
  const caption = h("p", { class: "small soft", id: "field-words", style: "margin:0.4rem 0" });
  const choices = app.explorer.photographs.map(({ name, title, url }) =>
    h(
      "button",
      { type: "button", id: `photo-${name}`, title, onclick: () => app.go({ photo: name, paint: [] }) },
      h("img", { src: url, alt: title }),
    ),
  );
  const shelf = h("div", { class: "shelf", role: "group", "aria-label": "Photographs" }, choices);
  const tools = h("div", {});
  const file = h("input", {
    type: "file",
    id: "file",
    accept: "image/*",
    class: "unseen",
    tabindex: "-1",
    "aria-label": "A photograph from this device",
    onchange: () => {
      if (file.files[0]) take(file.files[0]);
      file.value = "";
    },
  });
  const camera = cameraOf(take);

  function take(given, name) {
    return app.take(given, name);
  }
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    photo.classList.add("dropping");
  });
  document.addEventListener("dragleave", (event) => {
    if (!event.relatedTarget) photo.classList.remove("dropping");
  });
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    photo.classList.remove("dropping");
    const [dropped] = event.dataTransfer.files;
    if (!dropped) app.complain("Only a file can be dropped here: a photograph, or a lesson.");
    else if (/\.json$/i.test(dropped.name)) app.takeLesson(dropped);
    else take(dropped);
  });

  const element = h(
    "section",
    { class: "card", "aria-labelledby": "photo-title" },
    h("h2", { id: "photo-title" }, "The photograph"),
    photo,
    caption,
    tools,
  );
  const others = h(
    "section",
    { class: "card", "aria-labelledby": "others-title" },
    h("h2", { id: "others-title" }, "Another photograph"),
    shelf,
    h(
      "div",
      { class: "row" },
      h("button", { type: "button", id: "choose", onclick: () => file.click() }, "Choose a file …"),
      file,
      camera.button,
    ),
    camera.element,
    h(
      "p",
      { class: "small soft", style: "margin:0" },
      "Or drop one anywhere on this page. It stays on this device.",
    ),
  );

  function toolbar() {
    const size = h("input", {
      type: "range",
      min: 2,
      max: Math.round(Math.min(app.size.width, app.size.height) / 3),
      value: brush.radius,
      id: "brush-size",
      oninput: () => {
        brush.radius = Number(size.value);
        drawMarks();
      },
    });
    return [
      h(
        "div",
        { class: "row brush", role: "group", "aria-label": "Brush" },
        "Paint",
        PAINTS.map(([color, name]) =>
          h(
            "button",
            {
              type: "button",
              id: `paint-${color}`,
              "aria-label": `Brush: ${name}`,
              title: name,
              "aria-pressed": color === brush.color,
              style: "padding:0.3rem 0.4rem",
              onclick: () => {
                brush.color = color;
                replaceChildren(tools, toolbar());
              },
            },
            h("span", { class: "swatch", style: `background:rgb(${paintOf(color).join(",")})` }),
          ),
        ),
        h("label", { title: "Size of the brush" }, h("span", { class: "unseen" }, "Size of the brush"), size),
      ),
      app.state.paint.length
        ? h(
            "div",
            { class: "row" },
            h(
              "button",
              { type: "button", id: "unpaint", onclick: () => app.go({ paint: [] }) },
              "Wipe off the paint",
            ),
          )
        : null,
    ];
  }

  return {
    element,
    others,
    /** Show what the network sees, at once. */
    draw(seen) {
      drawPixels(canvas, seen);
    },
    /** Show a receptive field on it, or null, and what is to be said of it. */
    update(seen, newField, words) {
      field = newField;
      ring.setAttribute("viewBox", `0 0 ${app.size.width} ${app.size.height}`);
      photo.style.aspectRatio = `${app.size.width}/${app.size.height}`;
      if (seen) drawPixels(canvas, seen);
      caption.textContent = words;
      drawMarks();
      replaceChildren(tools, toolbar());
      for (const button of choices)
        button.setAttribute("aria-pressed", button.id === `photo-${app.state.photo}`);
    },
  };
}

/** A photograph by the camera, where there is one and the reader allows it. */
function cameraOf(take) {
  const element = h("div", {});
  const button = h("button", { type: "button", id: "camera", onclick: open }, "Camera");
  if (!navigator.mediaDevices?.getUserMedia) button.hidden = true;
  let stream = null;

  function close() {
    stream?.getTracks().forEach((track) => track.stop());
    stream = null;
    element.replaceChildren();
    button.hidden = false;
    button.focus();
  }
  async function open() {
    try {
      stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    } catch {
      element.replaceChildren(
        h(
          "p",
          { class: "small", role: "status" },
          "No camera: there is none, or this page was not allowed to use it.",
        ),
      );
      return;
    }
    const video = h("video", {
      autoplay: true,
      playsinline: true,
      muted: true,
      "aria-label": "What the camera sees",
    });
    video.srcObject = stream;
    const shoot = h(
      "button",
      {
        type: "button",
        class: "main",
        onclick: async () => {
          const canvas = new OffscreenCanvas(video.videoWidth, video.videoHeight);
          canvas.getContext("2d").drawImage(video, 0, 0);
          const shot = await canvas.convertToBlob({ type: "image/png" });
          close();
          take(shot, "the camera’s picture");
        },
      },
      "Take the picture",
    );
    button.hidden = true;
    element.replaceChildren(
      video,
      h("div", { class: "row" }, shoot, h("button", { type: "button", onclick: close }, "Close the camera")),
    );
    shoot.focus();
  }
  return { button, element };
}
