// Signed messages to the control plane.

const encoder = new TextEncoder();

/** @type {{ secret: string, key: CryptoKey } | undefined} */
let signing;

/**
 * Posts a signed message. The status is 0 if there was no response.
 *
 * @param {Env} env
 * @param {string} url
 * @param {Uint8Array<ArrayBuffer>} body
 * @param {Record<string, string>} kind the headers that say what the body is
 * @param {number} patience milliseconds
 */
export async function post(env, url, body, kind, patience) {
  try {
    const timestamp = String(Date.now());
    // A trace of its own for every message, so that it is found in the function's log.
    const trace = crypto.randomUUID().replace(/-/g, "");
    const response = await fetch(url, {
      method: "POST",
      headers: {
        ...kind,
        "accept-encoding": "gzip",
        traceparent: `00-${trace}-${trace.slice(16)}-01`,
        "x-cutover-timestamp": timestamp,
        "x-cutover-signature": "v1=" + (await sign(env, timestamp, body)),
      },
      body,
      signal: AbortSignal.timeout(patience),
    });
    return { status: response.status, body: await response.text() };
  } catch {
    return { status: 0, body: "" };
  }
}

/**
 * Signs a timestamp, a full stop, and the bytes as they are sent. Returns hexadecimal digits.
 *
 * @param {Env} env
 * @param {string} timestamp
 * @param {Uint8Array<ArrayBuffer>} body
 */
async function sign(env, timestamp, body) {
  const prefix = encode(timestamp + ".");
  const signed = new Uint8Array(prefix.length + body.length);
  signed.set(prefix);
  signed.set(body, prefix.length);
  return hmac(env.CUTOVER_INGEST_SECRET ?? "", signed);
}

/**
 * Returns a hash of a string in hexadecimal digits, by the secret of the isolate if it has one.
 *
 * @param {Env} env
 * @param {string} text that does not begin with a digit: no signature has this form
 */
export async function mac(env, text) {
  const secret = env.CUTOVER_INGEST_SECRET;
  return secret ? hmac(secret, encode(text)) : hex(await crypto.subtle.digest("SHA-256", encode(text)));
}

/**
 * @param {string} secret
 * @param {Uint8Array<ArrayBuffer>} bytes
 */
async function hmac(secret, bytes) {
  if (signing?.secret !== secret) {
    const algorithm = { name: "HMAC", hash: "SHA-256" };
    const key = await crypto.subtle.importKey("raw", encode(secret), algorithm, false, ["sign"]);
    signing = { secret, key };
  }
  return hex(await crypto.subtle.sign("HMAC", signing.key, bytes));
}

/** @param {ArrayBuffer} bytes */
function hex(bytes) {
  return Array.from(new Uint8Array(bytes), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

/**
 * @param {string} text
 * @returns {Uint8Array<ArrayBuffer>}
 */
export function encode(text) {
  return new Uint8Array(encoder.encode(text));
}

/**
 * Compresses a string.
 *
 * @param {string} text
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function gzip(text) {
  const packed = new Blob([text]).stream().pipeThrough(new CompressionStream("gzip"));
  return new Uint8Array(await new Response(packed).arrayBuffer());
}

/**
 * Returns the URL of a path of a function.
 *
 * @param {string} base
 * @param {string} path
 */
export function urlOf(base, path) {
  return base.replace(/\/+$/, "") + path;
}
