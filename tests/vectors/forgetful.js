// Counts its requests when they end, and gives them to `waitUntil` only on paths that end in `/kept`.
let counted = 0;

function count() {
  counted++;
  return new Response("late");
}

export default {
  async fetch(request, env, context) {
    const { pathname } = new URL(request.url);
    if (pathname === "/counted") return Response.json(counted);
    const answered = pathname.startsWith("/timer")
      ? new Promise((resolve) => setTimeout(resolve, 800)).then(count)
      : fetch(env.BACKEND).then(count);
    if (pathname.endsWith("/kept")) context.waitUntil(answered);
    return answered;
  },
};
