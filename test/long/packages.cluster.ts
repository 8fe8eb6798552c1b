/** The published packages as a user gets them: installed by npm into empty projects, on every Node that is supported. */
import { spawn } from "node:child_process";
import type { ChildProcess } from "node:child_process";
import { copyFileSync, readdirSync } from "node:fs";
import { createServer } from "node:net";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { nodeOf, supportedNodes } from "../packages/node-of.ts";
import { Workshop, asCommonJs, codeBlocks, root, run, tryRun, typescript } from "../packages/packed-project.ts";
import type { PackedProject } from "../packages/packed-project.ts";
import { resolutions, writeStrictProject } from "../packages/strict-project.ts";

const clientPackagesMax = 45;
const examples = join(root, "examples");

const workshop = new Workshop();
let alone: PackedProject;
let flotilla: PackedProject;
let both: PackedProject;
let dev: ChildProcess;
let port: number;

beforeAll(async () => {
  const tarballs = workshop.pack();
  alone = workshop.project("alone");
  alone.install(tarballs.client);
  flotilla = workshop.project("flotilla");
  flotilla.install(tarballs.flotilla);
  both = workshop.project("both");
  both.install(tarballs.client, tarballs.flotilla);
  port = await freePort();
  dev = await startDev(flotilla.path, port);
}, 300_000);

afterAll(async () => {
  const ended = new Promise((resolve) => dev.on("close", resolve));
  dev.kill("SIGINT");
  await ended;
  workshop.remove();
}, 60_000);

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer();
    server.listen({ host: "127.0.0.1", port: 0 }, () => {
      const { port: free } = server.address() as AddressInfo;
      // `flotilla dev` needs room above it, for the nodes and for their HTTP.
      server.close(() => resolve(Math.min(free, 60_000)));
    });
  });
}

/** Resolves when the installed command has its cluster ready. */
function startDev(directory: string, at: number): Promise<ChildProcess> {
  const command = join(directory, "node_modules", ".bin", "flotilla");
  const child = spawn(command, ["dev", "--port", String(at)], { cwd: directory, stdio: ["ignore", "pipe", "inherit"] });
  let out = "";
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => reject(new Error(`flotilla dev ended with ${code}:\n${out}`)));
    child.stdout.setEncoding("utf8").on("data", (text: string) => {
      out += text;
      if (/^ready /m.test(out)) resolve(child);
    });
  });
}

it(`the client brings at most ${clientPackagesMax} packages, none with native code`, () => {
  const installed = alone.installed();
  expect(installed.length).toBeGreaterThan(1);
  expect(installed.length).toBeLessThanOrEqual(clientPackagesMax);
  expect(alone.filesMatching(/\.(node|gyp|wasm)$/)).toEqual([]);
});

it("the installed command works against its own cluster", () => {
  const command = join(flotilla.path, "node_modules", ".bin", "flotilla");
  run(command, ["put", "hello", "world"], flotilla.path);
  expect(run(command, ["get", "hello"], flotilla.path).out).toBe("world");
});

describe.each(supportedNodes)("on Node %i", (major) => {
  let node: string;

  beforeAll(() => {
    node = nodeOf(major, workshop.path);
  }, 300_000);

  const documented: [document: string, project: () => PackedProject][] = [
    ["README.md", () => alone],
    ["packages/client/README.md", () => alone],
    ["packages/cli/README.md", () => flotilla],
  ];

  describe.each(documented)("the examples of %s", (document, project) => {
    const examplesHere = codeBlocks(document, "js", "ts").map((code, index) => [index + 1, code] as const);

    it.each(examplesHere)("run by import and by require: %i", (index, code) => {
      // The document speaks of the default ports.
      const text = code.replaceAll(
        /\b127\.0\.0\.1:740(\d)/g,
        (_, digit: string) => `127.0.0.1:${port + Number(digit)}`,
      );
      const name = `${document.replaceAll("/", "-")}-${index}`;
      project().write(`${name}.mjs`, text);
      project().write(`${name}.cjs`, asCommonJs(text));
      const byImport = run(node, [`${name}.mjs`], project().path);
      const byRequire = run(node, [`${name}.cjs`], project().path);
      expect(withoutVersions(byRequire.out)).toBe(withoutVersions(byImport.out));
      expect(byImport.errors).toBe("");
    });
  });

  it.each(readdirSync(examples).filter((name) => name.endsWith(".mjs")))("examples/%s runs", (name) => {
    copyFileSync(join(examples, name), join(flotilla.path, name));
    expect(run(node, [name], flotilla.path).errors).toBe("");
  });

  it("the documented test for node:test passes", () => {
    flotilla.write("app.test.mjs", codeBlocks("docs/testing-your-app.md", "js node:test")[0]!);
    expect(run(node, ["--test", "app.test.mjs"], flotilla.path).out).toMatch(/pass 1$/m);
  });
});

/** Records' versions are times. */
const withoutVersions = (text: string): string => text.replaceAll(/\d{15,16}/g, "VERSION");

it.each(Object.keys(resolutions))("a strict project compiles against both with resolution %s", (name) => {
  const configuration = writeStrictProject(both)[name]!;
  expect(tryRun(process.execPath, [typescript, "-p", configuration], both.path)).toMatchObject({
    exitCode: 0,
    out: "",
  });
});
