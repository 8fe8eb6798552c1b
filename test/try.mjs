import { createCluster } from "flotilla/cluster";
const n = Number(process.argv[2] ?? 1),
  r = Number(process.argv[3] ?? 4);
const rounds = Number(process.argv[4] ?? 4);
for (let i = 0; i < rounds; i++) {
  const t = performance.now();
  const c0 = process.cpuUsage();
  const c = await createCluster({ nodes: n, ranges: r, ...(process.env.LL ? { logLevel: process.env.LL } : {}) });
  const t1 = performance.now();
  const c1 = process.cpuUsage(c0);
  const cl = c.client({ key: "utf8", value: "json" });
  await cl.put("a", { x: 1 });
  const v = await cl.get("a");
  const t2 = performance.now();
  await c.close();
  console.log(
    n,
    "nodes start",
    (t1 - t).toFixed(0),
    "cpu",
    ((c1.user + c1.system) / 1000).toFixed(0),
    "first ops",
    (t2 - t1).toFixed(0),
    "close",
    (performance.now() - t2).toFixed(0),
    JSON.stringify(v),
  );
}
console.log("end", process._getActiveHandles().length);
