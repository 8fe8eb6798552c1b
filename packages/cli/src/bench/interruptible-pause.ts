/** Waits; ends early, with an error, when the user interrupts. */
export async function pauseUnlessInterrupted(
  milliseconds: number,
  interrupted: AbortSignal,
  everySecond: () => void = () => {},
): Promise<void> {
  interrupted.throwIfAborted();
  const ticker = setInterval(everySecond, 1000);
  try {
    await new Promise<void>((resolve, reject) => {
      const onAbort = (): void => {
        clearTimeout(timeout);
        reject(interrupted.reason as Error);
      };
      const timeout = setTimeout(() => {
        interrupted.removeEventListener("abort", onAbort);
        resolve();
      }, milliseconds);
      interrupted.addEventListener("abort", onAbort, { once: true });
    });
  } finally {
    clearInterval(ticker);
  }
}
