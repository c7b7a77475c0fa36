// Testers who ask for an arm. The header `x-cutover-force` holds `ARM.EXPIRES.SIGNATURE`: `new` or `legacy`, seconds
// since 1970, and the HMAC-SHA256 of `ARM.EXPIRES` with the secret CUTOVER_FORCE_SECRET, as hexadecimal digits.

export const FORCE = "x-cutover-force";

const encoder = new TextEncoder();

/** @type {{ secret: string, key: CryptoKey } | undefined} */
let verifying;

/**
 * Returns true if the request asks for an arm, and this Worker lets testers do that.
 *
 * @param {Headers} headers of the request
 * @param {Env} env
 */
export function asksForArm(headers, env) {
  return Boolean(env.CUTOVER_FORCE_SECRET) && headers.has(FORCE);
}

/**
 * Returns true for the new arm, false for legacy, and undefined if the request asks for none or may not.
 *
 * @param {Headers} headers of the request
 * @param {Env} env
 * @returns {Promise<boolean | undefined>}
 */
export async function forcedArm(headers, env) {
  const asked = /^((new|legacy)\.(\d{1,12}))\.([0-9a-f]{64})$/.exec(headers.get(FORCE) ?? "");
  if (asked === null || Number(asked[3]) * 1000 <= Date.now()) return undefined;
  const secret = /** @type {string} */ (env.CUTOVER_FORCE_SECRET);
  if (verifying?.secret !== secret) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", encoder.encode(secret), algorithm, false, ["verify"]);
    verifying = { secret, key };
  }
  const signature = Uint8Array.from(asked[4].match(/../g) ?? [], (digits) => parseInt(digits, 16));
  const isRight = await crypto.subtle.verify("HMAC", verifying.key, signature, encoder.encode(asked[1]));
  return isRight ? asked[2] === "new" : undefined;
}
