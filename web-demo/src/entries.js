// The answer as a list of dictionary entries, which keyboards walk through and which can be searched from.

const list = document.getElementById("entries");

/** Shows the hits; pressing one calls `choose(entry)`. */
export function showEntries(entries, choose) {
  const focused = [...list.children].findIndex((item) => item.contains(document.activeElement));
  list.replaceChildren(...entries.map((entry) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.className = "entry";
    button.title = `Search from “${entry.lemma.split(", ")[0]}”`;
    const head = text("span", "head", "");
    head.append(text("b", "lemma", entry.lemma), " ", text("i", "pos", entry.pos), text("span", "hidden", ", distance "), text("span", "distance", entry.distance.toFixed(3)));
    button.append(head, text("span", "definition", entry.definition));
    button.addEventListener("click", () => choose(entry));
    item.append(button);
    return item;
  }));
  list.children[focused]?.firstElementChild.focus();
}

function text(tag, name, content) {
  const part = document.createElement(tag);
  part.className = name;
  part.textContent = content;
  return part;
}

/** Arrow keys go from the box into the list, through it, and back. */
export function walkWithArrows(box) {
  const buttons = () => [...list.querySelectorAll("button")];
  box.addEventListener("keydown", (event) => {
    if (event.key !== "ArrowDown" || buttons().length === 0) return;
    event.preventDefault();
    buttons()[0].focus();
  });
  list.addEventListener("keydown", (event) => {
    const all = buttons();
    const at = all.indexOf(document.activeElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: all.length - 1 }[event.key];
    if (next === undefined || at < 0) return;
    event.preventDefault();
    if (next < 0) box.focus();
    else all[Math.min(next, all.length - 1)].focus();
  });
}
