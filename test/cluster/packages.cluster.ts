/**
 * The published packages, without a registry: packed, unpacked beside the libraries they name, loaded both ways, and
 * compiled against. test/long/packages.cluster.ts installs them as a user does.
 */
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Workshop, asCommonJs, codeBlocks, run, tryRun, typescript } from "../packages/packed-project.ts";
import type { PackedProject } from "../packages/packed-project.ts";
import { resolutions, writeStrictProject } from "../packages/strict-project.ts";

const workshop = new Workshop();
let alone: PackedProject;
let both: PackedProject;
let dependencies: Readonly<Record<string, string>>;

beforeAll(() => {
  const { client, flotilla } = workshop.pack();
  alone = workshop.project("alone");
  dependencies = alone.unpack(client).dependencies;
  both = workshop.project("both");
  both.unpack(client);
  both.unpack(flotilla);
});

afterAll(() => workshop.remove());

describe("the client's package", () => {
  it("holds neither native code nor any of the server, and depends on one library", () => {
    const code = alone.filesMatching(/^@flotilla\/client\/dist\/.*\.(js|cjs|node|gyp)$/);
    const folders = new Set(code.map((path) => path.split("/")[3]));
    expect([...folders].sort()).toEqual(["base", "client", "platform", "transport", "vendor"]);
    expect(dependencies).toEqual({ "@grpc/grpc-js": expect.stringMatching(/^\d+\.\d+\.\d+$/) as string });
  });

  it("holds no file of the workspace's configuration, no tests and no maps", () => {
    expect(alone.filesMatching(/^@flotilla\/client\/.*(\.map|tsbuildinfo|\.test\.|tsconfig)/)).toEqual([]);
  });

  it("is loaded by import and by require, and is the same", () => {
    const script = `import("@flotilla/client").then((module) => console.log(module.createClient === require("@flotilla/client").createClient));`;
    expect(run(process.execPath, ["--eval", script], alone.path)).toMatchObject({ out: "true\n" });
  });
});

describe("the package flotilla", () => {
  const example = codeBlocks("packages/cli/README.md", "js").find((code) => code.includes("createCluster"))!;

  it("runs a cluster in a program that imports it", () => {
    both.write("embedded.mjs", example);
    expect(run(process.execPath, ["embedded.mjs"], both.path)).toMatchObject({
      out: "{ name: 'Beagle' }\n",
      errors: "",
    });
  });

  it("runs a cluster in a program that requires it", () => {
    both.write("embedded.cjs", asCommonJs(example));
    expect(run(process.execPath, ["embedded.cjs"], both.path)).toMatchObject({ out: "{ name: 'Beagle' }\n" });
  });

  it("has a store's thread as one file, with the licenses of what is in it and the file of its snapshot thread", () => {
    expect(
      both.filesMatching(/^flotilla\/dist\/server\/(node\/store-worker|snapshots\/snapshot-task)\./).sort(),
    ).toEqual([
      "flotilla/dist/server/node/store-worker.cjs",
      "flotilla/dist/server/node/store-worker.licenses.txt",
      "flotilla/dist/server/snapshots/snapshot-task.js",
    ]);
  });

  it("has the command", () => {
    const command = ["node_modules/flotilla/dist/cli/flotilla.cjs", "version"];
    expect(run(process.execPath, command, both.path).out).toMatch(/^flotilla \d/);
    expect(both.filesMatching(/^flotilla\/dist\/cli\/quick-main\./).sort()).toEqual([
      "flotilla/dist/cli/quick-main.cjs",
      "flotilla/dist/cli/quick-main.licenses.txt",
    ]);
  });
});

it.each(Object.keys(resolutions))("a strict project compiles against both with resolution %s", (name) => {
  const configuration = writeStrictProject(both)[name]!;
  expect(tryRun(process.execPath, [typescript, "-p", configuration], both.path)).toMatchObject({
    exitCode: 0,
    out: "",
  });
});
