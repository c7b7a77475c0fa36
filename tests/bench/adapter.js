// What a good engineer writes by hand for one endpoint of an old REST interface on a new GraphQL backend: match, check the
// input, decide the flag, ask with a time-out and no more memory than is allowed, map errors and fields, let legacy answer where
// the new backend cannot, count. MODE is `one` or `list`. The bench holds its answers against those of the adapter before it
// measures anything.
const ONE = `query Review($id: ID!) { review(id: $id) { ...ReviewFields } } `;
const LIST = `query Reviews($offset: Int!, $limit: Int!) { reviews(offset: $offset, limit: $limit) { ...ReviewFields } } `;
const FIELDS = `fragment ReviewFields on Review { id offerId authorId rating text createdAt updatedAt isModerated }`;
const pattern = /^\/api\/v1\/reviews\/([^/?]+)(?:\?(.*))?$/;
const digits = /^-?\d+$/;
const errors = {
  NOT_FOUND: [404, "not_found"],
  BAD_USER_INPUT: [422, "invalid"],
  UNAUTHENTICATED: [401, "unauthorized"],
  CONFLICT: [409, "conflict"],
};
const OTHERWISE = [500, "internal", "the request could not be answered"];
const PATIENCE = 2000;
const MAX_ANSWER = 4194304;
const LATE = new Error("the backend did not answer in time");
const UNFIT = new Error("not what the interface says");
const counts = { requests: 0, errors: 0, duration: 0 };

function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  return (h ^ (h >>> 16)) >>> 0;
}

function number(text) {
  if (text === null) return null;
  const value = Number(text);
  if (!digits.test(text) || !Number.isSafeInteger(value)) throw UNFIT;
  return value;
}

function review(node) {
  return {
    id: number(node.id),
    offer_id: number(node.offerId),
    author_id: node.authorId,
    rating: node.rating,
    text: node.text,
    created_at: node.createdAt,
    updated_at: node.updatedAt,
    is_moderated: node.isModerated,
  };
}

function answer(request, status, body, backend = null) {
  body.timestamp = new Date().toISOString();
  const headers = { "content-type": "application/json" };
  if (backend !== null) headers["x-backend"] = backend;
  return new Response(request.method === "HEAD" ? null : JSON.stringify(body), { status, headers });
}

function failure(request, status, code, message, backend) {
  return answer(request, status, { success: false, error: { code, message } }, backend);
}

// The answer as JSON. Nobody may make the Worker hold more of it than is allowed.
async function read(response) {
  const length = response.headers.get("content-length");
  if (length !== null && Number(length) <= MAX_ANSWER) return response.json();
  let text = "";
  let size = 0;
  const decoder = new TextDecoder();
  for await (const part of response.body) {
    size += part.length;
    if (size > MAX_ANSWER) throw UNFIT;
    text += decoder.decode(part, { stream: true });
  }
  return JSON.parse(text + decoder.decode());
}

function legacy(request, env, target) {
  return fetch(env.ORIGIN + target, request);
}

export default {
  async fetch(request, env) {
    const started = Date.now();
    const url = request.url;
    const target = url.slice(url.indexOf("/", 8));
    const found = pattern.exec(target);
    const method = request.method;
    if (!found || (method !== "GET" && method !== "HEAD")) return legacy(request, env, target);
    const user = request.headers.get("x-user-id");
    if (user === null || hash("reviews:" + user) % 1000000 >= 1000000) return legacy(request, env, target);
    let query, variables;
    if (env.MODE === "list") {
      const search = new URLSearchParams(found[2]);
      const page = Number(search.get("page") ?? 1);
      const limit = Number(search.get("limit") ?? 20);
      if (!Number.isInteger(page) || page < 1) return failure(request, 400, "invalid", "page is missing or not valid");
      if (!Number.isInteger(limit) || limit < 1) return failure(request, 400, "invalid", "limit is missing or not valid");
      query = LIST + FIELDS;
      variables = { offset: (page - 1) * Math.min(limit, 100), limit: Math.min(limit, 100) };
    } else {
      if (!digits.test(found[1])) return failure(request, 400, "invalid", "id is missing or not valid");
      query = ONE + FIELDS;
      variables = { id: found[1] };
    }
    const headers = { "content-type": "application/json", accept: "application/json" };
    const authorization = request.headers.get("authorization");
    if (authorization !== null) headers.authorization = authorization;
    let timer, backend;
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(LATE), PATIENCE);
    });
    const ask = async () => {
      const init = { method: "POST", headers, body: JSON.stringify({ query, variables }), redirect: "manual" };
      const response = await fetch(env.NEW + "/graphql", init);
      backend = response.headers.get("x-backend");
      return [response.status, await read(response)];
    };
    try {
      const [status, { data, errors: reported }] = await Promise.race([ask(), late]);
      if (reported?.length) {
        const known = errors[reported[0].extensions?.code] ?? OTHERWISE;
        return failure(request, known[0], known[1], known[2] ?? reported[0].message, backend);
      }
      if (status >= 500) return failure(request, 500, "internal", "failed on purpose", backend);
      if (status < 200 || status > 299 || !data) throw UNFIT;
      if (env.MODE === "list") {
        if (!Array.isArray(data.reviews)) throw UNFIT;
        return answer(request, 200, { success: true, data: data.reviews.map(review) }, backend);
      }
      if (data.review === null) return failure(request, 404, "not_found", "no such review", backend);
      return answer(request, 200, { success: true, data: review(data.review) }, backend);
    } catch (error) {
      counts.errors++;
      if (error === UNFIT || error instanceof SyntaxError) {
        return failure(request, 502, "bad_answer", "the service gave an answer that cannot be used", backend);
      }
      return legacy(request, env, target);
    } finally {
      clearTimeout(timer);
      counts.requests++;
      counts.duration += Date.now() - started;
    }
  },
};
