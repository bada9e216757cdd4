// Paints 28 x 28 bytes as ink on whatever lies behind: a pixel's value says how much, so the same
// bytes are dark on paper in light mode and pale on deep water in dark mode.

export const SIDE = 28;
export const PIXELS = SIDE * SIDE;

/** Opacity of a pixel: a little above its value, for dark cloth would drown in a dark page. */
const OPACITY = Uint8Array.from({ length: 256 }, (_, value) => Math.round(255 * (value / 255) ** 0.8));

const painted = new Map(); // canvas -> pixels, so that a change of theme can repaint what is on show

/** Draws `pixels` on a 28 x 28 canvas and remembers them for the next change of theme. */
export function paint(canvas, pixels) {
  painted.set(canvas, pixels);
  draw(canvas, pixels, ink());
}

/** A new canvas that shows `pixels`. */
export function picture(pixels) {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = SIDE;
  canvas.setAttribute("aria-hidden", "true");
  paint(canvas, pixels);
  return canvas;
}

function draw(canvas, pixels, [red, green, blue]) {
  const context = canvas.getContext("2d");
  const image = context.createImageData(SIDE, SIDE);
  for (let i = 0; i < PIXELS; i++) image.data.set([red, green, blue, OPACITY[pixels[i]]], i * 4);
  context.putImageData(image, 0, 0);
}

let cached;
function ink() {
  cached ??= getComputedStyle(document.documentElement).getPropertyValue("--ink-rgb").split(",").map(Number);
  return cached;
}

document.documentElement.addEventListener("themechange", () => {
  cached = undefined;
  for (const [canvas, pixels] of painted) {
    if (canvas.isConnected) draw(canvas, pixels, ink());
    else painted.delete(canvas);
  }
});
