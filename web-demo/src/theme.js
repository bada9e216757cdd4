// Light or dark, decided before the first paint (a classic script in the head): what the visitor chose
// here before, else what the system prefers. Whoever draws with the ink colour listens for "themechange".

{
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const chosen = () => {
    try {
      return localStorage.getItem("theme");
    } catch {
      return null; // storage is blocked: the choice lasts as long as the page
    }
  };
  const apply = (theme) => {
    root.dataset.theme = theme;
    const button = document.getElementById("theme");
    button?.setAttribute("aria-pressed", String(theme === "dark"));
    const color = getComputedStyle(root).getPropertyValue("--ground").trim();
    if (color) document.querySelector('meta[name="theme-color"]').content = color;
    root.dispatchEvent(new Event("themechange"));
  };
  const preferred = () => chosen() ?? (system.matches ? "dark" : "light");

  apply(preferred());
  system.addEventListener("change", () => apply(preferred()));
  addEventListener("DOMContentLoaded", () => {
    apply(preferred());
    document.getElementById("theme").addEventListener("click", () => {
      const theme = root.dataset.theme === "dark" ? "light" : "dark";
      try {
        localStorage.setItem("theme", theme);
      } catch {
        // see above
      }
      apply(theme);
    });
  });
}
