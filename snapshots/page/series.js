/** The portfolio's value in each currency: headline, chart and figures. */

import { chart } from "./chart.js";
import { amount, change, element, figures } from "./elements.js";

const HEADINGS = ["Period", "Balance", "Change", "Percent", "From accounts joining or leaving", "Captured"];

/** Return the card of one currency's series. */
export function seriesCard(series, interval, calendar) {
  const name = (point) => calendar.bucket(new Date(point.starts_at), interval);
  const title = `series-${series.currency}`;
  const readout = element("p", { class: "readout" });
  const headline = element("p", { class: "headline" });
  const last = series.points.at(-1);

  const show = (point) => {
    headline.replaceChildren(point.balance === null ? "–" : amount(point.balance));
    readout.replaceChildren(...describe(point, name(point), point === last ? series : null));
  };
  show(last);

  return element(
    "article",
    { class: "card series", "aria-labelledby": title },
    element("h3", { id: title }, series.currency),
    headline,
    readout,
    chart({
      label: `${series.currency} over time`,
      steps: series.points.map(toStep),
      timeZone: calendar.timeZone,
      group: "portfolio",
      onStep: (step) => show(step ? step.point : last),
      describe: ({ point }) => `${name(point)}: ${point.balance ?? "no balance"} ${series.currency}. ${captured(point)}`,
    }),
    figures(`${series.currency}, newest first`, HEADINGS, () => series.points.map((p) => row(p, name(p))).reverse()),
  );
}

function toStep(point) {
  return {
    start: new Date(point.starts_at),
    end: new Date(point.ends_at),
    balance: point.balance,
    isCarried: point.observed_count === 0,
    point,
  };
}

/** Describe a point; describe the last one by the change over the whole range. */
function describe(point, period, whole) {
  if (whole) {
    const over = element("span", { class: "fine" }, " over this range");
    return [change(whole.total_change_amount, whole.total_change_percent), over];
  }
  if (point.balance === null) {
    return [element("span", {}, period), element("span", { class: "fine" }, captured(point))];
  }
  const parts = [element("span", {}, period), change(point.change_amount, point.change_percent)];
  if (point.entered_amount !== null && /[1-9]/.test(point.entered_amount)) {
    parts.push(element("span", {}, "of which ", amount(point.entered_amount), " from accounts joining or leaving"));
  }
  return [...parts, element("span", { class: "fine" }, captured(point))];
}

function captured({ account_count: count, observed_count: observed, balance, is_complete: isComplete }) {
  const soFar = isComplete ? "" : " so far";
  if (balance === null) {
    return "No account in this currency";
  }
  if (observed === 0) {
    return `Carried forward: nothing captured${soFar}`;
  }
  return `${observed} of ${count} ${count === 1 ? "account" : "accounts"} captured${soFar}`;
}

function row(point, period) {
  return [
    period,
    point.balance === null ? null : amount(point.balance),
    change(point.change_amount, null),
    point.change_percent === null ? null : `${point.change_percent} %`,
    point.entered_amount === null ? null : amount(point.entered_amount),
    `${point.observed_count} of ${point.account_count}`,
  ];
}
