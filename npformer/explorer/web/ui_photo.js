// The photograph: chosen from the shelf or a file, or dropped; and the brush.

import { h, svg, replaceChildren } from "./ui_dom.js";
import { PAINTS, drawPixels, easel, paintOf } from "./ui_paint.js";
import { frame } from "./ui_chart.js";
import { cameraOf } from "./ui_camera.js";

const MOST_BYTES = 60e6;
const MOST_PIXELS = 50e6;

/** A file of the reader's as pixels, if it is not too large; an Error says in a sentence why there are none. */
export async function photographOf(file, name = file.name ?? "This") {
  if (file.size === 0) throw new Error(`“${name}” is empty: there are 0 bytes in it. Choose another file.`);
  if (file.size > MOST_BYTES)
    throw new Error(
      `“${name}” is too large: ${Math.round(file.size / 1e6)} MB. This page takes photographs of up to ${MOST_BYTES / 1e6} MB.`,
    );
  const { width, height } = await sizeOf(file);
  if (width * height > MOST_PIXELS)
    throw new Error(
      `“${name}” is too large: ${width} × ${height} pixels. This page takes photographs of up to ${MOST_PIXELS / 1e6} million pixels.`,
    );
  return pixelsOf(file, name);
}

/** How large a photograph is, from the beginning of its file: its pixels, which may be too many, are not made yet. */
async function sizeOf(file) {
  const image = new Image();
  const url = URL.createObjectURL(file);
  await new Promise((resolve) => {
    image.onload = image.onerror = resolve;
    image.src = url;
  });
  URL.revokeObjectURL(url);
  return { width: image.naturalWidth, height: image.naturalHeight }; // 0 for what is no photograph
}

/** A file as pixels, {width, height, data: RGBA}; an Error says in a sentence why it is none. */
export async function pixelsOf(file, name) {
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
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return { width, height, data: context.getImageData(0, 0, width, height).data };
}

/** Whether this browser alters what a page reads from a picture; some do, so that nobody is recognized by it. */
export function altersPictures() {
  const given = Uint8ClampedArray.from({ length: 4 * 32 * 32 }, (_, i) =>
    i % 4 === 3 ? 255 : (i * 37) % 256,
  );
  const context = new OffscreenCanvas(32, 32).getContext("2d", { willReadFrequently: true });
  context.putImageData(new ImageData(given.slice(), 32, 32), 0, 0);
  const { data } = context.getImageData(0, 0, 32, 32);
  return given.some((byte, i) => byte !== data[i]);
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
