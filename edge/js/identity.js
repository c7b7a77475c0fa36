// Users known by the JSON Web Token that they send. A token is verified before the core decides by
// its user, and the result is remembered, so that most requests find their user at once.
import { sleep } from "./http.js";
import { identityOf, UNKNOWN_KEY, verify } from "./jwt.js";

// A longer token names no user. Cookies and other headers of this size are not accepted by most servers either.
const MAX_TOKEN = 8192;
// Characters of all remembered tokens and their payloads, and what an entry costs beside them.
const MAX_REMEMBERED = 2000000;
const ENTRY = 256;
// Milliseconds.
const KEYS_PATIENCE = 2000;
const KEYS_KEPT = 600000;
const KEYS_AGAIN = 5000;
const TOKEN_KEPT = 300000;
const REFUSED_KEPT = 30000;

/**
 * Verified tokens, and refused ones, whose subject is empty.
 *
 * @type {Map<string, Identity>}
 */
const identities = new Map();
let remembered = 0;

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
  const authorization = headers.get("authorization");
  if (authorization === null || authorization.length > MAX_TOKEN) return undefined;
  return /^bearer +([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization)?.[1];
}

/** @param {Headers} headers */
function identityIn(headers) {
  const token = bearer(headers);
  return token === undefined ? undefined : identities.get(token);
}

/**
 * Returns true if the request brings a token that was not verified yet, or too long ago.
 *
 * @param {Headers} headers of the request
 */
export function needsVerification(headers) {
  const token = bearer(headers);
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
 * Returns the claims of the request's token as they were signed, which is JSON; an empty string if no claim is read or
 * the token is not valid.
 *
 * @param {Request} request
 * @param {IdentityProvider} provider
 * @param {string[]} names of the claims that are read
 */
export async function claimsIn(request, provider, names) {
  if (names.length === 0) return "";
  await identify(request, provider);
  return identityIn(request.headers)?.payload ?? "";
}

/**
 * Returns a claim of the request's token, if `identify` found it valid. Values other than short strings, numbers and bools
 * count as absent.
 *
 * @param {Headers} headers
 * @param {string} path the name of the claim, or names separated by full stops
 */
export function claimIn(headers, path) {
  const identity = identityIn(headers);
  if (identity === undefined || identity.payload === "") return undefined;
  identity.claims ??= new Map();
  if (!identity.claims.has(path)) identity.claims.set(path, valueAt(JSON.parse(identity.payload), path));
  return identity.claims.get(path);
}

/**
 * @param {unknown} claims
 * @param {string} path
 */
function valueAt(claims, path) {
  /** @type {unknown} */
  let value = claims;
  // Names of claims are often URLs, with full stops inside.
  const names = Object.hasOwn(Object(claims), path) ? [path] : path.split(".");
  for (const name of names) {
    const object = Object(value);
    value = Object.hasOwn(object, name) ? object[name] : undefined;
  }
  if (typeof value === "number" || typeof value === "boolean") return String(value);
  // eslint-disable-next-line no-control-regex -- control characters would end the line
  return typeof value === "string" && /^[^\x00-\x1f\x7f]{1,256}$/.test(value) ? value : undefined;
}

/**
 * Verifies the token of a request. Without a provider, or if the provider does not respond, the token names no user, and
 * the route's next source decides.
 *
 * @param {Request} request
 * @param {IdentityProvider} provider
 */
export async function identify(request, provider) {
  const token = bearer(request.headers);
  const now = Date.now();
  if (token === undefined || isFresh(token, now)) return;
  const { JWT_JWKS_URL: url, JWT_ISSUER: issuer, JWT_AUDIENCE: audience } = provider;
  /** @type {Identity} */
  let found = { subject: "", until: now + REFUSED_KEPT, payload: "" };
  try {
    // A token for no issuer in particular could be anybody's.
    if (url && issuer && audience) {
      found = identityOf(await payloadOf(token, url, now), issuer, audience, now);
    }
  } catch (error) {
    // The token is not valid, whatever the reason: it names no user. The key may be known soon.
    if (error === UNKNOWN_KEY) found.until = now + KEYS_AGAIN;
  }
  remember(token, { ...found, until: Math.min(found.until, now + TOKEN_KEPT) });
}

/**
 * @param {string} token
 * @param {Identity} identity
 */
function remember(token, identity) {
  forget(token);
  identities.set(token, identity);
  remembered += ENTRY + token.length + identity.payload.length;
  // A map is in the order in which its entries were set.
  for (const oldest of identities.keys()) {
    if (remembered <= MAX_REMEMBERED) break;
    forget(oldest);
  }
}

/** @param {string} token */
function forget(token) {
  const known = identities.get(token);
  if (known === undefined) return;
  identities.delete(token);
  remembered -= ENTRY + token.length + known.payload.length;
}

/**
 * @param {string} token
 * @param {string} url
 * @param {number} now
 */
async function payloadOf(token, url, now) {
  if (now - keysAt > KEYS_KEPT) await fetchKeys(url, now, 60);
  return verify(token, keys).catch(async (error) => {
    // A provider that rotates its keys signs with one that is not known here yet.
    if (error !== UNKNOWN_KEY) throw error;
    await fetchKeys(url, now, 5);
    return verify(token, keys);
  });
}

/**
 * Fetches the provider's keys, or waits while another request does. A provider that is down is not
 * called by every request.
 *
 * @param {string} url
 * @param {number} now
 * @param {number} age seconds that a copy in the platform's cache may have
 */
async function fetchKeys(url, now, age) {
  while (isRequesting && Date.now() - requestedAt < KEYS_PATIENCE) await sleep(2);
  if (now - requestedAt < KEYS_AGAIN) return;
  requestedAt = now;
  isRequesting = true;
  try {
    const response = await fetch(url, {
      signal: AbortSignal.timeout(KEYS_PATIENCE),
      cf: { cacheTtl: age, cacheEverything: true },
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
