// What a good engineer writes by hand in an afternoon for one flag: match the route, find the user, hash,
// choose the origin, wait no longer than its time-out, count the outcome.
const flag = { enabled: true, rollout: 250000, blacklist: new Set(["user-666"]), whitelist: new Set(["user-123"]) };
const pattern = /^\/api\/v1\/reviews(?:\/.*)?$/;
const counts = { legacy: [0, 0, 0], new: [0, 0, 0] };

function hash(text) {
  let h = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 0x01000193);
  h ^= h >>> 16;
  h = Math.imul(h, 0x85ebca6b);
  h ^= h >>> 13;
  h = Math.imul(h, 0xc2b2ae35);
  return (h ^ (h >>> 16)) >>> 0;
}

function decide(method, path, user) {
  if ((method !== "GET" && method !== "HEAD") || !pattern.test(path) || !flag.enabled) return "legacy";
  if (user === null || flag.blacklist.has(user)) return "legacy";
  if (flag.whitelist.has(user)) return "new";
  return hash("reviews:" + user) % 1000000 < flag.rollout ? "new" : "legacy";
}

export default {
  async fetch(request, env) {
    const started = Date.now();
    const url = request.url;
    const target = url.slice(url.indexOf("/", 8));
    const query = target.indexOf("?");
    const path = query < 0 ? target : target.slice(0, query);
    const arm = decide(request.method, path, request.headers.get("x-user-id"));
    const count = counts[arm];
    let timer;
    const limit = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("timeout")), 5000);
    });
    try {
      const response = await Promise.race([fetch((arm === "new" ? env.NEW : env.ORIGIN) + target, request), limit]);
      count[0]++;
      if (response.status >= 500) count[1]++;
      count[2] += Date.now() - started;
      return response;
    } catch (error) {
      count[0]++;
      count[1]++;
      return new Response("upstream failed", { status: 502 });
    } finally {
      clearTimeout(timer);
    }
  },
};
