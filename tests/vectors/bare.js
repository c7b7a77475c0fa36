// Forwards requests as simply as a Worker can. A flood is sent through this one too, which tells what it does to any Worker.
export default {
  async fetch(request, env) {
    const { pathname } = new URL(request.url);
    if (pathname === "/_cutover/health") return Response.json({ status: "ok" });
    if (request.body === null) return fetch(env.BACKEND + pathname, { headers: request.headers });
    return fetch(env.BACKEND + pathname, { method: request.method, body: await request.arrayBuffer() });
  },
};
