// Packing a request for the core: the method, the URL, and the inputs that the rules read.
import { TEST_GROUP } from "./http.js";
import { claimIn, subjectIn } from "./identity.js";
import { ABSENT, INPUT_CLAIM, INPUT_COUNTRY, INPUT_IP, INPUT_JWT } from "./wire.js";

/** The request that was packed last. `forward` reads it in the turn of the decision. */
export let lastPacked = "";

/**
 * Packs a request into the string that the core decides it by, see edge/src/wire.rs.
 *
 * @param {ClientRequest} request
 * @param {Headers} headers of the request, because every look at `request.headers` is a call into the runtime
 * @param {string} url of the request, because every look at `request.url` builds another string
 * @param {Table} table
 */
export function pack(request, headers, url, table) {
  const inputs = table.inputs;
  let packed = request.method + "\n" + url;
  lastPacked = packed;
  if (inputs.length === 0) return packed;
  // If this header is present, the rules do not look at cookies.
  const unless = table.cookies_unless;
  const user = unless === null ? null : headers.get(unless);
  for (let index = 0; index < inputs.length; index++) {
    const input = inputs[index];
    if (user !== null && user !== "") {
      const value = input === unless ? user : input === "cookie" ? ABSENT : read(request, headers, input);
      packed += "\n" + value;
    } else {
      packed += "\n" + read(request, headers, input);
    }
  }
  lastPacked = packed;
  return packed;
}

/**
 * Reads an input of the decision.
 *
 * @param {ClientRequest} request
 * @param {Headers} headers
 * @param {string} input
 */
function read(request, headers, input) {
  switch (input) {
    case INPUT_JWT:
      return subjectIn(headers) || ABSENT;
    case INPUT_COUNTRY:
      return request.cf?.country ?? ABSENT;
    case INPUT_IP:
      return headers.get("cf-connecting-ip") ?? ABSENT;
    case TEST_GROUP:
      // What a client writes there decides nothing.
      return ABSENT;
    default:
      if (input.startsWith(INPUT_CLAIM)) return claimIn(headers, input.slice(INPUT_CLAIM.length)) ?? ABSENT;
      return headers.get(input) ?? ABSENT;
  }
}
