/** Reads from the API. Amounts remain strings; nothing here converts them to numbers. */

const BASE = "/api/v1";
const TIMEOUT_MS = 20_000;
const UNAVAILABLE = new Set([502, 503, 504]);

/** A read that failed. `kind` is "unauthorized", "limited", "unavailable" or "refused". */
export class ReadError extends Error {
  constructor(kind, detail, { retryAt = null, traceId = null } = {}) {
    super(detail);
    this.kind = kind;
    this.retryAt = retryAt;
    this.traceId = traceId;
  }
}

/** Return the body of a successful read. Throws ReadError. */
export async function read(token, path, parameters = {}) {
  let response, body;
  try {
    response = await fetch(`${BASE}${path}?${new URLSearchParams(parameters)}`, {
      headers: { Authorization: `Bearer ${token}` },
      cache: "no-store",
      signal: AbortSignal.timeout(TIMEOUT_MS),
    });
    body = await response.json();
  } catch (error) {
    if (response && !response.ok) {
      body = {};
    } else if (error.name === "TimeoutError") {
      throw new ReadError("unavailable", "The service took too long to respond.");
    } else {
      throw new ReadError("unavailable", "The service cannot be reached. Check your connection.");
    }
  }
  if (response.ok) {
    return body;
  }
  const seconds = Number(response.headers.get("Retry-After"));
  throw new ReadError(kindOf(response.status), explain(body, response.status), {
    retryAt: seconds > 0 ? new Date(Date.now() + seconds * 1000) : null,
    traceId: body.trace_id ?? null,
  });
}

function kindOf(status) {
  if (status === 401) {
    return "unauthorized";
  }
  if (status === 429) {
    return "limited";
  }
  return UNAVAILABLE.has(status) ? "unavailable" : "refused";
}

function explain(body, status) {
  const faults = (body.errors ?? []).map(({ field, message }) => `${field}: ${message}`);
  const detail = body.detail ?? `The service responded with status ${status}`;
  return [detail.endsWith(".") ? detail : `${detail}.`, ...faults].join(" ");
}
