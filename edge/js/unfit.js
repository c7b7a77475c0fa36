// Responses of backends that do not fit their adapter. The core names the reason, in the lines of `unfit_lines` in
// edge/src/wire.rs; it is written into the log, and shown to holders of the edge token.
import { DEBUG } from "./http.js";
import { core } from "./wasm.js";

// The status by which an unfit response is counted, whatever the client gets.
export const UNFIT_STATUS = 502;

// Milliseconds between two log lines about one route of an adapter.
const PAUSE = 10000;

/**
 * By routes of adapters: the time of the next log line, and the responses without one since the last.
 *
 * @type {Map<string, { next: number, suppressed: number }>}
 */
const logged = new Map();

/**
 * Writes the reason into the log, unless the route had a line a moment ago.
 *
 * @param {string} lines
 */
export function logUnfit(lines) {
  const [, route, path, expected, found] = lines.split("\n");
  const now = Date.now();
  const last = logged.get(route);
  if (last !== undefined && now < last.next) {
    last.suppressed++;
    return;
  }
  logged.set(route, { next: now + PAUSE, suppressed: 0 });
  const suppressed = last === undefined ? 0 : last.suppressed;
  console.error(JSON.stringify({ event: "adapter_unfit", route, path, expected, found, suppressed }));
}

/**
 * Returns the reason as the value of a header; undefined for a client without the edge token.
 *
 * @param {string} lines
 * @param {Headers} headers that the client sent
 * @param {Env} env
 */
export function reasonFor(lines, headers, env) {
  const token = headers.get(DEBUG);
  return token !== null && core.is_edge_token(token, env) ? lines.split("\n")[0] : undefined;
}
