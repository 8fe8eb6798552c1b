import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, describe, test } from "vitest";
import { NodeFiles } from "@flotilla/platform";
import { filesConformance } from "@flotilla/platform/conformance";

const made: string[] = [];

afterEach(async () => {
  for (const directory of made.splice(0)) await rm(directory, { recursive: true, force: true });
});

describe("NodeFiles conforms to Files", () => {
  for (const { name, run } of filesConformance) {
    test(name, () =>
      run(async () => {
        const directory = await mkdtemp(join(tmpdir(), "flotilla-files-"));
        made.push(directory);
        return new NodeFiles(directory);
      }),
    );
  }
});
