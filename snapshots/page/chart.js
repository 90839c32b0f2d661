/**
 * A step line of balances. A step has one balance from `start` to `end`: a null balance is a gap, and a step that
 * `isCarried` is dashed. Only the line and its axis use numbers; other texts show the API's strings.
 */

import { element } from "./elements.js";

const HEIGHT = 200;
const COMPACT = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 2 });
const scheme = matchMedia("(prefers-color-scheme: dark)");

/** What a finger touched last, unless a mouse or a pen has been used since. */
let touched = null;
for (const name of ["pointerdown", "pointermove"]) {
  addEventListener(name, ({ pointerType, target }) => (touched = pointerType === "touch" ? target : null));
}

/**
 * Draw steps into a new element. `onStep` is called with the step under the cursor, or with null; `describe` returns
 * the text that a screen reader says for a step. Charts of one `group` share a cursor.
 */
export function chart({ label, steps, timeZone, group, onStep, describe }) {
  const holder = element("div", {
    class: "chart",
    tabindex: "0",
    role: "slider",
    "aria-label": label,
    "aria-valuemin": "1",
    "aria-valuemax": String(steps.length),
    "aria-valuenow": String(steps.length),
    "aria-valuetext": describe(steps.at(-1)),
  });
  let plot = null;

  const point = (index) => {
    onStep(index === null ? null : steps[index]);
    const spoken = index ?? steps.length - 1;
    holder.setAttribute("aria-valuenow", String(spoken + 1));
    holder.setAttribute("aria-valuetext", describe(steps[spoken]));
  };
  const move = (index) => {
    const time = (steps[index].start.getTime() + steps[index].end.getTime()) / 2000;
    plot.setCursor({ left: plot.valToPos(time, "x"), top: plot.bbox.height / devicePixelRatio / 2 });
  };
  holder.addEventListener("keydown", (event) => {
    const current = Number(holder.getAttribute("aria-valuenow")) - 1;
    const target = {
      ArrowLeft: current - 1,
      ArrowDown: current - 1,
      ArrowRight: current + 1,
      ArrowUp: current + 1,
      PageUp: current + 10,
      PageDown: current - 10,
      Home: 0,
      End: steps.length - 1,
    }[event.key];
    if (target !== undefined && plot) {
      event.preventDefault();
      move(Math.min(Math.max(target, 0), steps.length - 1));
    }
  });
  holder.addEventListener("blur", () => plot?.setCursor({ left: -10, top: -10 }));

  const resize = () => {
    const width = holder.clientWidth;
    if (width > 0 && plot === null) {
      plot = new uPlot(options(width, timeZone, group, steps, point), columns(steps), holder);
    } else if (width > 0) {
      plot.setSize({ width, height: HEIGHT });
    }
  };
  new ResizeObserver(resize).observe(holder);
  scheme.addEventListener("change", () => plot?.redraw(false));
  return holder;
}

/** Return two points per step, at its first and its last millisecond, so that straight lines look like steps. */
function columns(steps) {
  const times = [];
  const all = [];
  const captured = [];
  for (const { start, end, balance, isCarried } of steps) {
    const height = balance === null ? null : Number(balance);
    const solid = isCarried ? null : height;
    times.push(start / 1000, (end - 1) / 1000);
    all.push(height, height);
    captured.push(solid, solid);
  }
  return [times, all, captured];
}

function options(width, timeZone, group, steps, point) {
  const axis = { stroke: () => color("--muted"), font: "12px system-ui, sans-serif", ticks: { show: false } };
  const dots = isolated(steps);
  const line = { stroke: () => color("--accent"), width: 2, points: { show: false } };
  let pointed = null;
  return {
    width,
    height: HEIGHT,
    tzDate: (seconds) => uPlot.tzDate(new Date(seconds * 1000), timeZone),
    legend: { show: false },
    padding: [12, 4, 0, 0],
    cursor: {
      y: false,
      drag: { x: false, y: false },
      points: { size: 9, fill: () => color("--accent") },
      // After a tap, a browser may report that its mouse, which rests elsewhere, has left the chart.
      bind: { mouseleave: (plot, _target, leave) => (event) => touched === plot.over || leave(event) },
      sync: group ? { key: group } : undefined,
    },
    axes: [
      { ...axis, size: 42, grid: { show: false }, space: 70 },
      {
        ...axis,
        size: 56,
        grid: { stroke: () => color("--border"), width: 1 },
        values: (_, ticks) => ticks.map((tick) => COMPACT.format(tick)),
      },
    ],
    series: [
      {},
      { ...line, dash: [4, 4], width: 1.5 },
      { ...line, points: { show: true, size: dots.length > 60 ? 3 : 5, filter: () => dots, fill: () => color("--accent") } },
    ],
    hooks: {
      setCursor: [
        (plot) => {
          const isOver = plot.cursor.left >= 0 && plot.cursor.idx !== null;
          const index = isOver ? Math.floor(plot.cursor.idx / 2) : null;
          if (index !== pointed) {
            pointed = index;
            point(index);
          }
        },
      ],
      drawAxes: [drawZero],
    },
  };
}

/** Return the first point of each captured step without a captured neighbour, whose line is too short to see. */
function isolated(steps) {
  const isCaptured = (step) => step && step.balance !== null && !step.isCarried;
  return steps.flatMap((step, i) =>
    isCaptured(step) && !isCaptured(steps[i - 1]) && !isCaptured(steps[i + 1]) ? [2 * i] : [],
  );
}

/** Draw the zero line, between assets and debts. */
function drawZero(plot) {
  const { min, max } = plot.scales.y;
  if (min < 0 && max > 0) {
    const y = Math.round(plot.valToPos(0, "y", true));
    const { left, width } = plot.bbox;
    plot.ctx.fillStyle = color("--muted");
    plot.ctx.fillRect(left, y, width, 1);
  }
}

function color(variable) {
  return getComputedStyle(document.documentElement).getPropertyValue(variable).trim();
}
