// The file as squares, in the order of its bytes and to scale: each stands for as many bytes as any other. A request lights up the squares
// that it reads from, brightly while it belongs to the search on show, softly ever after.

const GAP = 1;
const FADE_MS = 700;
const SQUARES_MIN_BYTES = 4096;
/** How much of its colour a square shows: nothing read yet, read for an earlier search, read for this one. */
const SHADES = [0.16, 0.5, 1];

const still = matchMedia("(prefers-reduced-motion: reduce)");

/**
 * Draws on `canvas`. `lay(layout, groupAt)` says what the file looks like, `begin()` that a new search begins, `touch(request)` that
 * bytes are asked for or have come. `told(text)` hears how many bytes a square is.
 */
export function createFileMap(canvas, told) {
  const pen = canvas.getContext("2d");
  let layout, groupOf, colors, grid;
  let squares = []; // { group, level, lit: when it was last lit, waiting: requests under way }
  const early = []; // what was read before the header said where it lies
  let frame = 0;

  new ResizeObserver(arrange).observe(canvas);
  document.documentElement.addEventListener("themechange", () => {
    colors = undefined;
    draw();
  });
  return { lay, begin, touch };

  function lay(found, groupAt) {
    [layout, groupOf] = [found, groupAt];
    arrange();
    for (const request of early.splice(0)) touch(request);
  }

  function begin() {
    for (const square of squares) square.level = Math.min(square.level, 1);
    draw();
  }

  function touch(request) {
    if (!layout) return request.state === "arrived" && early.push(request);
    const [first, last] = [request.offset, request.offset + Math.min(request.bytes, layout.fileBytes) - 1].map((at) => Math.floor(at / grid.bytes));
    for (let i = first; i <= Math.min(last, squares.length - 1); i++) {
      const square = squares[i];
      square.waiting = Math.max(0, square.waiting + (request.state === "waiting" ? 1 : -1));
      if (request.state !== "arrived") continue;
      square.level = 2;
      square.lit = performance.now();
    }
    draw();
  }

  /** As few bytes a square, a power of two, as there is room for. */
  function arrange() {
    const ratio = devicePixelRatio;
    canvas.width = Math.round(canvas.clientWidth * ratio);
    canvas.height = Math.round(canvas.clientHeight * ratio);
    if (!layout || canvas.width === 0) return;
    const pitch = (canvas.clientWidth < 380 ? 6 : 7) * ratio;
    const columns = Math.floor((canvas.width + GAP * ratio) / pitch);
    const lines = Math.floor((canvas.height + GAP * ratio) / pitch);
    let bytes = SQUARES_MIN_BYTES;
    while (Math.ceil(layout.fileBytes / bytes) > columns * lines) bytes *= 2;
    const count = Math.ceil(layout.fileBytes / bytes);
    const before = grid && { bytes: grid.bytes, squares };
    // Few squares may be larger than they need be.
    let side = pitch;
    while (count * (side + ratio) ** 2 < canvas.width * canvas.height * 0.94 && Math.ceil(count / Math.floor((canvas.width + GAP * ratio) / (side + ratio))) * (side + ratio) <= canvas.height + GAP * ratio) side += ratio;
    grid = { bytes, columns: Math.floor((canvas.width + GAP * ratio) / side), pitch: side, side: side - GAP * ratio };
    squares = Array.from({ length: count }, (_, i) => {
      const was = before?.squares.slice(Math.floor((i * bytes) / before.bytes), Math.max(1, Math.ceil(((i + 1) * bytes) / before.bytes))) ?? [];
      return { group: groupOf(layout, Math.min(i * bytes + bytes / 2, layout.fileBytes - 1)), level: Math.max(0, ...was.map(({ level }) => level)), lit: 0, waiting: 0 };
    });
    told(`A square is ${bytes / 1024} KiB of the file.`);
    draw();
  }

  function draw() {
    frame ||= requestAnimationFrame(paint);
  }

  function paint(now) {
    frame = 0;
    if (!grid) return;
    colors ??= readColors();
    pen.clearRect(0, 0, canvas.width, canvas.height);
    let moving = false;
    for (const [i, square] of squares.entries()) {
      const x = (i % grid.columns) * grid.pitch;
      const y = Math.floor(i / grid.columns) * grid.pitch;
      const glow = still.matches ? 0 : Math.max(0, 1 - (now - square.lit) / FADE_MS) * Number(square.lit > 0);
      pen.fillStyle = colors[square.group];
      pen.globalAlpha = SHADES[square.level];
      pen.fillRect(x, y, grid.side, grid.side);
      pen.globalAlpha = 1;
      if (square.waiting > 0) {
        pen.strokeStyle = colors.ink;
        pen.lineWidth = devicePixelRatio;
        pen.strokeRect(x + pen.lineWidth / 2, y + pen.lineWidth / 2, grid.side - pen.lineWidth, grid.side - pen.lineWidth);
      }
      if (glow > 0) {
        moving = true;
        pen.globalAlpha = glow;
        pen.fillStyle = colors.ink;
        const grown = glow * devicePixelRatio;
        pen.fillRect(x - grown, y - grown, grid.side + 2 * grown, grid.side + 2 * grown);
        pen.globalAlpha = 1;
      }
    }
    if (moving) draw();
  }

  function readColors() {
    const style = getComputedStyle(canvas);
    const color = (name) => style.getPropertyValue(name).trim();
    return Object.fromEntries(["start", "codes", "records", "payload", "columns", "rest", "ink"].map((name) => [name, color(`--${name}`)]));
  }
}
