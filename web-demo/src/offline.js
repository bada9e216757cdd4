// Says whether the page would survive without a network: the service worker has stored every file.

const chip = document.getElementById("offline");
const text = document.getElementById("offline-text");

function say(state, words) {
  chip.dataset.state = state;
  text.textContent = words;
}

/** Registers the service worker; called once the index is open, so that the two do not compete. */
export async function keepForOffline() {
  if (!("serviceWorker" in navigator)) return say("off", "Needs a network");
  try {
    const controlled = navigator.serviceWorker.controller !== null;
    await navigator.serviceWorker.register("sw.js");
    if (!controlled) say("waiting", "Storing");
    await navigator.serviceWorker.ready;
    navigator.serviceWorker.addEventListener("controllerchange", () => {
      if (controlled) say("new", "Updated: reload to use it");
    });
    const settle = () => say("ready", navigator.onLine ? "Works offline" : "Offline, and working");
    addEventListener("online", settle);
    addEventListener("offline", settle);
    settle();
  } catch {
    say("off", "Needs a network"); // blocked or out of space: the page itself works
  }
}
