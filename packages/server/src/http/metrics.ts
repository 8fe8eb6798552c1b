/** `/metrics` in the Prometheus text format, from the store thread's answer and this process's own figures. */
import { Counter, Gauge, Registry, collectDefaultMetrics } from "prom-client";
import type { StoreThreadStatistics } from "../node/store-thread-messages.ts";
import { metricDefinitions } from "./metric-definitions.ts";
import type { MetricDefinition } from "./metric-definitions.ts";

/** Between two looks at how late the main thread's event loop runs: it has nothing else to wake up for. */
const loopLookMs = 100;

export class Metrics {
  readonly #registry = new Registry();
  readonly #metrics: readonly { readonly definition: MetricDefinition; set(value: number): void }[];

  constructor() {
    // CPU, memory and event loop of the whole process, under the names that dashboards know.
    collectDefaultMetrics({ register: this.#registry, eventLoopMonitoringPrecision: loopLookMs });
    this.#metrics = metricDefinitions.map((definition) => ({ definition, set: this.#setter(definition) }));
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  async text(statistics: StoreThreadStatistics): Promise<string> {
    for (const { definition, set } of this.#metrics) set(definition.value(statistics));
    return this.#registry.metrics();
  }

  close(): void {
    this.#registry.clear();
  }

  #setter({ name, help, type }: MetricDefinition): (value: number) => void {
    const options = { name, help, registers: [this.#registry] };
    if (type === "gauge") {
      const gauge = new Gauge(options);
      return (value) => gauge.set(value);
    }
    // The store counts; here its count is only repeated.
    const counter = new Counter(options);
    return (value) => {
      counter.reset();
      counter.inc(value);
    };
  }
}
