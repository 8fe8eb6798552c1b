/** An operator who waits wants to know for what: said once, when it takes longer than anybody expects. */
import type { Environment } from "@flotilla/base";

const patienceMs = 3000;

/** Settles as `wait` does. `fields`: what is known of it when it is said; undefined = nobody waits any more. */
export async function sayIfLong<T>(
  wait: Promise<T>,
  message: string,
  { clock, logger, scheduler }: Environment,
  fields: () => object | undefined,
): Promise<T> {
  const beganMs = clock.monotonicMs();
  const timer = scheduler.after(patienceMs, () => {
    const known = fields();
    if (known === undefined) return;
    logger.warn({ waitedMs: Math.round(clock.monotonicMs() - beganMs), ...known }, message);
  });
  try {
    return await wait;
  } finally {
    timer.cancel();
  }
}
