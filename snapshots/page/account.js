/** An account's row in the list, and its history. */

import { chart } from "./chart.js";
import { amount, change, element, figures } from "./elements.js";
import { age, nominalEnd } from "./periods.js";

const HEADINGS = ["Captured", "Balance", "Change", "Percent", "Source"];

/** Return the row of an account's latest snapshot; its button calls `open`. */
export function accountRow(snapshot, calendar, now, open) {
  const { account_id: id, captured_at: capturedAt } = snapshot;
  const at = new Date(capturedAt);
  const button = element(
    "button",
    { type: "button", class: "account", "aria-label": `History of account ${id}`, "aria-haspopup": "dialog", click: open },
    element("span", { class: "id", title: id }, `${id.slice(0, 8)}…${id.slice(-6)}`),
    element("span", { class: "fine" }, sourceName(snapshot.source)),
  );
  const time = element("time", { datetime: capturedAt, title: calendar.time(at) }, age(at, now));
  const balance = amount(snapshot.balance, /[1-9]/.test(snapshot.balance) ? "" : "zero");
  return element(
    "tr",
    {},
    element("th", { scope: "row" }, button),
    element("td", { class: "number" }, balance, element("span", { class: "currency" }, ` ${snapshot.currency}`)),
    element("td", { class: "number" }, change(snapshot.change_amount, snapshot.change_percent)),
    element("td", { class: "number age" }, time),
  );
}

/** Return the elements of an account's history in a range that ends at `end`. */
export function accountHistory(history, interval, end, calendar) {
  const last = history.snapshots.at(-1);
  if (!last) {
    return [element("p", { class: "none" }, "Nothing was captured in this range. Choose a longer one.")];
  }
  const readout = element("p", { class: "readout" });
  const headline = element("p", { class: "headline" });
  const show = (snapshot) => {
    headline.replaceChildren(amount(snapshot.balance), element("span", { class: "currency" }, ` ${snapshot.currency}`));
    readout.replaceChildren(...describe(snapshot, calendar));
  };
  show(last);
  const shown = [headline, readout];
  if (history.currency === null) {
    const text = `The currency changed in this range. The chart shows only ${last.currency}; the table shows all.`;
    shown.push(element("p", { class: "fine" }, text));
  }
  return [
    ...shown,
    chart({
      label: `Balance of account ${last.account_id} over time`,
      steps: toSteps(history.snapshots, interval, end, last.currency),
      timeZone: calendar.timeZone,
      onStep: (step) => show(step ? step.snapshot : last),
      describe: ({ snapshot }) =>
        `${calendar.time(new Date(snapshot.captured_at))}: ${snapshot.balance} ${snapshot.currency}`,
    }),
    figures("Snapshots, newest first", HEADINGS, () => history.snapshots.map((s) => row(s, calendar)).reverse()),
  ];
}

/** Return the steps of a line: each snapshot holds for one interval, and is then carried forward until the next. */
function toSteps(snapshots, interval, rangeEnd, currency) {
  const steps = [];
  for (const [i, snapshot] of snapshots.entries()) {
    const start = new Date(snapshot.captured_at);
    const next = i + 1 < snapshots.length ? new Date(snapshots[i + 1].captured_at) : rangeEnd;
    const end = new Date(Math.max(Math.min(nominalEnd(start, interval), next), start.getTime() + 2));
    const balance = snapshot.currency === currency ? snapshot.balance : null;
    steps.push({ start, end, balance, isCarried: false, snapshot });
    if (next > end) {
      steps.push({ start: end, end: next, balance, isCarried: true, snapshot });
    }
  }
  return steps;
}

function describe(snapshot, calendar) {
  return [
    element("span", {}, calendar.time(new Date(snapshot.captured_at))),
    change(snapshot.change_amount, snapshot.change_percent),
    element("span", { class: "fine" }, sourceName(snapshot.source)),
  ];
}

function row(snapshot, calendar) {
  return [
    calendar.time(new Date(snapshot.captured_at)),
    element("span", {}, amount(snapshot.balance), ` ${snapshot.currency}`),
    change(snapshot.change_amount, null),
    snapshot.change_percent === null ? null : `${snapshot.change_percent} %`,
    sourceName(snapshot.source),
  ];
}

function sourceName(source) {
  return source.replaceAll("_", " ");
}
