// The pass-through with one more of our stages each, to see where the time of a request goes. STAGE "read" reads
// and joins what the rules ask for; "limit" also waits no longer than the time-out and counts the outcome. What our
// Worker costs above "limit" is the call into WebAssembly and the decision.
const outcomes = new Uint32Array(512);
let waiting = 0;
let sink = 0;

function pack(request) {
  const headers = request.headers;
  let packed = request.method + "\n" + request.url;
  packed += "\n" + (headers.get("cookie") ?? "\0");
  packed += "\n" + (headers.get("x-user-id") ?? "\0");
  return packed;
}

export default {
  fetch(request, env) {
    const started = Date.now();
    const packed = pack(request);
    // Something must look at the text, or it is never put together.
    sink = (sink + packed.charCodeAt(packed.length - 1)) | 0;
    const url = request.url;
    const target = env.ORIGIN + url.slice(url.indexOf("/", 8));
    if (env.STAGE === "read") return fetch(target, request);
    return new Promise((resolve) => {
      let timer = setTimeout(() => {
        timer = 0;
        resolve(new Response("late", { status: 504 }));
      }, 5000);
      fetch(target, request).then((response) => {
        if (timer === 0) return;
        clearTimeout(timer);
        if (waiting === outcomes.length) waiting = 0;
        outcomes[waiting++] = (response.status << 20) | Math.min(Date.now() - started, 0xfffff);
        resolve(response);
      });
    });
  },
};
