import { createCluster } from "flotilla/cluster";
const d = process.argv[2];
for (let i = 0; i < 3; i++) {
  const t = performance.now();
  const c = await createCluster({ dataDir: d, ...(i === 0 ? { nodes: Number(process.argv[3] ?? 1) } : {}) });
  const t1 = performance.now();
  const cl = c.client({ key: "utf8", value: "json" });
  console.log(await cl.get("n"), c.nodes.length, (t1 - t).toFixed(0));
  await cl.put("n", i);
  try {
    await createCluster({ dataDir: d });
  } catch (e) {
    console.log(e.code, e.message);
  }
  const t2 = performance.now();
  await c.close();
  console.log("close", (performance.now() - t2).toFixed(0));
}
