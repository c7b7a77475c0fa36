// Evaluations of flags over OFREP. The core answers them; the body is read and the token is hashed here.
import { NO_BYTES, readBytes, TOO_LARGE } from "./body.js";
import { replaceBrokenCore } from "./table.js";
import { core } from "./wasm.js";

// Bytes of the longest body.
const MAX_BODY = 65536;

const encoder = new TextEncoder();

/**
 * Answers a request for evaluations.
 *
 * @param {ClientRequest} request
 * @param {string} url
 * @returns {Promise<Response>}
 */
export async function evaluate(request, url) {
  try {
    const { method, headers } = request;
    const body = method === "POST" ? await bodyOf(request) : NO_BYTES;
    const token = await hashedToken(headers);
    const held = headers.get("if-none-match") ?? undefined;
    const origin = headers.get("origin") ?? undefined;
    // Not looked up before the waits: the core may have been replaced meanwhile.
    return core.evaluate(method + "\n" + url, token, held, origin, body);
  } catch (error) {
    if (error instanceof WebAssembly.RuntimeError) replaceBrokenCore();
    console.error("flags could not be evaluated:", error);
    return new Response('{"errorDetails":"the flags could not be evaluated"}', {
      status: 500,
      headers: { "content-type": "application/json", "cache-control": "no-store" },
    });
  }
}

/**
 * Returns the body of a request; undefined if it is over the limit. One that broke off is empty: it is no JSON.
 *
 * @param {Request} request
 */
function bodyOf(request) {
  return readBytes(request, MAX_BODY).catch((error) => (error === TOO_LARGE ? undefined : NO_BYTES));
}

/**
 * Returns the SHA-256 of the caller's token; undefined if the caller sends none. Other credentials than a token are a token
 * that nobody has.
 *
 * @param {Headers} headers of the request
 */
async function hashedToken(headers) {
  const authorization = headers.get("authorization");
  const bearer = /^bearer +(\S+)$/i.exec(authorization ?? "")?.[1];
  const token = bearer ?? headers.get("x-api-key") ?? (authorization === null ? undefined : "");
  if (token === undefined) return undefined;
  return new Uint8Array(await crypto.subtle.digest("SHA-256", encoder.encode(token)));
}
