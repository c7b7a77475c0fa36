// The limiter of one key of a rate limit: a Durable Object, which all isolates ask. Its state is one number, the
// theoretical arrival time (core/src/limit/gcra.rs), by its own clock; only durations leave it.
import { DurableObject } from "cloudflare:workers";
import { core } from "./wasm.js";

// Microseconds. An object rests no sooner than 10 s after its last request, so a burst that is whole again by then needs
// no memory.
const FORGETTABLE_US = 10e6;

// Milliseconds between two writes.
const WRITE_MS = 5000;

// Milliseconds for which a number is kept that has become worthless.
const KEPT_MS = 60000;

const TAT = "tat";

export class CutoverLimiter extends DurableObject {
  // Microseconds since 1970.
  tat = 0;
  isLoaded = false;
  isDirty = false;
  isWriting = false;
  hasAlarm = false;
  writtenAt = 0;

  /**
   * Takes tokens. Returns the granted and the remaining tokens, and the microseconds until the burst is whole again and
   * until a token can be had.
   *
   * @param {number} interval microseconds between two tokens
   * @param {number} burst
   * @param {number} wanted
   * @returns {Promise<number[]>}
   */
  async take(interval, burst, wanted) {
    const isKept = interval * burst > FORGETTABLE_US;
    if (isKept && !this.isLoaded) await this.load();
    const now = Date.now();
    const [tat, ...answer] = core.limiter_take(this.tat, now * 1000, wanted, interval, burst);
    this.tat = tat;
    if (isKept && answer[0] > 0) this.writeBehind(now);
    return answer;
  }

  /** Reads the number that was written before the object rested. */
  async load() {
    await this.ctx.blockConcurrencyWhile(async () => {
      if (this.isLoaded) return;
      const [tat, alarm] = await Promise.all([this.ctx.storage.get(TAT), this.ctx.storage.getAlarm()]);
      if (typeof tat === "number") this.tat = Math.max(this.tat, tat);
      this.hasAlarm = alarm !== null;
      this.isLoaded = true;
    });
  }

  /**
   * Writes the number now, or when the pause after the last write is over.
   *
   * @param {number} now
   */
  writeBehind(now) {
    this.isDirty = true;
    if (this.isWriting) return;
    const pause = this.writtenAt + WRITE_MS - now;
    if (pause <= 0) return this.write(now);
    this.isWriting = true;
    setTimeout(() => {
      this.isWriting = false;
      if (this.isDirty) this.write(Date.now());
    }, pause);
  }

  /** @param {number} now */
  write(now) {
    this.isDirty = false;
    this.writtenAt = now;
    // No answer waits for the disk. What a crash loses are the tokens of a few seconds.
    const unconfirmed = { allowUnconfirmed: true };
    this.ctx.storage.put(TAT, this.tat, unconfirmed).catch(() => {});
    if (this.hasAlarm) return;
    this.hasAlarm = true;
    this.ctx.storage.setAlarm(this.tat / 1000 + KEPT_MS, unconfirmed).catch(() => {});
  }

  /**
   * Removes what was written if the burst is whole again, so that a key that is never seen again costs nothing.
   *
   * @override
   */
  async alarm() {
    await this.load();
    const now = Date.now();
    this.hasAlarm = this.tat > now * 1000;
    if (this.hasAlarm) await this.ctx.storage.setAlarm(this.tat / 1000 + KEPT_MS);
    else await this.ctx.storage.deleteAll();
  }
}
