// JSON Web Tokens as user identity: RS256, ES256 and EdDSA, verified with WebCrypto and the provider's JWKS. The key
// decides the algorithm, never the token. Beside the shim and joined to it when the Worker is built.

const RSA = { name: "RSASSA-PKCS1-v1_5", hash: "SHA-256" };
const EC = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const ED = { name: "Ed25519" };

// How far the clocks of the provider and of the edge may lie apart, in seconds.
const LEEWAY = 30;

function bytes(part) {
  if (!/^[\w-]*$/.test(part)) throw part;
  return Uint8Array.from(atob(part.replace(/-/g, "+").replace(/_/g, "/")), (c) => c.charCodeAt(0));
}

function parse(part) {
  return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes(part)));
}

// The algorithm of a key that may verify, and its name in a token's header.
function kind({ kty, crv, use, key_ops, alg, n }) {
  const [name, algorithm] =
    kty === "RSA" && n.length > 340
      ? ["RS256", RSA]
      : kty === "EC" && crv === "P-256"
        ? ["ES256", EC]
        : kty === "OKP" && crv === "Ed25519"
          ? ["EdDSA", ED]
          : [];
  if ((use ?? "sig") !== "sig" || (key_ops && !key_ops.includes("verify")) || (alg ?? name) !== name) return [];
  return [name, algorithm];
}

// What a token says, where one of these keys has signed it; throws otherwise.
export async function verified(token, keys) {
  const parts = token.split(".");
  const { alg, kid, crit } = parse(parts[0]);
  const key = kid === undefined ? keys.length === 1 && keys[0] : keys.find((key) => key.kid === kid);
  if (!key) throw verified;
  const [name, algorithm] = kind(key);
  if (parts.length !== 3 || !name || alg !== name || crit) throw alg;
  const { kty, crv, x, y, n, e } = key;
  const imported = await crypto.subtle.importKey("jwk", { kty, crv, x, y, n, e }, algorithm, false, ["verify"]);
  const signed = new TextEncoder().encode(parts[0] + "." + parts[1]);
  if (!(await crypto.subtle.verify(algorithm, imported, bytes(parts[2]), signed))) throw token;
  return parts[1];
}

// The subject of a token that is meant for us and valid now, until when it is, in milliseconds, and all that it claims.
export function subjectOf(payload, issuer, audience, now) {
  const claims = parse(payload);
  const { iss, aud, exp, nbf, sub } = claims;
  const seconds = now / 1000;
  const fits =
    iss === issuer &&
    [aud].flat().includes(audience) &&
    exp > seconds - LEEWAY &&
    !(nbf > seconds + LEEWAY) &&
    /^[^\x00-\x1f\x7f]{1,256}$/.test(sub);
  if (!fits || typeof sub !== "string") throw sub;
  return [sub, (exp + LEEWAY) * 1000, claims];
}
