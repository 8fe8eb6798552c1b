/** docs/quickstart.md and what README.md says to type, as a stranger would, on a cluster of `flotilla dev`. */
import { spawnSync } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, join } from "node:path";
import { afterEach, expect, test } from "vitest";
import { RealCluster, closeAllClusters } from "../cluster/harness.ts";
import { codeBlocks, root } from "../packages/packed-project.ts";

/** Where `@flotilla/client` and `flotilla` can be imported, as in examples/. */
const directory: string = join(root, "test", `.quickstart-${process.pid}`);

afterEach(async () => {
  await closeAllClusters();
  rmSync(directory, { recursive: true, force: true });
});

interface Ended {
  readonly status: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

function runProgram(cluster: RealCluster, name: string, code: string): Ended {
  mkdirSync(directory, { recursive: true });
  // The document speaks of the default port.
  writeFileSync(join(directory, name), code.replaceAll("127.0.0.1:7400", cluster.endpoints.join(",")));
  return spawnSync(process.execPath, [name], { cwd: directory, encoding: "utf8", timeout: 60_000 });
}

test(
  "the quickstart's programs do what it says, with all nodes and with one of them killed",
  { timeout: 120_000 },
  async () => {
    const cluster = await RealCluster.start();
    const [first = "", conditions = "", failures = "", many = "", embedded = ""] = codeBlocks(
      "docs/quickstart.md",
      "js",
    );
    const printed = "{ guns: 10, built: 1820 }\nships/beagle 1820\nships/fram 1892\n";
    expect(
      first
        .trim()
        .split("\n")
        .filter((line) => line !== ""),
    ).toHaveLength(9);
    expect(runProgram(cluster, "first.mjs", first)).toMatchObject({ status: 0, stdout: printed, stderr: "" });
    cluster.kill(3);
    expect(runProgram(cluster, "first.mjs", first)).toMatchObject({ status: 0, stdout: printed, stderr: "" });

    const opening = first.slice(0, first.indexOf("await client.put"));
    const further = `${opening}
    const ships = [{ name: "beagle", guns: 10 }, { name: "fram", guns: 0 }, { name: "endurance", guns: 0 }];
    try { ${conditions} } catch (error) { console.log(error.code, error.outcome); }
    console.log((await client.get("ships/beagle")).guns);
    { ${failures} }
    console.log((await client.get("ships/beagle")).guns);
    { ${many}; console.log(deleted, await client.count()); }
    await client.close();`;
    expect(runProgram(cluster, "further.mjs", further)).toMatchObject({
      status: 0,
      stdout: "ConditionFailed not-applied\n6\n8\n3 0\n",
      stderr: "",
    });
    expect(runProgram(cluster, "embedded.mjs", embedded)).toMatchObject({ status: 0, stderr: "" });
  },
);

test("the lines of README.md for the shell work one after the other", { timeout: 120_000 }, async () => {
  const cluster = await RealCluster.start();
  const text = readFileSync(join(root, "README.md"), "utf8");
  const lines = text.match(/^ {4}npx flotilla .*$/gm)!.map((line) => line.trim());
  expect(lines.length).toBeGreaterThan(5);
  const environment = {
    ...process.env,
    PATH: `${join(root, "node_modules", ".bin")}${delimiter}${process.env["PATH"]}`,
  };
  const outputs = lines.map((line) => {
    const command = line.replaceAll("npx flotilla", "flotilla");
    const { status, stdout, stderr } = spawnSync("sh", ["-c", command], {
      cwd: cluster.directory,
      env: environment,
      encoding: "utf8",
      timeout: 30_000,
    });
    expect([line, status, stderr.includes("error")]).toEqual([line, 0, false]);
    return [line, stdout] as const;
  });
  const of = (part: string): string => outputs.find(([line]) => line.includes(part))![1];
  expect(of("get hello")).toBe("world");
  expect(of("scan")).toMatch(/a\/1[\s\S]*one[\s\S]*a\/2[\s\S]*two/);
  expect(of("cluster status")).toMatch(/^health +ok$/m);
  expect(JSON.parse(of("range list"))).toHaveLength(9);
});
