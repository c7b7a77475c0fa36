// Users known by the JSON Web Token that they send. A token is verified before the core decides by
// its user, and the result is remembered, so that most requests find their user at once.
import { sleep } from "./http.js";
import { identityOf, UNKNOWN_KEY, verify } from "./jwt.js";
import { INPUT_JWT } from "./wire.js";

const MAX_TOKENS = 2000;
// Milliseconds.
const KEYS_PATIENCE = 2000;
const KEYS_KEPT = 600000;
const KEYS_AGAIN = 30000;
const TOKEN_KEPT = 300000;

/**
 * Verified tokens, and refused ones, whose subject is empty.
 *
 * @type {Map<string, Identity>}
 */
const identities = new Map();

/** @type {Jwk[]} */
let keys = [];
let keysAt = -Infinity;
let requestedAt = -Infinity;
let isRequesting = false;

/**
 * Returns the bearer token of a request, if it has the form of a JSON Web Token.
 *
 * @param {Headers} headers
 */
function bearer(headers) {
  return /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(headers.get("authorization") ?? "")?.[1];
}

/** @param {Headers} headers */
function identityIn(headers) {
  const token = bearer(headers);
  return token === undefined ? undefined : identities.get(token);
}

/**
 * Returns true if the request brings a token that was not verified yet, or too long ago.
 *
 * @param {Request} request
 */
export function needsVerification(request) {
  const token = bearer(request.headers);
  return token !== undefined && !isFresh(token, Date.now());
}

/**
 * @param {string} token
 * @param {number} now
 */
function isFresh(token, now) {
  const known = identities.get(token);
  return known !== undefined && known.until > now;
}

/**
 * Returns the subject of the request's token, if `identify` found one.
 *
 * @param {Headers} headers
 */
export function subjectIn(headers) {
  return identityIn(headers)?.subject;
}

/**
 * Returns those of the named claims that the request's token has, as JSON; an empty string if no
 * claim is named.
 *
 * @param {Request} request
 * @param {IdentityProvider} provider
 * @param {string[]} names
 */
export async function claimsIn(request, provider, names) {
  if (names.length === 0) return "";
  await identify(request, provider, [INPUT_JWT]);
  const claims = identityIn(request.headers)?.claims ?? {};
  const found = names.filter((name) => name in claims).map((name) => [name, claims[name]]);
  return JSON.stringify(Object.fromEntries(found));
}

/**
 * Verifies the token of a request, if its user is among the inputs. Without a provider, or if the
 * provider does not respond, the token names no user, and the route's next source decides.
 *
 * @param {Request} request
 * @param {IdentityProvider} provider
 * @param {string[]} inputs
 */
export async function identify(request, provider, inputs) {
  if (!inputs.includes(INPUT_JWT)) return;
  const token = bearer(request.headers);
  const now = Date.now();
  if (token === undefined || isFresh(token, now)) return;
  if (identities.size >= MAX_TOKENS) {
    identities.delete(/** @type {string} */ (identities.keys().next().value));
  }
  /** @type {Identity} */
  let found = { subject: "", until: now + KEYS_AGAIN, claims: undefined };
  try {
    if (token.length < 8192 && provider.JWT_JWKS_URL) {
      const payload = await payloadOf(token, provider.JWT_JWKS_URL, now);
      found = identityOf(payload, provider.JWT_ISSUER, provider.JWT_AUDIENCE, now);
    }
  } catch {
    // The token is not valid, whatever the reason: it names no user.
  }
  identities.set(token, { ...found, until: Math.min(found.until, now + TOKEN_KEPT) });
}

/**
 * @param {string} token
 * @param {string} url
 * @param {number} now
 */
async function payloadOf(token, url, now) {
  if (now - keysAt > KEYS_KEPT) await fetchKeys(url, now);
  return verify(token, keys).catch(async (error) => {
    // A provider that rotates its keys signs with one that is not known here yet.
    if (error !== UNKNOWN_KEY) throw error;
    await fetchKeys(url, now);
    return verify(token, keys);
  });
}

/**
 * Fetches the provider's keys, or waits while another request does. A provider that is down is not
 * called by every request.
 *
 * @param {string} url
 * @param {number} now
 */
async function fetchKeys(url, now) {
  while (isRequesting && Date.now() - requestedAt < KEYS_PATIENCE) await sleep(2);
  if (now - requestedAt < KEYS_AGAIN) return;
  requestedAt = now;
  isRequesting = true;
  try {
    const response = await fetch(url, {
      signal: AbortSignal.timeout(KEYS_PATIENCE),
      cf: { cacheTtl: 60, cacheEverything: true },
    });
    const found = /** @type {{ keys?: unknown }} */ (await response.json()).keys;
    if (!response.ok || !Array.isArray(found)) throw new Error(`no key set, status ${response.status}`);
    keys = found;
    keysAt = now;
  } catch (error) {
    console.error("the keys of the identity provider could not be read:", error);
  } finally {
    isRequesting = false;
  }
}
