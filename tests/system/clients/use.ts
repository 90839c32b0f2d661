// Uses the types that openapi-typescript generates from the contract. tsc checks them; the test compares the output.

import createClient from "openapi-fetch";

import type { components, paths } from "./balance-snapshots.js";

type Problem = components["schemas"]["Problem"];
type Snapshot = components["schemas"]["Snapshot"];
type NewSnapshot = components["schemas"]["CaptureItem"];

const { API, TOKEN, USER, ACCOUNT } = process.env as Record<string, string>;
const client = createClient<paths>({ baseUrl: API, headers: { Authorization: `Bearer ${TOKEN}` } });
const inAccount = { path: { account_id: ACCOUNT } };

function need<T>(value: T | undefined): T {
  if (value === undefined) {
    throw new Error("This member is missing.");
  }
  return value;
}

const latest = need((await client.GET("/balance-snapshots")).data);

const range = { start_date: "2025-12-01T00:00:00+01:00", end_date: "2025-12-31T23:59:59+01:00" };
const history = need(
  (await client.GET("/accounts/{account_id}/balance-history", { params: { ...inAccount, query: range } })).data,
);

const portfolio = need(
  (await client.GET("/balance-history", { params: { query: { ...range, interval: "month" } } })).data,
);

const listed: Snapshot[] = [];
let pages = 0;
let cursor: string | undefined;
do {
  const { data, response } = await client.GET("/accounts/{account_id}/balance-snapshots", {
    params: { ...inAccount, query: { limit: 3, source: "manual_sync", cursor } },
  });
  listed.push(...need(data).snapshots);
  pages += 1;
  const next = /<([^>]+)>; rel="next"/.exec(response.headers.get("Link") ?? "");
  cursor = next ? (new URL(next[1], API).searchParams.get("cursor") ?? undefined) : undefined;
} while (cursor);

// The optional amounts are left out.
const snapshot: NewSnapshot = {
  user_id: USER,
  account_id: ACCOUNT,
  balance: "1234.50",
  currency: "USD",
  source: "scheduled_sync",
  captured_at: "2026-03-01T06:00:00Z",
};
const captured = await client.POST("/balance-snapshots", { body: { snapshots: [snapshot] } });

const conflict = await client.POST("/balance-snapshots", { body: { snapshots: [{ ...snapshot, balance: "1.00" }] } });
const contradiction: Problem = need(conflict.error);

const { balance, currency, ...key } = snapshot;
const corrected = await client.POST("/balance-snapshots/corrections", {
  body: {
    corrections: [
      {
        ...key,
        id: need(captured.data).snapshots[0].id,
        reason: "The provider sent the wrong amount.",
        replacement: { balance: "1200.00", currency },
      },
    ],
  },
});

const refused = await client.GET("/accounts/{account_id}/balance-snapshots", {
  params: { ...inAccount, query: { limit: 500 } },
});
const invalid: Problem = need(refused.error);

console.log(
  JSON.stringify({
    latest: latest.total_count,
    history: [history.total_count, history.snapshots[0].captured_at],
    portfolio: portfolio.series.map((series) => series.currency),
    list: [listed.length, pages],
    captured: [captured.response.status, need(captured.data).snapshots[0].status],
    conflict: [contradiction.status, contradiction.errors?.map((fault) => fault.field)],
    corrected: need(corrected.data).corrections[0].status,
    invalid: [invalid.status, invalid.errors?.map((fault) => fault.field)],
  }),
);
