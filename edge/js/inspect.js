// Errors behind the status of a success: a copy of the response is read behind the client's.
import { readBytes } from "./body.js";
import { HOLD_BACK, sleep } from "./http.js";
import { core } from "./wasm.js";

// Most bytes of a response that is inspected, and of all that are inspected at once. Whatever is read of a copy before a slow
// client has read it, the runtime holds for that client.
const MAX_INSPECTED = 65536;
const MAX_INSPECTED_AT_ONCE = 8388608;

// Bytes of the responses that are inspected now.
let inspected = 0;

/**
 * Returns true if a response that looks like a success hides an error; undefined if it could not be inspected: it is too
 * large, too many others are inspected now, or its body broke off. Copies the response before it returns, and never rejects.
 *
 * @param {Response} response
 * @param {number} route
 * @param {number} generation
 * @returns {Promise<boolean | undefined>}
 */
export async function hidesError(response, route, generation) {
  const { headers } = response;
  const announced = Number(headers.get("content-length") ?? MAX_INSPECTED);
  // A compressed body becomes larger when the runtime decodes it.
  const length = headers.has("content-encoding") ? Math.max(announced, MAX_INSPECTED) : announced;
  const hasRoom = length <= MAX_INSPECTED && inspected + length <= MAX_INSPECTED_AT_ONCE;
  if (!hasRoom) return undefined;
  inspected += length;
  try {
    // Read at once: what the client reads before that, the runtime holds for the copy.
    const body = await readBytes(response.clone(), MAX_INSPECTED);
    await sleep(HOLD_BACK);
    return core.hides_error(route, generation, body);
  } catch {
    return undefined;
  } finally {
    inspected -= length;
  }
}
