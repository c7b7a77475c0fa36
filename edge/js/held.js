// Bodies of guarded requests that the isolate holds. All of them together have a bound: clients may send them slowly,
// and backends may take them slowly.
import { LONGEST_REQUEST_MS } from "./report.js";

// Most bytes of them at once. An isolate has 128 MB.
const MAX_HELD = 16777216;

// Bodies that were read are given up with their period: the platform may end the work for a client that left, and then
// nobody learns of the end.
const PERIOD_MS = 10000;

// Bytes of the bodies that are being read. A reading ends when its client leaves.
let reading = 0;

/**
 * Bodies that were read, by the time at which that was.
 *
 * @type {{ end: number, bytes: number }[]}
 */
let periods = [];

/**
 * Waits for a body for which so many bytes are reserved. Returns undefined if there is no room for them, and does not
 * begin to read then.
 *
 * @template T
 * @param {number} bytes
 * @param {() => Promise<T>} read
 * @returns {Promise<T> | undefined}
 */
export function readWithin(bytes, read) {
  const now = Date.now();
  if (periods.length > 0 && now - periods[0].end > LONGEST_REQUEST_MS) {
    periods = periods.filter(({ end }) => now - end <= LONGEST_REQUEST_MS);
  }
  const sent = periods.reduce((sum, period) => sum + period.bytes, 0);
  if (sent + reading + bytes > MAX_HELD) return undefined;
  reading += bytes;
  return read().finally(() => {
    reading -= bytes;
  });
}

/**
 * Holds the bytes of a body until its backend has responded.
 *
 * @template T
 * @param {number} bytes
 * @param {Promise<T>} answered
 */
export function holdUntil(bytes, answered) {
  if (bytes === 0) return answered;
  const now = Date.now();
  let period = periods.at(-1);
  if (period === undefined || now >= period.end) {
    period = { end: now + PERIOD_MS, bytes: 0 };
    periods.push(period);
  }
  const own = period;
  own.bytes += bytes;
  return answered.finally(() => {
    own.bytes -= bytes;
  });
}
