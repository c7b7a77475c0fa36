// Reading bodies, up to a limit.

export const NO_BYTES = new Uint8Array(0);

export const TOO_LARGE = new Error("the body is larger than the limit");

/**
 * Reads a whole body. Rejects with TOO_LARGE if it has more bytes than the limit.
 *
 * @param {Request | Response} message
 * @param {number} limit
 * @returns {Promise<Uint8Array<ArrayBuffer>>}
 */
export async function readBytes(message, limit) {
  return new Uint8Array(await readBuffer(message, message.headers, limit));
}

/**
 * As `readBytes`, for a caller that holds the message's headers and wraps the buffer itself.
 *
 * @param {Request | Response} message
 * @param {Headers} headers
 * @param {number} limit
 * @returns {Promise<ArrayBuffer>}
 */
export function readBuffer(message, headers, limit) {
  const length = headers.get("content-length");
  // Announced to be small: no need to count on the way, nor to look at the stream. A compressed body becomes larger when
  // the runtime decodes it.
  if (length !== null && Number(length) <= limit && !headers.has("content-encoding")) {
    return message.arrayBuffer();
  }
  return readCounted(message, limit, Number(length));
}

/**
 * @param {Request | Response} message
 * @param {number} limit
 * @param {number} length the announced length; 0 if there is none
 * @returns {Promise<ArrayBuffer>}
 */
async function readCounted(message, limit, length) {
  if (length > limit) {
    // A response to HEAD announces the body that GET would get.
    if (message.body === null) throw new Error("the announced body is missing");
    message.body.cancel().catch(() => {});
    throw TOO_LARGE;
  }
  if (message.body === null) return NO_BYTES.buffer;
  const parts = [];
  let size = 0;
  const reader = message.body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    size += value.length;
    if (size > limit) {
      reader.cancel().catch(() => {});
      throw TOO_LARGE;
    }
    parts.push(value);
  }
  const all = new Uint8Array(size);
  size = 0;
  for (const part of parts) {
    all.set(part, size);
    size += part.length;
  }
  return all.buffer;
}
