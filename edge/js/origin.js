// Requests to origins that ask for more than their path appended, and the responses of such origins.
import { pathAndQuery } from "./http.js";

const SECRET = "secret:";

// The beginning of the names of secrets and bindings that a configuration may name. Whoever may write origins must not
// be able to send the Worker's own secrets anywhere.
const ORIGINS = "ORIGIN_";

/**
 * Sends a request to an origin.
 *
 * @param {Origin} origin
 * @param {string} url that the client asked for
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<Response>}
 */
export function send(origin, url, request, env) {
  const options = origin[2];
  const target = origin[0] + pathAndQuery(url);
  return options === null ? fetch(target, request) : sendWith(options, origin, target, url, request, env);
}

/**
 * Sends a request to an origin that has options. A path of the origin takes the place of the client's for an adapter.
 *
 * @param {OriginOptions} options
 * @param {Origin} origin
 * @param {string} target
 * @param {string} url that the client asked for
 * @param {Request} request
 * @param {Env} env
 * @returns {Promise<Response>}
 */
// eslint-disable-next-line max-params -- all of them are read
export async function sendWith(options, origin, target, url, request, env) {
  const sent = new Request(target, request);
  const { headers } = sent;
  const client = new URL(url);
  if (options.forwarded) {
    const scheme = client.protocol.slice(0, -1);
    headers.set("x-forwarded-host", client.host);
    headers.set("x-forwarded-proto", scheme);
    headers.set("forwarded", `host="${client.host}";proto=${scheme}`);
  }
  if (options.trace && !headers.has("traceparent")) {
    const trace = crypto.randomUUID().replace(/-/g, "");
    headers.set("traceparent", `00-${trace}-${crypto.randomUUID().replace(/-/g, "").slice(16)}-01`);
  }
  for (const [name, value] of Object.entries(options.headers ?? {})) {
    const written = value.startsWith(SECRET) ? secretOf(env, value.slice(SECRET.length)) : value;
    headers.set(name, written);
  }
  const service = options.binding === undefined ? undefined : serviceOf(env, options.binding);
  const response = await (service === undefined ? fetch(sent) : service.fetch(sent));
  return options.rewrite ? renamed(response, new URL(origin[0]), target, client) : response;
}

/**
 * @param {Env} env
 * @param {string} name
 */
function secretOf(env, name) {
  if (!name.startsWith(ORIGINS)) throw new Error(`${name} is not a secret of an origin`);
  const secret = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (env))[name];
  if (typeof secret !== "string" || secret === "") throw new Error(`the secret ${name} of an origin is not set`);
  return secret;
}

/**
 * @param {Env} env
 * @param {string} name
 * @returns {Fetcher}
 */
function serviceOf(env, name) {
  if (!name.startsWith(ORIGINS)) throw new Error(`${name} is not a binding of an origin`);
  const service = /** @type {Record<string, unknown>} */ (/** @type {unknown} */ (env))[name];
  if (service === undefined) throw new Error(`the service binding ${name} of an origin is not set`);
  return /** @type {Fetcher} */ (service);
}

/**
 * Returns a response whose redirects and cookies name the client's host in the place of the origin's.
 *
 * @param {Response} response
 * @param {URL} base of the origin
 * @param {string} target
 * @param {URL} client
 */
function renamed(response, base, target, client) {
  if (response.status < 200 || response.status > 599) return response;
  const location = response.headers.get("location");
  const cookies = response.headers.getSetCookie();
  if (location === null && cookies.length === 0) return response;
  const changed = new Response(response.body, response);
  if (location !== null) changed.headers.set("location", renamedLocation(location, base, target, client));
  if (cookies.length > 0) {
    changed.headers.delete("set-cookie");
    for (const cookie of cookies) changed.headers.append("set-cookie", renamedCookie(cookie, base));
  }
  return changed;
}

/**
 * @param {string} location
 * @param {URL} base
 * @param {string} target
 * @param {URL} client
 */
function renamedLocation(location, base, target, client) {
  const to = URL.canParse(location, target) ? new URL(location, target) : undefined;
  if (to === undefined || to.host !== base.host) return location;
  const folder = folderOf(base);
  if (to.pathname !== folder && !to.pathname.startsWith(folder + "/")) return location;
  const isAbsolute = URL.canParse(location);
  const path = (to.pathname.slice(folder.length) || "/") + to.search + to.hash;
  // Alone, a path that begins with two slashes would name another host.
  return isAbsolute || path.startsWith("//") ? client.origin + path : path;
}

/** @param {URL} base */
function folderOf(base) {
  return base.pathname.replace(/\/+$/, "");
}

/**
 * Removes the domain of a cookie that is the origin's, so that it belongs to the host that the client asked, and the
 * origin's folder from its path, which the client does not know.
 *
 * @param {string} cookie
 * @param {URL} base
 */
function renamedCookie(cookie, base) {
  const parts = cookie.split(";");
  const folder = folderOf(base);
  const renamed = parts.map((part, index) => {
    const path = /^\s*path\s*=\s*(.*?)\s*$/i.exec(part)?.[1];
    const isBelow = path !== undefined && folder !== "" && (path === folder || path.startsWith(folder + "/"));
    return index > 0 && isBelow ? ` Path=${path.slice(folder.length) || "/"}` : part;
  });
  const kept = renamed.filter((part, index) => {
    const domain = /^\s*domain\s*=\s*\.?(.*?)\s*$/i.exec(part)?.[1].toLowerCase();
    const isOrigins = domain !== undefined && (base.hostname === domain || base.hostname.endsWith("." + domain));
    return index === 0 || !isOrigins;
  });
  return kept.join(";");
}
