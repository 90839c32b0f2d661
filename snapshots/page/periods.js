/** Ranges, intervals and the formats of their times. */

export const INTERVALS = ["day", "week", "month", "quarter", "year"];
const SHORTEST_DAYS = { day: 1, week: 7, month: 28, quarter: 90, year: 365 };
const MONTHS = { "1M": 1, "3M": 3, "1Y": 12 };
// The API's limit for a portfolio's history.
const MAX_BUCKETS = 1100;
const STALE_DAYS = 7;
const MS_PER_DAY = 86_400_000;

/** Return the end of the longest interval of this kind that begins at `start`. */
export function nominalEnd(start, interval) {
  const longest = { day: 1, week: 7, month: 31, quarter: 92, year: 366 }[interval];
  return new Date(start.getTime() + longest * MS_PER_DAY);
}

/** Return whether a portfolio was last captured so long ago that its ranges end there. */
export function isStale(newest, now) {
  return now - newest > STALE_DAYS * MS_PER_DAY;
}

/** Return the last second of a day, in the browser's time zone. */
export function endOfDay(date) {
  return new Date(date.getFullYear(), date.getMonth(), date.getDate(), 23, 59, 59);
}

/** Return the first instant of a range that ends at `end`: local midnight, some months before. */
export function startOf(range, end, first) {
  if (range === "all") {
    return first;
  }
  const year = end.getFullYear();
  const month = end.getMonth() - MONTHS[range];
  const daysInMonth = new Date(year, month + 1, 0).getDate();
  return new Date(year, month, Math.min(end.getDate(), daysInMonth));
}

/** Return the intervals that divide a range into no more buckets than the API returns. */
export function allowedIntervals(start, end) {
  const days = (end - start) / MS_PER_DAY;
  return INTERVALS.filter((interval) => days / SHORTEST_DAYS[interval] + 2 <= MAX_BUCKETS);
}

/** Write dates and times in one time zone. */
export class Calendar {
  constructor(timeZone) {
    this.timeZone = timeZone;
    const format = (options) => new Intl.DateTimeFormat("en-GB", { timeZone, ...options });
    this.formats = {
      day: format({ day: "numeric", month: "short", year: "numeric" }),
      month: format({ month: "long", year: "numeric" }),
      year: format({ year: "numeric" }),
      time: format({ day: "numeric", month: "short", year: "numeric", hour: "2-digit", minute: "2-digit" }),
      monthNumber: format({ month: "numeric" }),
    };
  }

  day(date) {
    return this.formats.day.format(date);
  }

  time(date) {
    return this.formats.time.format(date);
  }

  /** Name a bucket by its first instant. */
  bucket(start, interval) {
    switch (interval) {
      case "week":
        return `Week of ${this.day(start)}`;
      case "month":
        return this.formats.month.format(start);
      case "quarter":
        return `Q${Math.ceil(Number(this.formats.monthNumber.format(start)) / 3)} ${this.formats.year.format(start)}`;
      case "year":
        return this.formats.year.format(start);
      default:
        return this.day(start);
    }
  }
}

const UNITS = [
  ["year", 365 * MS_PER_DAY],
  ["month", 30 * MS_PER_DAY],
  ["day", MS_PER_DAY],
  ["hour", MS_PER_DAY / 24],
  ["minute", MS_PER_DAY / 1440],
];

/** Say how long ago something was: "11 months ago". */
export function age(date, now) {
  const relative = new Intl.RelativeTimeFormat("en", { numeric: "always" });
  const passed = now - date;
  const [unit, length] = UNITS.find(([, length]) => passed >= length) ?? [];
  return unit ? relative.format(-Math.floor(passed / length), unit) : "just now";
}
