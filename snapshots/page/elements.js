/** Builds the elements that several parts of the page show. */

/** Create an element. A property that is a function is an event handler; any other is an attribute. */
export function element(name, properties = {}, ...children) {
  const created = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (typeof value === "function") {
      created.addEventListener(key, value);
    } else if (value !== null && value !== false) {
      created.setAttribute(key, value);
    }
  }
  created.append(...children);
  return created;
}

/** Show an amount exactly as the API wrote it. Thousands are separated by style, not by characters. */
export function amount(text, className = "") {
  const [, sign, whole, rest] = text.match(/^(-?)(\d+)(.*)$/);
  const groups = whole.match(/\d{1,3}(?=(\d{3})*$)/g);
  const shown = element("span", { class: `amount ${className}`.trim() }, sign);
  shown.append(...groups.map((group) => element("span", {}, group)), rest);
  return shown;
}

/** Show a change with its direction, or a dash if there is none. */
export function change(value, percent) {
  if (value === null) {
    return element("span", { class: "change" }, "–");
  }
  const direction = value.startsWith("-") ? "down" : /[1-9]/.test(value) ? "up" : "flat";
  const arrow = { up: "▲", down: "▼", flat: "" }[direction];
  const shown = element("span", { class: `change ${direction}` });
  shown.append(element("span", { "aria-hidden": "true", class: "arrow" }, arrow), amount(value));
  if (percent !== null) {
    shown.append(element("span", { class: "percent" }, ` (${percent} %)`));
  }
  return shown;
}

/** Create a table of figures that is built when it is first opened. */
export function figures(caption, headings, rows) {
  const details = element("details", { class: "figures" }, element("summary", {}, "Figures as a table"));
  details.addEventListener(
    "toggle",
    () => {
      const head = element("tr", {}, ...headings.map((heading, i) => cell("th", heading, i > 0, "col")));
      const body = rows().map((row) =>
        element("tr", {}, ...row.map((content, i) => cell(i > 0 ? "td" : "th", content, i > 0, i > 0 ? null : "row"))),
      );
      const table = element(
        "table",
        {},
        element("caption", { class: "hidden" }, caption),
        element("thead", {}, head),
        element("tbody", {}, ...body),
      );
      details.append(element("div", { class: "scroll", tabindex: "0", role: "region", "aria-label": caption }, table));
    },
    { once: true },
  );
  return details;
}

function cell(name, content, isNumber, scope) {
  return element(name, { scope, class: isNumber ? "number" : null }, content ?? "–");
}
