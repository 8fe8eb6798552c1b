/** `--split-at`: bounds of the first ranges, as a user writes them. */
import { Failure, keyBytesMax } from "@flotilla/base";

/** Ranges that a cluster can be made with. */
export const rangesMax = 4096;

/** As binary strings. */
export function splitKeys(text: string | undefined): string[] {
  if (text === undefined) return [];
  const keys = text.split(",").map((key) => Buffer.from(key, "utf8").toString("latin1"));
  if (keys.length >= rangesMax)
    throw new Failure("InvalidArgument", `--split-at names ${keys.length} keys, at most ${rangesMax - 1} are possible`);
  for (const key of keys) {
    if (key === "")
      throw new Failure("EmptyKey", "--split-at: a key is empty", { hint: "write it like --split-at d,m,t" });
    if (key.length > keyBytesMax)
      throw new Failure(
        "KeyTooLarge",
        `--split-at: a key has ${key.length} bytes, at most ${keyBytesMax} are possible`,
      );
  }
  return keys;
}
