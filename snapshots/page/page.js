/** The page: takes a token, shows the portfolio, and reports problems. */

import { accountHistory, accountRow } from "./account.js";
import { read } from "./api.js";
import { age, allowedIntervals, Calendar, endOfDay, isStale, startOf } from "./periods.js";
import { seriesCard } from "./series.js";

// Where the search for the first snapshot begins.
const EARLIEST = new Date(Date.UTC(1900, 0, 1));
const DEFAULT_POINTS = 800;
const byId = (id) => document.getElementById(id);
const interval = byId("interval");

// Kept in memory only: a reload forgets it.
let token = null;
let calendar = new Calendar(browserTimeZone());
/** When the newest snapshot was captured and the first one's year began, and whether stale charts continue to today. */
let portfolio = { newest: null, first: null, isExtended: false };
/** The period on the page, for the accounts' histories too. */
let period = null;
let countdown = null;
let loads = 0;
/** Settles when the load in progress, and those waiting for it, have ended. */
let idle = Promise.resolve();

function browserTimeZone() {
  return Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
}

/**
 * Run a load after the one in progress, unless a later load has replaced it by then. The service completes the reads of
 * a caller who has hung up, and limits how many may be in progress, so aborting them would gain nothing.
 */
function load(work) {
  const own = ++loads;
  const isCurrent = () => own === loads;
  const run = () => isCurrent() && runLoad(work, isCurrent);
  byId("status").textContent = "Loading…";
  document.body.classList.add("loading");
  idle = idle.then(run, run);
}

/** Run a load; unless a later one has replaced it, show its problem. */
async function runLoad(work, isCurrent) {
  try {
    await work(isCurrent);
    if (isCurrent()) {
      hideProblem();
      byId("status").textContent = "";
    }
  } catch (error) {
    if (isCurrent()) {
      byId("status").textContent = "";
      showProblem(error, () => load(work));
    }
  } finally {
    if (isCurrent()) {
      document.body.classList.remove("loading");
    }
  }
}

async function loadPortfolio(isCurrent) {
  const latest = await read(token, "/balance-snapshots");
  if (!isCurrent()) {
    return;
  }
  const [newest] = latest.snapshots;
  if (!newest) {
    show("empty");
    return;
  }
  portfolio = { ...portfolio, newest: new Date(newest.captured_at), first: null };
  period = await choosePeriod(null);
  if (isCurrent()) {
    show("portfolio");
    showAccounts(latest.snapshots);
    await loadSeries(isCurrent);
  }
}

async function changePeriod(isCurrent, chosen) {
  const changed = await choosePeriod(chosen);
  if (isCurrent()) {
    period = changed;
    await loadSeries(isCurrent);
  }
}

/** Return the period of the selected range, divided by the chosen interval or else by one that suits the range. */
async function choosePeriod(chosen) {
  const range = document.querySelector("input[name=range]:checked").value;
  const now = new Date();
  const isPast = isStale(portfolio.newest, now);
  const end = isPast && !portfolio.isExtended ? endOfDay(portfolio.newest) : now;
  if (range === "all" && portfolio.first === null) {
    portfolio.first = await findFirst(now);
  }
  const start = startOf(range, end, portfolio.first);
  const allowed = allowedIntervals(start, end);
  const by = allowed.includes(chosen) ? chosen : defaultInterval(start, end);
  return { start, end, by, allowed, isPast };
}

/** Read and show the portfolio's history in the period. */
async function loadSeries(isCurrent) {
  const { start, end, by, allowed, isPast } = period;
  for (const option of interval.options) {
    option.disabled = !allowed.includes(option.value);
  }
  interval.value = by;
  byId("stale").hidden = !isPast;
  byId("stale-text").textContent =
    `Nothing has been captured since ${calendar.day(portfolio.newest)}, ${age(portfolio.newest, new Date())}. ` +
    (portfolio.isExtended ? "Balances are carried forward to today." : "The charts end there.");
  byId("extend").textContent = portfolio.isExtended ? "End at the last capture" : "Continue to today";
  const history = await readHistory("/balance-history", start, end, by);
  if (isCurrent()) {
    byId("series").replaceChildren(...history.series.map((series) => seriesCard(series, by, calendar)));
    byId("zone").textContent = ` · Days end at midnight in ${calendar.timeZone.replaceAll("_", " ")}.`;
  }
}

function defaultInterval(start, end) {
  const days = (end - start) / 86_400_000;
  return [["day", 1], ["week", 7], ["month", 30]].find(([, length]) => days / length <= DEFAULT_POINTS)?.[0] ?? "year";
}

/** Return the first instant of the year of the portfolio's first snapshot. */
async function findFirst(now) {
  const history = await readHistory("/balance-history", EARLIEST, now, "year");
  const starts = history.series
    .map(({ points }) => points.find(({ balance }) => balance !== null))
    .filter(Boolean)
    .map((point) => new Date(point.starts_at));
  return new Date(Math.min(...starts));
}

/** Read a history in the browser's time zone, or in UTC if the API does not know that zone. */
async function readHistory(path, start, end, by) {
  const range = { start_date: start.toISOString(), end_date: end.toISOString(), interval: by };
  try {
    return await read(token, path, { ...range, time_zone: calendar.timeZone });
  } catch (error) {
    if (error.kind !== "refused" || !error.message.includes("time_zone") || calendar.timeZone === "UTC") {
      throw error;
    }
    calendar = new Calendar("UTC");
    return read(token, path, { ...range, time_zone: "UTC" });
  }
}

function showAccounts(snapshots) {
  const now = new Date();
  const rows = snapshots.map((snapshot) => accountRow(snapshot, calendar, now, () => openAccount(snapshot.account_id)));
  byId("accounts").tBodies[0].replaceChildren(...rows);
}

async function openAccount(id) {
  const dialog = byId("account");
  byId("account-title").textContent = `Account ${id}`;
  byId("account-problem").hidden = true;
  byId("account-body").replaceChildren("Loading…");
  if (!dialog.open) {
    dialog.showModal();
  }
  const { start, end, by } = period;
  try {
    const history = await readHistory(`/accounts/${id}/balance-history`, start, end, by);
    if (byId("account-title").textContent.endsWith(id)) {
      byId("account-body").replaceChildren(...accountHistory(history, by, end, calendar));
    }
  } catch (error) {
    if (error.kind === "unauthorized") {
      dialog.close();
      showProblem(error, null);
    } else {
      const when = error.retryAt ? ` Try again at ${error.retryAt.toLocaleTimeString("en-GB")}.` : "";
      byId("account-body").replaceChildren();
      byId("account-problem").textContent = error.message + when;
      byId("account-problem").hidden = false;
    }
  }
}

const TITLES = {
  unauthorized: "The token was not accepted",
  limited: "Too many reads",
  unavailable: "The service is unavailable",
  refused: "The service refused the request",
};

/** Say what went wrong, when to try again, and which trace id to report. */
function showProblem(error, again) {
  if (!(error.kind in TITLES)) {
    throw error;
  }
  clearInterval(countdown);
  byId("problem-title").textContent = TITLES[error.kind];
  byId("problem-detail").textContent = error.message;
  byId("problem-trace").textContent = error.traceId && error.kind === "refused" ? `Trace id ${error.traceId}` : "";
  byId("retry").hidden = again === null || error.kind === "unauthorized";
  byId("retry").onclick = again;
  byId("problem").hidden = false;
  if (error.kind === "unauthorized") {
    forget();
    byId("problem-detail").textContent += " Paste a new token.";
  } else if (error.retryAt) {
    byId("problem-detail").textContent += ` Try again at ${error.retryAt.toLocaleTimeString("en-GB")}.`;
    waitUntil(error.retryAt);
  }
}

/** Count down on the button. The message beside it stays as it is, so that a screen reader says it once. */
function waitUntil(time) {
  const button = byId("retry");
  const tick = () => {
    const seconds = Math.ceil((time - Date.now()) / 1000);
    button.disabled = seconds > 0;
    button.textContent = seconds > 0 ? `Try again in ${seconds} s` : "Try again";
    if (seconds <= 0) {
      clearInterval(countdown);
    }
  };
  tick();
  countdown = setInterval(tick, 500);
}

function hideProblem() {
  clearInterval(countdown);
  byId("problem").hidden = true;
  byId("retry").disabled = false;
  byId("retry").textContent = "Try again";
}

/** Show one of the parts of the page. */
function show(part) {
  for (const id of ["sign-in", "portfolio", "empty"]) {
    byId(id).hidden = id !== part;
  }
  byId("session").hidden = part === "sign-in";
}

function useToken(value) {
  token = value.trim().replace(/^bearer\s+/i, "");
  byId("token").value = "";
  byId("session").hidden = false;
  byId("sign-in").hidden = true;
  load(loadPortfolio);
}

function forget() {
  loads++;
  token = null;
  document.body.classList.remove("loading");
  byId("status").textContent = "";
  byId("series").replaceChildren();
  byId("accounts").tBodies[0].replaceChildren();
  show("sign-in");
  byId("token").focus();
}

/** Move the token out of the address, so that it ends up in no bookmark, history or screenshot. */
function takeTokenFromAddress() {
  const fromAddress = new URLSearchParams(location.hash.slice(1)).get("token");
  if (fromAddress !== null) {
    history.replaceState(null, "", location.pathname + location.search);
    useToken(fromAddress);
  }
  return fromAddress !== null;
}

byId("sign-in").addEventListener("submit", (event) => {
  event.preventDefault();
  useToken(byId("token").value);
});
byId("forget").addEventListener("click", () => {
  hideProblem();
  forget();
});
byId("refresh").addEventListener("click", () => load(loadPortfolio));
byId("ranges").addEventListener("change", () => load((isCurrent) => changePeriod(isCurrent, null)));
interval.addEventListener("change", () => load((isCurrent) => changePeriod(isCurrent, interval.value)));
byId("extend").addEventListener("click", () => {
  portfolio.isExtended = !portfolio.isExtended;
  load((isCurrent) => changePeriod(isCurrent, null));
});
byId("close").addEventListener("click", () => byId("account").close());
byId("account").addEventListener("click", (event) => event.target === event.currentTarget && byId("account").close());
addEventListener("hashchange", takeTokenFromAddress);
if (!takeTokenFromAddress()) {
  show("sign-in");
}
