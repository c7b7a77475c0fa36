// Ends the contexts of requests as Cloudflare does, and local workerd does not: when its client disconnects, a request's
// timers and fetches never continue, unless a promise given to `waitUntil` is pending; then they do until it is settled.
//
// A request says with `x-client-leaves-after` after how many milliseconds its client counts as gone. The Worker behind
// is `shim.mjs`. Continuations of anything but timers and fetches are let through.
import { AsyncLocalStorage } from "node:async_hooks";
import worker from "./shim.mjs";

const startTimer = globalThis.setTimeout.bind(globalThis);
const send = globalThis.fetch.bind(globalThis);

// The context of the request that the running code belongs to.
const contexts = new AsyncLocalStorage();

class RequestContext {
  isOver = false;
  #hasLeft = false;
  #pending = 0;

  leave() {
    this.#hasLeft = true;
    this.#end();
  }

  begin() {
    this.#pending++;
  }

  settle() {
    this.#pending--;
    // Everything that the promise has let go on comes first, and may give another one to `waitUntil`.
    startTimer(() => this.#end(), 0);
  }

  #end() {
    if (this.#hasLeft && this.#pending === 0) this.isOver = true;
  }
}

globalThis.setTimeout = (callback, ...rest) => {
  const own = contexts.getStore();
  const unlessOver = (...values) => {
    if (own === undefined || !own.isOver) callback(...values);
  };
  return startTimer(unlessOver, ...rest);
};

globalThis.fetch = (...call) => {
  const own = contexts.getStore();
  const answered = send(...call);
  if (own === undefined) return answered;
  return new Promise((resolve, reject) => {
    const unlessOver = (pass) => (value) => {
      if (!own.isOver) pass(value);
    };
    answered.then(unlessOver(resolve), unlessOver(reject));
  });
};

export default {
  fetch(request, env, context) {
    const own = new RequestContext();
    const after = request.headers.get("x-client-leaves-after");
    if (after !== null) startTimer(() => own.leave(), Number(after));
    const watched = {
      waitUntil(promise) {
        own.begin();
        context.waitUntil(Promise.resolve(promise).finally(() => own.settle()));
      },
      passThroughOnException() {
        context.passThroughOnException();
      },
    };
    return contexts.run(own, () => worker.fetch(request, env, watched));
  },
};
