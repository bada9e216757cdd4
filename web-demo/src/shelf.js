// The shelf of garments that are not in the index: a list box that moves with the arrow keys. Moving
// picks, so holding an arrow key down walks through the shelf and the neighbours follow.

import { picture } from "./picture.js";

const SHOWN = 20; // two of each kind

/** Fills the shelf; `picked(garment)` is called for each choice. */
export function createShelf(garments, picked) {
  const shelf = document.getElementById("shelf");
  let start = 0;

  function fill() {
    shelf.replaceChildren(...garments.slice(start, start + SHOWN).map(option));
    shelf.firstElementChild.tabIndex = 0;
  }

  function option(garment, i) {
    const item = document.createElement("li");
    item.setAttribute("role", "option");
    item.setAttribute("aria-selected", "false");
    item.setAttribute("aria-label", `${garment.label}, ${i + 1} of ${SHOWN}`);
    item.title = garment.label;
    item.tabIndex = -1;
    item.append(picture(garment.pixels));
    item.addEventListener("click", () => choose(i));
    return item;
  }

  function choose(i) {
    picked(garments[start + i]);
    mark(i);
    shelf.children[i].focus({ preventScroll: true });
    shelf.children[i].scrollIntoView({ block: "nearest", inline: "nearest" });
  }

  /** Marks one garment as chosen, or none: what is on the pad is then something else. */
  function mark(chosen) {
    [...shelf.children].forEach((item, i) => {
      item.setAttribute("aria-selected", String(i === chosen));
      if (chosen !== undefined) item.tabIndex = i === chosen ? 0 : -1;
    });
  }

  function columns() {
    const top = shelf.firstElementChild.offsetTop;
    const first = [...shelf.children].findIndex((item) => item.offsetTop !== top);
    return first < 0 ? SHOWN : first;
  }

  shelf.addEventListener("keydown", (event) => {
    const at = [...shelf.children].indexOf(document.activeElement);
    const to = {
      ArrowRight: at + 1, ArrowLeft: at - 1, ArrowDown: at + columns(), ArrowUp: at - columns(),
      Home: 0, End: SHOWN - 1, " ": at, Enter: at,
    }[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    if (to >= 0 && to < SHOWN) choose(to);
  });
  document.getElementById("more").addEventListener("click", () => {
    start = (start + SHOWN) % (garments.length - (garments.length % SHOWN));
    fill();
  });

  fill();
  return { choose, mark };
}
