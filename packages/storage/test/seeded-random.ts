import type { RandomSource } from "@flotilla/base";

/** A fixed sequence (xorshift32). */
export function seededRandom(seed: number): RandomSource {
  let state = Math.imul(seed, 2654435761) | 1;
  const uint32 = (): number => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return state >>> 0;
  };
  for (let i = 0; i < 8; i++) uint32();
  return { uint32, bytes: (length) => Uint8Array.from({ length }, () => uint32() >>> 11) };
}
