// JSON Web Tokens as user identity: RS256, ES256 and EdDSA, verified with WebCrypto and the
// provider's JWKS. The key decides the algorithm, never the token. Imports nothing, so that a test
// can run it on its own.

const RSA = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const ED = { name: "Ed25519" };

// Seconds by which the clocks of the provider and of the edge may differ.
const LEEWAY = 30;

const INVALID = new Error("the token is not valid");

/** None of the given keys has the id that the token names. */
export const UNKNOWN_KEY = new Error("the token was signed with an unknown key");

/** @param {string} part */
function decode(part) {
  if (!/^[\w-]*$/.test(part)) throw INVALID;
  const base64 = part.replace(/-/g, "+").replace(/_/g, "/");
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

/** @param {string} part */
function textOf(part) {
  return new TextDecoder("utf-8", { fatal: true, ignoreBOM: false }).decode(decode(part));
}

/**
 * Returns the algorithm of a key that may verify, with its name in a token's header.
 *
 * @param {Jwk} key
 */
function algorithmOf({ kty, crv, use, key_ops, alg, n }) {
  const found =
    kty === "RSA" && n !== undefined && n.length > 340
      ? { name: "RS256", parameters: RSA }
      : kty === "EC" && crv === "P-256"
        ? { name: "ES256", parameters: EC }
        : kty === "OKP" && crv === "Ed25519"
          ? { name: "EdDSA", parameters: ED }
          : undefined;
  const mayVerify = (use ?? "sig") === "sig" && (!key_ops || key_ops.includes("verify"));
  return mayVerify && (alg ?? found?.name) === found?.name ? found : undefined;
}

/**
 * Returns the payload of a token that one of the keys has signed. Rejects with UNKNOWN_KEY if the
 * key is missing, and with another error if the token is not valid.
 *
 * @param {string} token
 * @param {Jwk[]} keys
 * @returns {Promise<string>}
 */
export async function verify(token, keys) {
  const parts = token.split(".");
  const { alg, kid, crit } = JSON.parse(textOf(parts[0]));
  const named = kid === undefined ? keys.slice(0, keys.length === 1 ? 1 : 0) : keys.filter((key) => key.kid === kid);
  if (named.length === 0) throw UNKNOWN_KEY;
  // Keys of different types may share an id.
  const key = named.find((key) => algorithmOf(key)?.name === alg);
  const algorithm = key && algorithmOf(key);
  if (parts.length !== 3 || !algorithm || crit) throw INVALID;
  const { parameters } = algorithm;
  const { kty, crv, x, y, n, e } = key;
  const jwk = { kty, crv, x, y, n, e };
  const imported = await crypto.subtle.importKey("jwk", jwk, parameters, false, ["verify"]);
  const signed = new TextEncoder().encode(parts[0] + "." + parts[1]);
  if (!(await crypto.subtle.verify(parameters, imported, decode(parts[2]), signed))) throw INVALID;
  return parts[1];
}

/**
 * Returns the identity in a payload that is meant for this API and valid now. Throws otherwise.
 *
 * @param {string} payload
 * @param {string} issuer
 * @param {string} audience
 * @param {number} now milliseconds
 * @returns {Identity}
 */
export function identityOf(payload, issuer, audience, now) {
  const text = textOf(payload);
  const { iss, aud, exp, nbf, sub } = JSON.parse(text);
  const seconds = now / 1000;
  const isValid =
    iss === issuer &&
    [aud].flat().includes(audience) &&
    exp > seconds - LEEWAY &&
    !(nbf > seconds + LEEWAY) &&
    typeof sub === "string" &&
    // eslint-disable-next-line no-control-regex -- control characters are not allowed
    /^[^\x00-\x1f\x7f]{1,256}$/.test(sub);
  if (!isValid) throw INVALID;
  return { subject: sub, until: (exp + LEEWAY) * 1000, payload: text };
}
