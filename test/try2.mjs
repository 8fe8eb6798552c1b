import { createCluster } from "flotilla/cluster";
const c = await createCluster({ nodes: 3 });
const cl = c.client({ key: "utf8", value: "json" });
await cl.put("a", 1);
let t = performance.now();
const T = () => {
  const x = (performance.now() - t).toFixed(0);
  t = performance.now();
  return x;
};
await c.nodes[0].kill();
console.log(
  "kill",
  T(),
  c.nodes.map((n) => n.state),
);
await cl.put("a", 2);
console.log("put after kill", T());
await c.nodes[0].start();
console.log(
  "start",
  T(),
  c.nodes.map((n) => n.state),
);
await c.nodes[1].stop();
console.log("stop", T());
for (let i = 0; i < 20; i++) await cl.put("b" + i, 3);
console.log("puts after stop", T());
await c.nodes[1].start();
console.log("start", T());
for (let i = 0; i < 10; i++) {
  await c.nodes[2].kill();
  await c.nodes[2].start();
}
console.log("10 kill/start", T(), await cl.get("a"), await cl.count());
console.log(await cl.admin("cluster-status").catch((e) => e.message));
console.log("end of program without close");
